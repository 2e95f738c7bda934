//! What a stored response answers a request with: which status, which of its bytes.

mod body;
mod early_hints;
mod parts;
mod reply;
mod slices;
mod wire;

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use switchback_representation::{Ranges, Validators, Verdict, date};

use crate::entry::Head;

pub use body::slices;
pub use early_hints::early_hints;
pub use parts::{Came, Parts};
pub use reply::{Hop, MOST_ADDED, Reply, USE_AS_DICTIONARY};
pub use slices::{Piece, Slicing, agree, whole};
pub use wire::{Form, Wire};

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The response as it is stored.
    Whole,
    /// 206 with one range of it.
    Range(Range<u64>),
    /// 206 with several, in this order.
    Ranges(Vec<Range<u64>>),
    /// 416: nothing of what is wanted is there.
    Unsatisfiable,
    /// 304: the client has it.
    NotModified,
    /// 412: `If-Match` or `If-Unmodified-Since` do not hold for what is stored. Both are meant for the origin (RFC 9111, 4.3.2),
    /// which may know better.
    Failed,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// The client's method.
    pub method: &'r Method,
    /// The client's fields.
    pub headers: &'r HeaderMap,
}

/// Judges the conditions of a request, then its ranges (RFC 9110, 13.2.2), for a response that was received at a time; `length` is
/// that of its body, where it is known.
///
/// Conditions are for responses that have succeeded (RFC 9110, 13.2.1), ranges for GET (RFC 9110, 14.2), QUERY (RFC 10008, 2.8)
/// and whole ones.
#[must_use]
pub fn answered(
    head: &Head,
    received: SystemTime,
    length: Option<u64>,
    asked: Asked<'_>,
) -> Answered {
    if !asks_for_less(asked.headers) || !head.status.is_success() {
        return Answered::Whole;
    }
    let validators = validators(head, received);
    match validators.judge(asked.headers) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Answered::NotModified,
        Verdict::Failed => return Answered::Failed,
    }
    let Some((line, length)) = asked.headers.get(header::RANGE).zip(length) else {
        return Answered::Whole;
    };
    if !has_ranges(asked.method)
        || head.status != StatusCode::OK
        || !validators.allow_ranges(asked.headers)
    {
        return Answered::Whole;
    }
    match Ranges::parse(line.as_bytes(), length) {
        Ranges::Whole => Answered::Whole,
        Ranges::Unsatisfiable => Answered::Unsatisfiable,
        Ranges::Some(ranges) => match <[_; 1]>::try_from(ranges) {
            Ok([range]) => Answered::Range(range),
            Err(ranges) => Answered::Ranges(ranges),
        },
    }
}

/// Whether a range that is asked for begins beyond this many bytes; so may one that is counted from the end.
#[must_use]
pub fn begins_beyond(asked: Asked<'_>, offset: u64) -> bool {
    let line = asked.headers.get(header::RANGE).filter(|_| has_ranges(asked.method));
    let line = line.and_then(|line| line.to_str().ok()).unwrap_or_default();
    let Some(ranges) = line.split_once('=').filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
    else {
        return false;
    };
    ranges.1.split(',').any(|range| match range.trim().split_once('-') {
        Some(("", _)) => true,
        Some((first, _)) if first.bytes().all(|byte| byte.is_ascii_digit()) => {
            !first.parse::<u64>().is_ok_and(|first| first <= offset)
        }
        _ => false,
    })
}

/// Whether ranges mean anything to the method.
fn has_ranges(method: &Method) -> bool {
    *method == Method::GET || method.as_str() == "QUERY"
}

/// Whether the request has conditions or ranges; most have none.
#[must_use]
pub fn asks_for_less(request: &HeaderMap) -> bool {
    let fields = [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::RANGE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
    ];
    fields.iter().any(|name| request.contains_key(name))
}

/// What tells the stored response from others.
fn validators(head: &Head, received: SystemTime) -> Validators<'_> {
    let field = |name| head.headers.get(name);
    let received = || {
        let since = received.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    Validators {
        etag: field(header::ETAG).map(HeaderValue::as_bytes),
        modified: field(header::LAST_MODIFIED).and_then(date::parse),
        sent: field(header::DATE).and_then(date::parse).or_else(received),
    }
}

#[cfg(test)]
mod tests;
