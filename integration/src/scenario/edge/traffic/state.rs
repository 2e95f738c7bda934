//! What the clients of one process share; they all run on one thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::watch;

use crate::certs::credulous_client_config;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Kept,
    KeptTls,
    Fresh,
    FreshTls,
    Http2,
    Upload,
    Guest,
    WebSocket,
    Download,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Kept,
        Self::KeptTls,
        Self::Fresh,
        Self::FreshTls,
        Self::Http2,
        Self::Upload,
        Self::Guest,
        Self::WebSocket,
        Self::Download,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kept => "on kept connections",
            Self::KeptTls => "on kept TLS connections",
            Self::Fresh => "on connections of their own",
            Self::FreshTls => "on TLS connections of their own",
            Self::Http2 => "over HTTP/2",
            Self::Upload => "uploads",
            Self::Guest => "to a listener that comes and goes",
            Self::WebSocket => "WebSockets",
            Self::Download => "slow downloads",
        }
    }

    /// How many clients do it at the same time.
    pub(super) fn clients(self) -> usize {
        match self {
            Self::Kept => 16,
            Self::KeptTls => 8,
            Self::Fresh | Self::Http2 | Self::Upload | Self::Guest => 2,
            Self::WebSocket | Self::Download => 3,
            Self::FreshTls => 1,
        }
    }
}

/// Where guests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guests {
    /// They go to this listener, and ask there.
    At(SocketAddr),
    /// They stay on the connections that they have.
    Stay,
    /// They leave.
    Home,
}

/// Why an answer was not the right one.
pub(super) type Failure = String;

pub(super) struct State {
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
    pub(super) http1: Arc<ClientConfig>,
    pub(super) http2: Arc<ClientConfig>,
    pub(super) guests: watch::Sender<Guests>,
    /// Guests whose connection is not established yet.
    pub(super) arriving: Cell<usize>,
    /// Guests who have one.
    pub(super) visiting: Cell<usize>,
    stopping: Cell<bool>,
    answered: [Cell<u64>; Kind::ALL.len()],
    failed: Cell<u64>,
    failures: RefCell<Vec<Failure>>,
}

/// How many failures are told in words.
const TOLD: usize = 20;

impl State {
    pub(super) fn new(plain: SocketAddr, tls: SocketAddr) -> Self {
        Self {
            plain,
            tls,
            http1: credulous_client_config(&[b"http/1.1"]),
            http2: credulous_client_config(&[b"h2"]),
            guests: watch::Sender::new(Guests::Home),
            arriving: Cell::new(0),
            visiting: Cell::new(0),
            stopping: Cell::new(false),
            answered: Default::default(),
            failed: Cell::new(0),
            failures: RefCell::default(),
        }
    }

    /// Counts one request.
    pub(super) fn count(&self, kind: Kind, outcome: Result<(), Failure>) {
        let Err(failure) = outcome else {
            let answered = &self.answered[kind as usize];
            return answered.set(answered.get() + 1);
        };
        self.failed.set(self.failed.get() + 1);
        if self.failed.get() <= TOLD as u64 {
            self.failures.borrow_mut().push(format!("{}: {failure}", kind.name()));
        }
    }

    /// Answered and failed.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.answered.iter().map(Cell::get).sum(), self.failed.get())
    }

    pub(super) fn answered(&self, kind: Kind) -> u64 {
        self.answered[kind as usize].get()
    }

    /// Failures that were not told yet.
    pub(super) fn new_failures(&self) -> Vec<Failure> {
        std::mem::take(&mut self.failures.borrow_mut())
    }

    pub(super) fn stop(&self) {
        self.stopping.set(true);
        // Guests that wait for an address wake up and see it.
        self.guests.send_modify(|_| ());
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }
}
