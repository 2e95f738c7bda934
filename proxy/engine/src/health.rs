//! What answers tell of endpoints, and what there is to see of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_conf::plan::UpstreamPlan;
use switchback_upstream::health::{Cause, Ejected, Guard, Now, Outliers, Standing};
use switchback_upstream::{Address, Endpoint, Pool};

use crate::metrics::{Counter, header};
use crate::probes::dice;
use crate::snapshot::resident::Resident;
use crate::snapshot::{Snapshot, SnapshotCell};

/// How often endpoints are compared with each other.
const TICK: Duration = Duration::from_secs(1);

/// What of health is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Probes that came to an end.
    pub(crate) probes: Counter,
    /// Probes that failed.
    pub(crate) failed_probes: Counter,
    /// Ejections, by [`Cause`].
    ejections: [Counter; Cause::ALL.len()],
}

impl Counters {
    /// Appends them in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        for (name, help, counter) in [
            ("health_probes_total", "Probes of endpoints.", &self.probes),
            ("health_probe_failures_total", "Probes that failed.", &self.failed_probes),
        ] {
            crate::metrics::sample(out, (name, help, "counter"), counter.value());
        }
        let name = "endpoint_ejections_total";
        header(out, (name, "Endpoints ejected for what they answered, by cause.", "counter"));
        for (cause, counter) in Cause::ALL.into_iter().zip(&self.ejections) {
            let (cause, count) = (cause.name(), counter.value());
            // Writing to a String cannot fail.
            let _ = writeln!(out, "switchback_{name}{{cause=\"{cause}\"}} {count}");
        }
    }
}

/// What the plan says a pool does about endpoints that fail.
pub(crate) fn guard(plan: &UpstreamPlan) -> Guard {
    let outliers = plan.outliers.as_ref().map(|plan| Outliers {
        errors: plan.errors,
        deviations: plan.success_rate,
        slowness: plan.latency,
        requests: plan.requests,
        window: plan.window,
        base: plan.base,
        longest: plan.longest,
        share: plan.share,
    });
    Guard { outliers, panic: plan.panic }
}

/// Says that an endpoint was ejected, and counts it.
pub(crate) fn tell_ejected(upstream: &str, pool: &Pool, ejected: Ejected, resident: &Resident) {
    if let Some(counter) = resident.metrics.health.ejections.get(ejected.cause as usize) {
        counter.add();
    }
    let Some(endpoint) = pool.endpoints().get(ejected.endpoint) else { return };
    let (endpoint, seconds) = (endpoint.address(), ejected.length.as_secs_f64());
    let cause = ejected.cause.name();
    tracing::warn!(upstream, %endpoint, cause, seconds, "endpoint ejected");
}

/// Compares endpoints with each other, and says who is back, until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>, resident: Arc<Resident>) {
    let mut away = HashMap::new();
    loop {
        tokio::time::sleep(TICK).await;
        let snapshot = cell.load();
        let now = Now { at: Instant::now(), dice: dice() };
        for upstream in &snapshot.upstreams {
            // Those of a part are compared with each other, not with those that have other keys.
            upstream.each_part(|part| {
                let part = part.load();
                let pool = &part.all().pool;
                for ejected in pool.judge(now) {
                    tell_ejected(&upstream.plan.name, pool, ejected, &resident);
                }
            });
        }
        away = tell_returns(&snapshot, now.at, &away);
    }
}

/// How those stand that are not simply ready.
type Away = HashMap<(Box<str>, Address), Standing>;

fn tell_returns(snapshot: &Snapshot, now: Instant, before: &Away) -> Away {
    let mut away = Away::new();
    for upstream in &snapshot.upstreams {
        for endpoint in upstream.endpoints() {
            let standing = endpoint.health().standing(now);
            if standing == Standing::Ready && before.is_empty() {
                continue;
            }
            let key = (upstream.plan.name.clone(), endpoint.address().clone());
            let (name, address) = &key;
            match (before.get(&key), standing) {
                (Some(Standing::Ejected), Standing::Returning) => {
                    tracing::info!(upstream = &**name, endpoint = %address, "endpoint returns");
                }
                (Some(Standing::Ejected | Standing::Returning), Standing::Ready) => {
                    tracing::info!(upstream = &**name, endpoint = %address, "endpoint is back");
                }
                _ => {}
            }
            if standing != Standing::Ready {
                away.insert(key, standing);
            }
        }
    }
    away
}

/// Appends how the endpoints of each upstream stand.
pub(crate) fn render(out: &mut String, snapshot: &Snapshot) {
    let name = "upstream_endpoints";
    header(
        out,
        (name, "Endpoints of each upstream, or of each of its shards, by how they stand.", "gauge"),
    );
    let now = Instant::now();
    for (labels, endpoints) in by_shard(snapshot) {
        for state in [Standing::Ready, Standing::Returning, Standing::Ejected, Standing::Down] {
            let standings = endpoints.iter();
            let count = standings.filter(|one| one.health().standing(now) == state).count();
            let state = state_name(state);
            let _ = writeln!(out, "switchback_{name}{{{labels},state=\"{state}\"}} {count}");
        }
    }
}

/// Shards that are told of; there may be thousands.
const MOST_SHARDS: usize = 500;

/// The endpoints of upstreams without shards, and of the shards of the others, with their labels.
fn by_shard(snapshot: &Snapshot) -> Vec<(String, Vec<Arc<Endpoint>>)> {
    let (mut all, mut left) = (Vec::with_capacity(snapshot.upstreams.len()), MOST_SHARDS);
    for upstream in &snapshot.upstreams {
        let name = label(&upstream.plan.name);
        let Some(sharding) = &upstream.sharding else {
            all.push((format!("upstream=\"{name}\""), upstream.endpoints()));
            continue;
        };
        let mut shards: BTreeMap<String, Vec<Arc<Endpoint>>> = BTreeMap::new();
        for shard in sharding.epoch.load().with_next().take(left) {
            left -= 1;
            let labels = format!("upstream=\"{name}\",shard=\"{}\"", label(&shard.name));
            let endpoints = shards.entry(labels).or_default();
            for endpoint in shard.part.load().all().pool.endpoints() {
                if !endpoints.iter().any(|known| Arc::ptr_eq(known, endpoint)) {
                    endpoints.push(Arc::clone(endpoint));
                }
            }
        }
        all.extend(shards);
    }
    all
}

/// For metrics and the control socket.
pub(crate) fn state_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Ready => "ready",
        Standing::Returning => "returning",
        Standing::Ejected => "ejected",
        Standing::Down => "down",
    }
}

/// A name as the value of a label: names have no control characters.
fn label(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}
