//! Idle connections by the hundred thousand over several processes on one address, and what ten million would need.

mod fit;
mod kernel;
mod report;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::change::Feature;
use super::idle_load::{Held, Holder, PAGE};
use crate::config::{Config, config};
use crate::message::get;
use crate::peer::free_address;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

pub use fit::Fit;
use kernel::{Carried, Kernel};
pub use report::{Need, needs, report};

/// How much of it.
#[derive(Clone, Debug)]
pub struct IdlePlan {
    /// Processes of the proxy.
    pub processes: u8,
    /// Connections for each process, one measurement after another.
    pub steps: Vec<usize>,
    /// Whether over TLS.
    pub tls: bool,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
pub struct IdleStep {
    /// Connections in all.
    pub connections: usize,
    /// Memory of all processes beyond what they had before the first connection, in bytes.
    pub user: f64,
    /// Memory of the kernel for the proxy's end of one connection, in bytes, if it can be seen.
    pub kernel: Option<f64>,
}

/// What something costs for each connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// Time of all processes of the proxy on a processor.
    pub processor: Duration,
    /// Bytes of TLS and HTTP, both ways.
    pub bytes: f64,
    /// Packets, both ways, those that only acknowledge included.
    pub packets: f64,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct IdleFound {
    /// How it was played.
    pub plan: IdlePlan,
    /// Whether the processes shared one address.
    pub shared: bool,
    /// One after another.
    pub steps: Vec<IdleStep>,
    /// Fewest and most connections of a process at the end, as it says itself.
    pub spread: (u64, u64),
    /// Connections that were refused or not answered, at first or at the end.
    pub failed: usize,
    /// Connections that were answered once more at the end.
    pub answered: usize,
    /// To open a connection and be answered once.
    pub opening: Effort,
    /// To be answered once more that nothing has changed.
    pub asking: Effort,
    /// Bytes of the head of that answer.
    pub not_modified: usize,
}

impl IdleFound {
    /// Memory of the processes against connections, with the processes before the first connection as a point.
    #[must_use]
    pub fn fit(&self) -> Option<Fit> {
        let measured = self.steps.iter().map(|step| (step.connections as f64, step.user));
        let points: Vec<(f64, f64)> = std::iter::once((0.0, 0.0)).chain(measured).collect();
        Fit::through(&points)
    }

    /// Memory of the kernel for the proxy's end of one connection, with all of them open.
    #[must_use]
    pub fn kernel(&self) -> Option<f64> {
        self.steps.last()?.kernel
    }
}

/// Plays it.
///
/// # Panics
/// When a proxy does not start.
#[must_use]
pub fn idle_connections(plan: &IdlePlan) -> IdleFound {
    let (proxies, shared) = start(plan);
    proxies.iter().for_each(|proxy| warm(proxy, plan.tls));
    let before = settled_memory(&proxies);
    let first = Kernel::now();
    let mut load: Vec<Holder> = (0..plan.processes)
        .map(|number| {
            // With one address all go there; else each has its own.
            let proxy = &proxies[usize::from(number) % proxies.len()];
            Holder::start(number, proxy.address("web"), plan.tls)
        })
        .collect();
    let started = processor_time(&proxies);
    let (mut steps, mut failed, mut sample) = (Vec::new(), 0, None);
    for &each in &plan.steps {
        load.iter_mut().for_each(|holder| holder.open(each));
        let held: Vec<Held> = load.iter_mut().map(Holder::done).collect();
        let connections = held.iter().map(|held| held.answered).sum();
        failed = held.iter().map(|held| held.failed).sum();
        sample = load.iter().zip(&held).next().map(|(holder, held)| holder.source(held.port));
        let user = (settled_memory(&proxies) - before) as f64;
        let kernel = Kernel::now().memory_since(&first, connections);
        steps.push(IdleStep { connections, user, kernel });
    }
    let opened = steps.last().map_or(0, |step| step.connections);
    let carried = || sample.map(Carried::by).unwrap_or_default();
    let (asked, opening) = (processor_time(&proxies), carried());
    let spread = spread(&proxies);
    load.iter_mut().for_each(Holder::ask);
    let held: Vec<Held> = load.iter_mut().map(Holder::done).collect();
    IdleFound {
        plan: plan.clone(),
        shared,
        steps,
        spread,
        failed: failed + held.iter().map(|held| held.failed).sum::<usize>(),
        answered: held.iter().map(|held| held.answered).sum(),
        opening: effort(asked - started, opening, opened),
        asking: effort(processor_time(&proxies) - asked, carried().since(opening), opened),
        not_modified: held.iter().map(|held| held.head).max().unwrap_or(0),
    }
}

/// The processes on one address, or each on its own where the binary cannot share one.
fn start(plan: &IdlePlan) -> (Vec<Proxy>, bool) {
    let address = free_address();
    let shared = Feature::SharedAddress.probe().is_ok();
    let start = |_| match shared {
        true => Proxy::start(&serving(plan, address, "socket = { share = true }")),
        false => Proxy::start(&serving(plan, free_address(), "")),
    };
    ((0..plan.processes).map(start).collect(), shared)
}

fn serving(plan: &IdlePlan, address: SocketAddr, socket: &str) -> Config {
    let tls = if plan.tls { "tls = { self_signed = [\"localhost\"] }" } else { "" };
    config()
        .top("workers = 1")
        .listener(format_args!(
            "name = \"web\"\naddress = \"{address}\"\ntimeouts = {{ keepalive = \"30m\" }}\n{tls}\n{socket}"
        ))
        .site("")
        .route("/*", "files = \"files\"")
        .file("files/app/page", "x".repeat(1000))
}

/// What a process allocates once is there before anything is measured. With one address, it may be another process that is
/// asked; each is meant by somebody.
pub(super) fn warm(proxy: &Proxy, tls: bool) {
    for _ in 0..20 {
        let mut client = match tls {
            true => proxy.tls_client("localhost", &crate::client::Trust::Anyone),
            false => proxy.client(),
        };
        client.ask(&get(PAGE)).expect_status(200);
    }
}

/// Anonymous memory of all of them, in bytes.
pub(super) fn user_memory(proxies: &[Proxy]) -> i64 {
    let of = |proxy: &Proxy| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        line.split_whitespace().next()?.parse::<i64>().ok()
    };
    proxies.iter().filter_map(of).sum::<i64>() * 1024
}

/// The same, once it has not become less for two seconds: what was needed to open connections is given back in a while, and
/// nothing says when.
pub(super) fn settled_memory(proxies: &[Proxy]) -> i64 {
    let mut least = (user_memory(proxies), Instant::now());
    let last = least.1 + Duration::from_secs(20);
    while least.1.elapsed() < Duration::from_secs(2) && Instant::now() < last {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = user_memory(proxies);
        if now < least.0 {
            least = (now, Instant::now());
        }
    }
    least.0
}

fn processor_time(proxies: &[Proxy]) -> Duration {
    proxies.iter().map(|proxy| ProcessStats::processor_time_of_tree(proxy.pid())).sum()
}

fn effort(processor: Duration, carried: Carried, connections: usize) -> Effort {
    let count = u32::try_from(connections.max(1)).unwrap_or(u32::MAX);
    Effort { processor: processor / count, bytes: carried.bytes, packets: carried.packets }
}

fn spread(proxies: &[Proxy]) -> (u64, u64) {
    let of = |proxy: &Proxy| proxy.status()["connections"].as_u64().unwrap_or(0);
    let each: Vec<u64> = proxies.iter().map(of).collect();
    (each.iter().min().copied().unwrap_or(0), each.iter().max().copied().unwrap_or(0))
}
