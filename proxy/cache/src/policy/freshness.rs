//! How long a response is fresh, and how old it is (RFC 9111, 4.2).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::entry::{Head, Meta, Times};
use crate::policy::accel::{ACCEL_EXPIRES, Accel};
use crate::policy::control::{Directives, delta_seconds};
use crate::policy::date::http_date;
use crate::policy::rules::Rules;
use crate::policy::structured;

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
    /// Whether a client's `max-age` is no reason to validate while it is fresh (RFC 8246).
    pub is_immutable: bool,
    /// Whether it may be used when it is stale.
    pub stale: Stale,
    /// How long after its lifetime it may be sent while it is validated, if it says so.
    pub stale_while_revalidate: Option<Duration>,
    /// How long after its lifetime it may stand in for an error, if it says so.
    pub stale_if_error: Option<Duration>,
}

/// Whether a response may be used when it is stale (RFC 9111, 4.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// As far as the response, the rules or the client allow it.
    #[default]
    Allowed,
    /// Only for the time that the response itself names: `s-maxage` (RFC 9111, 5.2.2.10).
    AsSaid,
    /// Never: `must-revalidate`, `proxy-revalidate`.
    Never,
}

/// The age of a stored response (RFC 9111, 4.2.3). Allocates nothing.
///
/// Where the clock went back since it was received, the time before that does not count.
#[must_use]
pub fn age(meta: &Meta, now: SystemTime) -> Duration {
    let residence = now.duration_since(meta.times.response).unwrap_or_default();
    meta.freshness.initial_age.saturating_add(residence)
}

/// What a response says to this cache.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) control: Directives,
    /// Whether that is from a targeted field, beside which `Cache-Control` and `Expires` do not count (RFC 9213, 2.2).
    is_targeted: bool,
    /// The lifetime, where nginx's own field names it.
    accel: Option<Accel>,
}

impl Said {
    pub(super) fn of(headers: &HeaderMap, rules: &Rules) -> Self {
        for name in rules.targeted.iter().filter(|name| !rules.ignores(name)) {
            if *name == ACCEL_EXPIRES {
                if let Some(accel) = Accel::of(headers) {
                    return Self::by_nginx(accel, &cache_control(headers, rules));
                }
            } else if let Some(control) = targeted(headers, name) {
                return Self { control, is_targeted: true, accel: None };
            }
        }
        Self { control: cache_control(headers, rules), is_targeted: false, accel: None }
    }

    /// As nginx takes it: nothing of `Cache-Control` counts beside it but for how long the response may be used stale.
    fn by_nginx(accel: Accel, control: &Directives) -> Self {
        let control = Directives {
            no_store: accel == Accel::Never,
            stale_while_revalidate: control.stale_while_revalidate,
            stale_if_error: control.stale_if_error,
            ..Directives::default()
        };
        Self { control, is_targeted: true, accel: Some(accel) }
    }

    /// For how long the response may be used; none where nothing says so, and there is nothing to guess by.
    pub(super) fn freshness(&self, head: &Head, times: Times, rules: &Rules) -> Option<Freshness> {
        let forced = rules.ttl(head.status).filter(|_| rules.overrides_origin);
        let always_validate = self.control.no_cache && forced.is_none();
        let (lifetime, is_heuristic) = self.lifetime(head, times, rules)?;
        Some(Freshness {
            lifetime,
            initial_age: initial_age(&head.headers, times),
            is_heuristic,
            always_validate,
            is_immutable: self.control.immutable,
            stale: self.stale(),
            stale_while_revalidate: self.control.stale_while_revalidate,
            stale_if_error: self.control.stale_if_error,
        })
    }

