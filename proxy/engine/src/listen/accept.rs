//! Accepting: until the socket is to be left, everything drains, or descriptors run out, and beyond.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::admit;
use super::connection::Ends;
use super::proxy_protocol;
use super::reserve::{Remedy, Shortage, reset};
use super::socket::Listening;
use super::stream::PlainStream;
use super::worker::{Farewell, Worker};
use crate::snapshot::Listener;

/// An accepted connection, and who is at the other end; `None` on a Unix socket.
pub(crate) type Accepted = (OwnedFd, Option<SocketAddr>);

/// The connection that has waited longest.
pub(crate) fn accept(socket: &Listening) -> io::Result<Accepted> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(socket, flags)?;
    Ok((stream, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
}

/// Whose connection it is, if that is known before its first byte.
fn client(listener: &Listener, peer: Option<SocketAddr>) -> Option<IpAddr> {
    let settings = listener.plan.proxy_protocol.as_ref();
    let is_said = settings.is_some_and(|settings| proxy_protocol::is_expected(settings, peer));
    peer.filter(|_| !is_said).map(|peer| peer.ip())
}

/// Has tokio tell when connections wait.
#[expect(unsafe_code, reason = "tokio's own listeners would each take a descriptor more")]
fn watch(socket: Arc<Listening>) -> io::Result<AsyncFd<Arc<Listening>>> {
    // SAFETY: a `Listening` owns its descriptor for its whole life and always names that one, and what is returned holds it.
    let watched = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// Waits until another may be accepted; meanwhile those that come wait in the kernel.
async fn pace(socket: &Listening) {
    let now = Instant::now();
    let pause = socket.listener().limits.iter().map(|limits| limits.pause(now)).max();
    if let Some(pause) = pause.filter(|pause| !pause.is_zero()) {
        tokio::time::sleep(pause).await;
    }
}

/// The longest that a queue is emptied for while descriptors are short.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

impl Worker {
    /// Accepts until it is told to leave and the time it was given has passed, or until everything drains; then takes what the
    /// kernel has queued, unless that is another process's affair, and lets go of the socket.
    pub(crate) async fn accept(
        self: Arc<Self>,
        socket: Arc<Listening>,
        left: oneshot::Receiver<Farewell>,
    ) {
        let watched = match watch(Arc::clone(&socket)) {
            Ok(watched) => watched,
            Err(error) => {
                tracing::error!(listener = &*socket.listener().plan.name, %error, "cannot accept on a bound socket");
                return;
            }
        };
        let mut drain = self.shared.drain.subscribe();
        let leave = async {
            match left.await {
                Ok(Farewell::After(settle)) => {
                    tokio::time::sleep(settle).await;
                    false
                }
                Ok(Farewell::ToAnother) => true,
                // Whoever could say more is gone: at once.
                Err(_) => false,
            }
        };
        let is_handed_over = tokio::select! {
            biased;
            handed_over = leave => handed_over,
            _ = drain.wait_for(|drain| *drain) => false,
            () = self.accept_all(&watched) => false,
        };
        drop(watched);
        socket.disclaim();
        if !is_handed_over {
            self.take_queued(&socket).await;
        }
    }

    /// Accepts for ever. May be dropped wherever it waits.
    async fn accept_all(self: &Arc<Self>, watched: &AsyncFd<Arc<Listening>>) {
        let socket = watched.get_ref();
        let mut shortage = Shortage::default();
        loop {
            match watched.async_io(Interest::READABLE, |socket| accept(socket)).await {
                Ok(accepted) => {
                    if !shortage.is_new() {
                        shortage.end();
                        self.reserve.fill();
                        tracing::info!("accepting again");
                    }
                    self.take(socket, accepted);
                    pace(socket).await;
                }
                Err(error) => self.wait_out(&error, socket, &mut shortage).await,
            }
        }
    }

    /// Without descriptors or memory accepting fails at once: pauses, so as not to spin. Anything else is one client's affair.
    async fn wait_out(&self, error: &io::Error, socket: &Listening, shortage: &mut Shortage) {
        if !Shortage::is_told_by(error) {
            tracing::debug!(%error, "a connection was gone before it was accepted");
            return tokio::task::yield_now().await;
        }
        let metrics = &self.shared.resident.metrics;
        metrics.accept_failures.add();
        if shortage.is_new() {
            tracing::warn!(listener = &*socket.listener().plan.name, %error, "cannot accept");
        }
        let pause = match shortage.again(Instant::now()) {
            Remedy::Wait(pause) => pause,
            Remedy::Shed(pause) => {
                metrics.shed_connections.add_many(self.reserve.shed(socket));
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }

    /// What the kernel has queued, without waiting for more.
    async fn take_queued(self: &Arc<Self>, socket: &Listening) {
        let began = Instant::now();
        loop {
            match accept(socket) {
                Ok(accepted) => self.take(socket, accepted),
                Err(error) if Shortage::is_told_by(&error) && began.elapsed() < LAST_PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    // A Unix socket that is shut says this when it is empty.
                    io::ErrorKind::WouldBlock | io::ErrorKind::InvalidInput => return,
                    _ => {
                        let listener = &*socket.listener().plan.name;
                        return tracing::warn!(listener, %error, "connections that waited to be accepted are lost");
                    }
                },
            }
        }
    }

    /// Serves an accepted connection.
    fn take(self: &Arc<Self>, socket: &Listening, (stream, peer): Accepted) {
        let listener = socket.listener();
        let [own, process] = &listener.limits;
        let admitted = match admit::connection([own, process], client(&listener, peer)) {
            Ok(admitted) => admitted,
            Err(refused) => {
                self.shared.resident.metrics.refused_connection(refused);
                return reset(stream);
            }
        };
        let stream = match peer {
            Some(_) => tokio::net::TcpStream::from_std(stream.into()).map(PlainStream::Tcp),
            None => tokio::net::UnixStream::from_std(stream.into()).map(PlainStream::Unix),
        };
        match stream {
            Ok(stream) => {
                let local = match &stream {
                    PlainStream::Tcp(stream) => stream.local_addr().ok(),
                    PlainStream::Unix(_) => None,
                };
                self.serve(listener, stream, Ends { peer, local }, admitted);
            }
            Err(error) => tracing::warn!(%error, "an accepted connection cannot be served"),
        }
    }
}
