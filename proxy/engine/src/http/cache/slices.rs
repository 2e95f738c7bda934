//! Responses that are fetched and stored slice by slice.
//!
//! The first slice is looked for as any response is; its head tells what the whole is. The others are looked for when their turn
//! comes to be sent, each under a key of its own, and have to agree with the first.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pingora_http::RequestHeader;
use switchback_cache::policy::Asks;
use switchback_cache::serve::{self, Slicing};
use switchback_cache::{Head, Key, Meta};

use super::fetch;
use super::head::Of;
use super::lookup::Wanted;
use super::{Reader, Source};
use crate::http::context::Context;
use crate::http::streamed::{Larger, cut};
use crate::snapshot::caches::CacheSettings;

/// One slice of a response.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    /// What the whole would be stored under.
    whole: Key,
    size: u64,
    slicing: Slicing,
    number: u64,
}

/// The whole cannot be sent to its end.
#[derive(Debug, thiserror::Error)]
enum Torn {
    #[error("slice {0} is of another state than the first")]
    Disagrees(u64),
    #[error("slice {0} cannot be had: {1}")]
    Missing(u64, String),
}

/// The slices of one response, as they are sent.
pub(crate) struct Sliced {
    settings: Arc<CacheSettings>,
    asks: Asks,
    first: Slice,
    /// The head that the first one is stored with.
    head: Head,
    request: RequestHeader,
    /// On whose behalf the others are fetched.
    context: Box<Context>,
    /// The one in hand, and its bytes.
    held: (u64, Larger),
}

impl Slice {
    /// The first of what would be stored under `whole`.
    pub(super) fn first(whole: &Key, size: u64) -> Self {
        Self { whole: whole.clone(), size, slicing: Slicing::of(size), number: 0 }
    }

    /// Another of the same.
    fn at(&self, number: u64) -> Self {
        Self { number, ..self.clone() }
    }

    /// What it is stored under.
    pub(super) fn key(&self) -> Key {
        let place = [self.size.to_le_bytes(), self.number.to_le_bytes()];
        self.whole.with_part(b"slice").with_part(place.as_flattened())
    }

    /// The value of `Range` that asks for it.
    pub(super) fn range(&self) -> HeaderValue {
        self.slicing.range(self.number)
    }

    /// Whether it is the first.
    pub(super) fn is_first(&self) -> bool {
        self.number == 0
    }

    /// The length of the whole, if this is the head of just this slice of it.
    pub(super) fn whole_of(&self, head: &Head) -> Option<u64> {
        self.slicing.whole_of(self.number, head)
    }

    /// Whether a head answers a range at all.
    pub(super) fn is_about_range(head: &Head) -> bool {
        matches!(head.status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE)
    }
}

/// What the whole is, if `of` is its first slice.
pub(super) fn whole(of: &Of, wanted: &Wanted) -> Option<Of> {
    let slice = wanted.slice.as_ref()?;
    let length = slice.whole_of(of.head())?;
    let meta = of.meta()?;
    let head = serve::whole(&meta.head);
    let meta = Meta { head, key: meta.key.clone(), ..meta.clone() };
    Some(Of::Sliced(Arc::new(meta), length))
}

impl Sliced {
    /// The slices of what begins with `first`.
    pub(super) fn new(
        wanted: &Wanted,
        first: &Of,
        reader: Option<Reader>,
        request: &RequestHeader,
        context: &Context,
    ) -> Option<Self> {
        let slice = wanted.slice.clone()?;
        let head = first.head().clone();
        Some(Self {
            settings: Arc::clone(&wanted.settings),
            asks: wanted.asks,
            first: slice,
            head,
            request: request.clone(),
            context: Box::new(fetch::beside(context)),
            held: (0, larger(first, reader)?),
        })
    }

    /// What is there next of this range of the whole; nothing if the slice ends early.
    pub(crate) async fn read(&mut self, range: &Range<u64>) -> io::Result<Bytes> {
        let Some(piece) = self.first.slicing.pieces(range.clone()).next() else {
            return Ok(Bytes::new());
        };
        if self.held.0 != piece.slice {
            self.held = (piece.slice, self.fetch(piece.slice).await?);
        }
        let mut bytes = self.held.1.read(&piece.bytes).await?;
        let left = piece.bytes.end - piece.bytes.start;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        Ok(bytes)
    }

    /// The bytes of a slice that agrees with the first. One that is stored and does not is fetched anew, once.
    async fn fetch(&mut self, number: u64) -> io::Result<Larger> {
        for _ in 0..2 {
            let mut wanted =
                Wanted::slice(Arc::clone(&self.settings), self.asks, self.first.at(number));
            let found = wanted.obtain(&self.request, &mut self.context).await;
            let source = found.map_err(|fault| cut(Torn::Missing(number, fault.to_string())))?;
            let Some(source) = source else { break };
            let (of, reader) = source.into_parts();
            let is_part =
                wanted.slice.as_ref().is_some_and(|own| own.whole_of(of.head()).is_some());
            if is_part && serve::agree(&self.head, of.head()) {
                return larger(&of, reader).ok_or_else(|| cut(Torn::Disagrees(number)));
            }
            let Of::Entry(entry) = of else { break };
            super::store::forget(&self.settings, &entry);
        }
        // The first is of a state that is gone: who asks next begins with that of now.
        let (zone, first) = (Arc::clone(&self.settings.zone), self.first.key());
        zone.stored.remove(&first).await;
        Err(cut(Torn::Disagrees(number)))
    }
}

impl Source {
    /// What an answer is made of, and where its bytes come from if they are on their way.
    pub(super) fn into_parts(self) -> (Of, Option<Reader>) {
        match self {
            Self::Stored(entry) => (Of::Entry(entry), None),
            Self::Arriving(reader, arrived) => (Of::Arrived(arrived), Some(reader)),
        }
    }
}

/// Where the bytes of a slice come from.
fn larger(of: &Of, reader: Option<Reader>) -> Option<Larger> {
    match (of, reader) {
        (_, Some(reader)) => Some(Larger::Arriving(reader)),
        (Of::Entry(entry), None) => Some(Larger::of(entry)),
        (Of::Arrived(_) | Of::Sliced(..), None) => None,
    }
}

impl fmt::Debug for Sliced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sliced").field("first", &self.first).field("held", &self.held).finish()
    }
}
