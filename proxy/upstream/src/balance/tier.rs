//! Endpoints that are chosen among before any of the next tier is.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use super::held::Held;
use super::{Ask, Balance, Chance, Line, ip_hash};
use crate::endpoint::Endpoint;
use crate::rotation::Rotation;

/// An endpoint in a pool.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its share of the requests. At 0 it has none but those that stick to it.
    pub weight: u32,
    /// Its tier: those of the lowest are chosen while they can be.
    pub tier: u8,
    /// The most requests in flight.
    pub most: u32,
    /// Whether it has no new requests but those that stick to it.
    pub is_draining: bool,
}

impl Member {
    /// The first tier of those that are there for when nobody else is.
    pub const BACKUPS: u8 = 2;

    /// An endpoint of this weight like any other.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, weight: u32) -> Self {
        Self { endpoint, weight, tier: 0, most: u32::MAX, is_draining: false }
    }

    /// Whether it is there for when nobody else is.
    pub(crate) fn is_backup(&self) -> bool {
        self.tier >= Self::BACKUPS
    }

    /// Whether it may have one request more.
    pub(crate) fn has_room(&self) -> bool {
        self.most == u32::MAX || self.endpoint.load().in_flight() < self.most
    }
}

/// Endpoints that are as good as one another, by their indexes in the pool.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(super) line: Line,
    policy: Policy,
}

/// By what a tier is chosen among.
#[derive(Debug)]
enum Policy {
    TwoChoices,
    Turns(Rotation),
    Least(Latencies),
    Random,
    Client,
    Held(Held),
}

/// How far latencies count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latencies {
    /// Not at all.
    Never,
    /// Where one is more than twice the other: below that, requests in flight say enough, and a difference by chance would
    /// send everything to one endpoint while there is little to do.
    Doubled,
    /// In full.
    Always,
}

impl Tier {
    /// Of those of `members` at these indexes.
    pub(crate) fn new(balance: Balance, members: &[Member], indexes: &[u32]) -> Self {
        let weight = |index: &u32| members.get(*index as usize).map_or(0, |one| one.weight);
        let policy = match balance {
            Balance::P2c => Policy::TwoChoices,
            Balance::RoundRobin => {
                let weights: Vec<u32> = indexes.iter().map(weight).collect();
                Policy::Turns(Rotation::of(indexes, &weights))
            }
            Balance::LeastRequests => Policy::Least(Latencies::Never),
            Balance::LeastTime => Policy::Least(Latencies::Always),
            Balance::Random => Policy::Random,
            Balance::IpHash => Policy::Client,
            Balance::Hash { is_consistent, bound, hot } => {
                let held = Held::new((is_consistent, bound, hot), members, indexes);
                held.map_or(Policy::Random, Policy::Held)
            }
        };
        Self { line: Line::new(indexes.iter().map(|index| (*index, weight(index)))), policy }
    }

