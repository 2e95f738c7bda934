//! The streams of one client's connection that somebody works for, and what they hold for it.
//!
//! An answer that its client does not take is held here: up to half a megabyte, most of it in the queue between the two
//! directions, which reads ahead. A hundred of them would be fifty megabytes for a few hundred bytes of requests. So a
//! connection begins few requests at once and more as it takes their answers, and none while more answers wait than it has
//! earned. What is begun already can only be waited for: [`OpenStreams::crammed`] says when that is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

/// Fields of all requests in hand, for each stream that there may be. Each takes a hundred bytes beside its text, so that
/// streams of tiny fields would make one connection cost several megabytes.
const FIELDS: usize = 64;
/// How long a request may wait for others of its connection to be answered, unless their answers are not taken.
const FIRST: Duration = Duration::from_millis(200);
/// Those that have waited so long begin one by one: by then it shows what the one before does.
const STEP: Duration = Duration::from_millis(10);
/// How many more requests may be in progress for each that was answered in full.
const FOR_ANSWER: usize = 4;
/// How many bytes taken allow one more in progress, and one more answer to wait for its window: more than it then holds.
const PRICE: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct OpenStreams {
    /// Requests at once before any was answered, and answers that may wait before any was taken.
    first: usize,
    count: AtomicUsize,
    last_closed: Notify,
    fields: AtomicUsize,
    /// Of the streams, those that are worked for.
    begun: AtomicUsize,
    /// Answers of which bytes wait for a window.
    waiting: AtomicUsize,
    /// Answers that have gone out in full.
    answered: AtomicUsize,
    /// Bytes of answers that have found a window.
    taken: AtomicU64,
    /// Something of this has changed.
    change: Notify,
    /// Who begins next of those that have waited for long.
    late: Semaphore,
    /// Answers not taken in time.
    stalled: AtomicUsize,
    stall: Notify,
}

impl OpenStreams {
    pub(super) fn new(first: u32) -> Self {
        Self {
            first: first as usize,
            count: AtomicUsize::new(0),
            last_closed: Notify::new(),
            fields: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            change: Notify::new(),
            late: Semaphore::new(1),
            stalled: AtomicUsize::new(0),
            stall: Notify::new(),
        }
    }

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

    /// Waits until for `limit` nothing was taken, while more was asked for than may wait.
    pub(super) async fn crammed(&self, limit: Duration) {
        loop {
            let change = self.change.notified();
            if !self.is_full() {
                change.await;
                continue;
            }
            let before = self.taken.load(Ordering::Acquire);
            sleep(limit).await;
            let is_asked = self.begun.load(Ordering::Acquire) < self.count.load(Ordering::Acquire)
                || self.waiting.load(Ordering::Acquire) > self.may_wait();
            if is_asked && self.is_full() && self.taken.load(Ordering::Acquire) == before {
                return;
            }
        }
    }

    /// How many answers may wait for windows before no more requests are begun.
    fn may_wait(&self) -> usize {
        self.first.saturating_add(self.paid())
    }

    /// How many more than the first may be in progress, or wait, for what was taken.
    fn paid(&self) -> usize {
        let paid = self.taken.load(Ordering::Acquire) / PRICE;
        usize::try_from(paid).unwrap_or(usize::MAX)
    }

    fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= self.may_wait()
    }

    /// Whether one more request may begin at once.
    fn has_turn(&self) -> bool {
        let answered = self.answered.load(Ordering::Acquire).saturating_mul(FOR_ANSWER);
        let may_begin = self.first.saturating_add(answered).saturating_add(self.paid());
        self.begun.load(Ordering::Acquire) < may_begin && !self.is_full()
    }

    /// Waits until `ready`, at most until `deadline`; says whether it is.
    async fn until(&self, ready: fn(&Self) -> bool, deadline: Instant) -> bool {
        loop {
            let change = self.change.notified();
            if ready(self) {
                return true;
            }
            if timeout_at(deadline, change).await.is_err() {
                return ready(self);
            }
        }
    }
}

/// Counts a stream as open until dropped.
#[derive(Debug)]
pub(super) struct Open {
    streams: Arc<OpenStreams>,
    fields: usize,
    /// Whether it is worked for.
    is_begun: bool,
}

impl Open {
    pub(super) fn new(streams: &Arc<OpenStreams>, fields: usize) -> Self {
        streams.count.fetch_add(1, Ordering::AcqRel);
        streams.fields.fetch_add(fields, Ordering::AcqRel);
        Self { streams: Arc::clone(streams), fields, is_begun: false }
    }

    /// Waits until the stream may be worked for. Ends at the latest with the connection.
    pub(super) async fn turn(&mut self) {
        let streams = &self.streams;
        if !streams.until(OpenStreams::has_turn, Instant::now() + FIRST).await {
            // Never closed, so this cannot fail.
            let _turn = streams.late.acquire().await;
            // Those before it may take their time, as streams of messages do.
            sleep(STEP).await;
            while streams.is_full() {
                streams.until(|streams| !streams.is_full(), Instant::now() + FIRST).await;
            }
        }
        streams.begun.fetch_add(1, Ordering::AcqRel);
        self.is_begun = true;
    }

    /// For the account of its answer.
    pub(super) fn ledger(&self) -> Ledger {
        Ledger { streams: Arc::clone(&self.streams), waits: false }
    }

    /// Its answer has gone out in full.
    pub(super) fn answered(&self) {
        self.streams.answered.fetch_add(1, Ordering::AcqRel);
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
        if self.is_begun {
            self.streams.begun.fetch_sub(1, Ordering::AcqRel);
            self.streams.change.notify_waiters();
        }
        if self.streams.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.streams.last_closed.notify_one();
        }
    }
}

/// What one answer holds, and what is taken of it, in the account of its connection.
#[derive(Debug)]
pub(super) struct Ledger {
    streams: Arc<OpenStreams>,
    waits: bool,
}

impl Ledger {
    /// Whether bytes of it wait for a window.
    pub(super) fn waits(&mut self, waits: bool) {
        if self.waits == waits {
            return;
        }
        self.waits = waits;
        if waits {
            self.streams.waiting.fetch_add(1, Ordering::AcqRel);
        } else {
            self.streams.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        self.streams.change.notify_waiters();
    }

    /// So many bytes have found a window.
    pub(super) fn taken(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.streams.taken.fetch_add(bytes, Ordering::AcqRel);
        if before / PRICE != (before + bytes) / PRICE {
            self.streams.change.notify_waiters();
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.waits(false);
    }
}
