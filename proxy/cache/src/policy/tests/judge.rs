//! What stored responses may be used for.

use http::Method;

use super::{fields, meta, meta_of, now, seconds, used};
use crate::policy::{Asks, Rules, Use, asks, judge_purged, may_use_cache};

const FRESH: Use = Use::Fresh;
const VALIDATE: Use = Use::Validate { if_error: false };
const OR_ERROR: Use = Use::Validate { if_error: true };

/// RFC section, the response's `Cache-Control`, the request's fields, seconds since, what it may be used for.
type Row = (&'static str, &'static str, &'static str, u64, Use);

fn check(rules: &Rules, rows: &[Row]) {
    for (section, response, request, after, expected) in rows {
        let response = format!("Cache-Control: {response} | ETag: \"a\" | Date: @0");
        let got = used(&response, request, *after, rules);
        assert_eq!(got, *expected, "{section}: {response}, {request}, after {after} s");
    }
}

#[test]
fn a_fresh_response_is_used_as_it_is() {
    check(
        &Rules::default(),
        &[
            ("9111 4.2", "max-age=10", "", 0, FRESH),
            ("9111 4.2", "max-age=10", "", 9, FRESH),
            ("9111 4.2", "max-age=10", "", 10, VALIDATE),
            ("9111 4.2", "max-age=0", "", 0, VALIDATE),
            ("9111 4.2", "max-age=10 | Age: 5", "", 4, FRESH),
            ("9111 4.2", "max-age=10 | Age: 5", "", 5, VALIDATE),
            ("9111 4.2", "max-age=10 | Age: 20", "", 0, VALIDATE),
            ("9111 4.2.4", "max-age=10", "", 1000, VALIDATE),
            ("9111 5.2.2.2", "max-age=10, must-revalidate", "", 5, FRESH),
            ("9111 5.2.2.2", "max-age=10, must-revalidate", "", 15, VALIDATE),
            ("9111 5.2.2.4", "max-age=10, no-cache", "", 0, VALIDATE),
            ("9111 5.2.2.4", "max-age=10, no-cache=\"x\"", "", 0, FRESH),
            ("9111 5.2.2.10", "max-age=1, s-maxage=10", "", 5, FRESH),
            ("8246 2", "max-age=10, immutable", "", 15, VALIDATE),
        ],
    );
}

const MORE_AND_LESS: &[Row] = &[
    ("9111 5.2.1.4", "max-age=10", "Cache-Control: no-cache", 1, VALIDATE),
    ("9111 5.4", "max-age=10", "Pragma: no-cache", 1, VALIDATE),
    ("9111 5.2.1.5", "max-age=10", "Cache-Control: no-store", 1, VALIDATE),
    ("9111 5.2.1.7", "max-age=10", "Cache-Control: only-if-cached", 1, FRESH),
    ("9111 5.2.1.1", "max-age=10", "Cache-Control: max-age=0", 0, VALIDATE),
    ("9111 5.2.1.1", "max-age=10", "Cache-Control: max-age=1", 3, VALIDATE),
    ("9111 5.2.1.1", "max-age=10", "Cache-Control: max-age=3", 3, FRESH),
    ("9111 5.2.1.1", "max-age=100 | Age: 50", "Cache-Control: max-age=40", 0, VALIDATE),
    ("9111 5.2.1.1", "max-age=10", "Cache-Control: max-age=100", 50, VALIDATE),
    ("9111 5.2.1.3", "max-age=1500", "Cache-Control: min-fresh=2000", 0, VALIDATE),
    ("9111 5.2.1.3", "max-age=1500 | Age: 1000", "Cache-Control: min-fresh=1000", 0, VALIDATE),
    ("9111 5.2.1.3", "max-age=1500 | Age: 500", "Cache-Control: min-fresh=1000", 0, FRESH),
    ("9111 5.2.1.3", "max-age=10", "Cache-Control: min-fresh=0", 10, VALIDATE),
    ("9111 5.2.1.2", "max-age=10", "Cache-Control: max-stale=20", 30, Use::Stale),
    ("9111 5.2.1.2", "max-age=10", "Cache-Control: max-stale=20", 31, VALIDATE),
    ("9111 5.2.1.2", "max-age=10", "Cache-Control: max-stale", 100_000, Use::Stale),
    ("9111 5.2.1.2", "max-age=10", "Cache-Control: max-stale", 5, FRESH),
    ("9111 5.2.1.2", "max-age=1500 | Age: 2000", "Cache-Control: max-stale=1000", 0, Use::Stale),
    (
        "9111 5.2.1.1, with max-stale",
        "max-age=10",
        "Cache-Control: max-age=50, max-stale",
        40,
        Use::Stale,
    ),
    (
        "9111 5.2.1.1, with max-stale",
        "max-age=10",
        "Cache-Control: max-age=50, max-stale",
        51,
        VALIDATE,
    ),
    (
        "9111 5.2.1.3, with max-stale",
        "max-age=10",
        "Cache-Control: min-fresh=8, max-stale=5",
        3,
        VALIDATE,
    ),
    ("9111 5.2.2.2", "max-age=10, must-revalidate", "Cache-Control: max-stale", 15, VALIDATE),
    ("9111 5.2.2.8", "max-age=10, proxy-revalidate", "Cache-Control: max-stale", 15, VALIDATE),
    ("9111 5.2.2.10", "s-maxage=10", "Cache-Control: max-stale", 15, VALIDATE),
    ("9111 5.2.2.4", "max-age=10, no-cache", "Cache-Control: max-stale", 15, VALIDATE),
    ("8246 2.1", "max-age=10, immutable", "Cache-Control: max-age=0", 5, FRESH),
    ("8246 2.1", "max-age=10, immutable", "Cache-Control: no-cache", 5, VALIDATE),
    ("8246 2", "max-age=10, immutable", "Cache-Control: max-age=0", 15, VALIDATE),
];

#[test]
fn the_client_may_ask_for_more_and_for_less() {
    check(&Rules::default(), MORE_AND_LESS);
    let deaf = Rules { obeys_client: false, ..Rules::default() };
    check(
        &deaf,
        &[
            ("", "max-age=10", "Cache-Control: no-cache", 1, FRESH),
            ("", "max-age=10", "Cache-Control: max-stale", 15, VALIDATE),
            ("", "max-age=10", "Pragma: no-cache", 1, FRESH),
        ],
    );
}

const STALE: &[Row] = &[
    ("5861 3", "max-age=10, stale-while-revalidate=20", "", 10, Use::WhileRevalidating),
    ("5861 3", "max-age=10, stale-while-revalidate=20", "", 29, Use::WhileRevalidating),
    ("5861 3", "max-age=10, stale-while-revalidate=20", "", 30, VALIDATE),
    ("5861 3", "max-age=10, stale-while-revalidate=0", "", 10, VALIDATE),
    (
        "5861 3, with s-maxage",
        "s-maxage=10, stale-while-revalidate=20",
        "",
        15,
        Use::WhileRevalidating,
    ),
    ("9111 5.2.2.2", "max-age=10, stale-while-revalidate=20, must-revalidate", "", 15, VALIDATE),
    ("9111 5.2.2.8", "max-age=10, stale-while-revalidate=20, proxy-revalidate", "", 15, VALIDATE),
    ("9111 5.2.2.4", "max-age=10, stale-while-revalidate=20, no-cache", "", 15, VALIDATE),
    (
        "9111 5.2.1.1, nothing stale",
        "max-age=10, stale-while-revalidate=20",
        "Cache-Control: max-age=99",
        15,
        VALIDATE,
    ),
    (
        "9111 5.2.1.3, nothing stale",
        "max-age=10, stale-while-revalidate=20",
        "Cache-Control: min-fresh=1",
        15,
        VALIDATE,
    ),
    (
        "9111 5.2.1.4",
        "max-age=10, stale-while-revalidate=20",
        "Cache-Control: no-cache",
        15,
        VALIDATE,
    ),
    (
        "9111 5.2.1.2, before",
        "max-age=10, stale-while-revalidate=20",
        "Cache-Control: max-stale",
        15,
        Use::Stale,
    ),
    ("5861 4", "max-age=10, stale-if-error=20", "", 10, OR_ERROR),
    ("5861 4", "max-age=10, stale-if-error=20", "", 29, OR_ERROR),
    ("5861 4", "max-age=10, stale-if-error=20", "", 30, VALIDATE),
    ("5861 4, with s-maxage", "s-maxage=10, stale-if-error=20", "", 15, OR_ERROR),
    (
        "5861 4, while still fresh",
        "max-age=10, stale-if-error=20",
        "Cache-Control: no-cache",
        5,
        OR_ERROR,
    ),
    ("5861 4, of the client", "max-age=10", "Cache-Control: stale-if-error=20", 15, OR_ERROR),
    (
        "5861 4, of the client",
        "max-age=10, stale-if-error=20",
        "Cache-Control: stale-if-error=2",
        15,
        VALIDATE,
    ),
    ("9111 5.2.2.10", "s-maxage=10", "Cache-Control: stale-if-error=20", 15, VALIDATE),
    ("9111 5.2.2.2", "max-age=10, stale-if-error=20, must-revalidate", "", 15, VALIDATE),
    ("9111 5.2.2.4", "max-age=10, stale-if-error=20, no-cache", "", 15, VALIDATE),
];

#[test]
fn a_stale_response_is_used_where_it_says_so() {
    check(&Rules::default(), STALE);
}

#[test]
fn the_rules_speak_where_the_response_does_not() {
    let rules = Rules {
        stale_while_revalidate: seconds(20),
        stale_if_error: seconds(60),
        ..Rules::default()
    };
    check(
        &rules,
        &[
            ("9111 4.2.4", "max-age=10", "", 15, Use::WhileRevalidating),
            ("9111 4.2.4", "max-age=10", "", 30, OR_ERROR),
            ("9111 4.2.4", "max-age=10", "", 70, VALIDATE),
            (
                "5861 3, the response before",
                "max-age=10, stale-while-revalidate=2",
                "",
                15,
                OR_ERROR,
            ),
            ("5861 4, the response before", "max-age=10, stale-if-error=2", "", 40, VALIDATE),
            (
                "5861 3, the response before",
                "max-age=10, stale-while-revalidate=50",
                "",
                40,
                Use::WhileRevalidating,
            ),
            ("9111 5.2.2.2", "max-age=10, must-revalidate", "", 15, VALIDATE),
            ("9111 5.2.2.8", "max-age=10, proxy-revalidate", "", 15, VALIDATE),
            ("9111 5.2.2.10", "s-maxage=10", "", 15, VALIDATE),
            ("9111 5.2.2.4", "max-age=10, no-cache", "", 5, VALIDATE),
        ],
    );
}

#[test]
fn always_online_keeps_to_what_the_response_forbids() {
    let rules = Rules { always_online: true, ..Rules::default() };
    check(
        &rules,
        &[
            ("9111 4.2.4", "max-age=10", "", 100_000, OR_ERROR),
            ("9111 5.2.2.10, as the operator says", "s-maxage=10", "", 100_000, OR_ERROR),
            ("9111 5.2.2.2", "max-age=10, must-revalidate", "", 15, VALIDATE),
            ("9111 5.2.2.8", "max-age=10, proxy-revalidate", "", 15, VALIDATE),
            ("9111 5.2.2.4", "max-age=10, no-cache", "", 5, VALIDATE),
        ],
    );
}

#[test]
fn what_was_purged_softly_only_stands_in_for_errors() {
    let rules = Rules { stale_while_revalidate: seconds(9), ..Rules::default() };
    for (text, expected) in [
        ("Cache-Control: max-age=10", VALIDATE),
        ("Cache-Control: max-age=10, stale-if-error=5", OR_ERROR),
        ("Cache-Control: max-age=10, stale-if-error=5, must-revalidate", VALIDATE),
        ("Cache-Control: no-cache, stale-if-error=5 | ETag: \"a\"", VALIDATE),
    ] {
        let meta = meta_of("", text, &rules);
        assert_eq!(
            judge_purged(&meta, &Asks::default(), &rules, now() + seconds(5)),
            expected,
            "{text}"
        );
    }
    let always = Rules { always_online: true, ..Rules::default() };
    let meta = meta("Cache-Control: max-age=10");
    assert_eq!(judge_purged(&meta, &asks(&fields(""), &always), &always, now()), OR_ERROR);
}

#[test]
fn three_methods_may_use_the_cache() {
    let query = Method::from_bytes(b"QUERY").unwrap();
    let on = Rules { query: true, ..Rules::default() };
    for (method, by_default, with_query) in [
        (&Method::GET, true, true),  // RFC 9110, 9.3.1
        (&Method::HEAD, true, true), // RFC 9110, 9.3.2
        (&query, false, true),       // RFC 10008, 2.7
        (&Method::POST, false, false),
        (&Method::OPTIONS, false, false),
        (&Method::from_bytes(b"get").unwrap(), false, false),
    ] {
        assert_eq!(may_use_cache(method, &Rules::default()), by_default, "{method}");
        assert_eq!(may_use_cache(method, &on), with_query, "{method}");
    }
}