    /// One of those that may be had.
    pub(crate) fn pick(
        &self,
        members: &[Member],
        ask: &Ask<'_>,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.line.len() == 1 {
            return self.line.at(0).filter(|index| may(*index));
        }
        let chance = &mut Chance(ask.random);
        match &self.policy {
            Policy::TwoChoices => self.better_of_two(members, ask, may),
            Policy::Turns(rotation) => rotation.turn().find(|index| may(*index)),
            Policy::Least(latencies) => {
                let drawn = self.draw(chance, &may)?;
                let others = self.line.everybody(chance).filter(|index| may(*index));
                let lighter = |best, other| {
                    let is_lighter = is_lighter(members, (other, best), ask.now, *latencies);
                    if is_lighter { other } else { best }
                };
                Some(others.fold(drawn, lighter))
            }
            Policy::Random => self.draw(chance, may),
            Policy::Held(held) => {
                held.pick(self, members, ask, &may).or_else(|| self.draw(chance, may))
            }
            Policy::Client => {
                ip_hash::pick(&self.line, ask.client, &may).or_else(|| self.draw(chance, may))
            }
        }
    }

    /// Those that are in it, by their indexes in the pool.
    pub(crate) fn indexes(&self) -> impl Iterator<Item = usize> + '_ {
        self.line.everybody_in_order()
    }

    /// Puts together what threads have counted of hot keys.
    pub(crate) fn merge_hot_keys(&self) {
        if let Policy::Held(held) = &self.policy {
            held.merge_hot_keys();
        }
    }

    /// Whether there is anything to put together.
    pub(crate) fn has_hot_keys(&self) -> bool {
        matches!(&self.policy, Policy::Held(held) if held.has_hot_keys())
    }

    /// Two by chance and weight, then the one that has less to do.
    fn better_of_two(
        &self,
        members: &[Member],
        ask: &Ask<'_>,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let chance = &mut Chance(ask.random);
        let first = self.draw(chance, &may)?;
        let Some(second) = self.draw(chance, |index| index != first && may(index)) else {
            return Some(first);
        };
        Some(better(members, (first, second), ask.now))
    }

    /// One by weight. When several in a row may not be had, the next one that may.
    fn draw(&self, chance: &mut Chance, may: impl Fn(usize) -> bool) -> Option<usize> {
        let drawn = (0..DRAWS).find_map(|_| self.line.draw(chance).filter(|index| may(*index)));
        drawn.or_else(|| self.line.everybody(chance).find(|index| may(*index)))
    }
}

/// The second of two if it has less to do, or answers more than twice as fast; else the first.
pub(super) fn better(members: &[Member], (first, second): (usize, usize), now: Instant) -> usize {
    let is_lighter = is_lighter(members, (second, first), now, Latencies::Doubled);
    if is_lighter { second } else { first }
}

/// Draws before all are looked at.
const DRAWS: usize = 4;

/// Whether the first of two has less to do than the second, each by its weight.
fn is_lighter(
    members: &[Member],
    (one, other): (usize, usize),
    now: Instant,
    latencies: Latencies,
) -> bool {
    let (Some(one), Some(other)) = (members.get(one), members.get(other)) else { return false };
    let (mine, theirs) = match latencies {
        Latencies::Never => (1, 1),
        Latencies::Doubled | Latencies::Always => times(one, other, now, latencies),
    };
    // As if it were in flight already: (in flight / weight + 1) x latency, without dividing.
    let cost = |member: &Member, latency: u32, of_other: u32| {
        let busy = u64::from(member.endpoint.load().in_flight()) + u64::from(member.weight);
        u128::from(busy) * u128::from(latency) * u128::from(of_other)
    };
    match cost(one, mine, other.weight).cmp(&cost(other, theirs, one.weight)) {
        Ordering::Less => true,
        // What has been in flight for long without a word may never be answered.
        Ordering::Equal => one.endpoint.load().silence(now) < other.endpoint.load().silence(now),
        Ordering::Greater => false,
    }
}

/// The latencies of both, or 1 where they do not count: also while one of them is unknown.
fn times(one: &Member, other: &Member, now: Instant, latencies: Latencies) -> (u32, u32) {
    let known = one.endpoint.load().latency(now).zip(other.endpoint.load().latency(now));
    let counts = |(mine, theirs): &(u32, u32)| {
        latencies == Latencies::Always || *mine / 2 > *theirs || *theirs / 2 > *mine
    };
    let known = known.map(|(mine, theirs)| (mine.max(LEAST_MICROS), theirs.max(LEAST_MICROS)));
    // Whoever says nothing for longer than it usually takes is not fast any more, whatever it was.
    let at_least = |member: &Member, mine: u32, theirs: u32| {
        let silence = member.endpoint.load().silence(now).saturating_mul(1_000);
        if silence > mine.saturating_mul(2) { mine.max(theirs) } else { mine }
    };
    let known =
        known.map(|(mine, theirs)| (at_least(one, mine, theirs), at_least(other, theirs, mine)));
    known.filter(counts).unwrap_or((1, 1))
}

/// Whoever answers within this is as fast as can be: below, chance decides more than the endpoint.
const LEAST_MICROS: u32 = 1_000;
