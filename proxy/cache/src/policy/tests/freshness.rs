//! How long responses are fresh, and how old they are.

use std::time::Duration;

use super::{fields, head, meta, now, seconds, stored, times};
use crate::entry::Times;
use crate::policy::{Rules, Stale, Unstorable, age, storable};

fn lifetime(text: &str) -> Result<u64, Unstorable> {
    stored(200, text, &Rules::default()).map(|stored| stored.freshness.lifetime.as_secs())
}

const LIFETIMES: &[(&str, &str, u64)] = &[
    ("9111 4.2.1, s-maxage first", "Cache-Control: max-age=3600, s-maxage=1", 1),
    ("9111 4.2.1, s-maxage first", "Cache-Control: s-maxage=1, max-age=3600", 1),
    ("9111 4.2.1, s-maxage first", "Cache-Control: max-age=3600 | Cache-Control: s-maxage=1", 1),
    ("9111 4.2.1, s-maxage first", "Cache-Control: max-age=0, s-maxage=3600 | Expires: @-10", 3600),
    (
        "9111 5.3, max-age before Expires",
        "Cache-Control: max-age=3600 | Expires: @-7200 | Date: @0",
        3600,
    ),
    (
        "9111 5.3, max-age before Expires",
        "Cache-Control: max-age=3600 | Expires: 0 | Date: @0",
        3600,
    ),
    (
        "9111 5.3, max-age before Expires",
        "Cache-Control: max-age=0 | Expires: @3600 | Date: @0 | ETag: \"a\"",
        0,
    ),
    ("9111 4.2.1, Expires by Date", "Expires: @300 | Date: @0", 300),
    ("9111 4.2.1, Expires by Date", "Expires: @300 | Date: @100", 200),
    ("9111 4.2.1, Expires by Date", "Expires: @-100 | Date: @-500", 400),
    ("9111 4.2.1, Expires by Date", "Expires: @300 | Date: @400 | ETag: \"a\"", 0),
    ("9111 4.2.1, without Date", "Expires: @300", 300),
    ("9110 6.6.1, Date that is none", "Expires: @10 | Date: foo", 10),
    ("9111 5.3, present", "Expires: @0 | Date: @0 | ETag: \"a\"", 0),
    ("9111 5.3, past", "Expires: @-10 | Date: @0 | ETag: \"a\"", 0),
    ("9111 5.3, no date is past", "Expires: 0 | Date: @0 | ETag: \"a\"", 0),
    ("9111 5.3, no date is past", "Expires: -1 | Date: @0 | ETag: \"a\"", 0),
    (
        "9111 5.3, no date is past",
        "Expires: Thu, 18 Aug 2050 02:01:18 UTC | Date: @0 | ETag: \"a\"",
        0,
    ),
    ("9111 5.3, no date is past", "Expires: | Date: @0 | ETag: \"a\"", 0),
    ("9111 4.2.1, several", "Expires: @10 | Expires: @20 | ETag: \"a\"", 0),
    ("9111 4.2.1, several alike", "Expires: @10 | Expires: @10", 10),
    (
        "9110 5.6.7, RFC 850",
        "Expires: Thursday, 18-Aug-50 02:01:18 GMT | Date: Thursday, 18-Aug-50 02:00:18 GMT",
        60,
    ),
    (
        "9110 5.6.7, asctime",
        "Expires: Thu Aug 18 02:01:18 2050 | Date: Thu Aug 18 02:00:18 2050",
        60,
    ),
    ("9111 4.2.2, a tenth", "Last-Modified: @-1000 | Date: @0", 100),
    ("9111 4.2.2, a tenth", "Last-Modified: @-1000", 100),
    ("9111 4.2.2, by Date", "Last-Modified: @-1100 | Date: @-100", 100),
    ("9111 4.2.2, at most a day", "Last-Modified: @-100000000 | Date: @0", 86_400),
    ("9111 4.2.2, changed after it was made", "Last-Modified: @1000 | Date: @0", 0),
    ("9111 4.2.2, not beside Expires", "Last-Modified: @-1000 | Expires: @5 | Date: @0", 5),
    ("9111 4.2.2, not beside Expires", "Last-Modified: @-1000 | Expires: 0 | Date: @0", 0),
    ("9111 5.2.2.4, no-cache is explicit", "Cache-Control: no-cache | Last-Modified: @-1000", 0),
    ("9111 5.4, Pragma of a response", "Pragma: no-cache | Cache-Control: max-age=5", 5),
];

#[test]
fn the_first_source_of_a_lifetime_counts() {
    for (section, text, expected) in LIFETIMES {
        assert_eq!(lifetime(text), Ok(*expected), "{section}: {text}");
    }
    for (section, text) in [
        ("9111 3, nothing is said", ""),
        ("9111 3, nothing to guess by", "ETag: \"a\""),
        ("9111 4.2.2, no date", "Last-Modified: yesterday"),
        ("9111 5.2.2.9, public is no lifetime", "Cache-Control: public"),
    ] {
        assert_eq!(lifetime(text), Err(Unstorable::NoLifetime), "{section}: {text}");
    }
}

