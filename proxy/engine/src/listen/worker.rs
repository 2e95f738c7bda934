//! Worker threads: one per core, each with its own runtime, sockets and connection pools. They share nothing that waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use switchback_conf::plan::ListenAddress;
use tokio::sync::{mpsc, watch};

use super::arrival::Arrival;
use super::connection::{Connection, Ends};
use super::drain::Window;
use super::handover::{self, ListeningSocket};
use super::socket::Bound;
use super::stream::PlainStream;
use crate::h2;
use crate::http::Phases;
use crate::metrics::Gauge;
use crate::snapshot::SnapshotCell;
use crate::snapshot::resident::Resident;

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
    /// Set before `drain`.
    pub(crate) drain_window: OnceLock<Window>,
    /// The last connection's serial number.
    pub(crate) connections: AtomicU64,
    /// Sockets that are accepted from.
    pub(crate) accepting: Gauge,
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
pub(crate) struct Open(Arc<Worker>);

impl Open {
    fn count(worker: &Arc<Worker>) -> Self {
        let metrics = &worker.shared.resident.metrics;
        metrics.connections.add();
        metrics.open_connections.up();
        Self(Arc::clone(worker))
    }

    /// Who serves it.
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.resident.metrics.open_connections.down();
    }
}

/// What one worker has for itself.
pub(crate) struct Worker {
    /// What all share.
    pub(crate) shared: Arc<Shared>,
    /// Pingora with the phases. One for each worker: a shared pool wakes other threads about once a request.
    pub(crate) proxy: Arc<HttpProxy<Phases, h2::Connector>>,
    /// Dials for tunnels.
    pub(crate) connector: TransportConnector,
    /// Told of the drain.
    pub(crate) drain: watch::Receiver<bool>,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept from this socket.
    Listen(Arc<ListenAddress>, Bound, Accepting),
    /// Stop accepting at this address.
    Unlisten(Arc<ListenAddress>),
    /// Stop accepting at this address, where another process goes on with the same sockets.
    Leave(Arc<ListenAddress>),
    /// Send a descriptor of every socket that is accepted from.
    Export(std::sync::mpsc::Sender<io::Result<ListeningSocket>>),
    /// End at once, whatever runs.
    Stop,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// How it is told things.
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    /// How its end is waited for.
    pub(crate) thread: Option<JoinHandle<()>>,
}

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
        let phases = Phases {
            cell: Arc::clone(&shared.cell),
            resident: Arc::clone(&shared.resident),
            nobody: Arc::clone(&shared.nobody),
        };
        let mut proxy = h2::http_proxy(
            &conf,
            phases,
            h2::Connector::new(Some(ConnectorOptions::from_server_conf(&conf))),
        );
        proxy.handle_init_modules();
        let proxy = Arc::new(proxy);
        let drain = shared.drain.subscribe();
        Arc::new(Self { shared, proxy, connector: TransportConnector::new(None), drain })
    }

    /// Obeys orders until told to stop.
    async fn run(self: Arc<Self>, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut accepting: Vec<Accepted> = Vec::new();
        while let Some(order) = inbox.recv().await {
            match order {
                Order::Listen(address, socket, counted) => {
                    accepting.extend(self.listen(address, socket, counted));
                }
                // Dropping the sender ends the accept loop.
                Order::Unlisten(address) => {
                    accepting.retain(|accepted| accepted.address != address)
                }
                Order::Leave(address) => accepting.retain(|accepted| {
                    let stays = accepted.address != address;
                    if !stays {
                        accepted.leave.send_replace(true);
                    }
                    stays
                }),
                Order::Export(sockets) => {
                    for socket in accepting.iter().filter_map(Accepted::export) {
                        // Whoever asked may have stopped waiting.
                        let _ = sockets.send(socket);
                    }
                }
                Order::Stop => return,
            }
        }
    }

    fn listen(
        self: &Arc<Self>,
        address: Arc<ListenAddress>,
        socket: Bound,
        counted: Accepting,
    ) -> Option<Accepted> {
        let socket = match Acceptor::new(socket) {
            Ok(socket) => Arc::new(socket),
            Err(error) => {
                tracing::error!(?address, %error, "cannot accept on a bound socket");
                return None;
            }
        };
        let (leave, stopped) = watch::channel(false);
        let accepted =
            Accepted { address: Arc::clone(&address), leave, socket: Arc::downgrade(&socket) };
        let accept = Arc::clone(self).accept(address, socket, stopped);
        tokio::spawn(async move {
            accept.await;
            drop(counted);
        });
        Some(accepted)
    }

    /// Accepts until the listener is removed or everything drains; then takes what the kernel has queued, and closes. What is
    /// queued on a socket that another process accepts from is left to that.
    async fn accept(
        self: Arc<Self>,
        address: Arc<ListenAddress>,
        socket: Arc<Acceptor>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = stopped.changed() => break,
                _ = drain.wait_for(|drain| *drain) => break,
            };
            match accepted {
                Ok((stream, ends)) => self.serve(&address, stream, ends),
                Err(error) => self.wait_out(&error).await,
            }
        }
        if *stopped.borrow() {
            return;
        }
        // Others hold it only between two awaits of this thread.
        let queued = Arc::try_unwrap(socket).map_err(|_| io::ErrorKind::ResourceBusy.into());
        match queued.and_then(Acceptor::queued) {
            Ok(queued) => {
                queued.into_iter().for_each(|(stream, ends)| self.serve(&address, stream, ends))
            }
            Err(error) => {
                tracing::warn!(?address, %error, "connections that waited to be accepted are lost")
            }
        }
    }

    /// Without descriptors or memory accepting fails at once: wait a little, so as not to spin.
    async fn wait_out(&self, error: &io::Error) {
        const SHORT_OF_SOMETHING: [i32; 4] =
            [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
        if error.raw_os_error().is_some_and(|code| SHORT_OF_SOMETHING.contains(&code)) {
            self.shared.resident.metrics.accept_failures.add();
            tracing::warn!(%error, "cannot accept");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Serves a connection in tasks of its own, with the settings of the snapshot in force.
    fn serve(self: &Arc<Self>, address: &ListenAddress, stream: PlainStream, ends: Ends) {
        let snapshot = self.shared.cell.load();
        let Some(listener) = snapshot.listeners.get(address).map(Arc::clone) else { return };
        let number = self.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let open = Open::count(self);
        Arrival { open, listener, stream, ends, number }.begin();
    }
}

/// What a worker accepts from, as its orders know it.
struct Accepted {
    address: Arc<ListenAddress>,
    /// Turned true to leave the queue to another process; dropped to have it emptied.
    leave: watch::Sender<bool>,
    socket: Weak<Acceptor>,
}

impl Accepted {
    fn export(&self) -> Option<io::Result<ListeningSocket>> {
        Some(handover::export(&self.address, &*self.socket.upgrade()?))
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// A socket that tokio watches.
enum Acceptor {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    fn new(socket: Bound) -> io::Result<Self> {
        match socket {
            Bound::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
            Bound::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<(PlainStream, Ends)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr().ok();
                Ok((PlainStream::Tcp(stream), Ends { peer: Some(peer), local }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((PlainStream::Unix(stream), Ends { peer: None, local: None }))
            }
        }
    }

    /// What the kernel has queued, without waiting: tokio has not heard of all of it yet. Closes the socket.
    fn queued(self) -> io::Result<Vec<(PlainStream, Ends)>> {
        let mut queued = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, peer)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let ends = Ends { peer: Some(peer), local: stream.local_addr().ok() };
                    queued.push((PlainStream::Tcp(tokio::net::TcpStream::from_std(stream)?), ends));
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let ends = Ends { peer: None, local: None };
                    queued
                        .push((PlainStream::Unix(tokio::net::UnixStream::from_std(stream)?), ends));
                }
            }
        }
        Ok(queued)
    }
}
