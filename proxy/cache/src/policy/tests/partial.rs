//! Parts of responses.

use http::header;
use proptest::prelude::*;

use super::{fields, head, times};
use crate::policy::Rules;
use crate::policy::partial::{ContentRange, Held, combined, combines, strong_validator};

#[test]
fn a_content_range_is_read() {
    for (section, text, expected) in [
        ("9110 14.4", "bytes 0-4/10", Some((0, 4, Some(10)))),
        ("9110 14.4", "Bytes 4-9/10", Some((4, 9, Some(10)))),
        ("9110 14.4", "bytes 5-5/*", Some((5, 5, None))),
        ("9110 14.4, none of it", "bytes */10", None),
        ("9110 14.4, backwards", "bytes 5-4/10", None),
        ("9110 14.4, behind the end", "bytes 4-10/10", None),
        ("9110 14.4, other units", "lines 0-4/10", None),
        ("9110 14.4", "bytes 0-4", None),
        ("9110 14.4", "bytes=0-4/10", None),
        ("9110 14.4", "bytes +0-4/10", None),
        ("9110 14.4", "bytes -4/10", None),
        ("9110 14.4", "bytes 0-18446744073709551615/*", None),
        ("9110 14.4", "bytes 0-99999999999999999999/*", None),
        ("9110 14.4, two", "bytes 0-4/10 | Content-Range: bytes 0-4/10", None),
        ("9110 14.4", "", None),
    ] {
        let range = ContentRange::of(&fields(&format!("Content-Range: {text}")));
        assert_eq!(
            range.map(|range| (range.first, range.last, range.complete)),
            expected,
            "{section}: {text}"
        );
    }
    let range = ContentRange { first: 2, last: 4, complete: None };
    assert_eq!((range.length(), range.bytes()), (3, 2..5));
}

#[test]
fn only_parts_of_the_same_are_put_together() {
    let part = |text: &str| head(206, &format!("Content-Range: bytes 0-4/10 | Date: @0 | {text}"));
    let dated = |date| {
        let modified = "Last-Modified: Sunday, 22-Nov-26 00:00:00 GMT";
        head(206, &format!("Content-Range: bytes 0-4/10 | Date: {date} | {modified}"))
    };
    for (section, stored, new, expected) in [
        ("9111 3.4", part("ETag: \"a\""), part("ETag: \"a\""), true),
        ("9111 3.4", part("ETag: \"a\""), part("ETag: \"b\""), false),
        ("9111 3.4, weak", part("ETag: W/\"a\""), part("ETag: W/\"a\""), false),
        ("9111 3.4, none", part(""), part(""), false),
        ("9111 3.4, one", part("ETag: \"a\""), part("Last-Modified: @-100"), false),
        ("9110 8.8.2.2", part("Last-Modified: @-100"), part("Last-Modified: @-100"), true),
        (
            "9110 8.8.2.2, a weak date in another form",
            dated("Sun, 22 Nov 2026 00:00:09 GMT"),
            dated("Sunday, 22-Nov-26 00:00:09 GMT"),
            false,
        ),
        (
            "9110 8.8.2.2, a weak date",
            part("Last-Modified: @-5"),
            part("Last-Modified: @-5"),
            false,
        ),
        (
            "9110 8.8.2.2, a weak tag beside",
            part("Last-Modified: @-100 | ETag: W/\"a\""),
            part("Last-Modified: @-100"),
            false,
        ),
        (
            "9110 14.4, another length",
            part("ETag: \"a\""),
            head(206, "Content-Range: bytes 5-9/11 | ETag: \"a\""),
            false,
        ),
        (
            "9110 14.4, no length",
            part("ETag: \"a\""),
            head(206, "Content-Range: bytes 5-9/* | ETag: \"a\""),
            true,
        ),
        (
            "9111 3.4, a whole",
            head(200, "Content-Length: 10 | ETag: \"a\""),
            part("ETag: \"a\""),
            true,
        ),
        (
            "9111 3.4, a whole",
            head(200, "Content-Length: 11 | ETag: \"a\""),
            part("ETag: \"a\""),
            false,
        ),
        (
            "9110 8.8.1, coded otherwise",
            part("ETag: \"a\" | Content-Encoding: br"),
            part("ETag: \"a\""),
            false,
        ),
    ] {
        assert_eq!(combines(&stored, &new), expected, "{section}: {stored:?} {new:?}");
    }
}

