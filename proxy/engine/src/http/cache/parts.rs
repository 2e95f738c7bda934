//! Parts of responses that are not stored whole (RFC 9111, 3.3 and 3.4).
//!
//! A range that is far into what is not stored is asked for by itself, and stored beside what would be the whole: later ranges
//! within it are answered from it. Who wants the whole then has only the rest fetched, which is put together with what is there
//! before anybody sees it.

use std::ops::Range;
use std::time::SystemTime;
use std::vec;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora_http::RequestHeader;
use switchback_cache::policy::partial::{ContentRange, combined, combines, strong_validator};
use switchback_cache::policy::{self, Use};
use switchback_cache::serve::{Asked, Came, Parts, begins_beyond};
use switchback_cache::{Head, Key, Meta, Standing, Times};

use super::lookup::Wanted;
use super::store::Fetch;
use super::wait;
use crate::http::context::Context;
use crate::snapshot::caches::CacheSettings;

/// What is fetched of a response, where that is not the whole.
#[derive(Clone, Debug)]
pub(crate) enum Partly {
    /// This range, which is waited for under a key of its own.
    Range(HeaderValue, Key),
    /// What is missing between these parts.
    Rest(Box<Rest>),
}

/// Parts that are stored, and what is missing.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    parts: Parts,
    gap: Range<u64>,
}

/// What a head is the head of, where not the whole was asked for.
pub(super) enum Taken {
    /// Of a response by itself.
    Whole(Head),
    /// Of this part.
    Part(Head, ContentRange),
    /// Of what is missing: now the head of the whole, and how its body is put together.
    Rest(Head, Box<Joining>),
    /// Of something that cannot be put together with what is stored. Whoever asks next asks for the whole.
    Unfit,
}

/// A body of which only the middle arrives.
pub(super) struct Joining {
    before: vec::IntoIter<Bytes>,
    /// How much of the middle is still to come.
    left: u64,
    after: vec::IntoIter<Bytes>,
    /// The length of all.
    complete: u64,
    /// The purge clock of what is stored.
    generation: u64,
}

/// What comes of a piece that arrives.
pub(super) enum Next {
    /// This is next, and whether it is the last.
    Piece(Bytes, bool),
    /// Nothing until more arrives.
    Nothing,
    /// More has come than was asked for.
    TooMuch,
}

/// What the parts of what has `whole` for its key are stored under.
fn key_of(whole: &Key) -> Key {
    whole.with_part(b"parts")
}

/// The parts that are stored for a request, which no purge bears upon.
fn find(settings: &CacheSettings, whole: &Key, request: &HeaderMap) -> Option<Parts> {
    let zone = &settings.zone.stored;
    let mut stored = zone.variants(&key_of(whole)).into_iter();
    let selected = stored.find(|entry| {
        let Meta { vary, selected_by, .. } = &entry.meta;
        zone.standing(&entry.meta) == Standing::Holds && policy::selects(vary, selected_by, request)
    });
    Parts::of(&selected?)
}

impl Wanted {
    /// The parts that are stored of what is wanted.
    pub(super) fn parts(&self, head: &RequestHeader) -> Option<Parts> {
        let may_be =
            self.slice.is_none() && (head.method == Method::GET || head.method == Method::HEAD);
        if !may_be { None } else { find(&self.settings, &self.key, &head.headers) }
    }

    /// Whether these parts answer the request as they are.
    pub(super) fn is_answered_by(
        &self,
        parts: &Parts,
        head: &RequestHeader,
        now: SystemTime,
    ) -> bool {
        let asked = Asked { method: &head.method, headers: &head.headers };
        policy::judge(&parts.entry.meta, &self.asks, &self.settings.rules, now) == Use::Fresh
            && parts.answer(asked)
    }

    /// What is to be fetched, if that is not the whole.
    pub(super) fn partly(
        &self,
        parts: Option<Parts>,
        head: &RequestHeader,
        context: &Context,
    ) -> Option<Partly> {
        if self.slice.is_some() {
            return None;
        }
        // Where nobody has said what is far, what is on its way already is not.
        let is_coming = || {
            self.settings.max_range_offset.is_none()
                && context.resident.fills.has(wait::wish(self, &self.likeness(), head))
        };
        if let Some(range) = self.far_range(head).filter(|_| !is_coming()) {
            let key = self.key.with_part(b"range").with_part(range.as_bytes());
            return Some(Partly::Range(range, key));
        }
        let parts = parts.filter(|_| !self.is_too_far(head))?;
        Some(Partly::Rest(Box::new(Rest { gap: parts.gap()?, parts })))
    }

    /// The one range that is asked for, if too much would have to be fetched before it.
    fn far_range(&self, head: &RequestHeader) -> Option<HeaderValue> {
        let asked = Asked { method: &head.method, headers: &head.headers };
        let most = self.settings.max_range_offset.unwrap_or(u64::MAX);
        let is_conditional = CONDITIONS.iter().any(|name| head.headers.contains_key(name));
        if is_conditional || !begins_beyond(asked, most) {
            return None;
        }
        let mut lines = head.headers.get_all(header::RANGE).iter();
        let line = lines.next().filter(|line| !line.as_bytes().contains(&b','))?;
        lines.next().is_none().then(|| line.clone())
    }
}

const CONDITIONS: [HeaderName; 5] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];

