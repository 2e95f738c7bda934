//! Keys on their way from one mapping to the next.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use super::sketches::{Counts, Marks, Sketch};
use super::{Epoch, Shard};
use crate::http::Comparisons;
use crate::metrics::Counter;

/// The next mapping, while requests are served by both.
///
/// Until it is in force, the shard that has a key has all that is written of it, so that nothing is lost by going back. What is
/// read comes from the shard that is to have it, if it has it already, and else from the one that has it. A key that was written
/// since this began is read where it was written: a copy of it may be older.
#[derive(Debug)]
pub(crate) struct Moving {
    /// What is to be.
    pub(crate) to: Arc<Epoch>,
    /// Reads that the next shard was asked for.
    pub(crate) reads: Counter,
    /// Those of them that it could not answer.
    pub(crate) misses: Counter,
    /// Requests of keys that move which went to the old shard at once.
    pub(crate) kept: Counter,
    /// Bytes of bodies that next shards have answered.
    pub(crate) bytes: Counter,
    /// Keys that were seen.
    pub(crate) seen: Sketch,
    /// Those of them that move.
    pub(crate) moved: Sketch,
    /// Those of them that each shard has.
    pub(crate) had: Counts,
    /// And those that each is to have.
    pub(crate) to_have: Counts,
    /// What came of asking both shards, where that is done.
    pub(crate) comparisons: Comparisons,
    written: Marks,
}

/// Who has a request.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Whom it goes to.
    pub(crate) shard: Arc<Shard>,
    /// The number of the mapping by which it does.
    pub(crate) epoch: u64,
    /// Who has it if that one does not, and by which mapping.
    pub(crate) otherwise: Option<Otherwise>,
}

/// Who has a key that another shard is to have.
#[derive(Clone, Debug)]
pub(crate) struct Otherwise {
    pub(crate) shard: Arc<Shard>,
    /// The number of the mapping by which it has it.
    pub(crate) epoch: u64,
    pub(crate) moving: Arc<Moving>,
    /// Of the key.
    pub(crate) hash: u64,
}

impl Moving {
    /// From an epoch to the next; of this part of the reads of keys that move, the answers of both shards are compared.
    pub(super) fn new(from: &Epoch, to: Arc<Epoch>, compare: f64) -> Self {
        Self {
            had: Counts::new(from.shards.len()),
            to_have: Counts::new(to.shards.len()),
            to,
            reads: Counter::default(),
            misses: Counter::default(),
            kept: Counter::default(),
            bytes: Counter::default(),
            seen: Sketch::default(),
            moved: Sketch::default(),
            comparisons: Comparisons::of(compare),
            written: Marks::default(),
        }
    }

    /// Whether the key of this hash was written since this began, or might have been.
    pub(crate) fn was_written(&self, hash: u64) -> bool {
        self.written.may_have(hash)
    }
}

impl Epoch {
    /// Who has the request of a key, if anybody has.
    pub(crate) fn place(&self, key: &[u8], only_reads: bool) -> Option<Placed> {
        let at = self.map.shard(key);
        let owner = self.at(at);
        let stay = || owner.map(|owner| self.stay(owner));
        let Some(moving) = &self.moving else { return stay() };
        let hash = hash(key);
        let next_at = moving.to.map.shard(key);
        let next = moving.to.at(next_at);
        moving.seen.add(hash);
        moving.had.add(at, hash);
        moving.to_have.add(next_at, hash);
        if owner.map(|shard| &shard.name) == next.map(|shard| &shard.name) {
            return stay();
        }
        moving.moved.add(hash);
        if !only_reads {
            moving.written.mark(hash);
        }
        let (Some(owner), Some(next)) = (owner, next) else { return stay() };
        if !only_reads || moving.was_written(hash) {
            moving.kept.add();
            return stay();
        }
        moving.reads.add();
        Some(Placed {
            shard: Arc::clone(next),
            epoch: moving.to.number,
            otherwise: Some(Otherwise {
                shard: Arc::clone(owner),
                epoch: self.number,
                moving: Arc::clone(moving),
                hash,
            }),
        })
    }

    /// A request that this shard has, and no other.
    pub(crate) fn stay(&self, shard: &Arc<Shard>) -> Placed {
        Placed { shard: Arc::clone(shard), epoch: self.number, otherwise: None }
    }

    fn at(&self, place: Option<usize>) -> Option<&Arc<Shard>> {
        self.shards.get(place?)
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}
