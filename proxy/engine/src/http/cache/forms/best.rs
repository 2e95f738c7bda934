//! A form that is asked for again is made once more, as small as can be, by threads beside the way.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use switchback_cache::fill::{Filling, Wish as Fill};
use switchback_cache::{Entry, Key};
use tokio::sync::oneshot;

use super::super::Failure;
use super::beside::{self, Kept};
use super::{Effort, Wish};
use crate::encoders::{Alarm, Busy};
use crate::http::context::Context;
use crate::http::encode::forms::Task;
use crate::snapshot::caches::CacheSettings;
use crate::snapshot::resident::Resident;

/// A form that is made again.
struct Again {
    resident: Arc<Resident>,
    settings: Arc<CacheSettings>,
    wish: Wish,
    original: Arc<Entry>,
    /// While it is there, nobody else does the same.
    _claim: Filling<Failure>,
}

/// With which hit a form is made again.
const HITS: u32 = 2;
/// Larger originals stay as they were made first: they would wait in memory for their turn.
const MOST: u64 = 8 * 1024 * 1024;
/// For how long nobody tries again what has failed.
const PASS: Duration = Duration::from_mins(10);
/// The same where too much else was to be done.
const BUSY: Duration = Duration::from_secs(1);
/// For how long one who makes it keeps others from it.
const AGE: Duration = Duration::from_hours(1);

/// Whether a form is ever to be made again.
pub(super) fn is_due(wish: &Wish, entry: &Entry, original: &Entry, context: &Context) -> bool {
    Effort::of(entry.meta.body) != Effort::Best
        && original.length <= MOST
        && wish.form.can_be_better(context)
}

/// Has a form that was hit made again, if it is time for that.
pub(super) fn consider(
    wish: &Wish,
    original: &Arc<Entry>,
    settings: &Arc<CacheSettings>,
    context: &Context,
) {
    let zone = &settings.zone.stored;
    if zone.count_use(&wish.key) < HITS {
        return;
    }
    let claimed = claimed(wish);
    if zone.is_pass(&claimed, SystemTime::now()) {
        return;
    }
    let none = HeaderMap::new();
    let fill = Fill { zone: settings.zone.number, key: &claimed, request: &none, age: AGE };
    let Some(claim) = context.resident.fills.refresh(fill) else { return };
    let Some(task) = wish.form.best(original.length, context) else { return };
    let again = Again {
        resident: Arc::clone(&context.resident),
        settings: Arc::clone(settings),
        wish: wish.clone(),
        original: Arc::clone(original),
        _claim: claim,
    };
    tokio::spawn(again.run(task));
}

impl Again {
    async fn run(self, task: Task) {
        let zone = &self.settings.zone.stored;
        let pass = match self.make(task).await {
            Made::Done(body) => return self.store(body).await,
            Made::Busy => BUSY,
            Made::Failed => PASS,
        };
        zone.mark_pass(&claimed(&self.wish), SystemTime::now() + pass);
    }

    async fn make(&self, task: Task) -> Made {
        let Some(original) = self.read().await else { return Made::Failed };
        let (made, is_made) = oneshot::channel();
        let room = task.room();
        let job = move |alarm: &Alarm| {
            // Whoever waits for it may have ended.
            drop(made.send(task.run(&original, || alarm.rings())));
        };
        if self.resident.encoders.submit(room, job) == Err(Busy) {
            return Made::Busy;
        }
        is_made.await.ok().flatten().map_or(Made::Failed, Made::Done)
    }

    async fn read(&self) -> Option<Vec<Bytes>> {
        let (mut pieces, mut read) = (beside::pieces(&self.original), Vec::new());
        while let Some(piece) = pieces.next().await.ok()? {
            read.push(piece);
        }
        Some(read)
    }

    /// Puts it in the place of what was made first, if what it was made of still holds.
    async fn store(&self, bytes: Vec<u8>) {
        let original = &self.original.meta;
        let body = Effort::Best.fresh();
        if self.wish.keep(bytes.into(), body, original, &self.settings).await == Kept::Stored {
            self.resident.metrics.encoding.improved.add();
        }
    }
}

/// What becomes of trying.
enum Made {
    Done(Vec<u8>),
    Busy,
    Failed,
}

fn claimed(wish: &Wish) -> Key {
    wish.key.with_part(b"best")
}
