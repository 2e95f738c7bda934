//! The endpoints of an upstream, and how it is chosen among them.

use std::time::Instant;

use switchback_conf::plan::{BalanceBy, BalancePlan, EndpointPlan, UpstreamPlan};
use switchback_upstream::{Balance, Member, Pool, Settings};

use super::assemble::address_of;
use super::resident::Resident;
use crate::health;

/// A pool of some endpoints of an upstream, which outlive snapshots. Those that are new begin now, if that is said.
pub(super) fn assemble(
    upstream: &UpstreamPlan,
    endpoints: &[&EndpointPlan],
    (resident, now): (&Resident, Option<Instant>),
) -> Pool {
    let settings = Settings {
        balance: balance(&upstream.balance),
        tries: upstream.tries,
        slow_start: upstream.balance.slow_start,
    };
    let all: u64 = endpoints.iter().map(|plan| u64::from(plan.weight)).sum();
    let most = match upstream.balance.by {
        // Each has 1 at least.
        BalanceBy::Hash => MOST_OF_HASH.saturating_sub(endpoints.len() as u64),
        _ => u64::MAX,
    };
    let weight = |weight: u32| match weight {
        1.. if all > most => u32::try_from(u64::from(weight) * most / all).unwrap_or(weight).max(1),
        _ => weight,
    };
    let member = |plan: &&EndpointPlan| Member {
        tier: plan.tier,
        most: plan.max_connections.unwrap_or(u32::MAX),
        is_draining: plan.drain,
        ..Member::new(
            resident.endpoint(&upstream.name, address_of(&plan.address), now),
            weight(plan.weight),
        )
    };
    let pool = Pool::new(settings, endpoints.iter().map(member).collect());
    let pool = pool.guarded(health::guard(upstream));
    if upstream.overload.breaker.is_some() { pool.with_breakers() } else { pool }
}

/// What the weights of a hash come to at most. A configuration that says more is refused, but names and files may list as many
/// endpoints as they like.
const MOST_OF_HASH: u64 = 10_000;

fn balance(plan: &BalancePlan) -> Balance {
    match plan.by {
        BalanceBy::P2c => Balance::P2c,
        BalanceBy::RoundRobin => Balance::RoundRobin,
        BalanceBy::LeastRequests => Balance::LeastRequests,
        BalanceBy::LeastTime => Balance::LeastTime,
        BalanceBy::Random => Balance::Random,
        BalanceBy::IpHash => Balance::IpHash,
        BalanceBy::Hash => Balance::Hash {
            is_consistent: plan.is_consistent,
            bound: plan.bound,
            hot: plan.hot_keys,
        },
    }
}