#[test]
fn only_some_statuses_are_fresh_by_guess() {
    let text = "Last-Modified: @-1000 | Date: @0";
    for status in 200..=599 {
        let may_guess =
            matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
        let never = matches!(status, 206 | 304 | 407 | 408 | 412 | 416 | 421 | 426);
        let is_stored = stored(status, text, &Rules::default()).is_ok();
        assert_eq!(is_stored, may_guess, "RFC 9110, 15.1: {status}");
        let is_stored =
            stored(status, &format!("{text} | Cache-Control: public"), &Rules::default()).is_ok();
        assert_eq!(is_stored, !never, "RFC 9111, 5.2.2.9: {status}");
    }
    let guess = meta(text).freshness;
    assert!(guess.is_heuristic && !meta("Cache-Control: max-age=1").freshness.is_heuristic);
}

#[test]
fn the_guess_is_as_the_rules_say() {
    let text = "Last-Modified: @-1000 | Date: @0";
    let rules = Rules { heuristic_percent: 50, heuristic_most: seconds(400), ..Rules::default() };
    assert_eq!(stored(200, text, &rules).unwrap().freshness.lifetime, seconds(400));
    let rules = Rules { heuristic_percent: 20, ..Rules::default() };
    assert_eq!(stored(200, text, &rules).unwrap().freshness.lifetime, seconds(200));
    let rules = Rules { heuristic_percent: 0, ..Rules::default() };
    assert_eq!(stored(200, text, &rules), Err(Unstorable::NoLifetime));
}

#[test]
fn age_is_the_greater_of_what_two_clocks_say() {
    for (section, text, expected) in [
        ("9111 5.1", "Age: 7200", 7200),
        ("9111 5.1, no number", "Age: abc", 0),
        ("9111 5.1, negative", "Age: -7200", 0),
        ("9111 5.1, no whole number", "Age: 7200.0", 0),
        ("9111 1.2.2, overflow", "Age: 2147483647", 2_147_483_647),
        ("9111 1.2.2, overflow", "Age: 2147483648", 2_147_483_648),
        ("9111 1.2.2, overflow", "Age: 99999999999999999999", 2_147_483_648),
        ("9111 5.1, the first of a list", "Age: 7200, 0", 7200),
        ("9111 5.1, the first of a list", "Age: 0, 7200", 0),
        ("9111 5.1, the first line", "Age: 7200 | Age: 0", 7200),
        ("9111 5.1, the first line", "Age: 0 | Age: 7200", 0),
        ("9111 5.1, the first is invalid", "Age: x, 7200", 0),
        ("9111 5.1, parameters", "Age: 7200;foo=bar", 7200),
        ("9111 4.2.3, apparent age", "Date: @-7200", 7200),
        ("9111 4.2.3, apparent age", "Date: @7200", 0),
        ("9111 4.2.3, the greater", "Date: @-10 | Age: 25", 25),
        ("9111 4.2.3, the greater", "Date: @-25 | Age: 10", 25),
        ("9110 6.6.1, no date", "Date: yesterday | Age: 10", 10),
    ] {
        let meta = meta(&format!("Cache-Control: max-age=5 | {text}"));
        assert_eq!(meta.freshness.initial_age, seconds(expected), "{section}: {text}");
        assert_eq!(age(&meta, now() + seconds(8)), seconds(expected + 8), "{section}: {text}");
    }
}

#[test]
fn the_time_on_the_way_counts_as_age() {
    let slow = Times { request: now() - seconds(4), response: now() };
    for (section, text, expected) in [
        ("9111 4.2.3, response_delay", "Age: 10", 14),
        ("9111 4.2.3, response_delay", "Date: @-4", 4),
        ("9111 4.2.3, response_delay", "", 4),
        ("9111 4.2.3, the greater", "Date: @-20 | Age: 10", 20),
    ] {
        let head = head(200, &format!("Cache-Control: max-age=5 | {text}"));
        let empty = fields("");
        let asked = crate::policy::Asked { method: &http::Method::GET, headers: &empty };
        let stored = storable(asked, &head, slow, &Rules::default()).unwrap();
        assert_eq!(stored.freshness.initial_age, seconds(expected), "{section}: {text}");
    }
}

#[test]
fn a_clock_that_goes_back_makes_nothing_younger_than_it_came() {
    let meta = meta("Cache-Control: max-age=5 | Age: 3");
    assert_eq!(age(&meta, now() - seconds(100)), seconds(3));
    assert_eq!(age(&meta, now() + Duration::from_millis(500)), Duration::from_millis(3500));
    assert_eq!(meta.times, times());
}

#[test]
fn what_a_response_says_of_stale_use_is_kept() {
    for (section, text, expected) in [
        ("9111 5.2.2.2", "must-revalidate", Stale::Never),
        ("9111 5.2.2.8", "proxy-revalidate", Stale::Never),
        ("9111 5.2.2.10", "s-maxage=5", Stale::AsSaid),
        ("9111 5.2.2.10", "s-maxage=5, must-revalidate", Stale::Never),
        ("9111 4.2.4", "public", Stale::Allowed),
    ] {
        let freshness = meta(&format!("Cache-Control: max-age=5, {text}")).freshness;
        assert_eq!(freshness.stale, expected, "{section}: {text}");
    }
    let freshness =
        meta("Cache-Control: s-maxage=5, stale-while-revalidate=6, stale-if-error=7").freshness;
    assert_eq!(freshness.stale_while_revalidate, Some(seconds(6)), "RFC 5861, 3");
    assert_eq!(freshness.stale_if_error, Some(seconds(7)), "RFC 5861, 4");
}
