//! What the one who writes and those who read have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::behind::Behind;
use super::budget::Share;
use super::pieces::Pieces;
use super::table::Listed;
use super::{Arrived, Holding, Outcome, WINDOW};

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
    /// What follows the body, once it is known.
    pub(super) trailers: Option<Box<HeaderMap>>,
    /// What is held in memory.
    keeps: Keeps,
    /// What may be.
    share: Share,
    /// The length of the body, where that is known.
    length: Option<u64>,
    /// Where else it is, if it is written to disk, or was until that failed.
    pub(super) behind: Option<Arc<Behind>>,
    /// How many readers are at which position.
    positions: BTreeMap<u64, usize>,
}

/// What is held in memory of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// All of it, while that is no more than so many bytes: for those to come too.
    All(u64),
    /// What is not on disk yet, and some of what was last; the disk has it for those to come.
    Newest,
    /// What the slowest reader has not read.
    Window,
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
            trailers: None,
            keeps: Keeps::Window,
            share: Share::default(),
            length: None,
            behind: None,
            positions: BTreeMap::new(),
        };
        let (state, begun) = (Mutex::new(state), Instant::now());
        Arc::new(Self { state, news: Notify::new(), room: Notify::new(), asked, begun })
    }
}

impl<F> State<F> {
    /// Whether all of the body is there for whoever comes now.
    pub(super) fn has_beginning(&self) -> bool {
        self.keeps != Keeps::Window
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

    /// One reader goes on by so many bytes; tells the same.
    pub(super) fn go(&mut self, position: &mut u64, bytes: u64) -> bool {
        let was_slowest = self.leave(*position);
        *position += bytes;
        self.enter(*position);
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

    fn is_abandoned(&self) -> bool {
        self.positions.is_empty() && !self.is_shared()
    }

    /// Whether more may be written now.
    fn has_room(&mut self, more: u64) -> bool {
        if let Keeps::All(most) = self.keeps {
            let end = self.pieces.end() + more;
            if end <= most && self.share.allows(end, self.length) {
                return true;
            }
            self.keeps = if self.behind.is_some() { Keeps::Newest } else { Keeps::Window };
        }
        self.let_go();
        let held = self.held();
        // Those who are behind have the disk.
        self.keeps == Keeps::Newest || (held < WINDOW && self.share.spares(held + 1))
    }

    /// Lets go of what nobody needs in memory.
    fn let_go(&mut self) {
        let unneeded = match self.keeps {
            Keeps::All(_) => return,
            Keeps::Newest => {
                let written = self.behind.as_ref().map_or(0, |behind| behind.written());
                let recent = if self.share.spares(WINDOW) { WINDOW } else { 0 };
                written.min(self.pieces.end().saturating_sub(recent))
            }
            Keeps::Window => self.slowest().unwrap_or(self.pieces.end()),
        };
        self.pieces.drop_before(unneeded);
        self.share.shrink_to(self.held());
    }

    pub(super) fn held(&self) -> u64 {
        self.pieces.end() - self.pieces.start()
    }

    /// Nothing more is written. What is held is its readers' from now on.
    fn end_as(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.share = Share::default();
        if self.keeps == Keeps::Newest {
            self.pieces.drop_before(self.behind.as_ref().map_or(0, |behind| behind.written()));
        }
    }
}

impl<F> Filling<F> {
    pub(super) fn new(shared: Arc<Shared<F>>, listed: Option<Listed<F>>) -> Self {
        Self { shared, listed }
    }

    /// The head has arrived, and its body is to be held as `holding` says; where it is not stored, that is a window of it.
    pub fn arrive(&mut self, arrived: Arrived, holding: Holding) -> Arc<Arrived> {
        let arrived = Arc::new(arrived);
        let fits = arrived.length.is_none_or(|length| length <= holding.most);
        let keeps = match (&arrived.stored, &holding.file) {
            (Some(_), _) if fits => Keeps::All(holding.most),
            (Some(_), Some(_)) => Keeps::Newest,
            _ => Keeps::Window,
        };
        {
            let mut state = self.shared.state.lock();
            state.keeps = keeps;
            state.share = holding.budget.map(Share::of).unwrap_or_default();
            state.length = arrived.length;
            state.behind = holding.file.map(Behind::new).map(Arc::new);
            state.outcome = Some(Outcome::Arrived(Arc::clone(&arrived)));
        }
        match (&mut self.listed, &arrived.stored) {
            (Some(listed), Some(meta)) if keeps != Keeps::Window => listed.vary(meta),
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
        let is_held = self.shared.state.lock().has_beginning();
        if is_held && self.try_write(&bytes)? {
            return Ok(());
        }
        self.write(bytes).await
    }

    fn try_write(&mut self, bytes: &Bytes) -> Result<bool, Abandoned> {
        let mut state = self.shared.state.lock();
        if state.is_abandoned() {
            return Err(Abandoned);
        }
        let has_room = state.has_room(bytes.len() as u64);
        if has_room {
            let keeps = matches!(state.keeps, Keeps::All(_));
            state.pieces.push(bytes.clone(), keeps);
        }
        let has_beginning = state.has_beginning();
        drop(state);
        if !has_beginning {
            // Too much to be held for others: they ask for themselves from now on.
            self.listed = None;
        }
        Ok(has_room)
    }

    /// The disk takes no more of it. What it has is still read; what follows is held in memory, as far as that goes.
    pub fn lose_file(&mut self) {
        let mut state = self.shared.state.lock();
        match state.keeps {
            Keeps::All(_) => state.behind = None,
            Keeps::Newest => state.keeps = Keeps::Window,
            Keeps::Window => {}
        }
        let has_beginning = state.has_beginning();
        drop(state);
        if !has_beginning {
            self.listed = None;
        }
    }

    /// Waits until nobody wants the response, which may be never.
    pub async fn abandoned(&self) -> Abandoned {
        loop {
            let room = self.shared.room.notified();
            if self.shared.state.lock().is_abandoned() {
                return Abandoned;
            }
            room.await;
        }
    }

    /// Whether anybody reads it now.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.shared.state.lock().positions.is_empty()
    }

    /// Whether all of it is there for whoever comes now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.state.lock().has_beginning()
    }

    /// How many bytes of body have arrived.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.state.lock().pieces.end()
    }

    /// How many of them are in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> u64 {
        self.shared.state.lock().held()
    }

    /// The whole body, where it was held.
    #[must_use]
    pub fn body(&self) -> Option<Box<[Bytes]>> {
        let mut state = self.shared.state.lock();
        matches!(state.keeps, Keeps::All(_)).then(|| state.pieces.whole())
    }

    /// What follows the body: for those who read it as it arrives, and for nobody later. To be said before the end.
    pub fn set_trailers(&mut self, trailers: HeaderMap) {
        self.shared.state.lock().trailers = Some(Box::new(trailers));
    }

    /// The body is whole. What is stored of it is stored by now, so that nobody asks again.
    pub fn finish(self) {
        self.shared.state.lock().end_as(End::Whole);
    }
}

impl<F> Drop for Filling<F> {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state.lock();
            state.outcome.get_or_insert(Outcome::Lost);
            state.end_as(End::Broken);
        }
        self.listed = None;
        self.shared.news.notify_waiters();
    }
}
