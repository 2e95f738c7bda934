//! Parts of a response: what a 206 holds, and when parts may be put together (RFC 9111, 3.3 and 3.4).

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::entry::{Head, Times};
use crate::policy::merge::{is_strong_date, merge, same, strong_etag};
use crate::policy::rules::Rules;

/// `Content-Range: bytes first-last/complete` (RFC 9110, 14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, itself included.
    pub last: u64,
    /// The length of the whole, if known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Of a response with `headers`; none if there is none, several, or one that is not of bytes or contradicts itself.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let line = lines.next()?.to_str().ok()?;
        if lines.next().is_some() {
            return None;
        }
        let (unit, rest) = line.split_once(' ')?;
        let (range, complete) = rest.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let complete = if complete == "*" { None } else { Some(number(complete)?) };
        let is_sound = first <= last && last < complete.unwrap_or(u64::MAX);
        (is_sound && unit.eq_ignore_ascii_case("bytes")).then_some(Self { first, last, complete })
    }

    /// How many bytes it is of.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Range<u64> {
        self.first..self.last + 1
    }
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Which bytes of a whole are at hand: ranges in order, apart from each other, and not more than [`Held::MOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Vec<Range<u64>>);

impl Held {
    /// How many ranges it is of at most.
    pub const MOST: usize = 128;

    /// Those that `head` says, as [`Held::to_value`] writes them or an origin writes one of them; and the length of the whole.
    #[must_use]
    pub fn of(head: &Head) -> Option<(Self, u64)> {
        if head.status != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let line = head.headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (ranges, complete) = line.strip_prefix("bytes ")?.split_once('/')?;
        let complete = number(complete)?;
        let mut held = Self::default();
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            let is_sound = first <= last && last < complete;
            if !is_sound || !held.add(first..last + 1) {
                return None;
            }
        }
        Some((held, complete))
    }

    /// A `Content-Range` of several ranges of a whole of so many bytes, which HTTP does not know: not to be sent to anybody.
    #[must_use]
    pub fn to_value(&self, complete: u64) -> HeaderValue {
        let ranges: Vec<_> =
            self.0.iter().map(|held| format!("{}-{}", held.start, held.end - 1)).collect();
        let text = format!("bytes {}/{complete}", ranges.join(","));
        // Digits and signs are valid.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
    }

    /// How many bytes they have together.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.iter().map(|held| held.end - held.start).sum()
    }

    /// The ranges, in order; none touches the next.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Adds bytes. Whether they are held then: where there are too many ranges, no more are.
    #[must_use]
    pub fn add(&mut self, bytes: Range<u64>) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let from = self.0.partition_point(|held| held.end < bytes.start);
        let to = self.0.partition_point(|held| held.start <= bytes.end);
        let touched = self.0.get(from..to).unwrap_or_default();
        if touched.is_empty() && self.0.len() >= Self::MOST {
            return false;
        }
        let start = touched.first().map_or(bytes.start, |held| held.start.min(bytes.start));
        let end = touched.last().map_or(bytes.end, |held| held.end.max(bytes.end));
        self.0.splice(from..to, std::iter::once(start..end));
        true
    }

    /// Whether all of `bytes` are at hand.
    #[must_use]
    pub fn has(&self, bytes: &Range<u64>) -> bool {
        self.lacks(bytes.clone()).is_empty()
    }

    /// Those of `bytes` that are not at hand, in order.
    #[must_use]
    pub fn lacks(&self, bytes: Range<u64>) -> Vec<Range<u64>> {
        let mut lacking = Vec::new();
        let mut at = bytes.start;
        for held in self.0.iter().filter(|held| held.end > bytes.start && held.start < bytes.end) {
            lacking.push(at..held.start);
            at = held.end;
        }
        lacking.push(at..bytes.end);
        lacking.retain(|range| !range.is_empty());
        lacking
    }
}

/// What shows in `If-Range` that a response is still the same (RFC 9110, 13.1.5): a validator, if it has a strong one.
#[must_use]
pub fn strong_validator(headers: &HeaderMap) -> Option<&HeaderValue> {
    if headers.contains_key(header::ETAG) {
        return headers.get(header::ETAG).filter(|_| strong_etag(headers).is_some());
    }
    headers.get(header::LAST_MODIFIED).filter(|_| is_strong_date(headers))
}

/// Whether two responses may be parts of the same: they share a strong validator, are coded alike, and do not contradict each
/// other on the length of the whole (RFC 9111, 3.4; RFC 9110, 15.3.7.3).
#[must_use]
pub fn combines(stored: &Head, part: &Head) -> bool {
    let (old, new) = (&stored.headers, &part.headers);
    let is_same = match (strong_etag(old), strong_etag(new)) {
        (Some(tag), Some(other)) => tag == other,
        (None, None) if !old.contains_key(header::ETAG) && !new.contains_key(header::ETAG) => {
            is_strong_date(old) && is_strong_date(new) && same(old, new, &header::LAST_MODIFIED)
        }
        _ => false,
    };
    let lengths = complete_length(stored).zip(complete_length(part));
    let is_coded_alike = old.get(header::CONTENT_ENCODING) == new.get(header::CONTENT_ENCODING);
    is_same && is_coded_alike && lengths.is_none_or(|(length, other)| length == other)
}

fn complete_length(head: &Head) -> Option<u64> {
    if head.status == StatusCode::PARTIAL_CONTENT {
        let single = || ContentRange::of(&head.headers)?.complete;
        return Held::of(head).map(|(_, complete)| complete).or_else(single);
    }
    number(head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?)
}

/// The head of the combined response: that of `stored` with the fields of `part`; as a 200 with its length where it is whole, of
/// `whole` bytes, else as a 206 that says neither range nor length.
#[must_use]
pub fn combined(
    stored: &Head,
    part: &Head,
    whole: Option<u64>,
    times: Times,
    rules: &Rules,
) -> Head {
    let mut head = merge(stored, part, times, rules);
    head.headers.remove(header::CONTENT_RANGE);
    head.headers.remove(header::CONTENT_LENGTH);
    head.status = StatusCode::PARTIAL_CONTENT;
    if let Some(length) = whole {
        head.status = StatusCode::OK;
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    head
}
