//! The connections to origins, by reuse hash.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use pingora_error::{Error, ErrorType};

use super::connection::{Connection, Driver, Lease};

/// Every connection that takes streams.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<HashMap<u64, Arc<Origin>>>>);

/// The connections to one origin.
#[derive(Default)]
pub(super) struct Origin {
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held while one is being opened: who comes meanwhile waits and shares it.
    opening: tokio::sync::Mutex<LastAttempt>,
    attempts: AtomicU64,
    /// Its last connection came out as HTTP/1, which is not shared: nobody waits for anybody.
    is_http1: AtomicBool,
}

/// How the last attempt to open a connection ended.
#[derive(Debug, Default)]
struct LastAttempt {
    number: u64,
    failure: Option<ErrorType>,
}

/// The turn to open a connection; others wait for it unless the origin speaks HTTP/1.
pub(super) struct Attempt<'a>(Option<tokio::sync::MutexGuard<'a, LastAttempt>>);

/// How opening a connection went.
pub(super) enum Opened {
    /// It can be shared.
    Http2,
    /// It cannot.
    Http1,
    /// There is none.
    Failed(ErrorType),
}

/// What to do for a stream.
pub(super) enum Turn<'a> {
    /// Use this connection.
    Share(Lease),
    /// Open one, and report it with [`Origin::opened`].
    Open(Attempt<'a>),
    /// The attempt that was waited for has failed, and so would the next.
    Fail(Box<Error>),
}

impl Pool {
    pub(super) fn origin(&self, reuse_hash: u64) -> Arc<Origin> {
        self.0.lock().entry(reuse_hash).or_default().clone()
    }

    /// A stream on a connection that is open already.
    pub(super) fn lease(&self, reuse_hash: u64) -> Option<Lease> {
        let origin = self.0.lock().get(&reuse_hash).cloned()?;
        origin.lease()
    }

    /// Keeps `connection` for others until it ends.
    pub(super) fn keep(&self, reuse_hash: u64, connection: &Arc<Connection>, driver: Driver) {
        let origin = self.origin(reuse_hash);
        origin.connections.lock().push(connection.clone());
        let (pool, connection) = (self.clone(), connection.clone());
        tokio::spawn(async move {
            driver.run().await;
            origin.connections.lock().retain(|kept| !Arc::ptr_eq(kept, &connection));
            pool.forget_unused(reuse_hash);
        });
    }

    /// Drops the entry of an origin that nobody uses, so that origins which come and go leave nothing behind.
    pub(super) fn forget_unused(&self, reuse_hash: u64) {
        let mut origins = self.0.lock();
        let is_unused = |origin: &Arc<Origin>| {
            // One for the map, one for the task that asks.
            Arc::strong_count(origin) <= 2 && origin.connections.lock().is_empty()
        };
        if origins.get(&reuse_hash).is_some_and(is_unused) {
            origins.remove(&reuse_hash);
        }
    }
}

#[cfg(test)]
impl Pool {
    /// How many origins are remembered.
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl Origin {
    fn lease(&self) -> Option<Lease> {
        self.connections.lock().iter().find_map(Connection::lease)
    }

    /// A stream on a connection that is open or just being opened by somebody else; else the turn to open one.
    pub(super) async fn turn(&self) -> Turn<'_> {
        let seen = self.attempts.load(Ordering::Acquire);
        if let Some(lease) = self.lease() {
            return Turn::Share(lease);
        }
        if self.is_http1.load(Ordering::Relaxed) {
            return Turn::Open(Attempt(None));
        }
        let last = self.opening.lock().await;
        if let Some(lease) = self.lease() {
            return Turn::Share(lease);
        }
        match &last.failure {
            Some(failure) if last.number > seen => Turn::Fail(
                Error::explain(failure.clone(), "an attempt to connect that others waited for")
                    .into_up(),
            ),
            _ => Turn::Open(Attempt(Some(last))),
        }
    }

    /// Records how opening a connection went, for those who wait for it.
    pub(super) fn opened(&self, attempt: Attempt<'_>, opened: Opened) {
        let number = self.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        let failure = match opened {
            Opened::Failed(failure) => Some(failure),
            Opened::Http1 | Opened::Http2 => {
                self.is_http1.store(matches!(opened, Opened::Http1), Ordering::Relaxed);
                None
            }
        };
        if let Some(mut last) = attempt.0 {
            *last = LastAttempt { number, failure };
        }
    }
}
