//! Pictures made of stored pictures: by threads beside the way, while the original is sent or its client waits a moment.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method};
use pingora_http::RequestHeader;
use switchback_cache::fill::{Filling, Joined, Wish as Fill};
use switchback_cache::serve::asks_for_less;
use switchback_cache::{Entry, Found, Meta};
use switchback_images::{Effort as Care, Outcome, Reason};
use tokio::time::timeout;

use super::super::{Failure, Reader, Source};
use super::beside::{self, Kept};
use super::form::Form;
use super::{DISK_PATIENCE, Effort, Wish};
use crate::encoders::Busy;
use crate::http::context::Context;
use crate::http::encode::pictures::{self, Picture, Why};
use crate::pictures::Held;
use crate::snapshot::caches::CacheSettings;
use crate::snapshot::resident::Resident;

/// A picture as it is made.
struct Making {
    resident: Arc<Resident>,
    settings: Arc<CacheSettings>,
    wish: Wish,
    picture: Picture,
    /// Who waits for it waits for this to go, and nobody else does the same meanwhile.
    _claim: Filling<Failure>,
}

/// Why a picture is not made now.
enum Unmade {
    /// Too much else is to be done.
    Busy,
    /// It cannot be read, or has gone.
    Gone,
    /// Whoever has tried has failed.
    Failed(Reason),
}

/// For how long nobody tries again where too much else was to be done.
const BUSY: Duration = Duration::from_secs(1);
/// The same of what has failed.
const PASS: Duration = Duration::from_mins(10);
/// For how long one who makes it keeps others from it.
const AGE: Duration = Duration::from_hours(1);

impl Wish {
    /// Whether its client waits for it, as it was not found in memory.
    pub(super) fn is_awaited(
        &self,
        found: &Found,
        request: &RequestHeader,
        context: &Context,
    ) -> bool {
        let Form::Picture(picture) = &self.form else { return false };
        let is_there = matches!(found, Found::Entry(_) | Found::Purged(_));
        !is_there
            && picture.settings().patience.is_some()
            && request.method == Method::GET
            // What the client has may be good enough.
            && !asks_for_less(&request.headers)
            && !pictures::has_conditions(context)
    }

    /// Waits for it where its client does; what is found then.
    pub(super) async fn wait(
        &self,
        found: Found,
        source: &Source,
        settings: &Arc<CacheSettings>,
        (request, context): (&RequestHeader, &mut Context),
    ) -> Found {
        let Form::Picture(picture) = &self.form else { return found };
        let Some(patience) = picture.settings().patience else { return found };
        if !self.is_awaited(&found, request, context) {
            return found;
        }
        let Some(reader) = self.join(picture, source, settings, context) else { return found };
        if timeout(patience, reader.outcome()).await.is_err() {
            pictures::is_original(Why::Late, context);
        }
        settings.zone.stored.find(&self.key, &HeaderMap::new())
    }

    /// Has it made for those to come, unless it is; the original is the answer meanwhile.
    pub(super) fn begin(
        &self,
        source: &Source,
        settings: &Arc<CacheSettings>,
        context: &mut Context,
    ) {
        let Form::Picture(picture) = &self.form else { return };
        let why = match self.join(picture, source, settings, context) {
            Some(_) => Why::Pending,
            None => Why::Deferred,
        };
        pictures::is_original_still(why, context);
    }

    /// Joins who makes it, or begins to; `None` where it is not tried just now.
    fn join(
        &self,
        picture: &Picture,
        source: &Source,
        settings: &Arc<CacheSettings>,
        context: &Context,
    ) -> Option<Reader> {
        if settings.zone.stored.is_pass(&self.key, SystemTime::now()) {
            return None;
        }
        let none = HeaderMap::new();
        let fill = Fill { zone: settings.zone.number, key: &self.key, request: &none, age: AGE };
        let (filling, reader) = match context.resident.fills.join(fill) {
            Joined::Follower(reader) => return Some(reader),
            Joined::Leader(filling, reader) => (filling, reader),
        };
        let making = Making {
            resident: Arc::clone(&context.resident),
            settings: Arc::clone(settings),
            wish: self.clone(),
            picture: picture.clone(),
            _claim: filling,
        };
        match source {
            Source::Stored(entry) => drop(tokio::spawn(making.run(Arc::clone(entry)))),
            Source::Arriving(reader, arrived) => {
                let (ended, meta) = (reader.ended(), arrived.stored.clone()?);
                tokio::spawn(async move {
                    ended.await;
                    if let Some(entry) = making.stored(&meta).await {
                        making.run(entry).await;
                    }
                });
            }
        }
        Some(reader)
    }
}

