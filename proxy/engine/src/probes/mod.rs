//! Asks endpoints whether they are well, on the control thread, and has them remember the answer.
//!
//! Each endpoint that is probed has a task, which sleeps most of the time; a task lives as long as snapshots have its endpoint.

mod ask;
mod grpc;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use pingora_core::connectors::TransportConnector;
use pingora_core::upstreams::peer::HttpPeer;
use switchback_conf::plan::{HealthPlan, ProxyVersion, UpstreamProtocol};
use switchback_upstream::health::{Known, MOST_AT_ONCE, Thresholds, Turn, until_next};
use switchback_upstream::{Address, Endpoint};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::snapshot::live::LivePart;
use crate::snapshot::resident::Resident;
use crate::snapshot::{Snapshot, SnapshotCell};

pub use grpc::is_serving as check_grpc_answer;

/// Probes that are under way at once, of all upstreams together.
const AT_ONCE: usize = 64;
/// First probes are spread over so long at most.
const FIRST_WITHIN: Duration = Duration::from_millis(500);

/// Has every endpoint of the snapshot in force probed that is to be.
pub(crate) struct Probes {
    cell: Arc<SnapshotCell>,
    shared: Arc<Shared>,
    running: HashMap<Key, Running>,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probes").field("running", &self.running.len()).finish_non_exhaustive()
    }
}

/// What all probes share.
struct Shared {
    resident: Arc<Resident>,
    /// Made when there is something to probe: it reads the system's authorities.
    connector: std::sync::OnceLock<TransportConnector>,
    permits: Semaphore,
}

/// An endpoint is its upstream and its address.
type Key = (Box<str>, Address);

/// The task of an endpoint, which ends with this.
struct Running {
    /// For what it was started.
    subject: Arc<Subject>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whom to ask, and how.
struct Subject {
    upstream: Box<str>,
    endpoint: Arc<Endpoint>,
    plan: HealthPlan,
    /// Complete but for the address.
    peer: HttpPeer,
    protocol: UpstreamProtocol,
    announces: Option<ProxyVersion>,
    /// `Host`, where the plan has none.
    host: Box<str>,
}

impl Subject {
    /// Whether a probe of `other` is the same: but for TLS, whose files may have changed.
    fn is_like(&self, other: &Self) -> bool {
        let has_tls = |subject: &Self| !subject.peer.sni.is_empty();
        self.plan == other.plan
            && self.protocol == other.protocol
            && self.announces == other.announces
            && Arc::ptr_eq(&self.endpoint, &other.endpoint)
            && !has_tls(self)
            && !has_tls(other)
    }
}

impl Probes {
    /// Probes of the snapshot in force; the resident state tells that there is another, or that it has other endpoints.
    pub(crate) fn new(cell: Arc<SnapshotCell>, resident: Arc<Resident>) -> Self {
        let shared = Shared {
            resident,
            connector: std::sync::OnceLock::new(),
            permits: Semaphore::new(AT_ONCE),
        };
        Self { cell, shared: Arc::new(shared), running: HashMap::new() }
    }

    /// Until the runtime ends.
    pub(crate) async fn run(mut self) {
        loop {
            self.follow();
            self.shared.resident.probe_now.notified().await;
        }
    }

    /// Starts the tasks that are missing, and ends those that are for nothing any more.
    fn follow(&mut self) {
        let mut before = std::mem::take(&mut self.running);
        for subject in subjects(&self.cell.load()) {
            let key = (subject.upstream.clone(), subject.endpoint.address().clone());
            if self.running.contains_key(&key) {
                // Two shards may share it, and does what the first one of them says.
                continue;
            }
            let known = before.remove(&key);
            let running = match known.filter(|running| running.subject.is_like(&subject)) {
                Some(running) => running,
                None => self.start(subject),
            };
            self.running.insert(key, running);
        }
        for ended in before.into_values() {
            // It may still be an endpoint that is asked, of which nobody would hear that it is well again.
            ended.subject.endpoint.health().forget_probes();
        }
    }

    fn start(&self, subject: Subject) -> Running {
        let subject = Arc::new(subject);
        let task = tokio::spawn(watch(Arc::clone(&subject), Arc::clone(&self.shared)));
        Running { subject, task }
    }
}

fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for upstream in &snapshot.upstreams {
        upstream.each_part(|part| {
            if let Some(health) = &part.plan().health {
                subjects.extend(of_part(part, health));
            }
        });
    }
    subjects
}

