//! Keys on their way from one mapping to the next.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Epoch, Shard};
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
    pub(crate) otherwise: Option<(Arc<Shard>, u64, Arc<Moving>)>,
}

impl Moving {
    pub(super) fn new(to: Arc<Epoch>) -> Self {
        Self {
            to,
            reads: Counter::default(),
            misses: Counter::default(),
            kept: Counter::default(),
            bytes: Counter::default(),
            seen: Sketch::default(),
            moved: Sketch::default(),
            written: Marks::default(),
        }
    }
}

impl Epoch {
    /// Who has the request of a key, if anybody has.
    pub(crate) fn place(&self, key: &[u8], only_reads: bool) -> Option<Placed> {
        let owner = self.shard(key);
        let stay = || owner.map(|owner| self.stay(owner));
        let Some(moving) = &self.moving else { return stay() };
        let hash = hash(key);
        moving.seen.add(hash);
        let next = moving.to.shard(key);
        let name = |shard: Option<&Arc<Shard>>| shard.map(|shard| Arc::clone(&shard.name));
        if name(owner) == name(next) {
            return stay();
        }
        moving.moved.add(hash);
        if !only_reads {
            moving.written.mark(hash);
        }
        let (Some(owner), Some(next)) = (owner, next) else { return stay() };
        if !only_reads || moving.written.may_have(hash) {
            moving.kept.add();
            return stay();
        }
        moving.reads.add();
        Some(Placed {
            shard: Arc::clone(next),
            epoch: moving.to.number,
            otherwise: Some((Arc::clone(owner), self.number, Arc::clone(moving))),
        })
    }

    /// A request that this shard has, and no other.
    pub(crate) fn stay(&self, shard: &Arc<Shard>) -> Placed {
        Placed { shard: Arc::clone(shard), epoch: self.number, otherwise: None }
    }

    /// The name of the shard that a key has, and of the one that it is to have.
    pub(crate) fn shard(&self, key: &[u8]) -> Option<&Arc<Shard>> {
        self.shards.get(self.map.shard(key)?)
    }
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(key);
    hasher.finish()
}

/// Bits that many threads set.
#[derive(Debug)]
struct Bits<const WORDS: usize>(Box<[AtomicU64]>);

impl<const WORDS: usize> Default for Bits<WORDS> {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl<const WORDS: usize> Bits<WORDS> {
    /// The word and the bit that a hash stands for.
    fn place(&self, hash: u64) -> Option<(&AtomicU64, u64)> {
        let bit = hash % (WORDS as u64 * 64);
        let word = usize::try_from(bit / 64).ok().and_then(|word| self.0.get(word))?;
        Some((word, 1 << (bit % 64)))
    }

    fn set(&self, hash: u64) {
        let Some((word, bit)) = self.place(hash) else { return };
        // Most bits are set already, and a line that is only read stays shared.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::AcqRel);
        }
    }

    fn is_set(&self, hash: u64) -> bool {
        self.place(hash).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }
}

/// About how many different keys there were (linear counting): a bit for each of some hundred thousand hashes.
#[derive(Debug, Default)]
pub(crate) struct Sketch(Bits<{ 1 << 14 }>);

impl Sketch {
    fn add(&self, hash: u64) {
        self.0.set(hash);
    }

    /// How many, within some per cent up to a few million.
    pub(crate) fn estimate(&self) -> u64 {
        let all = self.0.0.len() as f64 * 64.0;
        let set: u32 = self.0.0.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
        let free = (all - f64::from(set)).max(1.0);
        (-all * (free / all).ln()).round() as u64
    }
}

/// Keys that were written. One that was not may be taken for one that was; the other way round, never.
#[derive(Debug, Default)]
struct Marks(Bits<{ 1 << 16 }>);

impl Marks {
    fn mark(&self, hash: u64) {
        Self::all(hash).for_each(|hash| self.0.set(hash));
    }

    fn may_have(&self, hash: u64) -> bool {
        Self::all(hash).all(|hash| self.0.is_set(hash))
    }

    fn all(hash: u64) -> impl Iterator<Item = u64> {
        let step = hash.rotate_left(32) | 1;
        (0..4).map(move |time| hash.wrapping_add(step.wrapping_mul(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_tells_about_how_many_keys_there_were() {
        let sketch = Sketch::default();
        assert_eq!(sketch.estimate(), 0);
        for round in 0..3 {
            for key in 0..50_000_u32 {
                sketch.add(hash(&key.to_le_bytes()));
            }
            let found = sketch.estimate();
            assert!((49_000..51_000).contains(&found), "round {round}: {found}");
        }
    }

    #[test]
    fn a_key_that_was_written_is_always_known() {
        let marks = Marks::default();
        let hashes = |from: u32| (from..from + 50_000).map(|key| hash(&key.to_le_bytes()));
        hashes(0).for_each(|hash| marks.mark(hash));
        assert!(hashes(0).all(|hash| marks.may_have(hash)));
        let taken = hashes(50_000).filter(|hash| marks.may_have(*hash)).count();
        assert!(taken < 50, "{taken} of 50,000 are taken for others");
    }
}
