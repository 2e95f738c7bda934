use std::time::Duration;

use http::HeaderName;

use super::*;

/// `Sun, 06 Nov 1994 08:49:37 GMT`
const CHANGED: u64 = 784_111_777;
const LAST_MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
const ETAG: (&str, &str) = ("etag", "\"a\"");
const RANGE: (&str, &str) = ("range", "bytes=2-4");
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

type Lines<'l> = &'l [(&'static str, &'static str)];

fn map(lines: Lines<'_>) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

fn stored(status: u16, lines: Lines<'_>) -> Head {
    Head { status: StatusCode::from_u16(status).unwrap(), headers: map(lines) }
}

fn asked(method: &Method, head: &Head, length: Option<u64>, request: Lines<'_>) -> Answered {
    let received = UNIX_EPOCH + Duration::from_secs(CHANGED + 1);
    answered(head, received, length, Asked { method, headers: &map(request) })
}

fn of_twenty(method: &Method, head: &Head, request: Lines<'_>) -> Answered {
    asked(method, head, Some(20), request)
}

#[test]
fn conditions_come_before_ranges() {
    use Answered::{Failed, NotModified, Range, Whole};
    let head = stored(200, &[ETAG, LAST_MODIFIED]);
    for (request, expected) in [
        // RFC 9110, 13.2.2: steps 1 and 2.
        (&[("if-match", "\"b\""), RANGE][..], Failed),
        (&[("if-match", "\"a\""), RANGE], Range(2..5)),
        (&[("if-unmodified-since", EARLIER), RANGE], Failed),
        (&[("if-match", "\"a\""), ("if-unmodified-since", EARLIER)], Whole),
        // Steps 3 and 4; RFC 9111, 4.3.2.
        (&[("if-none-match", "\"a\""), RANGE], NotModified),
        (&[("if-none-match", "W/\"a\"")], NotModified),
        (&[("if-none-match", "\"b\""), ("if-modified-since", LATER)], Whole),
        (&[("if-modified-since", LATER), RANGE], NotModified),
        (&[("if-modified-since", EARLIER), RANGE], Range(2..5)),
        // Step 5.
        (&[RANGE, ("if-range", "\"a\"")], Range(2..5)),
        (&[RANGE, ("if-range", "\"b\"")], Whole),
        (&[RANGE, ("if-range", LAST_MODIFIED.1)], Range(2..5)),
        (&[RANGE, ("if-range", LATER)], Whole),
        // RFC 9110, 13.1.5: If-Range without Range is ignored.
        (&[("if-range", "\"b\"")], Whole),
        (&[RANGE], Range(2..5)),
        (&[], Whole),
    ] {
        assert_eq!(of_twenty(&Method::GET, &head, request), expected, "{request:?}");
    }
}

#[test]
fn ranges_are_for_get_and_query_alone() {
    let head = stored(200, &[ETAG]);
    let with_match = [RANGE, ("if-none-match", "\"a\"")];
    assert_eq!(of_twenty(&Method::HEAD, &head, &[RANGE]), Answered::Whole);
    let query = Method::from_bytes(b"QUERY").unwrap();
    assert_eq!(of_twenty(&query, &head, &[RANGE]), Answered::Range(2..5), "RFC 10008, 2.8");
    assert_eq!(of_twenty(&Method::HEAD, &head, &with_match), Answered::NotModified);
}

#[test]
fn several_ranges_and_none_that_exist() {
    let head = stored(200, &[]);
    let get = |range| of_twenty(&Method::GET, &head, &[("range", range)]);
    assert_eq!(get("bytes=5-6, -1"), Answered::Ranges(vec![5..7, 19..20]));
    assert_eq!(get("bytes=20-"), Answered::Unsatisfiable);
    assert_eq!(get("bytes=0-15,5-19"), Answered::Whole);
    assert_eq!(get("lines=1-2"), Answered::Whole);
}

#[test]
fn a_length_that_nobody_knows_yet_allows_no_ranges() {
    let head = stored(200, &[ETAG]);
    assert_eq!(asked(&Method::GET, &head, None, &[RANGE]), Answered::Whole);
    let request = [("if-none-match", "\"a\"")];
    assert_eq!(asked(&Method::GET, &head, None, &request), Answered::NotModified);
}

#[test]
fn conditions_are_for_what_has_succeeded_and_ranges_for_what_is_whole() {
    for (status, condition, range) in [
        (203, Answered::NotModified, Answered::Whole),
        (404, Answered::Whole, Answered::Whole),
        (301, Answered::Whole, Answered::Whole),
    ] {
        let head = stored(status, &[ETAG]);
        let request = [("if-none-match", "\"a\"")];
        assert_eq!(of_twenty(&Method::GET, &head, &request), condition, "{status}");
        assert_eq!(of_twenty(&Method::GET, &head, &[RANGE]), range, "{status}");
    }
}

#[test]
fn without_last_modified_the_date_counts_and_without_that_the_time_of_arrival() {
    let dated = stored(200, &[("date", "Sun, 06 Nov 1994 08:49:36 GMT")]);
    let undated = stored(200, &[]);
    let since = |head: &Head, date| of_twenty(&Method::GET, head, &[("if-modified-since", date)]);
    assert_eq!(since(&dated, EARLIER), Answered::NotModified);
    assert_eq!(since(&undated, LAST_MODIFIED.1), Answered::Whole);
    assert_eq!(since(&undated, LATER), Answered::NotModified);
}

#[test]
fn a_date_is_strong_where_the_response_was_sent_in_a_later_second() {
    let same = stored(200, &[LAST_MODIFIED, ("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let later = stored(200, &[LAST_MODIFIED, ("date", LATER)]);
    let request = [RANGE, ("if-range", LAST_MODIFIED.1)];
    assert_eq!(of_twenty(&Method::GET, &same, &request), Answered::Whole);
    assert_eq!(of_twenty(&Method::GET, &later, &request), Answered::Range(2..5));
}

#[test]
fn a_range_begins_beyond_an_offset_if_any_of_it_may() {
    for (line, is_beyond) in [
        ("bytes=0-", false),
        ("bytes=100-", false),
        ("bytes=101-", true),
        ("Bytes=101-200", true),
        ("bytes=0-1, 101-102", true),
        ("bytes=-5", true),
        ("bytes=99999999999999999999-", true),
        ("bytes=x-", false),
        ("bytes=", false),
        ("lines=101-", false),
    ] {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(line))]);
        let of = |method| begins_beyond(Asked { method, headers: &headers }, 100);
        assert_eq!(of(&Method::GET), is_beyond, "{line}");
        assert!(!of(&Method::HEAD), "{line}");
    }
    assert!(!begins_beyond(Asked { method: &Method::GET, headers: &HeaderMap::new() }, 0));
}