fn of_part(live: &LivePart, health: &HealthPlan) -> Vec<Subject> {
    let (plan, part) = (live.plan(), live.load());
    let endpoints = part.all().pool.endpoints().iter().zip(&part.all().peers);
    let subject = |(endpoint, peer): (&Arc<Endpoint>, &HttpPeer)| Subject {
        upstream: plan.name.clone(),
        endpoint: Arc::clone(endpoint),
        plan: health.clone(),
        peer: peer.clone(),
        protocol: plan.protocol,
        announces: plan.send_proxy.as_ref().map(|send| send.version),
        host: host_of(endpoint.address()),
    };
    endpoints.map(subject).collect()
}

fn host_of(address: &Address) -> Box<str> {
    match address {
        Address::Unix(_) => "localhost".into(),
        address => address.to_string().into(),
    }
}

/// Asks again and again. While it is down, those that hear nothing are not waited for: another one may.
async fn watch(subject: Arc<Subject>, shared: Arc<Shared>) {
    let (health, every) = (subject.endpoint.health(), subject.plan.every);
    let mut asking = FuturesUnordered::new();
    let mut began = Instant::now();
    let mut next = began + part_of(every.min(FIRST_WITHIN));
    loop {
        let is_down = matches!(health.known(Instant::now()), Known::Down(_));
        let may_ask = asking.is_empty() || (is_down && asking.len() < MOST_AT_ONCE);
        tokio::select! {
            Some(found) = asking.next() => {
                let has_passed = Result::is_ok(&found);
                take(&subject, &shared, found);
                if has_passed {
                    // What the others were not told then is no news any more.
                    asking.clear();
                }
                // From one beginning to the next: those that wait for their time-out are not fewer.
                next = began + jittered(until_next(every, health.known(Instant::now())));
            }
            () = tokio::time::sleep_until(next.into()), if may_ask => {
                began = Instant::now();
                let is_further = !asking.is_empty();
                if !is_further || shared.permits.available_permits() > AT_ONCE / 2 {
                    asking.push(probe(&subject, &shared));
                }
                next = began + jittered(until_next(every, health.known(began)));
            }
        }
    }
}

/// A tenth more or less.
fn jittered(time: Duration) -> Duration {
    time - time / 10 + part_of(time / 5)
}

/// Some of it, by chance.
fn part_of(whole: Duration) -> Duration {
    whole.mul_f64(f64::from(dice()) / f64::from(u32::MAX))
}

/// A random number. Control thread only: it is not the fastest.
pub(crate) fn dice() -> u32 {
    // Each state has keys of its own.
    RandomState::new().hash_one(0_u8) as u32
}

async fn probe(subject: &Subject, shared: &Shared) -> Result<(), String> {
    let _permit = shared.permits.acquire().await;
    let connector = shared.connector.get_or_init(|| TransportConnector::new(None));
    let limit = subject.plan.timeout;
    let asked = tokio::time::timeout(limit, ask::ask(subject, connector)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer in {} ms", limit.as_millis())))
}

fn take(subject: &Subject, shared: &Shared, found: Result<(), String>) {
    let metrics = &shared.resident.metrics.health;
    metrics.probes.add();
    if found.is_err() {
        metrics.failed_probes.add();
    }
    let thresholds = Thresholds { rise: subject.plan.rise, fall: subject.plan.fall };
    let (health, now) = (subject.endpoint.health(), Instant::now());
    if let Some(turn) = health.probed(found.is_ok(), thresholds, now) {
        if turn == Turn::Rises {
            subject.endpoint.load().begins(now);
        }
        tell(subject, turn, found.err().as_deref());
    }
}

/// Once for each change.
fn tell(subject: &Subject, turn: Turn, reason: Option<&str>) {
    let (upstream, endpoint) = (&*subject.upstream, subject.endpoint.address());
    match turn {
        Turn::Falls => {
            let reason = reason.unwrap_or("unknown");
            tracing::warn!(upstream, %endpoint, reason, "endpoint is down, its probes fail");
        }
        Turn::Rises => tracing::info!(upstream, %endpoint, "endpoint is up, its probes pass"),
        Turn::Returns => {
            tracing::info!(upstream, %endpoint, "endpoint returns sooner, its probes pass");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_a_tenth_longer_or_shorter() {
        for _ in 0..100 {
            let pause = jittered(Duration::from_secs(20));
            assert!((18..=22).contains(&pause.as_secs()), "{pause:?}");
        }
    }
}
