//! Rendezvous: each shard bids for each key, and the best bid has it.
//!
//! A bid depends on the key and on the one shard alone. So a shard that goes leaves its keys to whoever bid next, and nobody else's key
//! moves; one that comes takes what it bids best for. No order of events, and no other shard, has a part in it.

use super::{Shard, hash};

/// The shards as bidders.
#[derive(Clone, Debug)]
pub(super) struct Rendezvous {
    names: Box<[u64]>,
    /// One divided by the weight of each, where they differ.
    shares: Option<Box<[f64]>>,
}

impl Rendezvous {
    pub(super) fn new(shards: &[Shard]) -> Self {
        let share = |shard: &Shard| 1.0 / f64::from(shard.weight.max(1));
        let is_even = shards.windows(2).all(|two| matches!(two, [a, b] if a.weight == b.weight));
        Self {
            names: shards.iter().map(|shard| hash::of_name(&shard.name)).collect(),
            shares: (!is_even).then(|| shards.iter().map(share).collect()),
        }
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        let key = Asked::new(key);
        match &self.shares {
            None => self.luckiest(&key),
            Some(shares) => self.best(shares, &key, None).map(|bid| bid.place),
        }
    }

    pub(super) fn walk(&self, key: &[u8]) -> Walk<'_> {
        Walk { shards: self, key: Asked::new(key), last: None }
    }

    /// Of equal weights the highest number is the best bid: 0.9 ns a shard (`make show-upstreams PART=mapping`).
    fn luckiest(&self, key: &Asked) -> Option<u32> {
        let mut best = (*self.names.first()?, 0);
        best.0 = key.luck(best.0);
        for (place, name) in (0..).zip(&self.names) {
            let luck = key.luck(*name);
            if luck > best.0 {
                best = (luck, place);
            }
        }
        Some(best.1)
    }

    /// The best of equal weights behind `last`.
    fn next_luckiest(&self, key: &Asked, last: Option<Bid>) -> Option<Bid> {
        (0..)
            .zip(&self.names)
            .map(|(place, name)| Bid { price: u64::MAX - key.luck(*name), place })
            .filter(|bid| last.is_none_or(|last| *bid > last))
            .min()
    }

    /// The best behind `last`.
    fn best(&self, shares: &[f64], key: &Asked, last: Option<Bid>) -> Option<Bid> {
        let mut best: Option<Bid> = None;
        for (place, (name, share)) in (0..).zip(self.names.iter().zip(shares)) {
            let chance = chance(key.luck(*name));
            // Most need no logarithm: -ln(u) is at least 1 - u, and that is too much already.
            if best.is_some_and(|best| price((1.0 - chance) * share) > best.price) {
                continue;
            }
            let bid = Bid { price: price((0.0 - chance.ln()) * share), place };
            if best.is_none_or(|best| bid < best) && last.is_none_or(|last| bid > last) {
                best = Some(bid);
            }
        }
        best
    }
}

/// What a shard would pay for a key, the lowest best. Of equal bids the first shard's is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bid {
    price: u64,
    place: u32,
}

/// Numbers that are not negative are in the order of their bits.
fn price(number: f64) -> u64 {
    number.to_bits()
}

/// A key that shards bid for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    hash: u64,
    factor: u64,
}

impl Asked {
    fn new(key: &[u8]) -> Self {
        let hash = hash::of_key(key);
        Self { hash, factor: hash::mix(hash) | 1 }
    }

    /// One number for each name, as if drawn.
    fn luck(&self, name: u64) -> u64 {
        let product = u128::from(name ^ self.hash) * u128::from(self.factor);
        (product >> 64) as u64 ^ product as u64
    }
}

/// Above 0 and at most 1.
fn chance(luck: u64) -> f64 {
    ((luck >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// From bid to bid.
#[derive(Clone, Debug)]
pub(super) struct Walk<'m> {
    shards: &'m Rendezvous,
    key: Asked,
    last: Option<Bid>,
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let bid = match &self.shards.shares {
            None => self.shards.next_luckiest(&self.key, self.last),
            Some(shares) => self.shards.best(shares, &self.key, self.last),
        }?;
        self.last = Some(bid);
        Some(bid.place)
    }
}
