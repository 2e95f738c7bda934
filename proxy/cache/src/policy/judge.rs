//! What a request asks of the cache, and what a stored response may be used for.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, header};

use crate::entry::Meta;
use crate::policy::control::{self, Argument, LONGEST, Members, delta_seconds};
use crate::policy::freshness::{Stale, age};
use crate::policy::rules::Rules;

/// What a request asks of the cache (RFC 9111, 5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// `no-cache`, or `Pragma: no-cache` without `Cache-Control`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `min-fresh`.
    pub min_fresh: Option<Duration>,
    /// `max-stale`; without a value, [`Duration::MAX`].
    pub max_stale: Option<Duration>,
    /// `stale-if-error`.
    pub stale_if_error: Option<Duration>,
}

/// What a stored response may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// As it is.
    Fresh,
    /// As it is, though stale: the client says so (`max-stale`).
    Stale,
    /// As it is, while it is validated in the background.
    WhileRevalidating,
    /// After a validation; `if_error` says whether it may stand in for an error of that.
    Validate {
        /// RFC 5861, 4.
        if_error: bool,
    },
}

/// Whether the request may be answered from the cache at all, and its response stored.
#[must_use]
pub fn may_use_cache(method: &Method, rules: &Rules) -> bool {
    *method == Method::GET || *method == Method::HEAD || rules.query && method.as_str() == "QUERY"
}

/// The request fields that say how the content of a QUERY is to be read: they belong into its key, as the content does
/// (RFC 10008, 2.7; RFC 9110, 8).
pub const QUERY_FIELDS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// What the request asks of the cache. Allocates nothing; a request without `Cache-Control` and `Pragma` costs two look-ups.
///
/// With [`Asks::no_store`] the response is not stored; what is stored already is used after a validation only.
#[must_use]
pub fn asks(request: &HeaderMap, rules: &Rules) -> Asks {
    let mut asks = Asks::default();
    if !rules.obeys_client {
        return asks;
    }
    if request.contains_key(header::CACHE_CONTROL) {
        for line in request.get_all(header::CACHE_CONTROL) {
            let mut members = Members::of(line.as_bytes());
            while let Some((name, argument)) = members.next() {
                asks.add(name, argument);
            }
        }
    } else if request.contains_key(header::PRAGMA) {
        asks.no_cache = has_no_cache(&request.get_all(header::PRAGMA)); // RFC 9111, 5.4
    }
    asks
}

fn has_no_cache(lines: &header::GetAll<'_, header::HeaderValue>) -> bool {
    lines.iter().any(|line| {
        let mut members = Members::of(line.as_bytes());
        std::iter::from_fn(|| members.next())
            .any(|(name, _)| name.eq_ignore_ascii_case(b"no-cache"))
    })
}

impl Asks {
    /// Of a directive that is there twice, and of a time that cannot be read, that counts which asks for the fresher response.
    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let time = match argument {
            Argument::Token(text) | Argument::Quoted(text) => delta_seconds(text),
            Argument::None | Argument::Bad => None,
        };
        match control::lower(name, &mut [0; LONGEST]) {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = least(self.max_age, time.unwrap_or_default()),
            b"min-fresh" => self.min_fresh = self.min_fresh.max(time),
            b"max-stale" => {
                let any = (argument == Argument::None).then_some(Duration::MAX);
                self.max_stale = least(self.max_stale, time.or(any).unwrap_or_default());
            }
            b"stale-if-error" => {
                self.stale_if_error = least(self.stale_if_error, time.unwrap_or_default())
            }
            _ => {}
        }
    }
}

fn least(known: Option<Duration>, other: Duration) -> Option<Duration> {
    Some(known.map_or(other, |known| known.min(other)))
}

/// What a stored response may be used for. Allocates nothing.
///
/// First what the response forbids, then what the client asks for, then what the response, the client and the rules allow. A
/// lifetime that is forgone or over is no bar to `max-stale`, `stale-while-revalidate` and `stale-if-error`, in this order.
#[must_use]
pub fn judge(meta: &Meta, asks: &Asks, rules: &Rules, now: SystemTime) -> Use {
    let fresh = &meta.freshness;
    if fresh.always_validate {
        return Use::Validate { if_error: false };
    }
    let age = age(meta, now);
    let is_fresh = age < fresh.lifetime;
    if asks.no_cache || asks.no_store || asks.is_too_old(age, is_fresh && fresh.is_immutable) {
        return validate(meta, asks, rules, age);
    }
    let is_fresh_enough = match asks.min_fresh {
        Some(more) => age.saturating_add(more) <= fresh.lifetime && is_fresh,
        None => is_fresh,
    };
    if is_fresh_enough {
        return Use::Fresh;
    }
    let staleness = age.saturating_sub(fresh.lifetime);
    if !is_fresh
        && fresh.stale == Stale::Allowed
        && asks.max_stale.is_some_and(|most| staleness <= most)
    {
        return Use::Stale;
    }
    if asks.max_age.is_none()
        && asks.min_fresh.is_none()
        && staleness < while_revalidating(meta, rules)
    {
        return Use::WhileRevalidating;
    }
    validate(meta, asks, rules, age)
}

/// The same of a response that was purged softly: as stale, and only an error of its validation makes it useful.
#[must_use]
pub fn judge_purged(meta: &Meta, asks: &Asks, rules: &Rules, now: SystemTime) -> Use {
    if meta.freshness.always_validate {
        return Use::Validate { if_error: false };
    }
    validate(meta, asks, rules, age(meta, now))
}

impl Asks {
    /// Whether the client does not want a response of this age, be it fresh (RFC 9111, 5.2.1.1).
    ///
    /// A fresh response that never changes is good enough for the `max-age=0` of a reload (RFC 8246, 2.1).
    fn is_too_old(&self, age: Duration, never_changes: bool) -> bool {
        self.max_age.is_some_and(|most| !never_changes && (most.is_zero() || age > most))
    }
}

/// How long after its lifetime a response may be sent while it is validated (RFC 5861, 3).
fn while_revalidating(meta: &Meta, rules: &Rules) -> Duration {
    match (meta.freshness.stale, meta.freshness.stale_while_revalidate) {
        (Stale::Never, _) => Duration::ZERO,
        (_, Some(said)) => said,
        (Stale::Allowed, None) => rules.stale_while_revalidate,
        (Stale::AsSaid, None) => Duration::ZERO,
    }
}

/// After a validation, or instead of its error: as long as the response, else the client, else the rules say (RFC 5861, 4).
fn validate(meta: &Meta, asks: &Asks, rules: &Rules, age: Duration) -> Use {
    let fresh = &meta.freshness;
    let window = match fresh.stale {
        Stale::Never => return Use::Validate { if_error: false },
        Stale::AsSaid => fresh.stale_if_error.unwrap_or_default(),
        Stale::Allowed => {
            let said = asks.stale_if_error.or(fresh.stale_if_error);
            said.unwrap_or(rules.stale_if_error)
        }
    };
    let staleness = age.saturating_sub(fresh.lifetime);
    Use::Validate { if_error: rules.always_online || staleness < window }
}
