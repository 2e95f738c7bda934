//! What the one who writes and those who read have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::pieces::Pieces;
use super::table::Listed;
use super::{Arrived, Outcome, WINDOW};

/// One fill.
#[derive(Debug)]
pub(super) struct Shared<F> {
    pub(super) state: Mutex<State<F>>,
    /// Told of the outcome, of pieces, and of the end.
    pub(super) news: Notify,
    /// Told when the slowest reader has moved on, or the last one has left.
    pub(super) room: Notify,
    /// The fields of the request that began it.
    pub(super) asked: HeaderMap,
    pub(super) begun: Instant,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct State<F> {
    pub(super) outcome: Option<Outcome<F>>,
    pub(super) pieces: Pieces,
    pub(super) end: Option<End>,
    /// How many bytes of body are held, at most, for those to come; `None` once it is a window.
    keeps: Option<u64>,
    /// How many readers are at which position.
    positions: BTreeMap<u64, usize>,
}

/// How a body has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    Broken,
}

/// Nobody wants the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody wants the response any more")]
pub struct Abandoned;

/// Where a response is written as it is received. Dropped before its end, it cuts its readers.
#[derive(Debug)]
pub struct Filling<F> {
    shared: Arc<Shared<F>>,
    /// Where others find it.
    listed: Option<Listed<F>>,
}

impl<F> Shared<F> {
    pub(super) fn new(asked: HeaderMap) -> Arc<Self> {
        let state = State {
            outcome: None,
            pieces: Pieces::default(),
            end: None,
            keeps: None,
            positions: BTreeMap::new(),
        };
        let (state, begun) = (Mutex::new(state), Instant::now());
        Arc::new(Self { state, news: Notify::new(), room: Notify::new(), asked, begun })
    }
}

impl<F> State<F> {
    /// Whether all of the body is there for whoever comes now.
    pub(super) fn has_beginning(&self) -> bool {
        self.pieces.start() == 0 && self.keeps.is_some()
    }

    pub(super) fn enter(&mut self, position: u64) {
        *self.positions.entry(position).or_default() += 1;
    }

    /// One reader goes from a position; tells whether the slowest may be another now.
    pub(super) fn leave(&mut self, position: u64) -> bool {
        let Some(count) = self.positions.get_mut(&position) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        let was_slowest = self.slowest() == Some(position);
        self.positions.remove(&position);
        was_slowest
    }

    fn slowest(&self) -> Option<u64> {
        self.positions.first_key_value().map(|(position, _)| *position)
    }

    fn is_shared(&self) -> bool {
        match &self.outcome {
            Some(Outcome::Arrived(arrived)) => arrived.stored.is_some(),
            // Nobody knows yet.
            None => true,
            Some(_) => false,
        }
    }

    /// Whether more may be written now.
    fn room(&mut self) -> Result<bool, Abandoned> {
        let Some(slowest) = self.slowest() else {
            if !self.is_shared() {
                return Err(Abandoned);
            }
            if self.keeps.is_none() {
                self.pieces.drop_before(self.pieces.end());
            }
            return Ok(true);
        };
        if self.keeps.is_some() {
            return Ok(true);
        }
        self.pieces.drop_before(slowest);
        Ok(self.pieces.end().saturating_sub(slowest) < WINDOW)
    }
}

impl<F> Filling<F> {
    pub(super) fn new(shared: Arc<Shared<F>>, listed: Option<Listed<F>>) -> Self {
        Self { shared, listed }
    }

    /// The head has arrived. Of a stored response up to `keeps` bytes of body are held for all who come while it arrives.
    pub fn arrive(&mut self, arrived: Arrived, keeps: u64) -> Arc<Arrived> {
        let arrived = Arc::new(arrived);
        let is_stored = arrived.stored.is_some();
        let fits = arrived.length.is_none_or(|length| length <= keeps);
        {
            let mut state = self.shared.state.lock();
            state.keeps = (is_stored && fits).then_some(keeps);
            state.outcome = Some(Outcome::Arrived(Arc::clone(&arrived)));
        }
        match (&mut self.listed, &arrived.stored) {
            (Some(listed), Some(meta)) if fits => listed.vary(meta),
            _ => self.listed = None,
        }
        self.shared.news.notify_waiters();
        arrived
    }

    /// There will be no body: this is all.
    pub fn settle(mut self, outcome: Outcome<F>) {
        self.shared.state.lock().outcome = Some(outcome);
        self.listed = None;
        self.shared.news.notify_waiters();
    }

    /// Gives readers the next bytes, once they may have them.
    ///
    /// # Errors
    /// All readers have left, and it is for nobody else.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Abandoned> {
        let shared = Arc::clone(&self.shared);
        loop {
            let room = shared.room.notified();
            if self.try_write(&bytes)? {
                shared.news.notify_waiters();
                return Ok(());
            }
            room.await;
        }
    }

    /// Takes the last bytes, for readers to be told of with the end: where a body has a length, its last byte is its end, and
    /// whoever has that may ask for the same again at once.
    ///
    /// # Errors
    /// All readers have left, and it is for nobody else.
    pub async fn write_last(&mut self, bytes: Bytes) -> Result<(), Abandoned> {
        let is_held = self.shared.state.lock().keeps.is_some();
        if is_held && self.try_write(&bytes)? {
            return Ok(());
        }
        self.write(bytes).await
    }

    fn try_write(&mut self, bytes: &Bytes) -> Result<bool, Abandoned> {
        let mut state = self.shared.state.lock();
        if !state.room()? {
            return Ok(false);
        }
        let end = state.pieces.end() + bytes.len() as u64;
        if state.keeps.is_some_and(|keeps| end > keeps) {
            // Too much to be held for others: they ask for themselves from now on.
            state.keeps = None;
            self.listed = None;
        }
        let keeps = state.keeps.is_some();
        state.pieces.push(bytes.clone(), keeps);
        Ok(true)
    }

    /// Waits until nobody wants the response, which may be never.
    pub async fn abandoned(&self) -> Abandoned {
        loop {
            let room = self.shared.room.notified();
            if let Err(abandoned) = self.shared.state.lock().room() {
                return abandoned;
            }
            room.await;
        }
    }

    /// How many bytes of body have arrived.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.state.lock().pieces.end()
    }

    /// The whole body, where it was held.
    #[must_use]
    pub fn body(&self) -> Option<Box<[Bytes]>> {
        let mut state = self.shared.state.lock();
        state.has_beginning().then(|| state.pieces.whole())
    }

    /// The body is whole. What is stored of it is stored by now, so that nobody asks again.
    pub fn finish(self) {
        self.shared.state.lock().end = Some(End::Whole);
    }
}

impl<F> Drop for Filling<F> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state.lock();
            state.outcome.get_or_insert(Outcome::Lost);
            state.end.get_or_insert(End::Broken);
        }
        self.listed = None;
        self.shared.news.notify_waiters();
    }
}
