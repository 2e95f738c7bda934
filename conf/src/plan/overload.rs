//! What keeps a service from being asked for more than it can do.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use switchback_value::Template;

use super::EndpointAddress;
use super::build::Findings;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{self, AtOnce, HedgeAfter, RetryOn, Upstream};

/// What keeps a service from being asked for more than it can do.
#[derive(Clone, Debug)]
pub struct OverloadPlan {
    /// Which tries are followed by another.
    pub retry: RetryPlan,
    /// When a request is sent a second time while the first copy is on its way.
    pub hedge: Option<HedgePlan>,
    /// When endpoints that fail are not asked.
    pub breaker: Option<BreakerPlan>,
    /// How many requests at once.
    pub at_once: AtOncePlan,
    /// So many wait.
    pub queue: usize,
    /// So long.
    pub wait: Duration,
    /// How important a request is.
    pub priority: Option<Template>,
    /// Addresses to connect from.
    pub sources: Vec<IpAddr>,
}

/// Which tries are followed by another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPlan {
    /// Those that could not connect.
    pub connect: bool,
    /// Those that the endpoint has not begun with.
    pub refused_stream: bool,
    /// Those that broke before an answer.
    pub reset: bool,
    /// Those without an answer in time.
    pub timeout: bool,
    /// Those answered with one of these.
    pub statuses: Vec<StatusCode>,
    /// Retries for 100 requests.
    pub percent: u32,
    /// Retries that are allowed however few requests there are.
    pub least: u32,
    /// No later than this after the request came.
    pub within: Duration,
}

/// When a request is sent a second time while the first copy is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgePlan {
    /// From when on the answer to the first copy is late.
    pub after: HedgeAfterPlan,
    /// Second copies for 100 requests.
    pub percent: u32,
}

/// From when on an answer is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfterPlan {
    /// When so many thousandths of all answers would be here.
    Quantile(u16),
    /// After this time.
    Time(Duration),
}

/// When endpoints that fail are not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerPlan {
    /// More failures than this of 100.
    pub percent: u32,
    /// Of no fewer tries.
    pub least: u32,
    /// So long at first.
    pub open: Duration,
    /// So long at most.
    pub longest: Duration,
}

/// How many requests at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtOncePlan {
    /// As many as the service can work at.
    Adaptive,
    /// So many.
    Fixed(u32),
    /// As many as come.
    Off,
}

pub(super) fn plan(upstream: &Upstream, findings: &mut Findings<'_>) -> OverloadPlan {
    let queue = upstream.queue.as_ref().map(|queue| &queue.value);
    let default = model::Queue::default();
    let queue = queue.unwrap_or(&default);
    check_queue(upstream, queue, findings);
    check_sources(upstream, findings);
    let priority = upstream.priority.as_ref();
    OverloadPlan {
        retry: retry(&upstream.retry),
        hedge: upstream.hedge.on().map(|hedge| self::hedge(hedge, upstream, findings)),
        breaker: upstream.breaker.on().map(|breaker| self::breaker(breaker, findings)),
        at_once: match upstream.concurrency.value {
            AtOnce::Adaptive => AtOncePlan::Adaptive,
            AtOnce::Fixed(most) => AtOncePlan::Fixed(most),
            AtOnce::Off => AtOncePlan::Off,
        },
        queue: queue.most.value() as usize,
        wait: queue.wait.std(),
        priority: priority.and_then(|text| findings.template(text, &Captures::default())),
        sources: upstream.source.iter().map(|source| source.value).collect(),
    }
}

fn retry(retry: &model::Retry) -> RetryPlan {
    let mut plan = RetryPlan {
        percent: retry.budget.value().into(),
        least: retry.least.value(),
        within: retry.within.std(),
        ..RetryPlan::default()
    };
    for on in &retry.on {
        match on.value {
            RetryOn::Connect => plan.connect = true,
            RetryOn::RefusedStream => plan.refused_stream = true,
            RetryOn::Reset => plan.reset = true,
            RetryOn::Timeout => plan.timeout = true,
            RetryOn::Status(status) => plan.statuses.push(status),
        }
    }
    plan
}

