//! What becomes of an origin's answer as it is received: kept, shared, or for one reader alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::disk::Stored;
use switchback_cache::fill::{Abandoned, Arrived, Filling, Holding, Outcome};
use switchback_cache::policy::partial::ContentRange;
use switchback_cache::policy::{self, Asked, Storable, Unstorable};
use switchback_cache::{Body, BodyId, Entry, Head, Key, Meta, Standing, Times};

mod taken;

use super::parts::{self, Joining, Partly};
use super::slices::Slice;
use super::written::Written;
use super::{Failure, key};
use crate::http::context::Context;
use crate::http::facts::RequestFacts;
use crate::http::fault::{Fault, Kind, Side};
use crate::snapshot::caches::CacheSettings;
use crate::snapshot::resident::Resident;

/// What is asked of an origin for a cache, and on behalf of whom.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(super) resident: Arc<Resident>,
    /// By which rules.
    pub(super) settings: Arc<CacheSettings>,
    /// What it is asked for as; what it is stored under follows from what it says of queries.
    pub(super) key: Key,
    /// Which slice of a response it is, if it is one.
    pub(super) slice: Option<Slice>,
    /// What of it is fetched, if that is not the whole.
    pub(super) partly: Option<Box<Partly>>,
    /// The fields of the request that began it, as its client sent them.
    pub(super) client: HeaderMap,
    /// What is validated.
    pub(super) stored: Option<Validating>,
    /// When the origin was asked.
    pub(super) asked: SystemTime,
    /// The purge clock of that moment.
    pub(super) generation: u64,
    /// Whether the route forbids to store it.
    pub(super) no_store: AtomicBool,
}

/// A stored response that is validated.
#[derive(Debug)]
pub(super) struct Validating {
    pub(super) entry: Arc<Entry>,
    /// The fields of the request by which it is.
    pub(super) sent: HeaderMap,
    /// Whether it may stand in for an error.
    pub(super) if_error: bool,
}

/// Nobody wants the rest of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwanted;

/// The body is not as long as the head has said.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the response body has {received} bytes, and {promised} were promised")]
pub(super) struct NotAsPromised {
    promised: u64,
    received: u64,
}

/// An answer as it is received.
pub(super) struct Receiving {
    fetch: Arc<Fetch>,
    /// Where its readers are; `None` once they have been told all there is.
    filling: Option<Filling<Failure>>,
    /// What it is stored with, if it is.
    storing: Option<Arc<Meta>>,
    /// Where it is written while it comes, if there is a disk.
    disk: Option<Written>,
    /// Which part of a response it is, if that is to be stored as one.
    part: Option<ContentRange>,
    /// With what its body is put together, if it is what was missing between parts.
    joining: Option<Box<Joining>>,
    promised: Option<u64>,
    received: u64,
    has_head: bool,
}

/// For how long nobody waits for another's answer after one that could not be shared.
const PASS: Duration = Duration::from_secs(10);
/// How much of an answer that nobody reads is taken so that its connection can be used again.
const DISCARDED: u64 = 64 * 1024;

impl Fetch {
    /// Its answer is for whoever has asked for it, and nobody else.
    pub(in crate::http) fn is_not_stored(&self) {
        self.no_store.store(true, Ordering::Relaxed);
    }

    /// Asks the route whether it forbids to store this answer.
    pub(crate) fn judge(&self, head: &ResponseHeader, request: &RequestHeader, context: &Context) {
        let Some(no_store) = &self.settings.no_store else { return };
        let facts = RequestFacts::new(request, context).with_upstream(Some(&head.headers));
        if no_store.holds(&facts) {
            self.no_store.store(true, Ordering::Relaxed);
        }
    }

    /// Nobody is to wait for another's answer, for a while.
    fn mark_pass(&self) {
        self.settings.zone.stored.mark_pass(&self.key, SystemTime::now() + PASS);
    }

    /// Notes whether the origin is alive, where somebody wants to know.
    fn note_origin(&self, is_alive: bool) {
        if !self.settings.always_online {
            return;
        }
        let origins = &self.resident.origins;
        if is_alive {
            origins.lives(&self.settings.upstream);
        } else {
            origins.died(&self.settings.upstream);
        }
    }
}

impl Receiving {
    /// The answer to `fetch`.
    pub(super) fn new(fetch: Arc<Fetch>, filling: Filling<Failure>) -> Self {
        Self {
            fetch,
            filling: Some(filling),
            storing: None,
            disk: None,
            part: None,
            joining: None,
            promised: None,
            received: 0,
            has_head: false,
        }
    }

