//! Maglev: a table of places that the shards take in turns, each by an order of its own.

use super::{Around, Owner, Shard, hash};

/// A place for each hash, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Maglev(Box<[Owner]>);

/// Ten megabytes.
pub(super) const MOST_SIZE: u32 = 5_000_011;

impl Maglev {
    pub(super) fn new(shards: &[Shard], size: u32) -> Self {
        let mut takers: Vec<Taker> = shards.iter().map(|shard| Taker::new(shard, size)).collect();
        let heaviest = shards.iter().map(|shard| shard.weight).max().unwrap_or(1);
        let mut places = vec![NOBODY; size as usize];
        let mut left = places.len();
        // Turn by turn, so that none has one more than another of its weight. A lighter one waits until its turns come to one.
        while left > 0 {
            for (owner, taker) in (0..).zip(&mut takers) {
                taker.credit += u64::from(taker.weight);
                if taker.credit < u64::from(heaviest) || left == 0 {
                    continue;
                }
                taker.credit -= u64::from(heaviest);
                left -= usize::from(taker.take(&mut places, owner));
            }
        }
        Self(places.into())
    }

    /// Whose the places are.
    pub(super) fn owners(&self) -> &[Owner] {
        &self.0
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.0.get(self.place(key)).copied().map(u32::from)
    }

    pub(super) fn walk(&self, key: &[u8]) -> Around<'_> {
        Around::new(&self.0, self.place(key))
    }

    fn place(&self, key: &[u8]) -> usize {
        // The upper half of the product: without a division.
        let product = u128::from(hash::of_key(key)) * self.0.len() as u128;
        (product >> 64) as usize
    }
}

/// No shard's number: there are fewer.
const NOBODY: Owner = Owner::MAX;

/// A shard on its way through the table.
struct Taker {
    next: u32,
    step: u32,
    size: u32,
    weight: u32,
    credit: u64,
}

impl Taker {
    fn new(shard: &Shard, size: u32) -> Self {
        let hash = hash::of_name(&shard.name);
        let below = |number: u64, below: u32| {
            u32::try_from(number.checked_rem(u64::from(below)).unwrap_or_default())
                .unwrap_or_default()
        };
        let step = below(hash::mix(hash), size.saturating_sub(1)).saturating_add(1);
        Self { next: below(hash, size), step, size, weight: shard.weight, credit: 0 }
    }

    /// Takes its next place that is nobody's. A step that is no divisor of the size, a prime, comes to all of them.
    fn take(&mut self, places: &mut [Owner], owner: Owner) -> bool {
        for _ in 0..self.size {
            let place = self.next as usize;
            let next = u64::from(self.next) + u64::from(self.step);
            self.next = u32::try_from(next % u64::from(self.size.max(1))).unwrap_or_default();
            if let Some(free) = places.get_mut(place).filter(|place| **place == NOBODY) {
                *free = owner;
                return true;
            }
        }
        false
    }
}

/// Whether a table for so many shards may have this size.
pub(super) fn is_size(size: u32, shards: usize) -> bool {
    let is_divisor = |divisor: &u32| size.is_multiple_of(*divisor);
    let root = size.isqrt();
    (2..=MOST_SIZE).contains(&size)
        && shards <= size as usize
        && !(2..=root).any(|it| is_divisor(&it))
}