fn hedge(
    hedge: &At<model::OrOn<model::Hedge>>,
    upstream: &Upstream,
    findings: &mut Findings<'_>,
) -> HedgePlan {
    let model::Hedge { after, budget } = &*hedge.value;
    let within = upstream.retry.within.std();
    let late = match after.value {
        HedgeAfter::Time(time) => HedgeAfterPlan::Time(time.std()),
        HedgeAfter::Quantile(per_mille) => HedgeAfterPlan::Quantile(per_mille),
    };
    let why = if budget.value.value() == 0 {
        Some((&budget.at, "none of the requests may be sent a second time"))
    } else if matches!(late, HedgeAfterPlan::Time(time) if time >= within) {
        Some((&after.at, "by then it is too late for that, as `retry.within` says"))
    } else if upstream.tries.value() == 1 {
        Some((&hedge.at, "`tries` is 1, and a second copy is a try"))
    } else if !has_two_endpoints(upstream) {
        Some((&hedge.at, "there is no second endpoint to ask"))
    } else {
        None
    };
    if let Some((at, why)) = why {
        let message = format!("`hedge` has no effect: {why}");
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    }
    HedgePlan { after: late, percent: budget.value.value().into() }
}

/// Whether there may be two endpoints, in one of its shards if it has some.
fn has_two_endpoints(upstream: &Upstream) -> bool {
    let are_two = |endpoints: &[model::OrText<model::Endpoint>]| {
        let is_many = |address: &EndpointAddress| {
            matches!(address, EndpointAddress::Name { .. } | EndpointAddress::Srv(_))
        };
        endpoints.len() > 1 || endpoints.iter().any(|endpoint| is_many(&endpoint.address.value))
    };
    // What a file lists changes.
    upstream.endpoints_file.is_some()
        || are_two(&upstream.endpoints)
        || upstream.shards.iter().any(|shard| are_two(&shard.endpoints))
}

fn breaker(breaker: &At<model::OrOn<model::Breaker>>, findings: &mut Findings<'_>) -> BreakerPlan {
    let model::Breaker { errors, least, open, longest } = &*breaker.value;
    if open.std() > longest.std() {
        let message = "`open` is longer than `longest`, the longest that an endpoint is not asked";
        findings.error(Code::BadValue, &breaker.at, message);
    }
    if errors.value() == 100 {
        let message = "`breaker` has no effect: there are never more failures than 100%";
        findings.report(Diagnostic::warning(Code::NoEffect, breaker.at.clone(), message));
    }
    BreakerPlan {
        percent: errors.value().into(),
        least: least.value(),
        open: open.std(),
        longest: longest.std(),
    }
}

fn check_queue(upstream: &Upstream, queue: &model::Queue, findings: &mut Findings<'_>) {
    let is_off = upstream.concurrency.value == AtOnce::Off;
    let why = match (is_off, queue.most.value()) {
        (true, _) => "`concurrency` is off",
        (_, 0) => "`queue.most` is 0",
        _ => return,
    };
    let keys = [
        ("queue", upstream.queue.as_ref().filter(|_| is_off).map(|queue| &queue.at)),
        ("priority", upstream.priority.as_ref().map(|priority| &priority.at)),
    ];
    for (key, at) in keys {
        let Some(at) = at else { continue };
        let message = format!("`{key}` has no effect: nobody waits, because {why}");
        findings.report(Diagnostic::warning(Code::NoEffect, at.clone(), message));
    }
}

/// Whether each address to connect from is one from which something can be reached.
fn check_sources(upstream: &Upstream, findings: &mut Findings<'_>) {
    for source in &upstream.source {
        let reaches = |address: &EndpointAddress| match address {
            EndpointAddress::Ip(address) => address.is_ipv4() == source.value.is_ipv4(),
            EndpointAddress::Name { .. } | EndpointAddress::Srv(_) => true,
            EndpointAddress::Unix(_) => false,
        };
        // What a file lists changes.
        let is_open = upstream.endpoints_file.is_some();
        if !is_open && !upstream.endpoints.iter().any(|endpoint| reaches(&endpoint.address.value)) {
            let message =
                format!("`{}` has no effect: no endpoint is reached from it", source.value);
            findings.report(Diagnostic::warning(Code::NoEffect, source.at.clone(), message));
        }
    }
}
