//! The endpoints of an upstream, and how it is chosen among them.

use std::time::Instant;

use switchback_conf::plan::{BalanceBy, BalancePlan, EndpointAddress, EndpointPlan, UpstreamPlan};
use switchback_upstream::{Address, Balance, Member, Pool, Settings};

use super::resident::Resident;

/// The pool of an upstream, of endpoints that outlive snapshots.
pub(super) fn assemble(upstream: &UpstreamPlan, (resident, generation): (&Resident, u64)) -> Pool {
    let settings = Settings {
        balance: balance(&upstream.balance),
        tries: upstream.tries,
        slow_start: upstream.balance.slow_start,
    };
    // Those that are there from the beginning are as new as one another.
    let now = (generation > 1).then(Instant::now);
    let member = |plan: &EndpointPlan| Member {
        tier: plan.tier,
        most: plan.max_connections.unwrap_or(u32::MAX),
        is_draining: plan.drain,
        ..Member::new(resident.endpoint(&upstream.name, address(&plan.address), now), plan.weight)
    };
    Pool::new(settings, upstream.endpoints.iter().map(member).collect())
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

fn address(address: &EndpointAddress) -> Address {
    match address {
        EndpointAddress::Ip(address) => Address::Ip(*address),
        EndpointAddress::Name { host, port } => Address::Name { host: host.clone(), port: *port },
        EndpointAddress::Unix(path) => Address::Unix(path.clone()),
    }
}
