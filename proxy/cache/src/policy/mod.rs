//! What may be stored and used (RFC 9111), as pure functions.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::entry::{Head, Meta, Times};

/// What a route says of caching; the default is what the RFC says and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Fields that speak to this cache before `Cache-Control` does, the first that is there and valid (RFC 9213).
    pub targeted: Box<[HeaderName]>,
    /// Lifetimes of responses that say nothing of theirs; of all, with [`Rules::overrides_origin`].
    pub ttl: Box<[(StatusCode, Duration)]>,
    /// The same for every other status.
    pub ttl_of_others: Option<Duration>,
    /// Whether `ttl` also rules over what the response says.
    pub overrides_origin: bool,
    /// Response fields that are as if they were not there: `cache-control`, `expires`, `set-cookie`, `vary` ...
    pub ignored: Box<[HeaderName]>,
    /// Whether a response with `Set-Cookie` may be stored.
    pub stores_cookies: bool,
    /// Whether the client's `Cache-Control` and `Pragma` count.
    pub obeys_client: bool,
    /// Lifetime by the age of `Last-Modified` (RFC 9111, 4.2.2), in hundredths of that; 0 is none.
    pub heuristic_percent: u8,
    /// The longest heuristic lifetime.
    pub heuristic_most: Duration,
    /// How long a stale response may be sent while it is validated, where the response says nothing (RFC 5861, 3).
    pub stale_while_revalidate: Duration,
    /// How long a stale response may stand in for an error, where the response says nothing (RFC 5861, 4).
    pub stale_if_error: Duration,
    /// Whether what is stored is sent for as long as the origin is dead, however stale.
    pub always_online: bool,
    /// The methods that may be answered from the cache, beside GET and HEAD: `QUERY`, with the body in the key.
    pub query: bool,
}

/// For how long a stored response may be used, all counted from its corrected age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// `freshness_lifetime` (RFC 9111, 4.2.1).
    pub lifetime: Duration,
    /// `corrected_initial_age` (RFC 9111, 4.2.3).
    pub initial_age: Duration,
    /// Whether the lifetime is a guess (RFC 9111, 4.2.2).
    pub is_heuristic: bool,
    /// Never used without a validation (`no-cache`).
    pub always_validate: bool,
    /// Never used stale (`must-revalidate`, `proxy-revalidate`, `s-maxage` as far as RFC 9111 says so).
    pub must_revalidate: bool,
    /// How long after its lifetime it may be sent while it is validated.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime it may stand in for an error.
    pub stale_if_error: Duration,
}

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

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstorable(pub &'static str);

/// What is known of a request when its response arrives.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// The client's method.
    pub method: &'r Method,
    /// The client's fields.
    pub headers: &'r HeaderMap,
}

/// What a response may be stored with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storable {
    /// For how long it may be used.
    pub freshness: Freshness,
    /// The request fields that select it.
    pub vary: Box<[HeaderName]>,
}

/// What the request asks of the cache.
#[must_use]
pub fn asks(_request: &HeaderMap, _rules: &Rules) -> Asks {
    Asks::default()
}

/// Whether the request may be answered from the cache at all, and its response stored.
#[must_use]
pub fn may_use_cache(method: &Method, _rules: &Rules) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Whether the response may be stored by a shared cache (RFC 9111, 3), and for how long it may be used.
///
/// # Errors
/// Why not.
pub fn storable(
    _asked: Asked<'_>,
    head: &Head,
    _times: Times,
    _rules: &Rules,
) -> Result<Storable, Unstorable> {
    let says = |word: &str| {
        let lines = head.headers.get_all(header::CACHE_CONTROL);
        lines.iter().find_map(|line| {
            let text = line.to_str().ok()?;
            text.split(',').find_map(|part| part.trim().strip_prefix(word).map(str::to_owned))
        })
    };
    if says("no-store").is_some() || says("private").is_some() {
        return Err(Unstorable("Cache-Control"));
    }
    let seconds = says("max-age=").and_then(|text| text.parse().ok());
    let seconds = seconds.ok_or(Unstorable("no lifetime"))?;
    let freshness = Freshness { lifetime: Duration::from_secs(seconds), ..Freshness::default() };
    Ok(Storable { freshness, vary: Box::default() })
}

/// The age of a stored response (RFC 9111, 4.2.3).
#[must_use]
pub fn age(meta: &Meta, now: SystemTime) -> Duration {
    meta.freshness.initial_age + now.duration_since(meta.times.response).unwrap_or_default()
}

/// What a stored response may be used for.
#[must_use]
pub fn judge(meta: &Meta, _asks: &Asks, _rules: &Rules, now: SystemTime) -> Use {
    if age(meta, now) < meta.freshness.lifetime {
        Use::Fresh
    } else {
        Use::Validate { if_error: false }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            targeted: [HeaderName::from_static("cdn-cache-control")].into(),
            ttl: Box::default(),
            ttl_of_others: None,
            overrides_origin: false,
            ignored: Box::default(),
            stores_cookies: false,
            obeys_client: true,
            heuristic_percent: 10,
            heuristic_most: Duration::from_hours(24),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            always_online: false,
            query: false,
        }
    }
}
