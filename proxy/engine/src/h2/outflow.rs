//! The sending half of a stream, with a bound on what waits for the peer's window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::open::Ledger;

/// Bytes that may wait for the peer's window before a writer has to wait too. Holds what Pingora's queue between the
/// two directions can release at once (five frames of 16 KiB), so that a gated reader never makes a writer wait.
const MAX_WAITING: usize = 128 * 1024;

/// A peer makes progress when it takes this much: what waits is handed to `h2` in such steps, which alone can be observed.
const STEP: usize = 16 * 1024;

/// How often a task looks after what is kept, if nothing wakes it.
const PULSE: Duration = Duration::from_millis(200);

/// Why bytes could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The peer has reset the stream, or its connection is gone.
    Closed,
    /// The peer opened no window for as long as it was given.
    TimedOut,
}

/// How far the end of the stream has got.
#[derive(Debug)]
enum End {
    /// More may follow.
    Open,
    /// Follows when all bytes have found a window: what was queued by then has been timed.
    Due(Option<HeaderMap>),
    /// END_STREAM or RST_STREAM is on its way, or the peer has closed.
    Over,
}

/// Clones share one stream.
#[derive(Clone, Debug)]
pub(super) struct Outflow(Arc<Mutex<Flow>>);

#[derive(Debug)]
struct Flow {
    stream: SendStream<Bytes>,
    /// Bytes handed to `h2` since all of them last had a window.
    waiting: usize,
    /// What comes after them.
    kept: VecDeque<Bytes>,
    /// How much that is.
    kept_bytes: usize,
    /// Since when the step at hand waits.
    since: Instant,
    last_write: Instant,
    end: End,
    /// Whether END_STREAM is on its way.
    is_whole: bool,
    /// Whether a task hands on what is kept.
    is_driven: bool,
    /// Who else waits for a window: that task is woken in its place.
    waker: Option<Waker>,
    /// Where the connection keeps account of it, if it does.
    ledger: Option<Ledger>,
}

impl Outflow {
    pub(super) fn new(stream: SendStream<Bytes>) -> Self {
        Self::accounted(stream, None)
    }

