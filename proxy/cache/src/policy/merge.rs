//! What the answer to a validation does to what is stored (RFC 9111, 3.2, 4.3.4 and 4.3.5).

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::entry::{Head, Meta, Times};
use crate::policy::date::http_date;
use crate::policy::fields::{date, strip, to_store};
use crate::policy::rules::Rules;
use crate::policy::store::{Asked, Unstorable, storable};
use crate::policy::vary::selecting_answer;

/// What the response to a HEAD does to a stored response to a GET (RFC 9111, 4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadSays {
    /// It is the same: [`renew`] it.
    Same,
    /// It is another: the stored one counts as stale.
    Changed,
    /// Nothing.
    Nothing,
}

/// Which of the `stored` responses a 304 speaks of (RFC 9111, 4.3.4), as places in `stored`.
#[must_use]
pub fn select_304(stored: &[&Meta], answer: &Head) -> Vec<usize> {
    let all = |is_meant: &dyn Fn(&HeaderMap) -> bool| {
        let places = stored.iter().enumerate();
        places
            .filter(|(_, meta)| is_meant(&meta.head.headers))
            .map(|(at, _)| at)
            .collect::<Vec<_>>()
    };
    let new = &answer.headers;
    let strong = etag(new).filter(|tag| !is_weak(tag));
    if strong.is_some() {
        return all(&|old| etag(old) == strong);
    }
    if is_strong_date(new) {
        return all(&|old| is_strong_date(old) && same(old, new, &header::LAST_MODIFIED));
    }
    if has_validator(new) {
        let mut meant = all(&|old| same_weakly(old, new));
        meant.sort_by_key(|at| stored.get(*at).map(|meta| meta.times.response));
        return meant.pop().into_iter().collect();
    }
    match stored {
        [only] if !has_validator(&only.head.headers) => vec![0],
        _ => Vec::new(),
    }
}

/// Whether a 304 speaks of `stored`, when `sent` are the fields of the request that it answers.
///
/// Beside what [`select_304`] says: an answer without any validator to a request that named the validator of `stored` alone. It
/// can mean nothing else, and some origins answer so.
#[must_use]
pub fn belongs(stored: &Meta, answer: &Head, sent: &HeaderMap) -> bool {
    if has_validator(&answer.headers) {
        return !select_304(&[stored], answer).is_empty();
    }
    let ours = &stored.head.headers;
    let named = |condition, validator: &HeaderName| {
        let mut lines = sent.get_all(condition).iter();
        lines.next().is_some_and(|line| Some(line) == ours.get(validator)) && lines.next().is_none()
    };
    match sent.contains_key(header::IF_NONE_MATCH) {
        true => named(header::IF_NONE_MATCH, &header::ETAG),
        false => named(header::IF_MODIFIED_SINCE, &header::LAST_MODIFIED) || !has_validator(ours),
    }
}

/// The head of `stored` with the fields of `answer` (RFC 9111, 3.2): all but those that say how the stored bytes are coded or
/// framed, and those that are not stored. Each field that is there replaces all lines of its name.
#[must_use]
pub fn merge(stored: &Head, answer: &Head, times: Times, rules: &Rules) -> Head {
    let mut new = answer.headers.clone();
    strip(&mut new);
    for name in OF_THE_BYTES {
        new.remove(name);
    }
    if !rules.stores_cookies {
        new.remove(header::SET_COOKIE);
    }
    date(&mut new, times);
    let mut head = stored.clone();
    head.headers.remove(header::AGE);
    for name in new.keys() {
        head.headers.remove(name);
    }
    head.headers.extend(new);
    head
}

/// What is known of `stored` after a 304 (or the 200 to a HEAD) that [`belongs`] to it: head, times, lifetime, `Vary`.
///
/// # Errors
/// The new head answers this request, but is not to be stored. Unless that is [for a reason of the
/// request](Unstorable::is_of_request), what is stored is not to be used any more.
pub fn renew(
    stored: &Meta,
    answer: &Head,
    asked: Asked<'_>,
    times: Times,
    rules: &Rules,
) -> Result<Meta, (Box<Head>, Unstorable)> {
    let mut head = merge(&stored.head, answer, times, rules);
    match storable(asked, &head, times, rules) {
        Ok(storable) => {
            to_store(&mut head, &storable, times, rules);
            let selected_by = selecting_answer(&storable.vary, asked.headers, &head.headers, rules);
            let freshness = storable.freshness;
            Ok(Meta { head, times, freshness, vary: storable.vary, selected_by, ..stored.clone() })
        }
        Err(why) => {
            head.headers.remove(header::AGE);
            Err((Box::new(head), why))
        }
    }
}

/// What the response to a HEAD says of a stored response to a GET with a body of `length` bytes.
#[must_use]
pub fn by_head(stored: &Meta, length: u64, answer: &Head) -> HeadSays {
    if answer.status != StatusCode::OK || stored.head.status != StatusCode::OK {
        return HeadSays::Nothing;
    }
    let new = &answer.headers;
    let agrees = |name| !new.contains_key(name) || same(&stored.head.headers, new, name);
    let said = new.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let is_as_long = said.is_none_or(|said| said == length.to_string().as_bytes());
    match agrees(&header::ETAG) && agrees(&header::LAST_MODIFIED) && is_as_long {
        true => HeadSays::Same,
        false => HeadSays::Changed,
    }
}

fn etag(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::ETAG).map(HeaderValue::as_bytes)
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// The entity tag, if there is one that is strong (RFC 9110, 8.8.3).
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<&[u8]> {
    etag(headers).filter(|tag| !is_weak(tag))
}

/// Whether `Last-Modified` is a strong validator: the response was made a minute later at least (RFC 9110, 8.8.2.2).
pub(super) fn is_strong_date(headers: &HeaderMap) -> bool {
    let moment = |name: HeaderName, now| http_date(headers.get(name)?.as_bytes(), now);
    let Some(made) = moment(header::DATE, UNIX_EPOCH + CENTURIES) else { return false };
    let Some(modified) = moment(header::LAST_MODIFIED, made) else { return false };
    made.duration_since(modified).is_ok_and(|since| since >= Duration::from_mins(1))
}

/// From the epoch to what decides on the century of a `Date` with two digits: 2040, so that it is one of 1991 to 2090.
const CENTURIES: Duration = Duration::from_hours(70 * 365 * 24 + 18 * 24);

fn has_validator(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED)
}

/// Whether both have the field, and the same in it.
pub(super) fn same(one: &HeaderMap, other: &HeaderMap, name: &HeaderName) -> bool {
    one.get(name).is_some_and(|value| Some(value) == other.get(name))
}

/// By the entity tag if the new response has one, else by the date (RFC 9110, 8.8.3.2).
fn same_weakly(old: &HeaderMap, new: &HeaderMap) -> bool {
    let opaque = |tag: &'_ [u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    match etag(new) {
        Some(tag) => etag(old).map(opaque) == Some(opaque(tag)),
        None => same(old, new, &header::LAST_MODIFIED),
    }
}

/// What is said of the bytes that are stored, and so does not change while they do not (RFC 9111, 3.2).
///
/// `Content-Type` is not among them: the bytes are stored as they came, and not by what they mean.
const OF_THE_BYTES: [HeaderName; 3] =
    [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::CONTENT_RANGE];
