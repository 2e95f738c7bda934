//! What 304s and HEADs do to what is stored.

use http::{Method, StatusCode, header};

use super::{fields, head, meta, meta_of, now, seconds};
use crate::entry::{Meta, Times};
use crate::policy::{Asked, HeadSays, Rules, Unstorable, age, belongs, by_head, renew, select_304};

/// When validations of these tests were answered.
fn later() -> Times {
    Times { request: now() + seconds(100), response: now() + seconds(100) }
}

fn renewed(stored: &Meta, request: &str, answer: &str) -> Result<Meta, Unstorable> {
    let request = fields(request);
    let asked = Asked { method: &Method::GET, headers: &request };
    let outcome = renew(stored, &head(304, answer), asked, later(), &Rules::default());
    outcome.map_err(|(head, why)| {
        assert!(head.status == StatusCode::OK && !head.headers.contains_key(header::AGE));
        why
    })
}

#[test]
fn a_304_updates_every_field_that_it_may() {
    let old = "Cache-Control: max-age=5 | ETag: \"a\" | Date: @0 | Content-Length: 10";
    for (section, name, is_updated) in [
        ("9111 3.2", "Test-Header", true),
        ("9111 3.2", "X-Content-Foo", true),
        ("9111 3.2", "Content-Foo", true),
        ("9111 3.2", "Content-Type", true),
        ("9111 3.2", "Content-Location", true),
        ("9111 3.2", "Content-Security-Policy", true),
        ("9111 3.2", "Expires", true),
        ("9111 3.2", "Vary", true),
        ("9111 3.2, coded bytes", "Content-Encoding", false),
        ("9111 3.2, of the part", "Content-Range", false),
        ("9111 3.1, of the hop", "Keep-Alive", false),
        ("9111 3.1, listed in Connection", "Listed", false),
    ] {
        let stored = meta(&format!("{old} | {name}: old | {name}: older"));
        let renewed =
            renewed(&stored, "", &format!("ETag: \"a\" | Connection: listed | {name}: new"))
                .unwrap();
        let values: Vec<_> = renewed.head.headers.get_all(name).iter().collect();
        let before: Vec<_> = stored.head.headers.get_all(name).iter().collect();
        assert_eq!(values == ["new"], is_updated, "{section}: {name}");
        assert_eq!(values == before, !is_updated, "{section}: {name}");
    }
    let stored = meta(&format!("{old} | kept: 1"));
    let renewed = renewed(&stored, "", "ETag: \"a\" | Content-Length: 36").unwrap();
    assert_eq!(renewed.head.headers[header::CONTENT_LENGTH], "10", "RFC 9111, 3.2");
    assert_eq!(renewed.head.headers["kept"], "1", "RFC 9111, 4.3.4");
    assert_eq!(renewed.head.status, StatusCode::OK);
}

#[test]
fn a_304_makes_a_response_fresh_again() {
    let stored = meta("Cache-Control: max-age=5 | ETag: \"a\" | Date: @0 | Age: 3");
    for (section, answer, lifetime, years) in [
        ("9111 4.3.4", "ETag: \"a\" | Date: @100", 5, 0),
        ("9111 4.3.4", "ETag: \"a\" | Cache-Control: max-age=50", 50, 0),
        ("9111 4.3.4, its own age", "ETag: \"a\" | Age: 2", 5, 2),
        ("9111 4.3.4, its own date", "ETag: \"a\" | Date: @90", 5, 10),
    ] {
        let renewed = renewed(&stored, "", answer).unwrap();
        assert_eq!(renewed.freshness.lifetime, seconds(lifetime), "{section}: {answer}");
        assert_eq!(age(&renewed, later().response), seconds(years), "{section}: {answer}");
        assert_eq!(renewed.times, later());
        assert!(
            !renewed.head.headers.contains_key(header::AGE)
                && renewed.head.headers.contains_key(header::DATE)
        );
    }
}

#[test]
fn a_304_may_forbid_to_keep_what_is_stored() {
    let stored = meta("Cache-Control: max-age=5 | ETag: \"a\"");
    for (section, request, answer, expected) in [
        ("9111 5.2.2.5", "", "Cache-Control: no-store", Unstorable::NoStore),
        ("9111 5.2.2.7", "", "Cache-Control: private", Unstorable::Private),
        ("9111 4.1", "", "Vary: *", Unstorable::Vary),
        ("9111 3.5", "Authorization: x", "", Unstorable::Authorization),
        ("9111 5.2.1.5", "Cache-Control: no-store", "", Unstorable::AskedNotTo),
    ] {
        assert_eq!(renewed(&stored, request, answer).err(), Some(expected), "{section}: {answer}");
    }
    let cookie = renewed(&stored, "", "Set-Cookie: a=b").unwrap();
    assert!(
        !cookie.head.headers.contains_key(header::SET_COOKIE),
        "a cookie of one client is not for others"
    );
}

