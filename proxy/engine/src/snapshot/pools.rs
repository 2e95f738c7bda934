//! The endpoints of an upstream, and how it is chosen among them.

use std::time::Instant;

use switchback_conf::plan::{BalanceBy, BalancePlan, EndpointPlan, UpstreamPlan};
use switchback_upstream::{Balance, Member, Pool, Settings};

use super::assemble::address_of;
use super::resident::Resident;

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
    let member = |plan: &&EndpointPlan| Member {
        tier: plan.tier,
        most: plan.max_connections.unwrap_or(u32::MAX),
        is_draining: plan.drain,
        ..Member::new(
            resident.endpoint(&upstream.name, address_of(&plan.address), now),
            plan.weight,
        )
    };
    let pool = Pool::new(settings, endpoints.iter().map(member).collect());
    if upstream.overload.breaker.is_some() { pool.with_breakers() } else { pool }
}

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
