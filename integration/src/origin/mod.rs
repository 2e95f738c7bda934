//! An origin that answers with scripted bytes and remembers what it was asked.

mod answer;
mod exchange;
mod received;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustls::ServerConfig;
use tempfile::TempDir;

pub use answer::{Answer, Choice, Step};
pub use received::Received;

use crate::Reply;
use crate::certs::Identity;
use crate::patience::Deadline;
use crate::stream::Stream;
use exchange::serve_connection;
use received::Ledger;

/// Where an origin listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// An address on loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    /// As an endpoint is written in the configuration.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "{address}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// An origin on loopback, a thread per connection. What has no answer of its own is echoed as JSON.
///
/// It goes away when dropped, and its connections with it.
pub struct Origin {
    endpoint: Endpoint,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    _directory: Option<TempDir>,
}

pub(crate) struct Shared {
    pub(crate) ledger: Ledger,
    answers: parking_lot::Mutex<Vec<(String, Answer)>>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
}

impl Shared {
    pub(crate) fn answer(&self, path: &str) -> Answer {
        let answers = self.answers.lock();
        let found = answers.iter().rev().find(|(known, _)| known == path || known == "*");
        found.map_or(Answer::Echo, |(_, answer)| answer.clone())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Origin {
    /// On a port of its own.
    #[must_use]
    pub fn start() -> Self {
        Self::start_tcp(None)
    }

    /// With TLS and this certificate.
    #[must_use]
    pub fn start_tls(identity: &Identity) -> Self {
        Self::start_tcp(Some(identity.server_config(&[b"http/1.1"])))
    }

    /// On a Unix socket.
    ///
    /// # Panics
    /// When no socket can be made.
    #[must_use]
    pub fn start_unix() -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        let path = directory.path().join("origin.sock");
        let listener = UnixListener::bind(&path).expect("a socket in an empty folder");
        let accept = move || listener.accept().map(|(stream, _)| Stream::Unix(stream));
        Self::run(Endpoint::Unix(path), None, Some(directory), accept)
    }

    /// Two on one port of different loopback addresses, 127.0.0.1 and 127.0.0.2; each says its name.
    ///
    /// # Panics
    /// When no port is free on both.
    #[must_use]
    pub fn two_on_one_port(names: [&str; 2]) -> (u16, [Self; 2]) {
        let found = (0..50).find_map(|_| {
            let one = TcpListener::bind("127.0.0.1:0").ok()?;
            let port = one.local_addr().ok()?.port();
            let other = TcpListener::bind(("127.0.0.2", port)).ok()?;
            Some((port, [one, other]))
        });
        let (port, [one, other]) = found.expect("a port on both");
        let [first, second] = names;
        let named = |listener, name| Self::on(listener).serve("*", Reply::ok(name));
        (port, [named(one, first), named(other, second)])
    }

    /// On this listener.
    #[must_use]
    pub fn on(listener: TcpListener) -> Self {
        Self::start_on(listener, None)
    }

    fn start_tcp(tls: Option<Arc<ServerConfig>>) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("a port on loopback"), tls)
    }

    fn start_on(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        let address = listener.local_addr().expect("a bound socket");
        let config = tls.clone();
        let accept = move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            match &config {
                None => Ok(Stream::Tcp(stream)),
                Some(config) => Stream::tls_server(stream, Arc::clone(config)),
            }
        };
        Self::run(Endpoint::Tcp(address), tls, None, accept)
    }

    fn run(
        endpoint: Endpoint,
        tls: Option<Arc<ServerConfig>>,
        directory: Option<TempDir>,
        mut accept: impl FnMut() -> std::io::Result<Stream> + Send + 'static,
    ) -> Self {
        let stopped = AtomicBool::new(false);
        let shared = Arc::new(Shared {
            ledger: Ledger::default(),
            answers: parking_lot::Mutex::default(),
            tls,
            stopped,
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            while let Ok(stream) = accept() {
                if accepting.is_stopped() {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || serve_connection(stream, &shared));
            }
        });
        Self { endpoint, shared, acceptor: Some(acceptor), _directory: directory }
    }

    /// With this answer for a path, `*` for all; the last one given holds.
    #[must_use]
    pub fn serve(self, path: &str, answer: impl Into<Answer>) -> Self {
        self.now_serve(path, answer);
        self
    }

    /// From now on with this answer for a path.
    pub fn now_serve(&self, path: &str, answer: impl Into<Answer>) {
        self.shared.answers.lock().push((path.to_owned(), answer.into()));
    }

    /// Where it listens, as the configuration writes it.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The TCP port.
    ///
    /// # Panics
    /// For an origin on a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        match &self.endpoint {
            Endpoint::Tcp(address) => address.port(),
            Endpoint::Unix(_) => panic!("a Unix socket has no port"),
        }
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.shared.tls.is_some()
    }

    /// The requests for this path that came whole, in order; `*` for all.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Received> {
        self.shared.ledger.requests(path)
    }

    /// The requests that came whole after the first `count`, in order.
    pub(crate) fn requests_after(&self, count: usize) -> Vec<Received> {
        self.shared.ledger.requests_after(count)
    }

    /// How many requests came whole.
    pub(crate) fn count(&self) -> usize {
        self.shared.ledger.count()
    }

    /// How many heads were read, whether or not a body followed.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.shared.ledger.heads()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.ledger.connections()
    }

    /// How many of them are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.ledger.open_connections()
    }

    /// When each answer began to be written.
    #[must_use]
    pub fn answer_times(&self) -> Vec<Instant> {
        self.shared.ledger.answer_times()
    }

    /// Waits until this many requests for `path` have come whole.
    ///
    /// # Panics
    /// When they do not.
    #[track_caller]
    pub fn wait_for_requests(&self, path: &str, count: usize) -> Vec<Received> {
        let ledger = &self.shared.ledger;
        if !ledger.wait(Deadline::soon(), |events| events.count(path) >= count) {
            panic!(
                "waited in vain for {count} requests for {path}; there were {}",
                self.requests(path).len()
            );
        }
        self.requests(path)
    }

    /// Waits until this many request heads have been read.
    ///
    /// # Panics
    /// When they do not come.
    #[track_caller]
    pub fn wait_for_heads(&self, count: usize) {
        let came = self.shared.ledger.wait(Deadline::soon(), |events| events.heads() >= count);
        assert!(came, "waited in vain for {count} request heads; there were {}", self.heads());
    }

    /// Waits until only this many connections are open.
    ///
    /// # Panics
    /// When more stay.
    #[track_caller]
    pub fn wait_for_open_connections(&self, count: usize) {
        let came = self.shared.ledger.wait(Deadline::soon(), |events| events.open() <= count);
        assert!(
            came,
            "waited in vain for {count} open connections; there are {}",
            self.open_connections()
        );
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.ledger.close_all();
        // One last connection wakes the acceptor, which then sees that it is to stop.
        let woken = match &self.endpoint {
            Endpoint::Tcp(address) => std::net::TcpStream::connect(address).is_ok(),
            Endpoint::Unix(path) => std::os::unix::net::UnixStream::connect(path).is_ok(),
        };
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ended = acceptor.join();
        }
    }
}
