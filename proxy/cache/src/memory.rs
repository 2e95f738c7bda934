//! Stored responses in memory.

mod admission;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::entry::Entry;
use crate::key::Key;
use crate::purge::{Purges, Standing};
use crate::variants::{Stored, Variants};
use crate::zone::Limits;
use admission::Admission;

/// Stored responses in memory, within a number of bytes.
///
/// What stays is decided by CLOCK-Pro over a tenth for newcomers and the rest for what was asked for again; what comes in, once
/// it is full, by [`Admission`]. The two together were tuned on three traces of `benches/hit_ratio`; there, and on seven others of
/// other seeds, skews and admixtures, they are level with the best of five other policies, or up to five points above it. Where
/// three in ten requests are for news, each wanted four times within a short while, they are up to four points below. CLOCK-Pro with
/// ghosts, as it comes, is up to 2.8 below on the first three; [`Admission`] replaces the ghosts.
#[derive(Debug)]
pub(crate) struct Memory {
    cache: Cache<Key, Arc<Variants>, Weights, RandomState, Evictions>,
    hashes: RandomState,
    admission: Mutex<Admission>,
    /// Whoever changes what is stored for a key holds the lock that its hash names; whoever reads, none.
    changing: [Mutex<()>; 64],
    evictions: Evictions,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Self {
        let (hashes, evictions) = (RandomState::new(), Evictions::default());
        let options = OptionsBuilder::new()
            .shards(shards(limits))
            .weight_capacity(limits.memory.max(1))
            // Said only so that no shard is left out: it is no bound, and nothing is set aside for it.
            .estimated_items_capacity(1 << 20)
            .hot_allocation(0.9)
            .ghost_allocation(0.0)
            .build();
        #[expect(
            clippy::expect_used,
            reason = "only a missing capacity is an error, and both are given"
        )]
        let options = options.expect("both capacities are given");
        let cache = Cache::with_options(options, Weights, hashes.clone(), evictions.clone());
        let changing = std::array::from_fn(|_| Mutex::new(()));
        Self { cache, hashes, admission: Mutex::default(), changing, evictions }
    }

    /// Takes a new number of bytes; what no longer fits goes.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        self.cache.set_capacity(bytes.max(1));
    }

    /// What is stored for `key`: a lookup under a shared lock and a counted pointer.
    pub(crate) fn find(&self, key: &Key) -> Option<Arc<Variants>> {
        self.cache.get(key)
    }

    /// Keeps `entry` beside the other variants of its key, or does not if others are worth more.
    pub(crate) fn store(&self, entry: Arc<Entry>, purges: &Purges, variants: usize) {
        let key = entry.meta.key.clone();
        let hash = self.hashes.hash_one(&key);
        let stored = Stored::new(entry);
        let _changing = self.changing(hash).lock();
        // Looked at under the lock: what a purge finds gone does not come back.
        if stored.standing(purges) == Standing::Void {
            return;
        }
        let old = self.cache.peek(&key);
        let room = self.cache.shard_capacity() / 10 * 9;
        let new = Variants::with(stored, old.as_deref(), purges, variants, room);
        if old.is_some() || self.admits(hash, new.weight()) {
            self.cache.insert(key, Arc::new(new));
        }
    }

    /// Forgets all variants of `key`.
    pub(crate) fn remove(&self, key: &Key) {
        let _changing = self.changing(self.hashes.hash_one(key)).lock();
        self.cache.remove(key);
    }

    /// Forgets those variants of `key` that `keeps` says no to; how many these were.
    pub(crate) fn keep_only(&self, key: &Key, keeps: impl Fn(&Stored) -> bool) -> usize {
        let _changing = self.changing(self.hashes.hash_one(key)).lock();
        let Some(old) = self.cache.peek(key) else { return 0 };
        let kept = old.only(keeps);
        let gone = old.iter().count() - kept.as_ref().map_or(0, |kept| kept.iter().count());
        match kept {
            Some(_) if gone == 0 => {}
            // Should it have been evicted by now, then it is not to come back.
            Some(kept) => drop(self.cache.replace(key.clone(), Arc::new(kept), true)),
            None => drop(self.cache.remove(key)),
        }
        gone
    }

    /// All keys and what is stored for them, each once, in no order: slowly, and holding up nobody.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, Arc<Variants>)> {
        self.cache.iter()
    }

    /// Keys stored.
    pub(crate) fn keys(&self) -> u64 {
        self.cache.len() as u64
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Keys that made room for others, or were too large.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.0.load(Ordering::Relaxed)
    }

    fn changing(&self, hash: u64) -> &Mutex<()> {
        #[expect(clippy::indexing_slicing, reason = "the remainder is within the array")]
        &self.changing[hash as usize % self.changing.len()]
    }

    fn admits(&self, hash: u64, weight: u64) -> bool {
        let (bytes, room, keys) = (self.bytes(), self.cache.capacity(), self.cache.len());
        // Shards fill unevenly: the last of them is not full when the tier is.
        let is_full = bytes + bytes / 32 + weight >= room;
        self.admission.lock().admits(hash, weight, bytes / (keys as u64).max(1), keys) || !is_full
    }
}

/// As many as let a shard hold four of the largest, sixteen at most: shards share nothing, and each has its part of the room.
fn shards(limits: Limits) -> usize {
    let least = limits.largest_in_memory.saturating_mul(4).max(1024 * 1024);
    let shards = (limits.memory / least).clamp(1, 16);
    1 << shards.ilog2()
}

/// What is stored knows what it weighs.
#[derive(Clone, Debug)]
struct Weights;

impl Weighter<Key, Arc<Variants>> for Weights {
    fn weight(&self, _key: &Key, variants: &Arc<Variants>) -> u64 {
        variants.weight()
    }
}

/// Counts what goes, and drops it when no lock is held any more.
#[derive(Clone, Debug, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<Key, Arc<Variants>> for Evictions {
    type RequestState = Vec<(Key, Arc<Variants>)>;

    fn on_evict(&self, gone: &mut Self::RequestState, key: Key, variants: Arc<Variants>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        gone.push((key, variants));
    }
}
