//! Which responses may be stored (RFC 9111, 3).

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::entry::{Head, Times};
use crate::policy::control::Directives;
use crate::policy::date::http_date;
use crate::policy::freshness::{Freshness, Said, Stale};
use crate::policy::invalidate::{Target, resolve};
use crate::policy::judge::{asks, may_use_cache};
use crate::policy::partial::ContentRange;
use crate::policy::rules::Rules;
use crate::policy::vary::{Vary, vary};

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
    /// The request fields that select it, in lower case, sorted, each once.
    pub vary: Box<[HeaderName]>,
    /// Fields to be left out of what is stored: those that `no-cache` and `private` name (RFC 9111, 5.2.2.4 and 5.2.2.7). The client
    /// that asked may get them.
    pub without: Box<[HeaderName]>,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// The request's method is not one whose responses are stored.
    Method,
    /// The status is of a response that is not final, or that only its own request understands.
    Status,
    /// `must-understand`, and the status is not understood.
    NotUnderstood,
    /// The client's `no-store`.
    AskedNotTo,
    /// `no-store`.
    NoStore,
    /// `private`.
    Private,
    /// The request had `Authorization`, and the response does not allow it to be shared.
    Authorization,
    /// `Set-Cookie`.
    SetCookie,
    /// `Vary` with `*`, or that cannot be read.
    Vary,
    /// Nothing says for how long it may be used.
    NoLifetime,
    /// It would have to be validated before each use, and has nothing to do that with.
    Useless,
    /// A part that is not one range of bytes, or whose length is not that of its range.
    Part,
}

impl Unstorable {
    /// In a word, for logs and the `detail` of `Cache-Status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::AskedNotTo => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::NoLifetime => "no-lifetime",
            Self::Useless => "no-validator",
            Self::Part => "part",
        }
    }
}

impl fmt::Display for Unstorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Unstorable {
    /// Whether the reason is in the request: what is stored already is none the worse for it.
    #[must_use]
    pub fn is_of_request(self) -> bool {
        matches!(self, Self::Method | Self::AskedNotTo | Self::Authorization)
    }
}

/// Whether a whole response may be stored by a shared cache (RFC 9111, 3), and for how long it may be used.
///
/// `head` is as it was received, with the fields of the connection. A 206 never is: see [`storable_part`]. The response to
/// a HEAD is judged as that to a GET: whoever stores it must have its body.
///
/// # Errors
/// Why not.
pub fn storable(
    asked: Asked<'_>,
    head: &Head,
    times: Times,
    rules: &Rules,
) -> Result<Storable, Unstorable> {
    if !is_storable(head.status) {
        return Err(Unstorable::Status);
    }
    storable_as(asked, head, times, rules)
}

/// The same of a 206 with one range of bytes, and which bytes these are (RFC 9111, 3.3). Only parts that share a strong validator
/// may be put together: see [`combines`](super::partial::combines).
///
/// # Errors
/// Why not.
pub fn storable_part(
    asked: Asked<'_>,
    head: &Head,
    times: Times,
    rules: &Rules,
) -> Result<(Storable, ContentRange), Unstorable> {
    if head.status != StatusCode::PARTIAL_CONTENT {
        return Err(Unstorable::Status);
    }
    let range = ContentRange::of(&head.headers).ok_or(Unstorable::Part)?;
    let length = head.headers.get(header::CONTENT_LENGTH).map(|length| length.as_bytes());
    if length.is_some_and(|length| length != range.length().to_string().as_bytes()) {
        return Err(Unstorable::Part);
    }
    Ok((storable_as(asked, head, times, rules)?, range))
}

