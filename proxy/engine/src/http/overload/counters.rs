//! What is kept from services, by service.

use std::fmt::Write as _;
use std::time::Instant;

use super::Guard;
use super::retry::Reason;
use crate::metrics::{self, Counter};
use crate::snapshot::Upstream;

/// The counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    retries: [Counter; Reason::ALL.len()],
    /// Retries that the budget did not allow.
    pub(super) over_budget: Counter,
    /// Requests that waited.
    pub(super) waited: Counter,
    /// Requests that were sent away.
    pub(super) shed: Counter,
    /// Requests that went to another service.
    pub(crate) spilt: Counter,
    /// Times that a breaker opened.
    pub(super) breaker_opened: Counter,
    /// Tries for which this machine had no port left.
    pub(crate) no_port: Counter,
}

impl Counters {
    /// A request is sent again.
    pub(super) fn retried(&self, reason: Reason) {
        if let Some(counter) = self.retries.get(reason as usize) {
            counter.add();
        }
    }
}

type Count = (&'static str, &'static str, fn(&Counters) -> &Counter);

const COUNTS: [Count; 5] = [
    (
        "upstream_retries_over_budget_total",
        "Requests that were not sent again because too many were.",
        |counters| &counters.over_budget,
    ),
    ("upstream_waited_total", "Requests that waited for the upstream.", |counters| {
        &counters.waited
    }),
    ("upstream_shed_total", "Requests that the upstream had no room for.", |counters| {
        &counters.shed
    }),
    (
        "upstream_breaker_opened_total",
        "Times that an endpoint was not asked any more.",
        |counters| &counters.breaker_opened,
    ),
    ("upstream_no_port_total", "Tries for which no local port was left.", |counters| {
        &counters.no_port
    }),
];

type Level = (&'static str, &'static str, fn(&Upstream) -> Option<u64>);

const LEVELS: [Level; 4] = [
    (
        "upstream_in_flight",
        "Requests at the upstream, as they count against its limit.",
        |upstream| Some(upstream.guard.in_flight().into()),
    ),
    ("upstream_waiting", "Requests that wait for the upstream.", |upstream| {
        Some(upstream.guard.waiting().into())
    }),
    (
        "upstream_limit",
        "Requests that the upstream may have; absent where there is no limit.",
        |upstream| Guard::limit(&upstream.guard).map(u64::from),
    ),
    ("upstream_breakers_open", "Endpoints that are not asked because they fail.", |upstream| {
        let endpoints = upstream.endpoints();
        let now = Instant::now();
        let open = endpoints.iter().filter(|endpoint| endpoint.breaker().closed_for(now).is_some());
        upstream.plan.overload.breaker.as_ref().map(|_| open.count() as u64)
    }),
];

/// Appends what is known of each upstream.
pub(crate) fn render(out: &mut String, upstreams: &[Upstream]) {
    if upstreams.is_empty() {
        return;
    }
    let counters = |upstream: &Upstream| upstream.guard.service.clone();
    let name = "upstream_retries_total";
    metrics::header(out, (name, "Requests that were sent again, by why.", "counter"));
    for upstream in upstreams {
        for (reason, counter) in Reason::ALL.into_iter().zip(&counters(upstream).counters.retries) {
            let labels = format!("{},reason=\"{}\"", label(upstream), reason.name());
            sample(out, name, &labels, counter.value());
        }
    }
    for (name, help, counter) in COUNTS {
        metrics::header(out, (name, help, "counter"));
        for upstream in upstreams {
            let value = counter(&counters(upstream).counters).value();
            sample(out, name, &label(upstream), value);
        }
    }
    spilt(out, upstreams);
    for (name, help, level) in LEVELS {
        metrics::header(out, (name, help, "gauge"));
        for upstream in upstreams {
            if let Some(value) = level(upstream) {
                sample(out, name, &label(upstream), value);
            }
        }
    }
}

fn spilt(out: &mut String, upstreams: &[Upstream]) {
    let name = "upstream_spilt_total";
    let help = "Requests that another upstream had because this one had no room, or nobody.";
    let to = |upstream: &Upstream| upstreams.get(upstream.plan.spill?.to.0 as usize);
    let all = upstreams.iter().filter_map(|upstream| Some((upstream, to(upstream)?)));
    for (place, (upstream, to)) in all.enumerate() {
        if place == 0 {
            metrics::header(out, (name, help, "counter"));
        }
        let labels = format!("{},to=\"{}\"", label(upstream), escaped(to));
        sample(out, name, &labels, upstream.guard.service.counters.spilt.value());
    }
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "switchback_{name}{{{labels}}} {value}");
}

fn label(upstream: &Upstream) -> String {
    format!("upstream=\"{}\"", escaped(upstream))
}

fn escaped(upstream: &Upstream) -> String {
    upstream.plan.name.replace('\\', "\\\\").replace('"', "\\\"")
}
