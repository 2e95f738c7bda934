//! What is known of many keys in few bytes, while many threads add to it.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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
    pub(super) fn add(&self, hash: u64) {
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
pub(super) struct Marks(Bits<{ 1 << 16 }>);

impl Marks {
    pub(super) fn mark(&self, hash: u64) {
        Self::all(hash).for_each(|hash| self.0.set(hash));
    }

    pub(super) fn may_have(&self, hash: u64) -> bool {
        Self::all(hash).all(|hash| self.0.is_set(hash))
    }

    fn all(hash: u64) -> impl Iterator<Item = u64> {
        let step = hash.rotate_left(32) | 1;
        (0..4).map(move |time| hash.wrapping_add(step.wrapping_mul(time)))
    }
}

/// About how many different keys each of some shards had.
#[derive(Debug)]
pub(crate) struct Counts(Box<[Registers]>);

/// Of more shards than that, each is told less exactly: all of them together take no more than some MiB.
const MANY_SHARDS: usize = 256;

impl Counts {
    pub(super) fn new(shards: usize) -> Self {
        let registers = if shards <= MANY_SHARDS { 1 << 12 } else { 1 << 8 };
        Self((0..shards).map(|_| Registers::new(registers)).collect())
    }

    pub(super) fn add(&self, shard: Option<usize>, hash: u64) {
        if let Some(registers) = shard.and_then(|shard| self.0.get(shard)) {
            registers.add(hash);
        }
    }

    /// How many, within some per cent.
    pub(crate) fn estimate(&self, shard: usize) -> u64 {
        self.0.get(shard).map_or(0, Registers::estimate)
    }
}

/// About how many different keys there were, in few bytes (HyperLogLog: Flajolet, Fusy, Gandouet and Meunier, 2007).
#[derive(Debug)]
struct Registers(Box<[AtomicU8]>);

impl Registers {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU8::new(0)).collect())
    }

    fn add(&self, hash: u64) {
        let count = self.0.len() as u64;
        let Some(register) = usize::try_from(hash % count).ok().and_then(|at| self.0.get(at))
        else {
            return;
        };
        // At most 57, of the 56 bits or less that the place of the register does not depend on.
        let rank = ((hash / count).trailing_zeros() + 1) as u8;
        if register.load(Ordering::Relaxed) < rank {
            register.fetch_max(rank, Ordering::Relaxed);
        }
    }

    fn estimate(&self) -> u64 {
        let count = self.0.len() as f64;
        let ranks = || self.0.iter().map(|register| register.load(Ordering::Relaxed));
        let sum: f64 = ranks().map(|rank| 0.5_f64.powi(rank.into())).sum();
        let whole = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
        let free = ranks().filter(|rank| *rank == 0).count() as f64;
        // Of few keys, the free places tell more.
        let few = count * (count / free.max(1.0)).ln();
        (if whole <= 2.5 * count && free > 0.0 { few } else { whole }).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher as _};

    use super::*;

    fn hash(key: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        hasher.finish()
    }

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

    #[test]
    fn each_shard_is_told_about_how_many_keys_it_had() {
        for (shards, within) in [(2, 0.05), (300, 0.2)] {
            let counts = Counts::new(shards);
            let mut expected = 0;
            for keys in [100_u32, 3_000, 12_000, 200_000] {
                for key in 0..keys {
                    counts.add(Some(1), hash(&key.to_le_bytes()));
                }
                expected = expected.max(keys);
                let found = counts.estimate(1) as f64 / f64::from(expected);
                assert!((found - 1.0).abs() < within, "{shards} shards, {keys} keys: {found}");
            }
            assert_eq!((counts.estimate(0), counts.estimate(shards)), (0, 0));
            counts.add(None, 1);
        }
    }
}