    /// What waits and what is taken is told to `ledger`.
    pub(super) fn accounted(stream: SendStream<Bytes>, ledger: Option<Ledger>) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(Flow {
            stream,
            waiting: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            since: now,
            last_write: now,
            end: End::Open,
            is_whole: false,
            is_driven: false,
            waker: None,
            ledger,
        })))
    }

    /// For a stream whose headers carried END_STREAM.
    pub(super) fn ended(stream: SendStream<Bytes>) -> Self {
        let outflow = Self::new(stream);
        {
            let mut flow = outflow.0.lock();
            (flow.end, flow.is_whole) = (End::Over, true);
        }
        outflow
    }

    /// Whether the end has been sent, and no reset before it.
    pub(super) fn is_whole(&self) -> bool {
        self.0.lock().is_whole
    }

    /// Hands `data` over, waiting while too much waits already, at most for `limit` without progress.
    pub(super) async fn write(&self, data: Bytes, limit: Duration) -> Result<(), Refusal> {
        if data.is_empty() {
            return Ok(());
        }
        let mut data = Some(data);
        let written = std::future::poll_fn(|cx| {
            let mut flow = self.0.lock();
            let written = flow.poll_write(cx, &mut data);
            flow.remember(cx, written.is_pending());
            written
        });
        self.in_time(limit, written).await?;
        self.drive();
        Ok(())
    }

    /// Hands on what is kept as windows open: the writer may be busy elsewhere by then.
    fn drive(&self) {
        let mut flow = self.0.lock();
        if flow.kept.is_empty() || std::mem::replace(&mut flow.is_driven, true) {
            return;
        }
        let outflow = self.clone();
        tokio::spawn(async move {
            let flushed = std::future::poll_fn(|cx| outflow.0.lock().poll_flushed(cx));
            let mut flushed = std::pin::pin!(flushed);
            // `h2` wakes only who asked last, which may be a writer that has turned away since.
            while timeout(PULSE, flushed.as_mut()).await.is_err() {}
            outflow.0.lock().driven();
        });
    }

    /// Hands the last bytes over, with END_STREAM on them if there is a window for all of them now.
    pub(super) async fn write_last(&self, data: Bytes, limit: Duration) -> Result<(), Refusal> {
        if self.0.lock().send_whole(&data) {
            return Ok(());
        }
        self.write(data, limit).await?;
        self.end(None)
    }

    /// Ends the stream once all bytes have found a window, which [`Outflow::poll_flushed`] brings about.
    pub(super) fn end(&self, trailers: Option<HeaderMap>) -> Result<(), Refusal> {
        self.0.lock().end_with(trailers)
    }

    /// Ready when every byte has found a window and the end, if it is due, has been sent; or when the peer has closed.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let mut flow = self.0.lock();
        let flushed = flow.poll_flushed(cx);
        flow.remember(cx, flushed.is_pending());
        flushed
    }

    /// Waits for [`Outflow::poll_flushed`], at most for `limit` without progress.
    pub(super) async fn flushed(&self, limit: Duration) -> Result<(), Refusal> {
        self.in_time(limit, std::future::poll_fn(|cx| self.poll_flushed(cx))).await
    }

    /// Does `step` unless the peer makes no progress for `limit`.
    async fn in_time(
        &self,
        limit: Duration,
        step: impl Future<Output = Result<(), Refusal>>,
    ) -> Result<(), Refusal> {
        let mut step = std::pin::pin!(step);
        loop {
            let deadline = self.deadline(limit).unwrap_or_else(|| Instant::now() + limit);
            if let Ok(done) = timeout_at(deadline, step.as_mut()).await {
                return done;
            }
            if self.deadline(limit).is_none_or(|deadline| deadline <= Instant::now()) {
                return Err(Refusal::TimedOut);
            }
        }
    }

    /// Until when the next 16 KiB of what waits have to find their window. `None` while nothing waits.
    pub(super) fn deadline(&self, limit: Duration) -> Option<Instant> {
        let flow = self.0.lock();
        (flow.pending() > 0 && !flow.is_over()).then(|| flow.since + limit)
    }

    /// Whether the end or a reset has been sent, or the peer has closed.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().is_over()
    }

    /// When bytes were last handed over.
    pub(super) fn last_write(&self) -> Instant {
        self.0.lock().last_write
    }

    /// Gives the stream up. Does nothing when its end has been sent.
    pub(super) fn reset(&self, reason: Reason) {
        let mut flow = self.0.lock();
        if !flow.is_over() {
            flow.close();
            flow.stream.send_reset(reason);
        }
    }

    /// Cancels what the peer has still to send, even when our side has ended.
    pub(super) fn cancel(&self) {
        let mut flow = self.0.lock();
        flow.close();
        flow.stream.send_reset(Reason::CANCEL);
    }

    /// Ready when the peer has reset the stream or its connection is gone.
    pub(super) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<Reason, h2::Error>> {
        self.0.lock().stream.poll_reset(cx)
    }
}

impl Flow {
    fn is_over(&self) -> bool {
        matches!(self.end, End::Over)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Option<Bytes>,
    ) -> Poll<Result<(), Refusal>> {
        let Some(chunk) = data.take() else { return Poll::Ready(Ok(())) };
        let fits = self.pending() + chunk.len() <= MAX_WAITING;
        if !matches!(self.end, End::Open) {
            return Poll::Ready(Err(Refusal::Closed));
        }
        if !fits && self.poll_window(cx)?.is_pending() {
            *data = Some(chunk);
            return Poll::Pending;
        }
        Poll::Ready(self.send(chunk))
    }

    /// Tells the connection whether bytes wait.
    fn account(&mut self) {
        let waits = self.pending() > 0 && !self.is_over();
        if let Some(ledger) = &mut self.ledger {
            ledger.waits(waits);
        }
    }