    /// The head is here.
    pub(super) fn head(&mut self, answer: &ResponseHeader) {
        let now = SystemTime::now();
        let times = Times { request: self.fetch.asked, response: now };
        self.promised = taken::length(answer);
        self.has_head = true;
        let head = Head { status: answer.status, headers: answer.headers.clone() };
        if head.status == StatusCode::NOT_MODIFIED {
            self.fetch.note_origin(true);
            return self.validated(&head, times);
        }
        let is_error = self.fetch.settings.stale_on.statuses.contains(&head.status);
        self.fetch.note_origin(!is_error);
        let stands_in = self.fetch.stored.as_ref().is_some_and(|stored| stored.if_error);
        if stands_in && is_error {
            return self.settle(Outcome::Failed(Failure::Status(head.status)));
        }
        let Some(head) = self.taken(head, times) else { return self.settle(Outcome::Lost) };
        match self.storable(&head, times) {
            Ok(storable) => self.keep(head, &storable, times),
            Err(why) => self.pass(head, why),
        }
    }

    fn keep(&mut self, head: Head, storable: &Storable, times: Times) {
        let fetch = &self.fetch;
        let rules = &fetch.settings.rules;
        let mut stored = head.clone();
        policy::to_store(&mut stored, storable, times, rules);
        let vary = fetch.settings.selecting(storable);
        let since = self.joining.as_ref().map_or(u64::MAX, |joining| joining.generation());
        let key =
            if self.part.is_some() { fetch.key_of_parts() } else { key::of_answer(fetch, &stored) };
        let meta = Arc::new(Meta {
            key,
            tags: policy::tags(&head.headers),
            head: stored,
            times,
            freshness: storable.freshness,
            selected_by: policy::selecting_answer(&vary, &fetch.client, &head.headers, rules),
            vary,
            generation: fetch.generation.min(since),
            body: BodyId::fresh(),
        });
        // Parts are in memory alone.
        self.disk = match self.part {
            None => Written::begin(&fetch.settings.zone.stored, &meta, self.promised),
            Some(_) => None,
        };
        self.storing = Some(Arc::clone(&meta));
        self.arrive(head, Some(meta));
    }

    /// It is not stored: the first reader alone has it, and for some time nobody waits for the like of it.
    fn pass(&mut self, head: Head, why: Option<Unstorable>) {
        let Fetch { settings, stored, .. } = &*self.fetch;
        settings.zone.counters.unstorable.add();
        let is_error = head.status.is_server_error();
        if let (Some(stored), false) = (stored, is_error) {
            // The origin has another one by now.
            forget(settings, &stored.entry);
        }
        // What is about one request says nothing of the next.
        let is_of_request = matches!(why, Some(Unstorable::AskedNotTo | Unstorable::Authorization))
            || why.is_none();
        if !is_error && !is_of_request && !self.fetch.is_of_range() {
            self.fetch.mark_pass();
        }
        self.arrive(head, None);
    }

    fn arrive(&mut self, head: Head, stored: Option<Arc<Meta>>) {
        let length = self.promised;
        let holding = Holding {
            most: self.fetch.settings.held,
            budget: Some(Arc::clone(&self.fetch.settings.zone.arriving)),
            file: self.disk.as_mut().map(Written::reader),
        };
        if let Some(filling) = &mut self.filling {
            filling.arrive(Arrived { head, stored, length }, holding);
        }
    }

    /// What is stored holds, if that is what was asked.
    fn validated(&mut self, head: &Head, times: Times) {
        let fetch = Arc::clone(&self.fetch);
        let Some(Validating { entry, sent, .. }) = &fetch.stored else {
            let reason = "status 304 that nobody asked for";
            let fault = Fault::upstream(Kind::BadAnswer, reason);
            return self.settle(Outcome::Failed(Failure::Fault(fault)));
        };
        let zone = &fetch.settings.zone.stored;
        if !policy::belongs(&entry.meta, head, sent) {
            // It is of something else. Whoever asks next asks for the whole.
            forget(&fetch.settings, entry);
            return self.settle(Outcome::Lost);
        }
        let asked = Asked { method: &Method::GET, headers: &fetch.client };
        let renewed = policy::renew(&entry.meta, head, asked, times, &fetch.settings.rules);
        let entry = match renewed {
            Ok(meta) => {
                let old = Arc::clone(entry);
                let (key, generation) = (key::of_answer(&fetch, &meta.head), fetch.generation);
                let entry = zone.refresh(entry, Meta { key, generation, ..meta });
                if zone.disk().is_some() {
                    let (zone, entry) = (Arc::clone(&fetch.settings.zone), Arc::clone(&entry));
                    tokio::spawn(async move { zone.stored.refresh_on_disk(&old, &entry).await });
                }
                entry
            }
            Err((head, _)) => {
                // It answers those who wait, and nobody after them.
                forget(&fetch.settings, entry);
                let meta = Meta { head: *head, times, ..entry.meta.clone() };
                Arc::new(Entry::new(meta, entry.body.clone(), entry.length))
            }
        };
        self.settle(Outcome::Validated(entry));
    }