impl Partly {
    /// What those wait under who want the same.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Self::Range(_, key) => Some(key),
            Self::Rest(_) => None,
        }
    }

    /// The fields that ask for it.
    pub(super) fn ask(&self, head: &mut RequestHeader) {
        // Their values are valid: they are a client's, an origin's, or made of numbers.
        match self {
            Self::Range(range, _) => {
                let _ = head.insert_header(header::RANGE, range.clone());
            }
            Self::Rest(rest) => {
                let _ = head.insert_header(header::RANGE, rest.range());
                if let Some(validator) = strong_validator(&rest.parts.entry.meta.head.headers) {
                    let _ = head.insert_header(header::IF_RANGE, validator.clone());
                }
            }
        }
    }

    /// What `head` is the head of, which answers such a request.
    pub(super) fn take(&self, head: Head, times: Times, settings: &CacheSettings) -> Taken {
        match (self, head.status) {
            (Self::Range(..), StatusCode::PARTIAL_CONTENT) => {
                match ContentRange::of(&head.headers) {
                    Some(range) => Taken::Part(head, range),
                    None => Taken::Whole(head),
                }
            }
            (Self::Rest(rest), StatusCode::PARTIAL_CONTENT) => rest.take(&head, times, settings),
            (Self::Rest(rest), status) => {
                let is_gone = status == StatusCode::RANGE_NOT_SATISFIABLE;
                if is_gone || status.is_success() {
                    rest.forget(settings);
                }
                if is_gone { Taken::Unfit } else { Taken::Whole(head) }
            }
            _ => Taken::Whole(head),
        }
    }

    /// The parts are in a whole now.
    pub(super) fn is_done(&self, settings: &CacheSettings) {
        if let Self::Rest(rest) = self {
            rest.forget(settings);
        }
    }
}

impl Rest {
    fn range(&self) -> HeaderValue {
        let Range { start, end } = self.gap;
        // An open range is a little shorter, and some origins know no others.
        let text = if end == self.parts.complete {
            format!("bytes={start}-")
        } else {
            format!("bytes={start}-{}", end - 1)
        };
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
    }

    /// Puts the heads together, if they are of the same state, and this is what was asked for.
    fn take(&self, head: &Head, times: Times, settings: &CacheSettings) -> Taken {
        let (stored, complete) = (&self.parts.entry.meta, self.parts.complete);
        let range = ContentRange::of(&head.headers);
        let is_it = range.is_some_and(|range| {
            range.bytes() == self.gap && range.complete.is_none_or(|length| length == complete)
        });
        let length = head.headers.get(header::CONTENT_LENGTH).map(|length| length.as_bytes());
        let asked_for = (self.gap.end - self.gap.start).to_string();
        let is_as_long = length.is_none_or(|length| length == asked_for.as_bytes());
        if !is_it || !is_as_long || !combines(&stored.head, head) {
            self.forget(settings);
            return Taken::Unfit;
        }
        let joining = Joining {
            before: self.parts.bytes(0..self.gap.start).collect::<Vec<_>>().into_iter(),
            left: self.gap.end - self.gap.start,
            after: self.parts.bytes(self.gap.end..complete).collect::<Vec<_>>().into_iter(),
            complete,
            generation: stored.generation,
        };
        let head = combined(&stored.head, head, Some(complete), times, &settings.rules);
        Taken::Rest(head, Box::new(joining))
    }

    /// Parts are in memory alone.
    fn forget(&self, settings: &CacheSettings) {
        drop(settings.zone.stored.remove_entry(&self.parts.entry));
    }
}

impl Joining {
    /// The length of the whole.
    pub(super) fn complete(&self) -> u64 {
        self.complete
    }

    /// Since when purges bear on the whole.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// What is there before anything arrives.
    pub(super) fn before(&mut self) -> Option<Bytes> {
        self.before.next()
    }

    /// Takes a piece that arrives.
    pub(super) fn arrives(&mut self, bytes: Bytes) -> Next {
        match self.left.checked_sub(bytes.len() as u64) {
            None => Next::TooMuch,
            Some(left) => {
                self.left = left;
                Next::Piece(bytes, left == 0 && self.after.as_slice().is_empty())
            }
        }
    }

    /// What is there after all has arrived.
    pub(super) fn after(&mut self) -> Next {
        if self.left > 0 {
            return Next::Nothing;
        }
        let Some(next) = self.after.next() else { return Next::Nothing };
        Next::Piece(next, self.after.as_slice().is_empty())
    }
}

/// Stores a part that has come whole, with those that it belongs to.
pub(super) fn store(fetch: &Fetch, meta: &Meta, range: ContentRange, body: &[Bytes]) {
    let settings = &fetch.settings;
    let zone = &settings.zone.stored;
    let old = find(settings, &fetch.key, &fetch.client);
    let most = settings.max_object.min(zone.limits().largest_in_memory);
    let came = Came { meta, range, body, asked: &fetch.client, rules: &settings.rules };
    let Some(entry) = came.with(old.as_ref(), &fetch.key, most) else { return };
    let is_whole = entry.meta.head.status == StatusCode::OK;
    settings.zone.counters.stored.add();
    settings.zone.counters.stored_bytes.add_many(range.length());
    zone.store(entry);
    if let Some(old) = old.filter(|_| is_whole) {
        drop(zone.remove_entry(&old.entry));
    }
}

impl Fetch {
    /// What a part that comes is stored under.
    pub(super) fn key_of_parts(&self) -> Key {
        key_of(&self.key)
    }

    /// Whether a range is fetched by itself: what its answer says is not said of the whole.
    pub(super) fn is_of_range(&self) -> bool {
        matches!(self.partly.as_deref(), Some(Partly::Range(..)))
    }
}
