//! Worker threads: one per core, each with its own runtime, sockets and connection pools. They share nothing that waits.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::sync::{mpsc, oneshot, watch};

use super::admit::{Admitted, Refused};
use super::arrival::Arrival;
use super::connection::{Connection, Ends};
use super::drain::Window;
use super::reserve::Reserve;
use super::seats::Seats;
use super::socket::Listening;
use super::stream::PlainStream;
use super::tls;
use crate::h2;
use crate::http::Phases;
use crate::http::cache::fetch::Fetcher;
use crate::metrics::Gauge;
use crate::snapshot::resident::Resident;
use crate::snapshot::{Listener, SnapshotCell};

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the snapshot in force is found.
    pub(crate) cell: Arc<SnapshotCell>,
    /// What outlives snapshots.
    pub(crate) resident: Arc<Resident>,
    /// Stands in where a request has no connection.
    pub(crate) nobody: Arc<Connection>,
    /// Whether everything is to come to its end.
    pub(crate) drain: watch::Sender<bool>,
    /// The last connection's serial number.
    pub(crate) connections: AtomicU64,
    /// Sockets that are accepted from.
    pub(crate) accepting: Gauge,
    /// What a worker calls once most connections of a burst are gone.
    pub(crate) burst_over: OnceLock<fn()>,
}

impl Shared {
    /// Whether anything is accepted or served. A connection counts from its accept, and its socket counts until the
    /// kernel's queue is empty, so there is no moment between the two.
    pub(crate) fn is_busy(&self) -> bool {
        self.accepting.value() > 0 || self.resident.metrics.open_connections.value() > 0
    }
}

/// A socket that is accepted from, for the count: from the moment it is handed to a worker.
#[derive(Debug)]
pub(crate) struct Accepting(Arc<Shared>);

impl Accepting {
    /// One more.
    pub(crate) fn count(shared: &Arc<Shared>) -> Self {
        shared.accepting.up();
        Self(Arc::clone(shared))
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.accepting.down();
    }
}

/// An open connection, for the count. It goes from the task of the handshake to that of the connection.
pub(crate) struct Open {
    worker: Arc<Worker>,
    /// Its place among those that are limited, while it lasts.
    admitted: Option<Box<Admitted>>,
}

impl Open {
    fn count(worker: &Arc<Worker>, admitted: Option<Box<Admitted>>) -> Self {
        let metrics = &worker.shared.resident.metrics;
        metrics.connections.add();
        metrics.open_connections.up();
        worker.open.up();
        Self { worker: Arc::clone(worker), admitted }
    }

    /// Counts it as one of the client at `address`, whoever it was counted for.
    ///
    /// # Errors
    /// There are too many of that client.
    pub(crate) fn of_client(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.admitted.as_mut().map_or(Ok(()), |admitted| admitted.client(address))
    }

    /// Who serves it.
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.open.down();
        self.worker.shared.resident.metrics.open_connections.down();
    }
}

/// What one worker has for itself.
pub(crate) struct Worker {
    /// What all share.
    pub(crate) shared: Arc<Shared>,
    /// Pingora with the phases. One for each worker: a shared pool wakes other threads about once a request.
    pub(crate) proxy: Arc<HttpProxy<Phases, h2::Connector>>,
    /// Fetches for caches.
    pub(crate) fetcher: Arc<Fetcher>,
    /// Dials for tunnels.
    pub(crate) connector: TransportConnector,
    /// Whose turn it is of the handshakes.
    pub(crate) turns: tls::Turns,
    /// Told of the drain.
    pub(crate) drain: watch::Receiver<bool>,
    /// For when there are no descriptors left.
    pub(super) reserve: Reserve,
    drain_own: watch::Sender<bool>,
    /// Set before `drain_own`.
    window: OnceLock<Window>,
    /// Its connections.
    open: Gauge,
    /// Its sockets.
    accepting: Gauge,
    /// When its connections are woken.
    pub(crate) seats: Arc<Seats>,
    /// Where heads are read. What of one is still incomplete goes with its connection.
    pub(crate) room: Mutex<Box<[u8]>>,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept from this socket.
    Listen(Arc<Listening>, Accepting),
    /// Accept from this socket no more.
    Leave(Arc<Listening>, Farewell),
    /// Come to an end.
    Retire(Retirement),
    /// End at once, whatever runs.
    Stop,
}

/// How a socket is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// After so long, and with an empty queue.
    After(Duration),
    /// At once: another process accepts from it, and what is queued is its affair.
    ToAnother,
}