fn storable_as(
    asked: Asked<'_>,
    head: &Head,
    times: Times,
    rules: &Rules,
) -> Result<Storable, Unstorable> {
    if !may_use_cache(asked.method, rules) {
        return Err(Unstorable::Method);
    }
    if asks(asked.headers, rules).no_store {
        return Err(Unstorable::AskedNotTo);
    }
    let said = Said::of(&head.headers, rules);
    may_share(&said.control, head.status)?;
    if asked.headers.contains_key(header::AUTHORIZATION) && !allows_authorized(&said.control) {
        return Err(Unstorable::Authorization);
    }
    if gives_cookies(&head.headers, &said.control, rules) {
        return Err(Unstorable::SetCookie);
    }
    let Vary::By(vary) = vary(&head.headers, rules) else { return Err(Unstorable::Vary) };
    let freshness = said.freshness(head, times, rules).ok_or(Unstorable::NoLifetime)?;
    if !is_useful(&freshness, head, times, rules) {
        return Err(Unstorable::Useless);
    }
    Ok(Storable { freshness, vary, without: said.control.fields.into() })
}

/// Whether the response to a POST may be stored as what a GET of the same target would bring (RFC 9110, 9.3.3): a 200 that says
/// for how long it is fresh, and whose `Content-Location` is the target. Whether it may be stored at all is left to [`storable`].
#[must_use]
pub fn storable_as_get(target: Target<'_>, head: &Head, rules: &Rules) -> bool {
    let control = Said::of(&head.headers, rules).control;
    let is_explicit = control.s_maxage.is_some()
        || control.max_age.is_some()
        || head.headers.contains_key(header::EXPIRES);
    let place = head.headers.get(header::CONTENT_LOCATION).and_then(|place| place.to_str().ok());
    let place = place.and_then(|place| resolve(target, place));
    head.status == StatusCode::OK && is_explicit && place.as_deref() == Some(target.path_and_query)
}

/// Whether responses with this status are stored: final ones, but those that only the request they answer makes sense of: parts
/// and what is about a range, a condition, a credential for the proxy or the connection.
fn is_storable(status: StatusCode) -> bool {
    status.as_u16() >= 200
        && !matches!(status.as_u16(), 206 | 304 | 407 | 408 | 412 | 416 | 421 | 426)
}

/// Whether what the status asks of a cache is known here (RFC 9111, 3; 5.2.2.3).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 307 | 308 | 400..=406 | 409..=411 | 413..=415 | 417 | 422 | 429 | 451 | 500..=505
    )
}

/// RFC 9111, 5.2.2.3, 5.2.2.5 and 5.2.2.7.
fn may_share(control: &Directives, status: StatusCode) -> Result<(), Unstorable> {
    match control {
        control if control.must_understand && !is_understood(status) => {
            Err(Unstorable::NotUnderstood)
        }
        control if control.no_store && !control.must_understand => Err(Unstorable::NoStore),
        control if control.private => Err(Unstorable::Private),
        _ => Ok(()),
    }
}

/// RFC 9111, 3.5.
fn allows_authorized(control: &Directives) -> bool {
    control.public || control.must_revalidate || control.s_maxage.is_some()
}

/// Whether there is a `Set-Cookie` that would be stored.
fn gives_cookies(headers: &HeaderMap, control: &Directives, rules: &Rules) -> bool {
    headers.contains_key(header::SET_COOKIE)
        && !rules.stores_cookies
        && !rules.ignores(&header::SET_COOKIE)
        && !control.fields.contains(&header::SET_COOKIE)
}

/// Whether it can ever be used: it is fresh for a while, or can be validated, or may be used stale.
fn is_useful(freshness: &Freshness, head: &Head, times: Times, rules: &Rules) -> bool {
    let has_date = |name| {
        let value = head
            .headers
            .get(name)
            .map(|date: &HeaderValue| http_date(date.as_bytes(), times.response));
        value.flatten().is_some()
    };
    if head.headers.contains_key(header::ETAG) || has_date(header::LAST_MODIFIED) {
        return true;
    }
    let said = freshness.stale_while_revalidate.max(freshness.stale_if_error);
    let ruled = rules.stale_while_revalidate.max(rules.stale_if_error);
    let stale = match freshness.stale {
        Stale::Allowed => said.unwrap_or(ruled),
        Stale::AsSaid => said.unwrap_or_default(),
        Stale::Never => Duration::ZERO,
    };
    let is_online_of_it = rules.always_online && freshness.stale != Stale::Never;
    !freshness.always_validate
        && (!freshness.lifetime.is_zero() || !stale.is_zero() || is_online_of_it)
}
