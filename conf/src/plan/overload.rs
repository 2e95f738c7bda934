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
use crate::model::{self, AtOnce, RetryOn, Upstream};

/// What keeps a service from being asked for more than it can do.
#[derive(Clone, Debug)]
pub struct OverloadPlan {
    /// Which tries are followed by another.
    pub retry: RetryPlan,
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
        breaker: upstream.breaker.as_ref().map(|breaker| self::breaker(breaker, findings)),
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
