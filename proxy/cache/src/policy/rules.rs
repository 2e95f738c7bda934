//! What a route says of caching.

use std::time::Duration;

use http::{HeaderName, StatusCode};

/// What a route says of caching; the default is what the RFCs say and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Fields that speak to this cache before `Cache-Control` does, the first that is there and valid (RFC 9213). `X-Accel-Expires`
    /// is understood as nginx does: it also says more than `private` and `no-store` do.
    pub targeted: Box<[HeaderName]>,
    /// Lifetimes of responses that say nothing of theirs; of all, with [`Rules::overrides_origin`].
    pub ttl: Box<[(StatusCode, Duration)]>,
    /// The same for every other status.
    pub ttl_of_others: Option<Duration>,
    /// Whether `ttl` also rules over the lifetime that the response says, and over its `no-cache`.
    ///
    /// `no-store`, `private`, `Set-Cookie` and `must-revalidate` still hold: to be deaf to these, name their fields in `ignored`.
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
    /// Whether what is stored is sent for as long as the origin is dead, however stale; also where `s-maxage` forbids it, but not
    /// where `no-cache`, `must-revalidate` or `proxy-revalidate` do.
    pub always_online: bool,
    /// Whether a response that varies by `Accept-Language`, and is in the language that its request wants most, is sent to every
    /// request that wants this one most. RFC 9111, 4.1 has the lists agree as wholes: this is for origins that choose by language
    /// alone.
    pub matches_language: bool,
    /// The methods that may be answered from the cache, beside GET and HEAD: `QUERY`, with the body in the key.
    pub query: bool,
}

impl Rules {
    /// Whether the field `name` of a response is as if it were not there.
    #[must_use]
    pub fn ignores(&self, name: &HeaderName) -> bool {
        self.ignored.contains(name)
    }

    /// The configured lifetime of responses with `status`.
    #[must_use]
    pub fn ttl(&self, status: StatusCode) -> Option<Duration> {
        let named = self.ttl.iter().find(|(of, _)| *of == status);
        named.map(|(_, ttl)| *ttl).or(self.ttl_of_others)
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
            matches_language: false,
            query: false,
        }
    }
}
