//! Rendezvous: each shard bids for each key, and the best bid has it.

use super::{Shard, hash};

/// The shards as bidders.
#[derive(Clone, Debug)]
pub(super) struct Rendezvous {
    bidders: Box<[Bidder]>,
}

#[derive(Clone, Copy, Debug)]
struct Bidder {
    name: u64,
    /// One divided by its weight.
    share: f64,
}

impl Rendezvous {
    pub(super) fn new(shards: &[Shard]) -> Self {
        let bidder = |shard: &Shard| Bidder {
            name: hash::of_name(&shard.name),
            share: 1.0 / f64::from(shard.weight.max(1)),
        };
        Self { bidders: shards.iter().map(bidder).collect() }
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.walk(key).next()
    }

    pub(super) fn walk(&self, key: &[u8]) -> Walk<'_> {
        Walk { bidders: &self.bidders, key: hash::of_key(key), last: None }
    }
}

/// From bid to bid, the lowest first.
#[derive(Clone, Debug)]
pub(super) struct Walk<'m> {
    bidders: &'m [Bidder],
    key: u64,
    /// The bid that was given last, and whose it was.
    last: Option<(f64, u32)>,
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut best: Option<(f64, u32)> = None;
        for (place, bidder) in (0..).zip(self.bidders) {
            let hash = hash::mix(self.key ^ bidder.name);
            // What is higher than the best without its logarithm is so with it: -ln(u) is at least 1 - u.
            let chance = chance(hash);
            if best.is_some_and(|(best, _)| (1.0 - chance) * bidder.share > best) {
                continue;
            }
            let bid = (-chance.ln() * bidder.share, place);
            if best.is_none_or(|best| bid < best) && self.last.is_none_or(|last| bid > last) {
                best = Some(bid);
            }
        }
        self.last = best.or(self.last);
        best.map(|(_, place)| place)
    }
}

/// Above 0 and at most 1.
fn chance(hash: u64) -> f64 {
    ((hash >> 11) + 1) as f64 / (1_u64 << 53) as f64
}
