//! Requests that go to another service because there is no room.

use super::build::{Findings, Names};
use super::upstreams::all_endpoints;
use super::{AtOncePlan, UpstreamId, UpstreamPlan};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Spill, Upstream};

/// Where requests go that a service has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpillPlan {
    /// The service that has them instead.
    pub to: UpstreamId,
    /// So many in flight at its endpoints, or those of a shard, are as many as it is to have.
    pub at: Option<u32>,
    /// Whether they go there also when none of its endpoints can be asked.
    pub unavailable: bool,
}

/// Puts in where each of `plans` spills to; nobody spills in a circle.
pub(super) fn settle(plans: &mut [UpstreamPlan], names: &Names<'_>, findings: &mut Findings<'_>) {
    let models = names.upstream_models;
    for ((_, upstream), plan) in models.iter().zip(&mut *plans) {
        let Some(spill) = &upstream.spill else { continue };
        plan.spill = one(&spill.0, (upstream, plan), names, findings);
    }
    for ((name, upstream), id) in models.iter().zip((0..).map(UpstreamId)) {
        if let Some(spill) = upstream.spill.as_ref().filter(|_| returns(id, plans)) {
            let message = format!("what `{name}` has no room for would come back to it");
            let found = Diagnostic::error(Code::SpillUnfit, spill.to.at.clone(), message);
            findings.report(found.hint("the last upstream of a row has no `spill`"));
        }
    }
}

fn one(
    spill: &Spill,
    (upstream, plan): (&At<Upstream>, &UpstreamPlan),
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Option<SpillPlan> {
    let Some(to) = names.upstreams.get(&**spill.to).copied() else {
        let defined = names.upstreams.keys().copied();
        findings.unknown_name(Code::UnknownUpstream, &spill.to, ("upstream", "upstreams"), defined);
        return None;
    };
    let other = names.upstream_models.find(&spill.to.value);
    if other.is_some_and(|other| !other.shards.is_empty() || other.shuffle.is_some()) {
        let message = format!("`{}` has shards or a `shuffle`", *spill.to);
        let found = Diagnostic::error(Code::SpillUnfit, spill.to.at.clone(), message);
        findings
            .report(found.hint("the keys of requests that spill are those of another upstream"));
    }
    if other.is_some_and(|other| other.protocol != upstream.protocol) {
        let message = format!("`{}` speaks another protocol", *spill.to);
        findings.error(Code::SpillUnfit, &spill.to.at, message);
    }
    let is_bounded = plan.overload.at_once != AtOncePlan::Off
        || all_endpoints(upstream).all(|endpoint| endpoint.max_connections.is_some());
    if !is_bounded && spill.at.is_none() && !spill.unavailable {
        let message = "`spill` has no effect: nothing says when this upstream has no room";
        let found = Diagnostic::warning(Code::NoEffect, spill.to.at.clone(), message);
        findings.report(found.hint(
            "`at` does, `max_connections` of every endpoint, `concurrency`, or `unavailable`",
        ));
    }
    let at = spill.at.as_ref().map(|at| at.value.value());
    Some(SpillPlan { to, at, unavailable: spill.unavailable })
}

/// Whether what spills from `start` comes back to it.
fn returns(start: UpstreamId, plans: &[UpstreamPlan]) -> bool {
    let next = |id: &UpstreamId| Some(plans.get(id.0 as usize)?.spill?.to);
    let mut row = std::iter::successors(next(&start), next).take(plans.len());
    row.any(|id| id == start)
}