#[test]
fn a_304_may_change_what_a_response_varies_by() {
    let stored =
        meta_of("a: 1", "Cache-Control: max-age=5 | ETag: \"a\" | Vary: a", &Rules::default());
    let renewed = renewed(&stored, "a: 1 | b: 2", "Vary: a, b").unwrap();
    assert_eq!(*renewed.vary, ["a", "b"]);
    assert_eq!(
        (&renewed.selected_by["a"], &renewed.selected_by["b"]),
        (&"1".parse().unwrap(), &"2".parse().unwrap())
    );
}

fn at(text: &str, seconds_later: u64) -> Meta {
    let mut meta = meta(&format!("Cache-Control: max-age=5 | {text}"));
    meta.times.response += seconds(seconds_later);
    meta
}

#[test]
fn a_304_speaks_of_those_with_its_validator() {
    let stored = [
        at("ETag: \"a\"", 0),
        at("ETag: \"b\" | Last-Modified: @-100 | Date: @0", 1),
        at("ETag: W/\"c\"", 2),
        at("ETag: \"a\"", 3),
        at("ETag: \"c\"", 4),
        at("Last-Modified: @-5 | Date: @0", 5),
        at("Last-Modified: @-5 | Date: @0", 6),
        at("Last-Modified: @-100 | Date: @0", 7),
        at("", 8),
    ];
    let stored: Vec<_> = stored.iter().collect();
    for (section, answer, expected) in [
        ("9111 4.3.4, strong", "ETag: \"a\"", vec![0, 3]),
        ("9111 4.3.4, strong", "ETag: \"x\"", vec![]),
        ("9111 4.3.4, strong is not weak", "ETag: \"c\"", vec![4]),
        (
            "9111 4.3.4, a tag before a date",
            "ETag: \"a\" | Last-Modified: @-100 | Date: @0",
            vec![0, 3],
        ),
        ("9110 8.8.2.2, a strong date", "Last-Modified: @-100 | Date: @100", vec![1, 7]),
        ("9111 4.3.4, weak: the latest", "ETag: W/\"c\"", vec![4]),
        ("9111 4.3.4, weak: the latest", "Last-Modified: @-5 | Date: @0", vec![6]),
        ("9111 4.3.4, weak", "ETag: W/\"x\"", vec![]),
        ("9111 4.3.4, none", "", vec![]),
    ] {
        assert_eq!(select_304(&stored, &head(304, answer)), expected, "{section}: {answer}");
    }
    assert_eq!(
        select_304(&stored[8..], &head(304, "")),
        [0],
        "RFC 9111, 4.3.4: the only one, both without"
    );
    assert!(select_304(&stored[..1], &head(304, "")).is_empty(), "RFC 9111, 4.3.4");
}

#[test]
fn a_304_without_validators_speaks_of_what_was_named() {
    let tagged = meta("Cache-Control: max-age=5 | ETag: \"a\" | Last-Modified: @-9");
    let dated = meta("Cache-Control: max-age=5 | Last-Modified: @-9");
    for (stored, sent, answer, expected) in [
        (&tagged, "If-None-Match: \"a\"", "", true),
        (&tagged, "If-None-Match: \"a\" | If-Modified-Since: @-9", "", true),
        (&tagged, "If-None-Match: \"a\", \"b\"", "", false),
        (&tagged, "If-None-Match: \"b\" | If-Modified-Since: @-9", "", false),
        (&tagged, "If-None-Match: \"a\" | If-None-Match: \"b\"", "", false),
        (&tagged, "", "", false),
        (&tagged, "If-None-Match: \"a\"", "ETag: \"b\"", false),
        (&tagged, "If-None-Match: \"a\"", "ETag: \"a\"", true),
        (&dated, "If-Modified-Since: @-9", "", true),
        (&dated, "If-Modified-Since: @-8", "", false),
        (&dated, "If-Modified-Since: @-9", "Last-Modified: @-9", true),
    ] {
        assert_eq!(
            belongs(stored, &head(304, answer), &fields(sent)),
            expected,
            "{sent} -> {answer}"
        );
    }
}

#[test]
fn the_answer_to_a_head_agrees_or_not() {
    let stored = meta("Cache-Control: max-age=5 | ETag: \"a\" | Last-Modified: @-9");
    for (section, status, answer, expected) in [
        ("9111 4.3.5", 200, "", HeadSays::Same),
        (
            "9111 4.3.5",
            200,
            "ETag: \"a\" | Last-Modified: @-9 | Content-Length: 10",
            HeadSays::Same,
        ),
        ("9111 4.3.5", 200, "ETag: \"b\"", HeadSays::Changed),
        ("9111 4.3.5", 200, "Last-Modified: @-8", HeadSays::Changed),
        ("9111 4.3.5", 200, "ETag: \"a\" | Content-Length: 11", HeadSays::Changed),
        ("9111 4.3.5, only a 200", 410, "ETag: \"b\"", HeadSays::Nothing),
        ("9111 4.3.5, only a 200", 304, "", HeadSays::Nothing),
    ] {
        assert_eq!(
            by_head(&stored, 10, &head(status, answer)),
            expected,
            "{section}: {status} {answer}"
        );
    }
    let bare = meta("Cache-Control: max-age=5");
    assert_eq!(
        by_head(&bare, 10, &head(200, "ETag: \"a\"")),
        HeadSays::Changed,
        "a validator that is not stored"
    );
}
