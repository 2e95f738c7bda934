//! The request path. The only package that names Pingora.
//!
//! [`Engine`] binds listeners and runs worker threads that serve a plan; [`control`] says what an operator may ask of a
//! running process. `http/mod.rs` is the request line, `listen/` is what stands before it.

pub mod action;
mod adapt;
mod clock;
pub mod control;
mod encoders;
pub mod h2;
mod health;
mod hot_keys;
mod http;
mod listen;
mod listeners;
pub mod log;
mod metrics;
mod operate;
mod pictures;
pub mod plugins;
mod probes;
pub mod purge;
mod request_id;
pub mod reshard;
mod resolve;
mod snapshot;
mod watch;
mod workers;

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use control::{ListenerStatus, State};
use parking_lot::Mutex;
use switchback_conf::plan::{ListenAddress, Plan};
use switchback_conf::{Code, Diagnostic};
use tokio::sync::Notify;

/// For the fuzzer alone.
#[doc(hidden)]
pub use http::jwt::check as check_jwt_claim;
pub use listen::judge;
/// For the fuzzer alone.
#[doc(hidden)]
pub use listen::proxy_protocol::check as check_proxy_header;
/// Likewise.
#[doc(hidden)]
pub use probes::check_grpc_answer;

use listen::connection::{Connection, Ends};
pub use listen::handover::{Inheritance, ListeningSocket, listening_socket};
pub use listen::prepared::Prepared;
use listen::worker::Shared;
use listeners::{Change, Crew, Listeners};
use metrics::Gauge;
use plugins::Additions;
use probes::Probes;
use resolve::Resolver;
use snapshot::assemble::assemble;
use snapshot::resident::Resident;
use snapshot::{Listener, Snapshot, SnapshotCell};
use workers::Workers;

/// Worker threads that serve a plan. Dropping it drops every connection at once; [`Engine::drain`] first is kinder.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    workers: Arc<Mutex<Workers>>,
    listeners: Arc<Listeners>,
    control: Option<tokio::runtime::Runtime>,
    resolve_now: Arc<Notify>,
}

/// Counts and addresses of a running engine.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// How many plans have been in force, this one included.
    pub generation: u64,
    /// Whether it accepts.
    pub state: State,
    /// Worker threads.
    pub workers: usize,
    /// What is bound.
    pub listeners: Vec<ListenerStatus>,
    /// Client connections open now.
    pub connections: u64,
    /// Requests in flight now.
    pub requests_in_flight: u64,
    /// Requests answered since the start.
    pub requests: u64,
    /// Lines of access logs that were lost since the start.
    pub log_lines_lost: u64,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that ran has finished.
    Clean,
    /// Time ran out; so many connections were dropped.
    Forced {
        /// Connections dropped.
        connections: u64,
    },
}

/// How long a start or reload waits for names to be resolved; the rest is resolved while serving.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(1);

