//! What is kept from services, by service.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use switchback_upstream::Endpoint;

use super::Guard;
use super::retry::Reason;
use crate::metrics::{self, Counter};
use crate::snapshot::Upstream;
use crate::snapshot::sticky::Sticky;

/// The counters of one service.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    retries: [Counter; Reason::ALL.len()],
    /// Retries that the budget did not allow.
    pub(super) over_budget: Counter,
    /// Second copies that were sent.
    pub(super) hedges: Counter,
    /// Those that were answered first.
    pub(super) hedges_won: Counter,
    /// Those that were not sent because too many were.
    pub(super) hedges_over_budget: Counter,
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

type Level = (&'static str, &'static str, fn(&Part) -> Option<u64>);

const LEVELS: [Level; 4] = [
    ("upstream_in_flight", "Requests at the upstream, as they count against its limit.", |part| {
        Some(part.guard.in_flight().into())
    }),
    ("upstream_waiting", "Requests that wait for the upstream.", |part| {
        Some(part.guard.waiting().into())
    }),
    (
        "upstream_limit",
        "Requests that the upstream may have; absent where there is no limit.",
        |part| part.guard.limit().map(u64::from),
    ),
    ("upstream_breakers_open", "Endpoints that are not asked because they fail.", |part| {
        part.breakers_open
    }),
];

/// An upstream, or a shard of it.
struct Part {
    labels: String,
    guard: Arc<Guard>,
    breakers_open: Option<u64>,
}

/// Shards that are told of; there may be thousands.
const MOST_SHARDS: usize = 500;

/// Upstreams without shards, and the shards of the others.
fn parts(upstreams: &[Upstream]) -> Vec<Part> {
    let now = Instant::now();
    let (mut parts, mut left) = (Vec::with_capacity(upstreams.len()), MOST_SHARDS);
    for upstream in upstreams {
        let name = escaped(&upstream.plan.name);
        let breaks = upstream.plan.overload.breaker.is_some();
        let open = |endpoints: &[Arc<Endpoint>]| {
            let open = |endpoint: &&Arc<Endpoint>| endpoint.breaker().closed_for(now).is_some();
            breaks.then(|| endpoints.iter().filter(open).count() as u64)
        };
        let Some(sharding) = &upstream.sharding else {
            parts.push(Part {
                labels: format!("upstream=\"{name}\""),
                guard: Arc::clone(&upstream.guard),
                breakers_open: open(upstream.part.load().all().pool.endpoints()),
            });
            continue;
        };
        for shard in sharding.epoch.load().shards.iter().take(left) {
            left -= 1;
            parts.push(Part {
                labels: format!("upstream=\"{name}\",shard=\"{}\"", escaped(&shard.name)),
                guard: Arc::clone(&shard.guard),
                breakers_open: open(shard.part.load().all().pool.endpoints()),
            });
        }
    }
    parts
}

/// Appends what is known of each upstream, or of each of its shards.
pub(crate) fn render(out: &mut String, upstreams: &[Upstream]) {
    let parts = parts(upstreams);
    if parts.is_empty() {
        return;
    }
    let name = "upstream_retries_total";
    metrics::header(out, (name, "Requests that were sent again, by why.", "counter"));
    for Part { labels, guard, .. } in &parts {
        for (reason, counter) in Reason::ALL.into_iter().zip(&guard.service.counters.retries) {
            let labels = format!("{labels},reason=\"{}\"", reason.name());
            sample(out, name, &labels, counter.value());
        }
    }
    for (name, help, counter) in COUNTS {
        metrics::header(out, (name, help, "counter"));
        for part in &parts {
            sample(out, name, &part.labels, counter(&part.guard.service.counters).value());
        }
    }
    hedges(out, &parts);
    spilt(out, upstreams);
    learned(out, upstreams);
    for (name, help, level) in LEVELS {
        metrics::header(out, (name, help, "gauge"));
        for part in &parts {
            if let Some(value) = level(part) {
                sample(out, name, &part.labels, value);
            }
        }
    }
}

type Hedge = (&'static str, fn(&Counters) -> &Counter);

/// By what became of it: each that won was started.
const HEDGES: [Hedge; 3] = [
    ("started", |counters| &counters.hedges),
    ("won", |counters| &counters.hedges_won),
    ("over_budget", |counters| &counters.hedges_over_budget),
];

fn hedges(out: &mut String, parts: &[Part]) {
    let name = "upstream_hedges_total";
    let help = "Second copies of requests whose answer was late: sent, answered first, or not sent because too many were.";
    let all = parts.iter().filter(|part| part.guard.hedges());
    for (place, Part { labels, guard, .. }) in all.enumerate() {
        if place == 0 {
            metrics::header(out, (name, help, "counter"));
        }
        for (result, counter) in HEDGES {
            let labels = format!("{labels},result=\"{result}\"");
            sample(out, name, &labels, counter(&guard.service.counters).value());
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
        let (from, to) = (escaped(&upstream.plan.name), escaped(&to.plan.name));
        let labels = format!("upstream=\"{from}\",to=\"{to}\"");
        sample(out, name, &labels, upstream.guard.service.counters.spilt.value());
    }
}

fn learned(out: &mut String, upstreams: &[Upstream]) {
    let name = "upstream_learned_sessions";
    let help = "Sessions of the upstream that are remembered, where they are.";
    let sessions = |upstream: &Upstream| match upstream.sticky()? {
        Sticky::Learned(sessions) => Some(sessions.learned.len() as u64),
        _ => None,
    };
    let all = upstreams.iter().filter_map(|upstream| Some((upstream, sessions(upstream)?)));
    for (place, (upstream, sessions)) in all.enumerate() {
        if place == 0 {
            metrics::header(out, (name, help, "gauge"));
        }
        let labels = format!("upstream=\"{}\"", escaped(&upstream.plan.name));
        sample(out, name, &labels, sessions);
    }
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "switchback_{name}{{{labels}}} {value}");
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}