#[test]
fn the_new_part_updates_the_head() {
    let stored =
        head(206, "Content-Range: bytes 0-4/10 | Content-Length: 5 | A: 1 | B: 1 | ETag: \"a\"");
    let part =
        head(206, "Content-Range: bytes 5-9/10 | Content-Length: 5 | A: 2 | ETag: \"a\" | Age: 5");
    let whole = combined(&stored, &part, Some(10), times(), &Rules::default());
    assert_eq!(
        (whole.status.as_u16(), &whole.headers[header::CONTENT_LENGTH]),
        (200, &"10".parse().unwrap())
    );
    assert_eq!(
        (&whole.headers["a"], &whole.headers["b"]),
        (&"2".parse().unwrap(), &"1".parse().unwrap()),
        "RFC 9111, 3.4"
    );
    assert!(
        !whole.headers.contains_key(header::CONTENT_RANGE) && whole.headers[header::AGE] == "5",
        "its age counts, and is not stored"
    );
    let still = combined(&stored, &part, None, times(), &Rules::default());
    assert_eq!(still.status.as_u16(), 206);
    assert!(
        !still.headers.contains_key(header::CONTENT_RANGE)
            && !still.headers.contains_key(header::CONTENT_LENGTH)
    );
}

#[test]
fn held_ranges_grow_together() {
    let mut held = Held::default();
    assert!(held.add(10..20) && held.add(30..40) && held.add(5..5));
    assert_eq!(held.ranges(), [10..20, 30..40]);
    assert!(held.has(&(12..20)) && !held.has(&(12..21)) && held.has(&(25..25)));
    assert_eq!(held.lacks(0..50), [0..10, 20..30, 40..50]);
    assert_eq!(held.lacks(15..35), std::slice::from_ref(&(20..30)));
    assert!(held.add(20..30));
    assert_eq!(held.ranges(), std::slice::from_ref(&(10..40)));
}

#[test]
fn held_ranges_are_written_down() {
    for (status, text, expected) in [
        (206, "bytes 0-4/10", Some((vec![(0, 5)], 10))),
        (206, "bytes 0-4,6-6/10", Some((vec![(0, 5), (6, 7)], 10))),
        (206, "bytes 0-9/10", Some((vec![(0, 10)], 10))),
        (206, "bytes 0-4,6-10/10", None),
        (206, "bytes 0-4,/10", None),
        (206, "bytes 4-0/10", None),
        (206, "bytes 0-4/*", None),
        (206, "bytes */10", None),
        (206, "lines 0-4/10", None),
        (206, "", None),
        (200, "bytes 0-4/10", None),
    ] {
        let found = Held::of(&head(status, &format!("Content-Range: {text}")));
        if let Some((held, complete)) = &found {
            assert_eq!(held.to_value(*complete), text);
            assert_eq!(
                held.length(),
                held.ranges().iter().map(|range| range.end - range.start).sum()
            );
        }
        let ends =
            |held: &Held| held.ranges().iter().map(|range| (range.start, range.end)).collect();
        let found = found.map(|(held, complete)| (ends(&held), complete));
        assert_eq!(found, expected, "{status} {text}");
    }
}

#[test]
fn only_what_is_strong_is_asked_by() {
    for (section, text, expected) in [
        ("9110 13.1.5", "ETag: \"a\"", Some("\"a\"")),
        (
            "9110 13.1.5",
            "ETag: W/\"a\" | Date: @0 | Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            None,
        ),
        (
            "9110 8.8.2.2",
            "Date: @0 | Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        ("9110 8.8.2.2, no Date", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("none", "", None),
    ] {
        let headers = fields(text);
        let found = strong_validator(&headers).map(|value| value.to_str().unwrap());
        assert_eq!(found, expected, "{section}: {text}");
    }
}

#[test]
fn held_ranges_are_bounded() {
    let mut held = Held::default();
    for at in 0..Held::MOST as u64 {
        assert!(held.add(at * 10..at * 10 + 1));
    }
    assert!(!held.add(5..6), "one more");
    assert!(held.add(1..2) && held.has(&(0..2)), "what touches another is no more");
}

proptest! {
    #[test]
    fn held_ranges_are_as_a_set_of_bytes(ranges in prop::collection::vec((0_u64..60, 0_u64..12), 0..20), asked in (0_u64..60, 0_u64..20)) {
        let mut held = Held::default();
        let mut bytes = [false; 80];
        for (start, length) in ranges {
            prop_assert!(held.add(start..start + length));
            (start..start + length).for_each(|at| bytes[at as usize] = true);
        }
        for (one, next) in held.ranges().iter().zip(held.ranges().iter().skip(1)) {
            prop_assert!(one.end < next.start);
        }
        let asked = asked.0..asked.0 + asked.1;
        let lacking: Vec<u64> = held.lacks(asked.clone()).into_iter().flatten().collect();
        prop_assert_eq!(held.has(&asked), lacking.is_empty());
        prop_assert_eq!(lacking, asked.filter(|at| !bytes[*at as usize]).collect::<Vec<_>>());
    }
}
