//! The answer to a POST that is what a GET of the same target would bring, kept as it passes (RFC 9110, 9.3.3).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::policy::{self, Asked};
use switchback_cache::{Body, BodyId, Entry, Head, Meta, Standing, Times};

use super::key::Class;
use super::{invalidate, key};
use crate::http::context::Context;
use crate::http::facts::RequestFacts;
use crate::snapshot::caches::CacheSettings;

/// What has passed of an answer that is kept when it is whole; in memory alone.
pub(crate) struct Keeping {
    settings: Arc<CacheSettings>,
    meta: Meta,
    promised: Option<u64>,
    body: Vec<u8>,
}

/// Larger bodies are not kept: what one has been sent is held a second time until it is whole.
const MOST: usize = 256 * 1024;

/// Notes the time of a POST, by which it is known later what was purged meanwhile.
pub(super) fn expect(settings: &CacheSettings, request: &RequestHeader, context: &mut Context) {
    if request.method == Method::POST && settings.slice.is_none() {
        context.cache.get_or_insert_default().generation = Some(settings.zone.stored.generation());
    }
}

/// Begins to keep an answer that is for others too, before it makes invalid what it does ([`super::invalidate::by`]).
pub(crate) fn keep(
    answer: &ResponseHeader,
    request: &RequestHeader,
    context: &Context,
) -> Option<Box<Keeping>> {
    let generation =
        context.cache.as_ref()?.generation.filter(|_| request.method == Method::POST)?;
    let settings = context.snapshot.cache(context.place.route?)?;
    let rules = &settings.rules;
    let head = Head { status: answer.status, headers: answer.headers.clone() };
    let target = invalidate::target(request, context)?;
    if !policy::storable_as_get(target, &head, rules)
        || !key::is_keyed(settings, request, context)
        || settings.no_store.as_ref().is_some_and(|when| {
            when.holds(&RequestFacts::new(request, context).with_upstream(Some(&head.headers)))
        })
    {
        return None;
    }
    let length = head.headers.get(header::CONTENT_LENGTH);
    let promised = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if promised.is_some_and(|promised| promised > most(settings)) {
        return None;
    }
    let asked = Asked { method: &Method::GET, headers: &request.headers };
    let times = Times { request: context.wall, response: SystemTime::now() };
    let storable = policy::storable(asked, &head, times, rules).ok()?;
    let key = key::key(settings, Class::Get, request, context);
    let zone = &settings.zone.stored;
    if settings.min_uses > 1 && zone.count_use(&key) < settings.min_uses {
        return None;
    }
    let vary = settings.selecting(&storable);
    let mut meta = Meta {
        key,
        tags: policy::tags(&head.headers),
        selected_by: policy::selecting_answer(&vary, &request.headers, &head.headers, rules),
        head,
        times,
        freshness: storable.freshness,
        vary,
        generation,
        body: BodyId::fresh(),
    };
    policy::to_store(&mut meta.head, &storable, times, rules);
    Some(Box::new(Keeping { settings: Arc::clone(settings), meta, promised, body: Vec::new() }))
}

/// Takes what passes, and stores the answer when it is whole.
pub(crate) fn take(keeping: &mut Option<Box<Keeping>>, bytes: Option<&Bytes>, is_last: bool) {
    let Some(mut own) = keeping.take() else { return };
    own.body.extend_from_slice(bytes.map(|bytes| &**bytes).unwrap_or_default());
    let received = own.body.len() as u64;
    if own.promised.map_or(is_last, |promised| received == promised) {
        own.store();
    } else if !is_last && received <= most(&own.settings) {
        *keeping = Some(own);
    }
}

fn most(settings: &CacheSettings) -> u64 {
    settings.max_object.min(settings.held).min(MOST as u64)
}

impl Keeping {
    /// Whether nothing that bears on it was purged since the request came.
    pub(super) fn holds(&self) -> bool {
        self.settings.zone.stored.standing(&self.meta) == Standing::Holds
    }

    /// The same, on which no purge up to `generation` bears.
    pub(super) fn asked_for_at(mut self: Box<Self>, generation: u64) -> Box<Self> {
        self.meta.generation = generation;
        self
    }

    fn store(self) {
        let Self { settings, meta, body, .. } = self;
        let length = body.len() as u64;
        settings.zone.stored.store(Entry::new(meta, Body::of(&body), length));
        settings.zone.counters.stored.add();
        settings.zone.counters.stored_bytes.add_many(length);
    }
}

impl fmt::Debug for Keeping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeping").field("received", &self.body.len()).finish_non_exhaustive()
    }
}
