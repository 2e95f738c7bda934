//! The streams of one client's connection that somebody works for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Fields of all requests in hand, for each stream that there may be. Each takes a hundred bytes beside its text, so that
/// streams of tiny fields would make one connection cost several megabytes.
const FIELDS: usize = 64;
/// How long a request may wait for the first answer of its connection.
const FIRST: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    count: AtomicUsize,
    last_closed: Notify,
    fields: AtomicUsize,
    /// Whether an answer has gone out in full.
    proved: AtomicBool,
    proof: Notify,
    /// Answers not taken in time.
    stalled: AtomicUsize,
    stall: Notify,
}

impl OpenStreams {
    /// Whether another request with so many fields may come. A stream that was reset counts until nobody works for it.
    pub(super) fn has_room(&self, fields: usize, max_streams: u32) -> bool {
        let max_streams = max_streams as usize;
        self.count.load(Ordering::Acquire) < max_streams
            && self.fields.load(Ordering::Acquire) + fields <= max_streams.saturating_mul(FIELDS)
    }

    /// Waits until no stream has been open for `limit`; starts anew with every stream, as the accept loop does.
    pub(super) async fn idle(&self, limit: Duration) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.last_closed.notified().await;
        }
        sleep(limit).await;
    }

    /// Waits until so many answers were not taken in time.
    pub(super) async fn stalled(&self, limit: usize) {
        while self.stalled.load(Ordering::Acquire) < limit {
            self.stall.notified().await;
        }
    }
}

/// Counts a stream as open until dropped.
#[derive(Debug)]
pub(super) struct Open {
    streams: Arc<OpenStreams>,
    fields: usize,
    /// Whether it comes among the first, and so many came before it that it has to wait.
    waits: bool,
}

impl Open {
    pub(super) fn new(streams: &Arc<OpenStreams>, fields: usize, first: u32) -> Self {
        let before = streams.count.fetch_add(1, Ordering::AcqRel);
        streams.fields.fetch_add(fields, Ordering::AcqRel);
        let waits = before >= first as usize && !streams.proved.load(Ordering::Acquire);
        Self { streams: Arc::clone(streams), fields, waits }
    }

    /// Waits until the stream may be worked for.
    pub(super) async fn turn(&self) {
        if !self.waits {
            return;
        }
        let proved = async {
            loop {
                let proof = self.streams.proof.notified();
                if self.streams.proved.load(Ordering::Acquire) {
                    return;
                }
                proof.await;
            }
        };
        // Those before it may take their time, as streams of messages do: it does not wait for ever.
        let _ = timeout(FIRST, proved).await;
    }

    /// Its answer has gone out in full.
    pub(super) fn answered(&self) {
        if !self.streams.proved.swap(true, Ordering::AcqRel) {
            self.streams.proof.notify_waiters();
        }
    }

    /// Its answer was not taken in time.
    pub(super) fn stalled(&self) {
        self.streams.stalled.fetch_add(1, Ordering::AcqRel);
        self.streams.stall.notify_one();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.fields.fetch_sub(self.fields, Ordering::AcqRel);
        if self.streams.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.streams.last_closed.notify_one();
        }
    }
}
