//! The fills in progress, by what they are for.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

use super::Outcome;
use super::reader::Reader;
use super::shared::{Filling, Shared};
use crate::entry::Meta;
use crate::key::Key;
use crate::policy::{selecting, selects};

/// All fills in progress of a process.
#[derive(Debug)]
pub struct Fills<F> {
    shards: Box<[Shard<F>]>,
    hasher: RandomState,
}

type Shard<F> = Mutex<HashMap<(usize, Key), Slot<F>>>;

/// The fills of one key.
#[derive(Debug)]
struct Slot<F> {
    fills: Vec<Arc<Shared<F>>>,
    /// What the last response was selected by, if one has come while there are fills.
    vary: Option<Box<[HeaderName]>>,
}

/// A response that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'w> {
    /// Which cache it is for: a number that no other has.
    pub zone: usize,
    /// What it is stored under.
    pub key: &'w Key,
    /// The fields of the request.
    pub request: &'w HeaderMap,
    /// A fill without a head holds others back for so long.
    pub age: Duration,
}

/// How a response that is wanted is come by.
#[derive(Debug)]
pub enum Joined<F> {
    /// It is on its way, or asked for.
    Follower(Reader<F>),
    /// Whoever asks has to fetch it.
    Leader(Filling<F>, Reader<F>),
}

/// A fill's place in the table. Dropped, it is found no more.
#[derive(Debug)]
pub(super) struct Listed<F> {
    fills: Arc<Fills<F>>,
    at: (usize, Key),
    shared: Arc<Shared<F>>,
}

/// Enough that workers seldom meet.
const SHARDS: usize = 64;

impl<F> Default for Fills<F> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }
}

impl<F: Clone> Fills<F> {
    /// Joins the fill that is to answer such a request, or begins one.
    #[must_use]
    pub fn join(self: &Arc<Self>, wish: Wish<'_>) -> Joined<F> {
        let at = (wish.zone, wish.key.clone());
        let mut shard = self.shard(&at).lock();
        let slot = shard.entry(at.clone()).or_insert_with(Slot::new);
        if let Some(fill) = slot.fills.iter().rev().find(|fill| slot.suits(fill, &wish)) {
            return Joined::Follower(Reader::new(Arc::clone(fill), false));
        }
        let shared = Shared::new(wish.request.clone());
        slot.fills.push(Arc::clone(&shared));
        drop(shard);
        let reader = Reader::new(Arc::clone(&shared), true);
        Joined::Leader(self.filling(at, shared), reader)
    }

    /// Begins a fill that nobody waits for, unless one that suits is in progress.
    #[must_use]
    pub fn refresh(self: &Arc<Self>, wish: Wish<'_>) -> Option<Filling<F>> {
        match self.join(wish) {
            Joined::Follower(_) => None,
            Joined::Leader(filling, _) => Some(filling),
        }
    }

    /// Whether a fill is in progress that is to answer such a request.
    #[must_use]
    pub fn has(&self, wish: Wish<'_>) -> bool {
        let at = (wish.zone, wish.key.clone());
        let shard = self.shard(&at).lock();
        shard.get(&at).is_some_and(|slot| slot.fills.iter().any(|fill| slot.suits(fill, &wish)))
    }

    /// Begins a fill that others do not find.
    #[must_use]
    pub fn alone(request: &HeaderMap) -> (Filling<F>, Reader<F>) {
        let shared = Shared::new(request.clone());
        let reader = Reader::new(Arc::clone(&shared), true);
        (Filling::new(shared, None), reader)
    }

    fn filling(self: &Arc<Self>, at: (usize, Key), shared: Arc<Shared<F>>) -> Filling<F> {
        let listed = Listed { fills: Arc::clone(self), at, shared: Arc::clone(&shared) };
        Filling::new(shared, Some(listed))
    }
}

impl<F> Fills<F> {
    /// Has nobody else find the fill that `reader` reads, which was for such a wish.
    pub fn forget(&self, wish: Wish<'_>, reader: &Reader<F>) {
        self.remove(&(wish.zone, wish.key.clone()), reader.shared());
    }

    fn remove(&self, at: &(usize, Key), fill: &Arc<Shared<F>>) {
        let mut shard = self.shard(at).lock();
        let Some(slot) = shard.get_mut(at) else { return };
        slot.fills.retain(|other| !Arc::ptr_eq(other, fill));
        if slot.fills.is_empty() {
            shard.remove(at);
        }
    }

    /// How many keys have fills in progress.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, at: &(usize, Key)) -> &Shard<F> {
        let hash = usize::try_from(self.hasher.hash_one(at) % SHARDS as u64).unwrap_or_default();
        #[expect(clippy::indexing_slicing, reason = "there are as many as the remainder is of")]
        &self.shards[hash]
    }
}

impl<F> Slot<F> {
    fn new() -> Self {
        Self { fills: Vec::new(), vary: None }
    }

    /// Whether the request may wait for this fill, or read from it.
    fn suits(&self, fill: &Shared<F>, wish: &Wish<'_>) -> bool {
        let state = fill.state.lock();
        match &state.outcome {
            Some(Outcome::Arrived(arrived)) => {
                let stored = arrived.stored.as_ref().filter(|_| state.has_beginning());
                stored.is_some_and(|meta| is_selected(meta, wish.request))
            }
            Some(_) => false,
            None if fill.begun.elapsed() > wish.age => false,
            // As far as is known.
            None => {
                let vary = self.vary.as_deref().unwrap_or_default();
                selects(vary, &selecting(vary, &fill.asked), wish.request)
            }
        }
    }
}

/// Whether what is stored with `meta` answers `request`.
pub(super) fn is_selected(meta: &Meta, request: &HeaderMap) -> bool {
    selects(&meta.vary, &meta.selected_by, request)
}

impl<F> Listed<F> {
    /// Notes what the response was selected by.
    pub(super) fn vary(&self, meta: &Meta) {
        if let Some(slot) = self.fills.shard(&self.at).lock().get_mut(&self.at) {
            slot.vary = Some(meta.vary.clone());
        }
    }
}

impl<F> Drop for Listed<F> {
    fn drop(&mut self) {
        self.fills.remove(&self.at, &self.shared);
    }
}
