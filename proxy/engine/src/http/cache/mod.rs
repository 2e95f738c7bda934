//! Answers from what is stored, and what is stored of answers.
//!
//! Pick a step, read one file: [`part`] (whether it has anything to do with a request), [`lookup`] (what is stored, and whether it may be used), [`wait`] (whoever fetches, and whoever waits
//! for it), [`ahead`] (what they are told meanwhile), [`fetch`] (the request to the origin), [`session`] (its client, as Pingora
//! sees it), [`store`] and [`written`] (what becomes of the answer), [`serve`], [`parts`] and [`slices`] (the answer to the client),
//! [`query`] (the content of a QUERY), [`invalidate`] (what unsafe methods do), [`as_get`] (what a POST brings for others), [`origins`]
//! (who is dead), [`forms`] (what is stored encoded for many), [`dictionaries`] (what of it others are encoded against).

pub(crate) mod ahead;
pub(crate) mod as_get;
pub(crate) mod counters;
pub(crate) mod dictionaries;
mod early_hints;
pub(crate) mod fetch;
mod forms;
pub(crate) mod head;
pub(crate) mod invalidate;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod origins;
mod part;
pub(crate) mod parts;
pub(crate) mod place;
pub(crate) mod purge;
pub(crate) mod query;
pub(crate) mod serve;
mod session;
pub(crate) mod slices;
pub(crate) mod store;
pub(crate) mod wait;
mod written;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use switchback_cache::policy::Forwarded;
use switchback_cache::{Entry, Key, fill};
use switchback_conf::plan::RouteId;

use super::fault::Fault;
use counters::Outcome;

/// Reads a response while it arrives.
pub(crate) type Reader = fill::Reader<Failure>;
/// The fills in progress.
pub(crate) type Fills = fill::Fills<Failure>;

/// Why an origin could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no answer.
    Fault(Fault),
    /// The answer is an error that what is stored may stand in for.
    Status(StatusCode),
}

/// Where an answer comes from.
pub(crate) enum Source {
    /// It is stored.
    Stored(Arc<Entry>),
    /// It is on its way.
    Arriving(Reader, Arc<fill::Arrived>),
}

impl Source {
    /// The same, for another who reads it.
    fn beside(&self) -> Self {
        match self {
            Self::Stored(entry) => Self::Stored(Arc::clone(entry)),
            Self::Arriving(reader, arrived) => Self::Arriving(reader.beside(), Arc::clone(arrived)),
        }
    }
}

/// Where a stored response lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// In memory.
    Memory,
    /// On disk.
    Disk,
}

impl Tier {
    /// As `$upstream_cache_tier` says it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// What the cache has had to do with a request.
#[derive(Debug, Default)]
pub(crate) struct CacheFacts {
    /// In nginx's words.
    pub(crate) outcome: Option<Outcome>,
    /// Why an origin was asked, if one was.
    pub(crate) forwarded: Option<Forwarded>,
    /// What the origin has said, where that is not what the client is told.
    pub(crate) forward_status: Option<StatusCode>,
    /// What it is stored under.
    pub(crate) key: Option<Key>,
    /// How old the answer is.
    pub(crate) age: Option<Duration>,
    /// Seconds of freshness that remain; negative where stale.
    pub(crate) ttl: Option<i64>,
    /// The `Last-Modified` of what is stored.
    pub(crate) last_modified: Option<HeaderValue>,
    /// Where the answer was found.
    pub(crate) tier: Option<Tier>,
    /// Whether the answer is stored as it comes.
    pub(crate) is_stored: bool,
    /// The purge clock when the request came, if what it brings may be kept though it is unsafe.
    pub(crate) generation: Option<u64>,
    /// Whether the request shared the fetch of another.
    pub(crate) is_collapsed: bool,
    /// The route by whose cache the request was let go: the origin is asked the usual way.
    passed: Option<RouteId>,
    /// The route by whose cache it is answered.
    answers: Option<RouteId>,
}

impl CacheFacts {
    /// What an inner request has to know, which asks the origin the usual way.
    pub(super) fn of_passed(&self) -> Box<Self> {
        let Self { passed, forwarded, generation, .. } = *self;
        Box::new(Self { passed, forwarded, generation, ..Self::default() })
    }

    /// Whether the answer of `route` comes from its cache.
    pub(crate) fn answers(&self, route: Option<RouteId>) -> bool {
        self.answers.is_some() && self.answers == route
    }
}