    /// The first that is there (RFC 9111, 4.2.1), and whether it is a guess.
    fn lifetime(&self, head: &Head, times: Times, rules: &Rules) -> Option<(Duration, bool)> {
        let ttl = rules.ttl(head.status);
        if let Some(forced) = ttl.filter(|_| rules.overrides_origin) {
            return Some((forced, false));
        }
        if let Some(accel) = self.accel {
            // Counted from now, however old the response is.
            let lifetime = accel.lifetime(times).saturating_add(initial_age(&head.headers, times));
            return Some((lifetime, false));
        }
        let control = &self.control;
        let explicit =
            control.s_maxage.or(control.max_age).or_else(|| self.expires(head, times, rules));
        let explicit = explicit.or(control.no_cache.then_some(Duration::ZERO));
        if let Some(lifetime) = explicit.or(ttl) {
            return Some((lifetime, false));
        }
        let may_guess = is_heuristically_cacheable(head.status) || control.public;
        let guess = heuristic(&head.headers, times, rules).filter(|_| may_guess);
        guess.map(|lifetime| (lifetime, true))
    }

    /// By `Expires`, counted from `Date` (RFC 9111, 5.3): what is no date, or several that differ, is in the past.
    fn expires(&self, head: &Head, times: Times, rules: &Rules) -> Option<Duration> {
        if self.is_targeted || rules.ignores(&header::EXPIRES) {
            return None;
        }
        let mut lines = head.headers.get_all(header::EXPIRES).iter();
        let first = lines.next()?;
        if lines.any(|line| line != first) {
            return Some(Duration::ZERO);
        }
        let expires = http_date(first.as_bytes(), times.response);
        let lifetime =
            expires.and_then(|expires| expires.duration_since(date(&head.headers, times)).ok());
        Some(lifetime.unwrap_or_default())
    }

    fn stale(&self) -> Stale {
        match &self.control {
            control if control.must_revalidate || control.proxy_revalidate => Stale::Never,
            control if control.s_maxage.is_some() => Stale::AsSaid,
            _ => Stale::Allowed,
        }
    }
}

fn cache_control(headers: &HeaderMap, rules: &Rules) -> Directives {
    match rules.ignores(&header::CACHE_CONTROL) {
        true => Directives::default(),
        false => Directives::of(&headers.get_all(header::CACHE_CONTROL)),
    }
}

/// A targeted field; one that is empty, or cannot be read, is as if it were not there (RFC 9213, 2.1).
fn targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Directives> {
    let members = structured::dictionary(&headers.get_all(name))?;
    if members.is_empty() {
        return None;
    }
    Directives::of_dictionary(&members)
}

/// `Date`; without one that can be read, when the response was received (RFC 9110, 6.6.1).
fn date(headers: &HeaderMap, times: Times) -> SystemTime {
    let said =
        headers.get(header::DATE).and_then(|date| http_date(date.as_bytes(), times.response));
    said.unwrap_or(times.response)
}

/// A part of the time for which the response had not changed when it was made (RFC 9111, 4.2.2).
fn heuristic(headers: &HeaderMap, times: Times, rules: &Rules) -> Option<Duration> {
    if rules.heuristic_percent == 0 {
        return None;
    }
    let modified = http_date(headers.get(header::LAST_MODIFIED)?.as_bytes(), times.response)?;
    let unchanged = date(headers, times).duration_since(modified).unwrap_or_default();
    let part = (unchanged / 100).saturating_mul(u32::from(rules.heuristic_percent));
    Some(part.min(rules.heuristic_most))
}

/// `corrected_initial_age` (RFC 9111, 4.2.3).
fn initial_age(headers: &HeaderMap, times: Times) -> Duration {
    let apparent = times.response.duration_since(date(headers, times)).unwrap_or_default();
    let delay = times.response.duration_since(times.request).unwrap_or_default();
    apparent.max(age_value(headers).saturating_add(delay))
}

/// `Age` (RFC 9111, 5.1): the first value of several; what is no number is as if it were not there.
fn age_value(headers: &HeaderMap) -> Duration {
    let Some(line) = headers.get(header::AGE) else { return Duration::ZERO };
    let first = line.as_bytes().split(|byte| matches!(byte, b',' | b';')).next();
    first.and_then(|value| delta_seconds(value.trim_ascii())).unwrap_or_default()
}

/// Whether a lifetime may be guessed for `status` (RFC 9110, 15.1).
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}
