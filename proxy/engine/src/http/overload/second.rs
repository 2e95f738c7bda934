//! Second copies of requests whose answer is late: when one is due at a service, and whether that may have it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_conf::plan::{HedgeAfterPlan, HedgePlan};
use switchback_upstream::limit::{Allowance, Latencies};

use super::{Guard, Permit, guard};
use crate::http::context::Context;
use crate::http::shard;

/// What decides of second copies at a service. Outlives snapshots.
#[derive(Debug)]
pub(super) struct Hedging {
    allowance: Allowance,
    latencies: Latencies,
}

impl Guard {
    /// What decides of second copies, where the service is to have some.
    fn hedging(&self) -> Option<(&Hedging, HedgePlan)> {
        let plan = self.hedge?;
        let new = || {
            let latencies = Latencies::new(Instant::now());
            Box::new(Hedging { allowance: Allowance::default(), latencies })
        };
        Some((self.service.hedging.get_or_init(new), plan))
    }
}

/// A second copy that its service may have.
pub(in crate::http) struct Second {
    /// What counts it there.
    pub(in crate::http) permit: Permit,
    /// What it was taken of.
    pub(in crate::http) taken: Taken,
}

/// One copy of those that are allowed.
#[derive(Debug)]
pub(in crate::http) struct Taken(Arc<Guard>);

impl Taken {
    /// It was not sent.
    pub(in crate::http) fn give_back(self) {
        if let Some((hedging, _)) = self.0.hedging() {
            hedging.allowance.give_back();
        }
    }
}

/// A request that may have a second copy is sent for the first time.
pub(in crate::http) fn may_come(context: &Context) {
    let Some(guard) = guard(context) else { return };
    if let Some((hedging, plan)) = guard.hedging() {
        hedging.allowance.earn(plan.percent);
    }
}

/// When the answer to what is sent now will be late; `None` where nothing is.
pub(in crate::http) fn late(context: &Context) -> Option<Duration> {
    let guard = guard(context)?;
    let (hedging, plan) = guard.hedging()?;
    match plan.after {
        HedgeAfterPlan::Time(time) => Some(time),
        HedgeAfterPlan::Quantile(per_mille) => hedging.latencies.quantile(per_mille),
    }
}

/// An answer took so long, or would have taken longer.
pub(in crate::http) fn took(time: Duration, now: Instant, context: &Context) {
    let Some(guard) = guard(context) else { return };
    if let Some((hedging, _)) = guard.hedging() {
        hedging.latencies.learn(time, now);
    }
}

/// Has the service have the second copy of a request, if there is somebody else to ask, time for it, room, and one left of those that
/// are allowed. `context` is that of the second copy.
pub(in crate::http) fn enter(context: &Context) -> Option<Second> {
    let group = shard::group(context.chosen.as_ref())?;
    let guard = guard(context)?;
    let (hedging, _) = guard.hedging()?;
    let within = context.upstream()?.plan.overload.retry.within;
    let usual = guard.service.gate.usual().unwrap_or_default();
    let has_time = context.started.elapsed() + usual < within;
    if !has_time || !group.pool.has_more(&context.attempt, Instant::now()) {
        return None;
    }
    let in_flight = guard.service.gate.enter(guard.ceiling)?;
    // From here on its place is given back by dropping it.
    let permit = Permit { guard: Arc::clone(&guard), in_flight: Some(in_flight) };
    if !hedging.allowance.take() {
        guard.service.counters.hedges_over_budget.add();
        return None;
    }
    Some(Second { permit, taken: Taken(guard) })
}

/// A second copy has gone to an endpoint.
pub(in crate::http) fn is_sent(context: &Context) {
    if let Some(guard) = guard(context) {
        guard.service.counters.hedges.add();
    }
}

/// It was answered first.
pub(in crate::http) fn has_won(context: &Context) {
    if let Some(guard) = guard(context) {
        guard.service.counters.hedges_won.add();
    }
}