impl Engine {
    /// Binds every listener, then starts the workers. On any error nothing is left bound or running. Returns the warnings.
    /// `additions` have what this and every later plan may name.
    ///
    /// # Errors
    /// Everything that keeps the plan from being served: addresses that cannot be bound, certificates that cannot be used.
    pub fn start(
        plan: Plan,
        additions: Additions,
    ) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (prepared, warnings) = Self::prepare(plan, additions, Inheritance::default())?;
        Ok((prepared.begin(), warnings))
    }

    /// What [`Engine::start`] and [`Engine::reload`] would find, without binding anything.
    #[must_use]
    pub fn check(plan: &Plan, additions: &Additions) -> Vec<Diagnostic> {
        let resident = Resident::only_checking(additions.clone());
        match assemble(plan.clone(), &resident, 0) {
            Ok((_, warnings)) => warnings,
            Err(diagnostics) => diagnostics,
        }
    }

    /// Puts another plan in force, whole; requests that run keep theirs. Returns the warnings.
    ///
    /// # Errors
    /// Everything that keeps the plan from being served; the old one stays in force.
    pub fn reload(&self, plan: Plan) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let _one_at_a_time = self.listeners.hold();
        let swapped = self.swap(plan);
        let metrics = &self.shared.resident.metrics;
        if swapped.is_ok() {
            metrics.reloads.add();
        } else {
            metrics.failed_reloads.add();
            // Plugins were made of it, and may take their time to end.
            self.beside(|resident| resident.plugins.forget_unused());
        }
        swapped
    }

    fn swap(&self, plan: Plan) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let order = addresses(&plan);
        let generation = self.shared.cell.generation() + 1;
        let (snapshot, warnings) = assemble(plan, &self.shared.resident, generation)?;
        let (count, within) = (worker_count(&snapshot), snapshot.process.shutdown_timeout);
        let wanted = snapshot.listeners_in(&order);
        let change = self.listeners.prepare(wanted, count, &mut Inheritance::default())?;
        self.resolve_new(&snapshot);
        self.put_workers(change, count, within, || {
            snapshot.take_over(&self.shared.resident);
            let old = self.shared.cell.swap(snapshot);
            self.let_go(old);
            self.resolve_now.notify_one();
            self.shared.resident.probe_now.notify_one();
            self.shared.resident.plugins.changed.notify_one();
        })?;
        Ok(warnings)
    }

    /// Starts workers that are missing, then puts in force what `swap` and `change` bring, and has workers too many end.
    fn put_workers(
        &self,
        change: Change,
        count: usize,
        within: Duration,
        swap: impl FnOnce(),
    ) -> Result<(), Vec<Diagnostic>> {
        let mut workers = self.workers.lock();
        let before = workers.running.len();
        if let Err(error) = workers.grow(count, &self.shared) {
            change.abandon();
            return Err(vec![cannot_start(&error)]);
        }
        swap();
        let crew = Crew { all: &workers.running, before, shared: &self.shared };
        let settle = self.listeners.put_in_force(change, &crew);
        workers.retire(count, settle, within);
        self.close_left();
        Ok(())
    }

    /// Closes what the workers leave, when they have.
    fn close_left(&self) {
        const PAUSE: Duration = Duration::from_millis(500);
        let Some(control) = &self.control else { return };
        let (listeners, workers) = (Arc::clone(&self.listeners), Arc::clone(&self.workers));
        control.spawn(async move {
            loop {
                let is_left = listeners.close_left();
                let is_ended = !workers.lock().forget_ended();
                if !is_left && is_ended {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Ends the old snapshot elsewhere: it may be a million pieces, and whoever asked for the reload need not wait for that.
    fn let_go(&self, old: Arc<Snapshot>) {
        const PAUSE: Duration = Duration::from_millis(500);
        let Some(control) = &self.control else { return };
        let shared = Arc::clone(&self.shared);
        control.spawn(async move {
            let used = Arc::downgrade(&old);
            drop(old);
            shared.resident.forget_unused();
            // Requests that began with it hold it: what only they use goes with the last of them, and not after a next reload that may
            // never come.
            loop {
                tokio::time::sleep(PAUSE).await;
                if used.strong_count() == 0 {
                    break;
                }
            }
            shared.resident.forget_unused();
        });
    }

    fn beside(&self, work: impl FnOnce(&Resident) + Send + 'static) {
        let Some(control) = &self.control else { return };
        let shared = Arc::clone(&self.shared);
        control.spawn(async move { work(&shared.resident) });
    }

    /// Waits for the addresses of endpoints that `snapshot` is the first to name: its first requests would find none.
    fn resolve_new(&self, snapshot: &Snapshot) {
        let Some(control) = &self.control else { return };
        let (done, resolved) = std::sync::mpsc::sync_channel::<()>(1);
        let resolve = resolve::resolve_new(snapshot, &self.shared.resident, RESOLVE_PATIENCE);
        control.spawn(async move {
            resolve.await;
            drop(done);
        });
        // Not `block_on`: the caller may be inside a runtime. It ends when `done` is dropped.
        let _ = resolved.recv_timeout(RESOLVE_PATIENCE);
        snapshot.refresh(&self.shared.resident, Some(Instant::now()));
    }

    /// Accepts nothing new, waits until idle or until `deadline` has passed, then drops what is left. Blocks.
    pub fn drain(&self, deadline: Duration) -> Drained {
        let began = Instant::now();
        // Each closes as soon as its worker has emptied its queue.
        self.listeners.release();
        self.shared.drain.send_replace(true);
        while self.shared.is_busy() && began.elapsed() < deadline {
            // Looking every few milliseconds: a condition variable would put a lock into the end of every connection.
            std::thread::park_timeout(Duration::from_millis(3));
        }
        let left = self.shared.resident.metrics.open_connections.value();
        self.stop_workers();
        self.shared.resident.flush_logs();
        if left == 0 { Drained::Clean } else { Drained::Forced { connections: left } }
    }

    fn run(
        snapshot: Snapshot,
        resident: Arc<Resident>,
        nobody: Arc<Connection>,
        listeners: Arc<Listeners>,
    ) -> io::Result<Self> {
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()?;
        let cell = Arc::new(SnapshotCell::new(snapshot));
        let resolve_now = Arc::new(Notify::new());
        control.block_on(resolve::resolve_new(&cell.load(), &resident, RESOLVE_PATIENCE));
        cell.load().refresh(&resident, None);
        let nudge = Arc::clone(&resolve_now);
        control.spawn(Resolver::new(Arc::clone(&cell), Arc::clone(&resident), nudge).run());
        control.spawn(plugins::ticks::run(Arc::clone(&cell), Arc::clone(&resident)));
        control.spawn(hot_keys::merge(Arc::clone(&cell)));
        control.spawn(watch::run(Arc::clone(&cell), Arc::clone(&resident)));
        control.spawn(health::run(Arc::clone(&cell), Arc::clone(&resident)));
        control.spawn(Probes::new(Arc::clone(&cell), Arc::clone(&resident)).run());
        let (drain, _) = tokio::sync::watch::channel(false);
        let shared = Arc::new(Shared {
            cell,
            resident,
            nobody,
            drain,
            connections: AtomicU64::new(0),
            accepting: Gauge::default(),
            burst_over: OnceLock::new(),
        });
        let (workers, control) = (Arc::default(), Some(control));
        Ok(Self { shared, workers, listeners, control, resolve_now })
    }

    fn stop_workers(&self) {
        self.workers.lock().stop();
        self.shared.resident.encoders.close();
        self.shared.resident.pictures.close();
        self.listeners.remove_files();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop_workers();
        if let Some(control) = self.control.take() {
            control.shutdown_background();
        }
    }
}

fn cannot_start(error: &io::Error) -> Diagnostic {
    Diagnostic::error(
        Code::Assemble,
        switchback_conf::Location::none(),
        format!("cannot start threads: {error}"),
    )
}

/// The connection of requests that have none.
fn nobody(listener: Option<&Arc<Listener>>) -> io::Result<Arc<Connection>> {
    let listener = listener.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Arc::new(Connection::new(Arc::clone(listener), Ends { peer: None, local: None }, None, 0)))
}

/// What is bound, in the order of the configuration.
fn addresses(plan: &Plan) -> Vec<ListenAddress> {
    plan.listeners.iter().map(|listener| listener.address.clone()).collect()
}

fn worker_count(snapshot: &Snapshot) -> usize {
    snapshot.process.workers.map_or_else(cores, usize::from)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
