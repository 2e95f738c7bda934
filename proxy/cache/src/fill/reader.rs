//! Reading a response while it arrives.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::Outcome;
use super::shared::{End, Shared};
use super::table::is_selected;

/// The response was cut: what was read of it is not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response was cut")]
pub struct Broken;

/// One who reads a response as it arrives. Its place holds back the one who writes, if that has to wait for the slowest.
#[derive(Debug)]
pub struct Reader<F> {
    shared: Arc<Shared<F>>,
    position: u64,
    is_first: bool,
}

impl<F: Clone> Reader<F> {
    pub(super) fn new(shared: Arc<Shared<F>>, is_first: bool) -> Self {
        shared.state.lock().enter(0);
        Self { shared, position: 0, is_first }
    }

    /// Whether the fill was begun for this one.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// What comes of it, once that is known.
    pub async fn outcome(&self) -> Outcome<F> {
        loop {
            let news = self.shared.news.notified();
            if let Some(outcome) = self.known() {
                return outcome;
            }
            news.await;
        }
    }

    /// What has come of it, if that is known.
    #[must_use]
    pub fn known(&self) -> Option<Outcome<F>> {
        let outcome = self.shared.state.lock().outcome.clone()?;
        match &outcome {
            Outcome::Arrived(arrived) if arrived.stored.is_none() && !self.is_first => {
                Some(Outcome::NotShared)
            }
            _ => Some(outcome),
        }
    }

    /// Whether what has come answers such a request too.
    #[must_use]
    pub fn answers(&self, request: &HeaderMap) -> bool {
        let state = self.shared.state.lock();
        let meta = match &state.outcome {
            Some(Outcome::Arrived(arrived)) => arrived.stored.as_deref(),
            Some(Outcome::Validated(entry)) => Some(&entry.meta),
            _ => None,
        };
        meta.is_none_or(|meta| is_selected(meta, request))
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The body was cut, or is not held from here.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let shared = Arc::clone(&self.shared);
        loop {
            let news = shared.news.notified();
            if let Some(next) = self.try_next() {
                return next;
            }
            news.await;
        }
    }

    /// The same, if it is there.
    pub fn try_next(&mut self) -> Option<Result<Option<Bytes>, Broken>> {
        let mut state = self.shared.state.lock();
        if let Some(bytes) = state.pieces.at(self.position) {
            let was_slowest = state.leave(self.position);
            self.position += bytes.len() as u64;
            state.enter(self.position);
            drop(state);
            if was_slowest {
                self.shared.room.notify_waiters();
            }
            return Some(Ok(Some(bytes)));
        }
        if self.position < state.pieces.start() {
            return Some(Err(Broken));
        }
        match state.end? {
            End::Whole if self.position <= state.pieces.end() => Some(Ok(None)),
            End::Whole | End::Broken => Some(Err(Broken)),
        }
    }

    /// Goes on from this byte of the body, which is not before where it is.
    pub fn skip_to(&mut self, position: u64) {
        let was_slowest = {
            let mut state = self.shared.state.lock();
            let was_slowest = state.leave(self.position);
            self.position = self.position.max(position);
            state.enter(self.position);
            was_slowest
        };
        if was_slowest {
            self.shared.room.notify_waiters();
        }
    }
}

impl<F> Drop for Reader<F> {
    fn drop(&mut self) {
        let was_slowest = self.shared.state.lock().leave(self.position);
        if was_slowest {
            self.shared.room.notify_waiters();
        }
    }
}
