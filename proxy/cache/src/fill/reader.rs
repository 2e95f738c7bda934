//! Reading a response while it arrives.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::Outcome;
use super::behind::Behind;
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

/// What a reader does next.
enum Step {
    Next(Result<Option<Bytes>, Broken>),
    /// Reads what is on disk.
    Behind(Arc<Behind>),
    Wait,
}

impl<F: Clone> Reader<F> {
    pub(super) fn new(shared: Arc<Shared<F>>, is_first: bool) -> Self {
        shared.state.lock().enter(0);
        Self { shared, position: 0, is_first }
    }

    /// Another one who reads from where this one is.
    #[must_use]
    pub fn beside(&self) -> Self {
        self.shared.state.lock().enter(self.position);
        Self { shared: Arc::clone(&self.shared), position: self.position, is_first: false }
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

    /// The next bytes of the body; `None` at its end. Cancelling loses nothing.
    ///
    /// # Errors
    /// The body was cut, or is not held from here.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let shared = Arc::clone(&self.shared);
        loop {
            let news = shared.news.notified();
            match self.step() {
                Step::Next(next) => return next,
                Step::Behind(behind) => {
                    let bytes = behind.read(self.position).await.map_err(|_| Broken)?;
                    self.go(bytes.len() as u64);
                    return Ok(Some(bytes));
                }
                Step::Wait => news.await,
            }
        }
    }

    /// The same, if it is in memory.
    pub fn try_next(&mut self) -> Option<Result<Option<Bytes>, Broken>> {
        match self.step() {
            Step::Next(next) => Some(next),
            Step::Behind(_) | Step::Wait => None,
        }
    }

    fn step(&mut self) -> Step {
        let mut state = self.shared.state.lock();
        if let Some(bytes) = state.pieces.at(self.position) {
            let was_slowest = state.go(&mut self.position, bytes.len() as u64);
            drop(state);
            self.tell(was_slowest);
            return Step::Next(Ok(Some(bytes)));
        }
        if self.position < state.pieces.start() {
            let behind = state.behind.as_ref();
            let has_it = behind.filter(|behind| self.position < behind.written());
            return has_it.map_or(Step::Next(Err(Broken)), |it| Step::Behind(Arc::clone(it)));
        }
        match state.end {
            None => Step::Wait,
            Some(End::Whole) if self.position <= state.pieces.end() => Step::Next(Ok(None)),
            Some(End::Whole | End::Broken) => Step::Next(Err(Broken)),
        }
    }

    /// Waits until nothing more comes: what is stored of it is stored then. Reads nothing, and holds nobody back.
    pub fn ended(&self) -> impl Future<Output = ()> + use<F> {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let news = shared.news.notified();
                if shared.state.lock().end.is_some() {
                    return;
                }
                news.await;
            }
        }
    }

    /// What follows the body, to be asked for at its end.
    #[must_use]
    pub fn trailers(&self) -> Option<HeaderMap> {
        self.shared.state.lock().trailers.as_deref().cloned()
    }

    /// Goes on from this byte of the body, which is not before where it is.
    pub fn skip_to(&mut self, position: u64) {
        self.go(position.saturating_sub(self.position));
    }

    fn go(&mut self, bytes: u64) {
        let was_slowest = self.shared.state.lock().go(&mut self.position, bytes);
        self.tell(was_slowest);
    }

    fn tell(&self, was_slowest: bool) {
        if was_slowest {
            self.shared.room.notify_waiters();
        }
    }
}

impl<F> Reader<F> {
    pub(super) fn shared(&self) -> &Arc<Shared<F>> {
        &self.shared
    }

    /// How many bytes are in memory, of those that anybody reads.
    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.shared.state.lock().held()
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