    fn remember(&mut self, cx: &Context<'_>, waits: bool) {
        self.account();
        if waits {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// The task that hands on what is kept has done so.
    fn driven(&mut self) {
        self.is_driven = false;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Bytes that have not found a window yet.
    fn pending(&self) -> usize {
        self.waiting + self.kept_bytes
    }

    fn send(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.last_write = Instant::now();
        if self.pending() == 0 && self.has_window_for(chunk.len()) {
            return self.hand_over(chunk);
        }
        self.kept_bytes += chunk.len();
        self.kept.push_back(chunk);
        while self.waiting == 0 || self.has_window() {
            if !self.step()? {
                break;
            }
        }
        Ok(())
    }

    /// Hands the next step to `h2`; says whether there was one.
    fn step(&mut self) -> Result<bool, Refusal> {
        let Some(mut chunk) = self.kept.pop_front() else { return Ok(false) };
        if chunk.len() > STEP {
            self.kept.push_front(chunk.split_off(STEP));
        }
        self.kept_bytes -= chunk.len();
        self.hand_over(chunk)?;
        Ok(true)
    }

    fn hand_over(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.since = Instant::now();
        self.waiting += chunk.len();
        self.stream.send_data(chunk, false).map_err(|_| self.close())
    }

    /// Whether `data` went out at once, END_STREAM included.
    fn send_whole(&mut self, data: &Bytes) -> bool {
        let may_send = self.pending() == 0 && !data.is_empty() && matches!(self.end, End::Open);
        if !may_send || !self.has_window_for(data.len()) {
            return false;
        }
        (self.end, self.is_whole) = (End::Over, true);
        self.last_write = Instant::now();
        if let Some(ledger) = &self.ledger {
            ledger.taken(data.len());
        }
        self.stream.send_data(data.clone(), true).is_ok()
    }

    fn end_with(&mut self, trailers: Option<HeaderMap>) -> Result<(), Refusal> {
        if !matches!(self.end, End::Open) {
            return Ok(());
        }
        while self.pending() > 0 {
            if self.waiting > 0 && !self.has_window() {
                self.end = End::Due(trailers);
                return Ok(());
            }
            self.step()?;
        }
        self.send_end(trailers)
    }

    fn send_end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Refusal> {
        (self.end, self.is_whole) = (End::Over, true);
        self.account();
        match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        }
        .map_err(|_| Refusal::Closed)
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        if self.poll_window(cx)?.is_pending() {
            return Poll::Pending;
        }
        match std::mem::replace(&mut self.end, End::Open) {
            End::Due(trailers) => Poll::Ready(self.send_end(trailers)),
            end @ (End::Open | End::Over) => {
                self.end = end;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Ready when every byte has a window.
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        while self.pending() > 0 {
            if self.waiting > 0 && !self.has_window() {
                match std::task::ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => self.all_sent(),
                    Some(Err(_)) | None => return Poll::Ready(Err(self.close())),
                }
            }
            self.step()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether so many bytes may go at once, if none waits.
    fn has_window_for(&mut self, length: usize) -> bool {
        self.stream.reserve_capacity(length);
        self.stream.capacity() >= length
    }

    /// Asks for one byte more than waits: having it means that all before it have theirs.
    fn has_window(&mut self) -> bool {
        self.stream.reserve_capacity(1);
        let has_window = self.stream.capacity() > 0;
        if has_window {
            self.all_sent();
        }
        has_window
    }

    fn all_sent(&mut self) {
        if let Some(ledger) = &self.ledger {
            ledger.taken(self.waiting);
        }
        self.waiting = 0;
        // An idle stream keeps nothing of the window its siblings need.
        self.stream.reserve_capacity(0);
    }

    fn close(&mut self) -> Refusal {
        self.end = End::Over;
        (self.kept, self.kept_bytes) = (VecDeque::new(), 0);
        self.account();
        Refusal::Closed
    }
}
