//! Many connections that wait in one process: what they cost, whether they are answered again, and what they leave behind.

use std::time::{Duration, Instant};

use super::c10m::{settled_memory, user_memory, warm};
use super::idle_load::{Held, Holder};
use super::traffic::Traffic;
use crate::config::config;
use crate::patience::Deadline;
use crate::proxy::Proxy;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct IdleOnePlan {
    /// Connections, all of one process.
    pub connections: usize,
    /// Whether over TLS 1.3.
    pub tls: bool,
    /// How long they are idle between two requests.
    pub idle: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct IdleOne {
    /// Connections that were answered once.
    pub opened: usize,
    /// Connections that were answered once more after they had been idle.
    pub answered: usize,
    /// Memory of the process for each while they were idle, in bytes.
    pub each: f64,
    /// Memory of the process for all of them while they were idle, in bytes.
    pub all: i64,
    /// What of it the process still had at the end of [`GIVEN_BACK`] at the latest, in bytes.
    pub kept: i64,
    /// How long it took until nearly all was given back, if it was.
    pub back: Option<Duration>,
}

/// How long memory may take to be given back once the connections are closed.
pub const GIVEN_BACK: Duration = Duration::from_secs(10);
/// What may be kept of it: an allocator's page here and there.
const KEPT: i64 = 512 * 1024;

/// Plays it. The origin and the clients are processes of their own.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn idle_in_one_process(plan: &IdleOnePlan) -> IdleOne {
    let origin = Traffic::start();
    let tls = if plan.tls { "tls = { self_signed = [\"localhost\"] }\n" } else { "" };
    let settings = config()
        .top("workers = 1")
        .web(format_args!("{tls}timeouts = {{ keepalive = \"30m\" }}"))
        .site("")
        .route("/app/*", "proxy = \"app\"")
        .endpoints("app", &[origin.origin().to_string()], "");
    let proxy = [Proxy::start(&settings)];
    warm(&proxy[0], plan.tls);
    let before = settled_memory(&proxy);
    let mut load = Holder::start(0, proxy[0].address("web"), plan.tls);
    load.open(plan.connections);
    let Held { answered: opened, .. } = load.done();
    let idle = Deadline::after(plan.idle);
    while !idle.has_passed() {
        std::thread::park_timeout(idle.left());
    }
    let all = user_memory(&proxy) - before;
    load.ask();
    let Held { answered, .. } = load.done();
    drop(load);
    let closed = Instant::now();
    let (mut kept, mut back) = (all, None);
    while back.is_none() && closed.elapsed() < GIVEN_BACK {
        kept = user_memory(&proxy) - before;
        back = (kept <= (all / 20).max(KEPT)).then(|| closed.elapsed());
        std::thread::park_timeout(Duration::from_millis(100));
    }
    IdleOne { opened, answered, each: all as f64 / opened.max(1) as f64, all, kept, back }
}