/// How a worker comes to its end.
#[derive(Debug)]
pub(crate) struct Retirement {
    /// How long it goes on as before: connections may still be on their way to its sockets.
    pub(crate) settle: Duration,
    /// How long its connections may take to end after that.
    pub(crate) within: Duration,
    /// Where it takes orders.
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// How it is told things.
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    /// How its end is waited for.
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// What one read of a head may bring.
const ROOM: usize = 16 * 1024;
/// Upstream connections that one worker keeps for use again.
const POOLED: usize = 1024;

/// Starts worker number `number`.
pub(crate) fn start(number: usize, shared: Arc<Shared>) -> io::Result<WorkerHandle> {
    let (orders, inbox) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async move { Worker::new(shared).run(inbox).await });
        // Whatever still runs is dropped here, within bounds: a blocking task that hangs does not hold the exit.
        runtime.shutdown_timeout(Duration::from_millis(100));
    })?;
    Ok(WorkerHandle { orders, thread: Some(thread) })
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Arc<Self> {
        let conf = Arc::new(ServerConf {
            threads: 1,
            upstream_keepalive_pool_size: POOLED,
            // Our own tries bound it; Pingora only has to let them.
            max_retries: 32,
            ..ServerConf::default()
        });
        let (drain_own, drain) = watch::channel(false);
        let fetcher = Fetcher::new(drain.clone());
        let phases = Phases {
            cell: Arc::clone(&shared.cell),
            resident: Arc::clone(&shared.resident),
            nobody: Arc::clone(&shared.nobody),
            fetcher: Arc::clone(&fetcher),
        };
        let mut proxy = h2::http_proxy(
            &conf,
            phases,
            h2::Connector::new(Some(ConnectorOptions::from_server_conf(&conf))),
        );
        proxy.handle_init_modules();
        let proxy = Arc::new(proxy);
        fetcher.through(&proxy);
        let reserve = Reserve::default();
        reserve.fill();
        let (open, accepting) = Default::default();
        let connector = TransportConnector::new(None);
        let turns = tls::Turns::default();
        Arc::new(Self {
            shared,
            proxy,
            fetcher,
            connector,
            turns,
            drain,
            reserve,
            drain_own,
            window: OnceLock::new(),
            open,
            accepting,
            seats: Seats::new(),
            room: Mutex::new(vec![0; ROOM].into()),
        })
    }

    /// Whether everything is to come to its end.
    pub(crate) fn is_draining(&self) -> bool {
        *self.drain.borrow()
    }

    /// Wakes connections whose time is up, and those that wait for a request once everything drains, each at its turn.
    async fn watch(self: Arc<Self>) {
        let mut drain = self.drain.clone();
        let mut is_draining = false;
        loop {
            tokio::select! {
                () = self.seats.due() => {}
                _ = drain.wait_for(|drain| *drain), if !is_draining => {
                    is_draining = true;
                    if let Some(window) = self.window.get() {
                        self.seats.end_idle(*window);
                    }
                }
            }
            let walked = self.seats.walk();
            // Those who came together are late together.
            self.seats.lane.queue(walked.over);
            if let Some(burst_over) = self.shared.burst_over.get().filter(|_| walked.is_burst_over)
            {
                burst_over();
            }
        }
    }

    /// Obeys orders until told to stop.
    async fn run(self: Arc<Self>, mut inbox: mpsc::UnboundedReceiver<Order>) {
        tokio::spawn(Arc::clone(&self).drain_with_all());
        tokio::spawn(Arc::clone(&self).watch());
        let lane = Arc::clone(&self.seats.lane);
        tokio::spawn(async move { lane.let_go_on().await });
        let mut accepting: Vec<(Weak<Listening>, oneshot::Sender<Farewell>)> = Vec::new();
        while let Some(order) = inbox.recv().await {
            match order {
                Order::Listen(socket, counted) => {
                    let (leave, left) = oneshot::channel();
                    accepting.push((Arc::downgrade(&socket), leave));
                    self.accepting.up();
                    let worker = Arc::clone(&self);
                    tokio::spawn(async move {
                        Arc::clone(&worker).accept(socket, left).await;
                        worker.accepting.down();
                        drop(counted);
                    });
                }
                Order::Leave(socket, farewell) => {
                    let is_it =
                        |(known, _): &(Weak<Listening>, _)| known.as_ptr() == Arc::as_ptr(&socket);
                    if let Some(at) = accepting.iter().position(is_it) {
                        // A loop that has ended has left.
                        let _ = accepting.swap_remove(at).1.send(farewell);
                    }
                }
                Order::Retire(retirement) => {
                    tokio::spawn(Arc::clone(&self).retire(retirement));
                }
                Order::Stop => return,
            }
        }
    }

    /// Has this worker's connections come to their end when everything does.
    async fn drain_with_all(self: Arc<Self>) {
        let mut all = self.shared.drain.subscribe();
        if all.wait_for(|drain| *drain).await.is_ok() {
            self.begin_drain();
        }
    }

    /// Has connections let go from now on. A second drain cuts the first one short; its window stays.
    fn begin_drain(&self) {
        let spread = self.shared.cell.load().process.drain_spread;
        let _ = self.window.set(Window::new(spread));
        self.drain_own.send_replace(true);
    }

    /// Waits until nothing is accepted or served here any more, then stops.
    async fn retire(self: Arc<Self>, retirement: Retirement) {
        tokio::time::sleep(retirement.settle).await;
        self.begin_drain();
        let idle = async {
            while self.accepting.value() > 0
                || self.open.value() > 0
                || self.fetcher.running.value() > 0
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(retirement.within, idle).await.is_err() {
            let connections = self.open.value();
            tracing::warn!(connections, "a worker that was to end drops what it still serves");
        }
        // If nobody listens to orders, it has stopped.
        let _ = retirement.orders.send(Order::Stop);
    }

    /// Serves a connection in tasks of its own, with the settings of the snapshot in force.
    pub(super) fn serve(
        self: &Arc<Self>,
        listener: Arc<Listener>,
        stream: PlainStream,
        ends: Ends,
        admitted: Option<Box<Admitted>>,
    ) {
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let open = Open::count(self, admitted);
        Arrival { open, listener, stream, ends, number }.begin();
    }
}
