//! Huge responses in slices: entries of their own, each with a part of the whole.
//!
//! The first slice stands for the whole: it is asked for first, tells how long the whole is, and the others have to agree with it.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use switchback_representation::Short;

use crate::entry::Head;
use crate::policy::partial::ContentRange;

/// How a response is sliced: into parts of so many bytes, the last one perhaps shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slicing(u64);

/// A part of one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which slice.
    pub slice: u64,
    /// Which of its bytes, counted from its own beginning; never empty.
    pub bytes: Range<u64>,
}

impl Slicing {
    /// Into slices of `size` bytes; at least one.
    #[must_use]
    pub fn of(size: u64) -> Self {
        Self(size.max(1))
    }

    /// The value of `Range` that asks for a slice (RFC 9110, 14.1.2).
    #[must_use]
    pub fn range(self, slice: u64) -> HeaderValue {
        let bytes = self.bytes(slice);
        Short::of(format_args!("bytes={}-{}", bytes.start, bytes.end - 1)).to_value()
    }

    /// The bytes of the whole that a slice has, if the whole is long enough.
    fn bytes(self, slice: u64) -> Range<u64> {
        let start = slice.saturating_mul(self.0).min(u64::MAX - self.0);
        start..start + self.0
    }

    /// What of which slices makes up `range` of the whole, in order.
    pub fn pieces(self, range: Range<u64>) -> impl Iterator<Item = Piece> {
        let first = range.start / self.0;
        let after = if range.is_empty() { first } else { range.end.div_ceil(self.0) };
        (first..after).map(move |slice| {
            let own = self.bytes(slice);
            let from = range.start.max(own.start) - own.start;
            let to = range.end.min(own.end) - own.start;
            Piece { slice, bytes: from..to }
        })
    }

    /// The length of the whole, if `head` is what was asked for: just this slice of it.
    #[must_use]
    pub fn whole_of(self, slice: u64, head: &Head) -> Option<u64> {
        let said = ContentRange::of(&head.headers)?;
        let complete = said.complete?;
        let own = self.bytes(slice);
        let end = own.end.min(complete);
        let is_it = head.status == StatusCode::PARTIAL_CONTENT
            && said.first == own.start
            && said.last.checked_add(1) == Some(end);
        is_it.then_some(complete)
    }
}

/// Whether a slice is of the same whole as the first one: as long, and with the same validators. Weak ones will do, for want of
/// better, where none differs; without any, length and type must do.
#[must_use]
pub fn agree(first: &Head, other: &Head) -> bool {
    let complete = |head: &Head| ContentRange::of(&head.headers).and_then(|range| range.complete);
    let same = |name| first.headers.get(&name) == other.headers.get(&name);
    complete(first) == complete(other)
        && same(header::ETAG)
        && same(header::LAST_MODIFIED)
        && same(header::CONTENT_ENCODING)
        && same(header::CONTENT_TYPE)
}

/// The head of the whole, made of that of its first slice.
#[must_use]
pub fn whole(first: &Head) -> Head {
    let mut headers: HeaderMap = first.headers.clone();
    headers.remove(header::CONTENT_RANGE);
    headers.remove(header::CONTENT_LENGTH);
    Head { status: StatusCode::OK, headers }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn head(status: u16, lines: &[(&'static str, &'static str)]) -> Head {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let status = StatusCode::from_u16(status).unwrap();
        Head { status, headers: lines.iter().map(line).collect() }
    }

    #[test]
    fn a_range_is_made_of_slices() {
        let piece = |slice, bytes| Piece { slice, bytes };
        let of = |range| Slicing::of(10).pieces(range).collect::<Vec<_>>();
        assert_eq!(of(0..10), [piece(0, 0..10)]);
        assert_eq!(of(3..5), [piece(0, 3..5)]);
        assert_eq!(of(9..21), [piece(0, 9..10), piece(1, 0..10), piece(2, 0..1)]);
        assert_eq!(of(20..30), [piece(2, 0..10)]);
        assert_eq!(of(5..5), []);
        assert_eq!(Slicing::of(10).range(2), "bytes=20-29");
    }

    #[test]
    fn a_slice_is_just_what_was_asked_for() {
        for (status, range, expected) in [
            (206, "bytes 10-19/100", Some(100)),
            (206, "bytes 10-14/15", Some(15)),
            (206, "bytes 10-18/100", None),
            (206, "bytes 0-9/100", None),
            (206, "bytes 10-19/*", None),
            (206, "bytes */100", None),
            (200, "bytes 10-19/100", None),
        ] {
            let head = head(status, &[("content-range", range)]);
            assert_eq!(Slicing::of(10).whole_of(1, &head), expected, "{status} {range}");
        }
        assert_eq!(Slicing::of(10).whole_of(1, &head(206, &[])), None);
    }

    #[test]
    fn slices_of_another_state_do_not_agree() {
        let fields = [("content-range", "bytes 0-9/20"), ("etag", "\"a\""), ("last-modified", "x")];
        let first = head(206, &fields);
        let next = ("content-range", "bytes 10-19/20");
        let with = |lines: &[_]| head(206, lines);
        assert!(agree(&first, &with(&[next, fields[1], fields[2]])));
        assert!(!agree(
            &first,
            &with(&[("content-range", "bytes 10-19/21"), fields[1], fields[2]])
        ));
        assert!(!agree(&first, &with(&[next, ("etag", "\"b\""), fields[2]])));
        assert!(!agree(&first, &with(&[next, fields[1], ("last-modified", "y")])));
        assert!(!agree(&first, &with(&[next, fields[2]])));
        assert!(!agree(&first, &with(&[next, fields[1], fields[2], ("content-type", "a/b")])));
    }

    #[test]
    fn the_whole_says_what_its_first_slice_says_of_it() {
        let first = head(
            206,
            &[("content-range", "bytes 0-9/20"), ("content-length", "10"), ("etag", "\"a\"")],
        );
        let whole = whole(&first);
        assert_eq!(
            (whole.status, whole.headers),
            (StatusCode::OK, head(200, &[("etag", "\"a\"")]).headers)
        );
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_range_are_the_range(
            size in 1_u64..50,
            start in prop_oneof![0_u64..500, Just(u64::MAX - 500)],
            length in 1_u64..300,
        ) {
            let slicing = Slicing::of(size);
            let mut at = start;
            for piece in slicing.pieces(start..start + length) {
                prop_assert!(!piece.bytes.is_empty() && piece.bytes.end <= size);
                prop_assert_eq!(piece.slice * size + piece.bytes.start, at);
                at += piece.bytes.end - piece.bytes.start;
            }
            prop_assert_eq!(at, start + length);
        }
    }
}
