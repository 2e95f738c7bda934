//! By a key: requests with the same one go to the same endpoint, for as long as that has room.

use super::hot::HotKeys;
use super::tier::better;
use super::{Ask, Chance, Member, Tier};
use crate::shard::{Mapping, Shard, ShardMap};

/// Which endpoint has a key.
#[derive(Debug)]
pub(crate) struct Held {
    map: ShardMap,
    /// The endpoints of the map, by their indexes in the pool.
    indexes: Box<[u32]>,
    bound: Option<u32>,
    hot: Option<HotKeys>,
}

impl Held {
    /// Of those of `members` at these indexes. `None` where there are none, or their weights are beyond what a map can take.
    pub(super) fn new(
        (is_consistent, bound, hot): (bool, Option<u32>, Option<u32>),
        members: &[Member],
        indexes: &[u32],
    ) -> Option<Self> {
        let heavy: Vec<(u32, &Member)> = indexes
            .iter()
            .filter_map(|index| Some((*index, members.get(*index as usize)?)))
            .filter(|(_, member)| member.weight > 0)
            .collect();
        let shard = |(_, member): &(u32, &Member)| {
            Shard::new(&member.endpoint.address().to_string(), member.weight)
        };
        let shards: Vec<Shard> = heavy.iter().map(shard).collect();
        let mapping = if is_consistent { Mapping::Ketama } else { Mapping::Modulo };
        let map = ShardMap::build(&mapping, &shards).ok()?;
        let indexes = heavy.iter().map(|(index, _)| *index).collect();
        Some(Self { map, indexes, bound, hot: hot.map(HotKeys::new) })
    }

    /// The endpoints of `key`, the best first: each once, at most 16.
    fn order<'h>(&'h self, key: &'h [u8]) -> impl Iterator<Item = usize> + 'h {
        let order = self.map.order(key);
        order.filter_map(|place| self.indexes.get(place).map(|index| *index as usize))
    }

    /// The first in the order of the request's key that may be had and is within its bound; of a key that is hot, the better
    /// of two of its endpoints. `None` where there is no key.
    pub(super) fn pick(
        &self,
        tier: &Tier,
        members: &[Member],
        ask: &Ask<'_>,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let key = ask.key.filter(|key| !key.is_empty())?;
        let replicas = self.hot.as_ref().map_or(1, |hot| hot.asked(key));
        let first = || self.order(key).find(|index| may(*index));
        if self.hot.is_some() && !ask.is_safe {
            // What writes stays where the key is at home.
            return first();
        }
        let room = self.bound.map(|bound| Room::new(bound, tier, members));
        let has_room = |index: &usize| room.as_ref().is_none_or(|room| room.is_for(*index));
        let within = |index: &usize| may(*index) && has_room(index);
        let hot =
            (replicas > 1).then(|| self.better_replica(key, replicas, (members, ask), within));
        // With a bound above 1 somebody is below it; that may be none of the first sixteen.
        hot.flatten().or_else(|| self.order(key).find(within)).or_else(first)
    }

    /// The better of two of the first endpoints of a key.
    fn better_replica(
        &self,
        key: &[u8],
        replicas: usize,
        (members, ask): (&[Member], &Ask<'_>),
        within: impl Fn(&usize) -> bool,
    ) -> Option<usize> {
        let fit = || self.order(key).take(replicas).filter(|index| within(index));
        let count = u32::try_from(fit().count()).ok()?;
        let mut fit = fit();
        let chance = &mut Chance(ask.random);
        let (one, other) = (chance.below(count), chance.below(count.saturating_sub(1)));
        let other = if other >= one { other + 1 } else { other };
        let (low, high) = (one.min(other) as usize, one.max(other) as usize);
        let first = fit.nth(low)?;
        let second = fit.nth(high.checked_sub(low + 1)?);
        Some(second.map_or(first, |second| better(members, (first, second), ask.now)))
    }

    /// Puts together what threads have counted.
    pub(super) fn merge_hot_keys(&self) {
        self.hot.iter().for_each(|hot| hot.merge(self.indexes.len()));
    }

    /// Whether there is anything to put together.
    pub(super) fn has_hot_keys(&self) -> bool {
        self.hot.is_some()
    }
}

/// What each may have in flight so that none has more than so many times its share.
struct Room<'m> {
    members: &'m [Member],
    /// In hundredths, for one unit of weight.
    most: u64,
    total_weight: u64,
}

impl<'m> Room<'m> {
    fn new(bound: u32, tier: &Tier, members: &'m [Member]) -> Self {
        let in_flight: u64 = tier
            .line
            .everybody_in_order()
            .filter_map(|index| members.get(index))
            .map(|member| u64::from(member.endpoint.load().in_flight()))
            .sum();
        let most = u64::from(bound).saturating_mul(in_flight + 1);
        Self { members, most, total_weight: u64::from(tier.line.total()) }
    }

    /// Whether an endpoint may have one more.
    fn is_for(&self, index: usize) -> bool {
        let Some(member) = self.members.get(index) else { return false };
        let in_flight = u64::from(member.endpoint.load().in_flight());
        // in flight < ceil(most x weight / total), in hundredths; nothing in flight is always less.
        in_flight * 100 * self.total_weight < self.most.saturating_mul(member.weight.into())
    }
}