impl Making {
    /// What has arrived, if it was stored.
    async fn stored(&self, meta: &Meta) -> Option<Arc<Entry>> {
        let zone = &self.settings.zone.stored;
        let found = match zone.find(&meta.key, &meta.selected_by) {
            Found::Ask => {
                let reading = zone.read(&meta.key, &meta.selected_by);
                timeout(DISK_PATIENCE, reading).await.ok()?
            }
            found => found,
        };
        let (Found::Entry(entry) | Found::Purged(entry)) = found else { return None };
        (entry.meta.body == meta.body).then_some(entry)
    }

    async fn run(self, original: Arc<Entry>) {
        let pass = match self.make(&original).await {
            Ok(outcome) => return self.keep(&outcome, &original.meta).await,
            Err(Unmade::Busy) => {
                self.resident.pictures.counters.refused.add();
                BUSY
            }
            Err(Unmade::Gone) => BUSY,
            Err(Unmade::Failed(reason)) => {
                let key = &self.wish.key;
                tracing::warn!(?key, "a picture cannot be made: {}", reason.name());
                PASS
            }
        };
        self.settings.zone.stored.mark_pass(&self.wish.key, SystemTime::now() + pass);
    }

    /// What becomes of it, once and for all.
    async fn make(&self, original: &Arc<Entry>) -> Result<Arc<Outcome>, Unmade> {
        let pictures = &self.resident.pictures;
        let turn = pictures.turn(self.picture.settings().room).await?;
        let mut held = pictures.hold();
        let source = self.read(original, &mut held).await?;
        let care = match self.picture.settings().patience {
            Some(_) => Care::Quick,
            None => Care::Thorough,
        };
        let job = self.picture.job(source, care).ok_or(Unmade::Gone)?;
        let outcome = turn.submit(self.wish.key.digest(), job)?.outcome().await;
        match &*outcome {
            Outcome::Original(reason @ (Reason::Busy | Reason::Closed | Reason::Abandoned)) => {
                tracing::debug!("a picture was given up: {}", reason.name());
                Err(Unmade::Busy)
            }
            Outcome::Original(reason) if !reason.is_lasting() => Err(Unmade::Failed(*reason)),
            _ => Ok(outcome),
        }
    }

    async fn read(&self, original: &Arc<Entry>, held: &mut Held) -> Result<Bytes, Unmade> {
        held.take(original.length)?;
        let mut pieces = beside::pieces(original);
        let mut read = BytesMut::new();
        while let Some(piece) = pieces.next().await.map_err(|_| Unmade::Gone)? {
            if piece.len() as u64 == original.length {
                return Ok(piece);
            }
            read.extend_from_slice(&piece);
        }
        Ok(read.freeze())
    }

    /// Stores what was made, or that the original is the better answer: as something empty.
    async fn keep(&self, outcome: &Outcome, original: &Meta) {
        let bytes = match outcome {
            Outcome::Made(made) => made.bytes.clone(),
            Outcome::Original(_) | Outcome::Broken(_) => Bytes::new(),
        };
        let is_made = !bytes.is_empty();
        let media = HeaderValue::try_from(outcome.to_string()).ok();
        let form = Form::Picture(self.picture.told(media));
        let wish = Wish { form, key: self.wish.key.clone() };
        let kept = wish.keep(bytes, Effort::Best.fresh(), original, &self.settings).await;
        if is_made && kept == Kept::Stored {
            self.resident.pictures.counters.stored.add();
        }
    }
}

impl From<Busy> for Unmade {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}
