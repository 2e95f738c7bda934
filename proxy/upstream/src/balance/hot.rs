//! Which keys are asked for so often that one endpoint should not have them alone.
//!
//! Each thread counts in a sketch of its own, without waiting; off the request path the sketches are merged into a table, which
//! is swapped whole.

use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use twox_hash::XxHash3_64;

/// The keys that are hot, as they come and go.
#[derive(Debug)]
pub(crate) struct HotKeys {
    sketches: Box<[Mutex<Sketch>]>,
    table: ArcSwap<Table>,
    /// The most endpoints that one key has.
    most: u32,
    merges: AtomicUsize,
}

/// Sketches beyond this many are shared by threads.
const SKETCHES: usize = 16;
/// Merges after which what was counted is worth half.
const WINDOW: usize = 10;
/// Fewer requests than this say nothing.
const LEAST: u64 = 200;

impl HotKeys {
    /// Nothing is hot yet; `most` is how many endpoints a key may have.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            sketches: (0..SKETCHES).map(|_| Mutex::default()).collect(),
            table: ArcSwap::default(),
            most,
            merges: AtomicUsize::new(0),
        }
    }

    /// Counts a key, and tells how many endpoints it has: 1 unless it is hot.
    pub(crate) fn asked(&self, key: &[u8]) -> usize {
        let hash = XxHash3_64::oneshot(key);
        // Whoever finds its sketch in use is not counted: nobody waits.
        let sketch = self.sketches.get(slot() % SKETCHES).and_then(Mutex::try_lock);
        sketch.into_iter().for_each(|mut sketch| sketch.add(hash));
        self.table.load().replicas(hash)
    }

    /// Puts together what the threads have counted, for this many endpoints.
    pub(crate) fn merge(&self, endpoints: usize) {
        let is_over = self.merges.fetch_add(1, Ordering::Relaxed) % WINDOW == WINDOW - 1;
        let (mut keys, mut total) = (Vec::new(), 0);
        for sketch in &self.sketches {
            let mut sketch = sketch.lock();
            total += sketch.total;
            keys.extend(sketch.keys());
            if is_over {
                sketch.halve();
            }
        }
        self.table.store(std::sync::Arc::new(Table::of(keys, total, (endpoints, self.most))));
    }
}

/// The place of the calling thread among those that count.
fn slot() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    SLOT.with(|slot| *slot)
}

/// Space-saving counts (Metwally, Agrawal and El Abbadi, 2005) in sets of eight, so that a key is looked for in eight places.
#[derive(Debug)]
struct Sketch {
    sets: Box<[[Counter; WAYS]; SETS]>,
    total: u64,
}

const SETS: usize = 64;
const WAYS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    hash: u64,
    count: u32,
    /// What of it may be of others, whose place the key has taken.
    error: u32,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { sets: Box::new([[Counter::default(); WAYS]; SETS]), total: 0 }
    }
}

impl Sketch {
    fn add(&mut self, hash: u64) {
        self.total += 1;
        let Some(set) = self.sets.get_mut(hash as usize % SETS) else { return };
        if let Some(counter) = set.iter_mut().find(|counter| counter.hash == hash) {
            counter.count = counter.count.saturating_add(1);
        } else if let Some(least) = set.iter_mut().min_by_key(|counter| counter.count) {
            *least = Counter { hash, count: least.count.saturating_add(1), error: least.count };
        }
    }

    /// What surely was asked for, with how often.
    fn keys(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let sure = |counter: &Counter| (counter.hash, u64::from(counter.count - counter.error));
        self.sets.iter().flatten().filter(|counter| counter.count > 0).map(sure)
    }

    fn halve(&mut self) {
        self.total /= 2;
        for counter in self.sets.iter_mut().flatten() {
            counter.count /= 2;
            counter.error /= 2;
        }
    }
}

/// The hot keys with the number of their endpoints, by hash.
#[derive(Debug, Default)]
struct Table(Box<[(u64, usize)]>);

impl Table {
    fn of(mut keys: Vec<(u64, u64)>, total: u64, (endpoints, most): (usize, u32)) -> Self {
        if total < LEAST || endpoints < 2 {
            return Self::default();
        }
        keys.sort_unstable_by_key(|(hash, _)| *hash);
        keys.dedup_by(|next, own| {
            let is_same = next.0 == own.0;
            own.1 += if is_same { next.1 } else { 0 };
            is_same
        });
        let endpoints = endpoints as u64;
        // From a quarter of what one endpoint has: 2 x share x endpoints, rounded up, and one.
        let is_hot = |(_, count): &(u64, u64)| count * 4 * endpoints >= total;
        let replicas = |(hash, count): (u64, u64)| {
            let replicas = (2 * count * endpoints).div_ceil(total) + 1;
            (hash, replicas.min(endpoints).min(most.into()) as usize)
        };
        Self(keys.into_iter().filter(is_hot).map(replicas).collect())
    }

    fn replicas(&self, hash: u64) -> usize {
        let at = self.0.binary_search_by_key(&hash, |(hash, _)| *hash).ok();
        at.and_then(|at| self.0.get(at)).map_or(1, |(_, replicas)| *replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_half_of_all_ask_for_has_more_endpoints_and_then_no_more() {
        let hot = HotKeys::new(16);
        assert_eq!(hot.asked(b"hot"), 1);
        for number in 0..5_000_u32 {
            hot.asked(b"hot");
            hot.asked(&number.to_be_bytes());
        }
        hot.merge(10);
        assert_eq!(hot.asked(b"hot"), 10);
        assert_eq!(hot.asked(&7_u32.to_be_bytes()), 1);
        hot.merge(40);
        assert_eq!(hot.asked(b"hot"), 16);
        for round in 0..10 * WINDOW as u32 {
            for number in 0..1_000 {
                hot.asked(&(round * 1_000 + number).to_be_bytes());
            }
            hot.merge(10);
        }
        assert_eq!(hot.asked(b"hot"), 1);
    }

    #[test]
    fn what_is_counted_by_several_threads_is_put_together() {
        let hot = HotKeys::new(16);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let hot = &hot;
                let key = move |number| if number % 10 == 0 { 0 } else { thread * 10_000 + number };
                scope.spawn(move || {
                    (0..10_000_u32).map(|number| hot.asked(&key(number).to_be_bytes())).max()
                });
            }
        });
        // A tenth of all, of 10 endpoints: twice that is 2, and one. Each of the four alone would say the same.
        hot.merge(10);
        assert!((3..=4).contains(&hot.asked(&0_u32.to_be_bytes())));
    }

    #[test]
    fn all_keys_above_a_quarter_of_an_endpoint_are_found() {
        let hot = HotKeys::new(16);
        let endpoints = 20;
        for number in 0..200_000_u32 {
            // Twelve keys with one in sixty each, among keys that never come again.
            let key = if number % 5 == 0 { (number / 5) % 12 } else { 1_000 + number };
            hot.asked(&key.to_be_bytes());
        }
        hot.merge(endpoints);
        assert!((0..12_u32).all(|key| hot.asked(&key.to_be_bytes()) > 1));
        assert_eq!((1_000..60_000_u32).filter(|key| hot.asked(&key.to_be_bytes()) > 1).count(), 0);
    }

    #[test]
    fn few_requests_make_nothing_hot() {
        let hot = HotKeys::new(16);
        for _ in 0..LEAST - 1 {
            hot.asked(b"hot");
        }
        hot.merge(10);
        assert_eq!(hot.asked(b"hot"), 1);
    }
}
