//! The request path. The only package that names Pingora.
//!
//! [`Engine`] binds listeners and runs worker threads that serve a plan; [`control`] says what an operator may ask of a
//! running process. `http/mod.rs` is the request line, `listen/` is what stands before it.

pub mod action;
mod adapt;
mod clock;
pub mod control;
pub mod h2;
mod http;
mod listen;
pub mod log;
mod metrics;
mod request_id;
mod resolve;
mod snapshot;
mod watch;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use action::Actions;
use control::{ListenerStatus, State};
use parking_lot::Mutex;
use switchback_conf::plan::{ListenAddress, ListenerPlan, Plan};
use switchback_conf::{Code, Diagnostic};
use tokio::sync::Notify;

use listen::connection::{Connection, Ends};
use listen::drain::Window;
pub use listen::handover::{Inheritance, ListeningSocket, listening_socket};
use listen::prepared::Claimed;
pub use listen::prepared::Prepared;
use listen::socket::Sockets;
use listen::worker::{self, Accepting, Order, Shared, WorkerHandle};
use log::AccessLog;
use metrics::Gauge;
use resolve::Resolver;
use snapshot::assemble::assemble;
use snapshot::resident::Resident;
use snapshot::{Listener, Snapshot, SnapshotCell};

/// Worker threads that serve a plan. Dropping it drops every connection at once; [`Engine::drain`] first is kinder.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    workers: Mutex<Vec<WorkerHandle>>,
    listeners: Mutex<HashMap<Arc<ListenAddress>, String>>,
    /// One reload at a time.
    reloading: Mutex<()>,
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
    /// `actions` are those that this and every later plan may name.
    ///
    /// # Errors
    /// Everything that keeps the plan from being served: addresses that cannot be bound, certificates that cannot be used.
    pub fn start(plan: Plan, actions: Actions) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let (prepared, warnings) = Self::prepare(plan, actions, Inheritance::default())?;
        Ok((prepared.begin(), warnings))
    }

    fn assembled(
        plan: Plan,
        actions: Actions,
        inheritance: Inheritance,
    ) -> Result<(Prepared, Vec<Diagnostic>), Vec<Diagnostic>> {
        let resident = Arc::new(Resident::new(actions));
        let plans = plan.listeners.clone();
        let (snapshot, mut warnings) = assemble(plan, &resident, 1)?;
        snapshot.access_logs.iter().for_each(AccessLog::take_over);
        let workers = snapshot.process.workers.map_or_else(cores, usize::from);
        let mut claimed = Claimed::all(&plans, workers, inheritance)?;
        warnings.append(&mut claimed.warnings);
        let engine = Self::run(snapshot, resident, workers, &plans)
            .map_err(|error| vec![cannot_start(&error)])?;
        Ok((Prepared::new(engine, claimed), warnings))
    }

    /// What [`Engine::start`] and [`Engine::reload`] would find, without binding anything.
    #[must_use]
    pub fn check(plan: &Plan, actions: &Actions) -> Vec<Diagnostic> {
        let resident = Resident::new(actions.clone());
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
        let _one_at_a_time = self.reloading.lock();
        let swapped = self.swap(plan);
        let metrics = &self.shared.resident.metrics;
        if swapped.is_ok() {
            metrics.reloads.add()
        } else {
            metrics.failed_reloads.add()
        }
        swapped
    }

    fn swap(&self, plan: Plan) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let plans = plan.listeners.clone();
        let generation = self.shared.cell.generation() + 1;
        let (snapshot, mut warnings) = assemble(plan, &self.shared.resident, generation)?;
        let workers = self.workers.lock().len();
        if snapshot.process.workers.is_some_and(|wanted| usize::from(wanted) != workers) {
            let message = format!("`workers` stays {workers} until the process is started again");
            warnings.push(Diagnostic::warning(
                Code::NoEffect,
                switchback_conf::Location::none(),
                message,
            ));
        }
        let new: Vec<ListenerPlan> = {
            let bound = self.listeners.lock();
            plans.iter().filter(|plan| !bound.contains_key(&plan.address)).cloned().collect()
        };
        let bound = Claimed::all(&new, workers, Inheritance::default())?.sockets;
        self.resolve_new(&snapshot);
        snapshot.access_logs.iter().for_each(AccessLog::take_over);
        let old = self.shared.cell.swap(snapshot);
        self.let_go(old);
        self.resolve_now.notify_one();
        self.listen(bound);
        self.unlisten_all_but(&plans);
        Ok(warnings)
    }

    /// Ends the old snapshot elsewhere: it may be a million pieces, and whoever asked for the reload need not wait for that.
    fn let_go(&self, old: Arc<Snapshot>) {
        let Some(control) = &self.control else { return };
        let shared = Arc::clone(&self.shared);
        control.spawn(async move {
            drop(old);
            // What requests still hold of it is forgotten after the next reload.
            shared.resident.forget_unused();
        });
    }

    /// Waits for the addresses of endpoints that `snapshot` is the first to name: its first requests would find none.
    fn resolve_new(&self, snapshot: &Snapshot) {
        let Some(control) = &self.control else { return };
        let (done, resolved) = std::sync::mpsc::sync_channel::<()>(1);
        let resolve = resolve::resolve_new(snapshot, RESOLVE_PATIENCE);
        control.spawn(async move {
            resolve.await;
            drop(done);
        });
        // Not `block_on`: the caller may be inside a runtime. It ends when `done` is dropped.
        let _ = resolved.recv_timeout(RESOLVE_PATIENCE);
    }

    /// Counts and addresses.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let metrics = &self.shared.resident.metrics;
        let connections = metrics.open_connections.value();
        EngineStatus {
            generation: self.shared.cell.generation(),
            state: self.state(connections),
            workers: self.workers.lock().len(),
            listeners: self.listener_status(),
            connections,
            requests_in_flight: metrics.in_flight.value(),
            requests: metrics.requests.value(),
            log_lines_lost: self.shared.resident.log_losses.lines(),
        }
    }

    /// Appends the counters in the Prometheus text format.
    pub fn metrics(&self, out: &mut String) {
        let resident = &self.shared.resident;
        resident.metrics.render(out);
        metrics::log_losses(out, &resident.log_losses);
        metrics::sample(
            out,
            ("generation", "Configurations put in force so far.", "gauge"),
            self.shared.cell.generation(),
        );
    }

    /// Opens all log files again.
    pub fn reopen_logs(&self) {
        self.shared.resident.reopen_logs();
    }

    /// Accepts nothing new, waits until idle or until `deadline` has passed, then drops what is left. Blocks.
    pub fn drain(&self, deadline: Duration) -> Drained {
        let began = Instant::now();
        let spread = self.shared.cell.load().process.drain_spread;
        // A second drain cuts the first one short; its window stays.
        let _ = self.shared.drain_window.set(Window::new(spread));
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
        workers: usize,
        plans: &[ListenerPlan],
    ) -> io::Result<Self> {
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()?;
        let nobody = nobody(&snapshot, plans)?;
        let cell = Arc::new(SnapshotCell::new(snapshot));
        let resolve_now = Arc::new(Notify::new());
        control.block_on(resolve::resolve_new(&cell.load(), RESOLVE_PATIENCE));
        control.spawn(Resolver::new(Arc::clone(&cell), Arc::clone(&resolve_now)).run());
        control.spawn(watch::run(Arc::clone(&cell)));
        let (drain, _) = tokio::sync::watch::channel(false);
        let shared = Arc::new(Shared {
            cell,
            resident,
            nobody,
            drain,
            drain_window: std::sync::OnceLock::new(),
            connections: AtomicU64::new(0),
            accepting: Gauge::default(),
        });
        let workers = (0..workers)
            .map(|number| worker::start(number, Arc::clone(&shared)))
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            shared,
            workers: Mutex::new(workers),
            listeners: Mutex::default(),
            reloading: Mutex::default(),
            control: Some(control),
            resolve_now,
        })
    }

    /// Hands each worker its socket of every address.
    fn listen(&self, bound: Vec<(ListenAddress, Sockets)>) {
        let workers = self.workers.lock();
        for (address, sockets) in bound {
            let address = Arc::new(address);
            // Sockets that were inherited may be more than workers.
            for (worker, socket) in workers.iter().cycle().zip(sockets.bound) {
                let counted = Accepting::count(&self.shared);
                // A worker that is gone has nothing to listen with.
                let _ = worker.orders.send(Order::Listen(Arc::clone(&address), socket, counted));
            }
            self.listeners.lock().insert(address, sockets.shown);
        }
    }

    fn unlisten_all_but(&self, plans: &[ListenerPlan]) {
        let workers = self.workers.lock();
        self.listeners.lock().retain(|address, _| {
            let stays = plans.iter().any(|plan| plan.address == **address);
            if !stays {
                remove_unix_socket(address);
                for worker in workers.iter() {
                    let _ = worker.orders.send(Order::Unlisten(Arc::clone(address)));
                }
            }
            stays
        });
    }

    fn state(&self, connections: u64) -> State {
        match (*self.shared.drain.borrow(), connections) {
            (false, _) => State::Serving,
            (true, 0) => State::Stopped,
            (true, _) => State::Draining,
        }
    }

    /// In the order of the configuration is not known here; by name.
    fn listener_status(&self) -> Vec<ListenerStatus> {
        let snapshot = self.shared.cell.load();
        let bound = self.listeners.lock();
        let mut listeners: Vec<ListenerStatus> = bound
            .iter()
            .filter_map(|(address, shown)| {
                let plan = &snapshot.listeners.get(address)?.plan;
                Some(ListenerStatus {
                    name: plan.name.to_string(),
                    address: shown.clone(),
                    tls: plan.tls.is_some(),
                })
            })
            .collect();
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        listeners
    }

    fn stop_workers(&self) {
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in &workers {
            let _ = worker.orders.send(Order::Stop);
        }
        for mut worker in workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked has ended too.
                let _ = thread.join();
            }
        }
        self.remove_unix_sockets();
    }

    fn remove_unix_sockets(&self) {
        for address in self.listeners.lock().keys() {
            remove_unix_socket(address);
        }
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

/// Takes away the file of a socket that nobody listens on any more.
fn remove_unix_socket(address: &ListenAddress) {
    if let ListenAddress::Unix { path, .. } = address {
        // Somebody may have taken it away already.
        let _ = std::fs::remove_file(path);
    }
}

fn cannot_bind(plan: &ListenerPlan, error: &io::Error) -> Diagnostic {
    let address = match &plan.address {
        ListenAddress::Tcp { address, .. } => address.to_string(),
        ListenAddress::Unix { path, .. } => format!("unix:{}", path.display()),
    };
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there: stop it, or choose another address"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "the system refused it for this reason",
    };
    Diagnostic::error(Code::Bind, plan.at.clone(), format!("cannot listen on {address}: {error}"))
        .hint(hint)
}

fn cannot_start(error: &io::Error) -> Diagnostic {
    Diagnostic::error(
        Code::Assemble,
        switchback_conf::Location::none(),
        format!("cannot start threads: {error}"),
    )
}

/// The connection of requests that have none.
fn nobody(snapshot: &Snapshot, plans: &[ListenerPlan]) -> io::Result<Arc<Connection>> {
    let listener = plans.first().and_then(|plan| snapshot.listeners.get(&plan.address));
    let listener: &Arc<Listener> = listener.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Arc::new(Connection::new(Arc::clone(listener), Ends { peer: None, local: None }, None, 0)))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