    fn settle(&mut self, outcome: Outcome<Failure>) {
        if let Some(filling) = self.filling.take() {
            filling.settle(outcome);
        }
    }

    /// The next bytes of what is received.
    async fn take(&mut self, bytes: Bytes, is_last: bool) -> Result<(), Unwanted> {
        self.received += bytes.len() as u64;
        if self.received > self.fetch.settings.max_object && self.storing.take().is_some() {
            self.fetch.mark_pass();
            self.lose_disk();
        }
        let Some(filling) = &mut self.filling else {
            return if self.received > DISCARDED { Err(Unwanted) } else { Ok(()) };
        };
        if is_last && self.promised.is_none_or(|length| length == self.received) {
            if let Some(disk) = &mut self.disk {
                disk.hold(bytes.clone());
            }
            return filling.write_last(bytes).await.map_err(|Abandoned| Unwanted);
        }
        filling.write(bytes.clone()).await.map_err(|Abandoned| Unwanted)?;
        if let Some(disk) = &mut self.disk
            && disk.write(bytes).await.is_err()
        {
            self.lose_disk();
        }
        Ok(())
    }

    /// What follows the body. It is not stored: whoever has the response later has it without (RFC 9110, 6.5.1).
    pub(super) fn trailers(&mut self, trailers: HeaderMap) {
        if let Some(filling) = &mut self.filling {
            filling.set_trailers(trailers);
        }
    }

    /// The disk is to take no more of it.
    fn lose_disk(&mut self) {
        self.disk = None;
        if let Some(filling) = &mut self.filling {
            filling.lose_file();
        }
    }

    /// Waits until nobody wants the answer any more.
    pub(super) async fn unwanted(&self) -> Unwanted {
        match &self.filling {
            Some(filling) => {
                let Abandoned = filling.abandoned().await;
                Unwanted
            }
            None => std::future::pending().await,
        }
    }

    /// The body is whole, and stored before anybody is told so.
    pub(super) async fn end(mut self) -> Result<(), NotAsPromised> {
        if let Some(promised) = self.promised.filter(|promised| *promised != self.received)
            && self.filling.is_some()
        {
            return Err(NotAsPromised { promised, received: self.received });
        }
        let Some(filling) = self.filling.take() else { return Ok(()) };
        let Some(meta) = self.storing.take() else {
            filling.finish();
            return Ok(());
        };
        if let Some(range) = self.part {
            if let Some(body) = filling.body() {
                parts::store(&self.fetch, &meta, range, &body);
            }
            filling.finish();
            return Ok(());
        }
        let zone = &self.fetch.settings.zone;
        if zone.stored.standing(&meta) == Standing::Void {
            // It was purged while it came, and must not take the place of what was stored since.
            filling.finish();
            return Ok(());
        }
        let disk = self.disk.take();
        let on_disk = async || disk?.finish().await;
        let is_stored = match filling.body() {
            Some(body) => {
                let meta = Arc::unwrap_or_clone(meta);
                zone.stored.store(Entry::new(meta, Body::Memory(body), self.received));
                filling.finish();
                drop(on_disk().await);
                true
            }
            None => {
                let stored = on_disk().await;
                let is_stored = stored.is_some();
                match stored {
                    Some(Stored { meta, body }) => {
                        let body = Body::Disk(body);
                        drop(zone.stored.store(Entry::new(meta, body, self.received)));
                    }
                    // It is too large for memory: whoever comes next has it fetched at once. If memory was but full of what
                    // arrives, that may be otherwise next time.
                    None if self.received <= self.fetch.settings.held => {}
                    None => self.fetch.mark_pass(),
                }
                filling.finish();
                is_stored
            }
        };
        if is_stored {
            if let Some(partly) = &self.fetch.partly {
                partly.is_done(&self.fetch.settings);
            }
            zone.counters.stored.add();
            zone.counters.stored_bytes.add_many(self.received);
        }
        Ok(())
    }

    /// There is no answer, or no more of it.
    pub(super) fn failed(mut self, fault: Fault) {
        if !self.has_head {
            self.fetch.note_origin(fault.side() != Side::Upstream);
            self.settle(Outcome::Failed(Failure::Fault(fault)));
        }
    }
}

/// Forgets what was validated and turned out to be another.
pub(super) fn forget(settings: &CacheSettings, entry: &Arc<Entry>) {
    let forgotten = settings.zone.stored.remove_entry(entry);
    if settings.zone.stored.disk().is_none() {
        return;
    }
    drop(forgotten);
    let (zone, entry) = (Arc::clone(&settings.zone), Arc::clone(entry));
    tokio::spawn(async move { zone.stored.remove_entry(&entry).await });
}
