//! Which responses are stored.

use http::{HeaderName, Method};

use super::{asked, fields, head, stored, times};
use crate::policy::invalidate::Target;
use crate::policy::{Asked, Rules, Unstorable, storable, storable_as_get, storable_part};

const STORED_OR_NOT: &[(&str, &str, Option<Unstorable>)] = &[
    ("9111 3", "Cache-Control: max-age=5", None),
    ("9111 3", "Cache-Control: s-maxage=5", None),
    ("9111 3", "Expires: @5", None),
    ("9111 3", "Last-Modified: @-100", None),
    ("9111 3", "Cache-Control: public | Last-Modified: @-100", None),
    ("9111 3", "Content-Type: text/html", Some(Unstorable::NoLifetime)),
    ("9111 5.2.2.5", "Cache-Control: no-store", Some(Unstorable::NoStore)),
    (
        "9111 5.2.2.5",
        "Cache-Control: max-age=10000, no-store | Expires: @10000 | Date: @0",
        Some(Unstorable::NoStore),
    ),
    ("9111 5.2.2.5", "Cache-Control: no-store, max-age=0", Some(Unstorable::NoStore)),
    ("9111 5.2.2.7", "Cache-Control: private, max-age=5", Some(Unstorable::Private)),
    ("9111 5.2.2.7", "Cache-Control: private=\"x\", max-age=5", None),
    ("9111 5.2.2.3", "Cache-Control: max-age=5, no-store, must-understand", None),
    ("9111 5.2.2.3", "Cache-Control: max-age=5, must-understand", None),
    (
        "9111 5.2.2.3",
        "Cache-Control: max-age=5, private, must-understand",
        Some(Unstorable::Private),
    ),
    ("9111 5.2.2.4", "Cache-Control: no-cache | ETag: \"a\"", None),
    ("9111 5.2.2.4", "Cache-Control: max-age=5, no-cache | Last-Modified: @-100", None),
    ("9111 3, useless", "Cache-Control: no-cache, max-age=5", Some(Unstorable::Useless)),
    (
        "9111 3, useless",
        "Cache-Control: no-cache, max-age=5, stale-if-error=9",
        Some(Unstorable::Useless),
    ),
    (
        "9111 3, useless",
        "Cache-Control: no-cache | Last-Modified: never",
        Some(Unstorable::Useless),
    ),
    ("9111 3, useless", "Cache-Control: max-age=0", Some(Unstorable::Useless)),
    ("9111 3, useless", "Expires: 0", Some(Unstorable::Useless)),
    (
        "9111 3, useless",
        "Cache-Control: max-age=0, stale-if-error=9, must-revalidate",
        Some(Unstorable::Useless),
    ),
    ("5861 3", "Cache-Control: max-age=0, stale-while-revalidate=9", None),
    ("5861 4", "Cache-Control: s-maxage=0, stale-if-error=9", None),
    ("9111 4.3.1", "Cache-Control: max-age=0 | ETag: \"a\"", None),
    ("9111 4.3.1", "Expires: @-5000 | Last-Modified: @-100000 | Date: @0", None),
    ("9111 4.1", "Cache-Control: max-age=5 | Vary: *", Some(Unstorable::Vary)),
    ("9111 7.3", "Cache-Control: max-age=5 | Set-Cookie: a=b", Some(Unstorable::SetCookie)),
    ("9111 5.2.2.4", "Cache-Control: max-age=5, no-cache=\"set-cookie\" | Set-Cookie: a=b", None),
    ("9111 5.2.2.7", "Cache-Control: max-age=5, private=\"Set-Cookie\" | Set-Cookie: a=b", None),
    ("9111 3.1", "Cache-Control: max-age=5 | Content-Disposition: attachment", None),
];

#[test]
fn a_response_is_stored_unless_something_forbids_it() {
    for (section, text, expected) in STORED_OR_NOT {
        assert_eq!(stored(200, text, &Rules::default()).err(), *expected, "{section}: {text}");
    }
}

#[test]
fn every_final_status_is_stored_if_the_response_says_so() {
    for status in
        [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599]
    {
        assert!(
            stored(status, "Cache-Control: max-age=5", &Rules::default()).is_ok(),
            "RFC 9111, 3: {status}"
        );
    }
    for status in [100, 101, 102, 103, 206, 304, 407, 408, 412, 416, 421, 426] {
        let outcome = stored(status, "Cache-Control: max-age=5 | ETag: \"a\"", &Rules::default());
        assert_eq!(outcome, Err(Unstorable::Status), "RFC 9111, 3: {status}");
    }
}

#[test]
fn must_understand_needs_a_status_that_is_understood() {
    for (status, expected) in [
        (200, None),
        (404, None),
        (599, Some(Unstorable::NotUnderstood)),
        (299, Some(Unstorable::NotUnderstood)),
        (499, Some(Unstorable::NotUnderstood)),
    ] {
        for text in ["max-age=5, no-store, must-understand", "max-age=5, must-understand"] {
            let outcome = stored(status, &format!("Cache-Control: {text}"), &Rules::default());
            assert_eq!(outcome.err(), expected, "RFC 9111, 5.2.2.3: {status} {text}");
        }
    }
}

#[test]
fn authorization_needs_leave_to_share() {
    for (section, text, expected) in [
        ("9111 3.5", "max-age=5", Some(Unstorable::Authorization)),
        ("9111 3.5", "max-age=5, public", None),
        ("9111 3.5", "max-age=5, must-revalidate", None),
        ("9111 3.5", "s-maxage=5", None),
        ("9111 3.5", "max-age=5, proxy-revalidate", Some(Unstorable::Authorization)),
        ("9111 3.5", "max-age=5, private, public", Some(Unstorable::Private)),
    ] {
        let outcome =
            asked("Authorization: x", 200, &format!("Cache-Control: {text}"), &Rules::default());
        assert_eq!(outcome.err(), expected, "{section}: {text}");
    }
    let targeted =
        asked("Authorization: x", 200, "CDN-Cache-Control: public, max-age=5", &Rules::default());
    assert!(targeted.is_ok(), "RFC 9213, 2.2");
    assert!(
        asked("Cookie: a=b", 200, "Cache-Control: max-age=5", &Rules::default()).is_ok(),
        "RFC 9111, 3"
    );
}

#[test]
fn a_request_may_forbid_storing() {
    let outcome =
        asked("Cache-Control: no-store", 200, "Cache-Control: max-age=5", &Rules::default());
    assert_eq!(outcome, Err(Unstorable::AskedNotTo), "RFC 9111, 5.2.1.5");
    let request = fields("");
    for (method, expected) in [
        (Method::GET, None),
        (Method::HEAD, None),
        (Method::POST, Some(Unstorable::Method)),
        (Method::from_bytes(b"QUERY").unwrap(), Some(Unstorable::Method)),
    ] {
        let asked = Asked { method: &method, headers: &request };
        let outcome =
            storable(asked, &head(200, "Cache-Control: max-age=5"), times(), &Rules::default());
        assert_eq!(outcome.err(), expected, "RFC 9111, 3: {method}");
        let of_request = expected.is_none_or(Unstorable::is_of_request);
        assert!(of_request && !Unstorable::NoStore.is_of_request());
    }
}

#[test]
fn a_part_is_stored_as_a_part() {
    let request = fields("Range: bytes=0-4");
    let asked = Asked { method: &Method::GET, headers: &request };
    let outcome = |status, text: &str| {
        let outcome = storable_part(asked, &head(status, text), times(), &Rules::default());
        outcome.map(|(_, range)| (range.first, range.last, range.complete))
    };
    let of = |range: &str| format!("Cache-Control: max-age=5 | Content-Range: {range}");
    assert_eq!(outcome(206, &of("bytes 0-4/10")), Ok((0, 4, Some(10))), "RFC 9111, 3.3");
    assert_eq!(outcome(206, &of("bytes 0-4/10 | Content-Length: 5")), Ok((0, 4, Some(10))));
    assert_eq!(outcome(206, &of("bytes 0-4/10 | Content-Length: 4")), Err(Unstorable::Part));
    assert_eq!(
        outcome(206, "Cache-Control: max-age=5"),
        Err(Unstorable::Part),
        "RFC 9110, 14.6: several ranges"
    );
    assert_eq!(outcome(200, &of("bytes 0-4/10")), Err(Unstorable::Status));
    assert_eq!(
        outcome(206, "Cache-Control: no-store | Content-Range: bytes 0-4/10"),
        Err(Unstorable::NoStore)
    );
    assert_eq!(
        outcome(206, "Last-Modified: @-100 | Content-Range: bytes 0-4/*"),
        Ok((0, 4, None)),
        "RFC 9110, 15.1"
    );
}

#[test]
fn a_post_may_bring_what_a_get_would() {
    let target = Target { scheme: "http", authority: "a.example", path_and_query: "/form?x" };
    for (section, status, text, expected) in [
        ("9110 9.3.3", 200, "Cache-Control: max-age=5 | Content-Location: /form?x", true),
        ("9110 9.3.3", 200, "Expires: @5 | Content-Location: http://A.example:80/form?x", true),
        ("9110 9.3.3", 200, "Cache-Control: s-maxage=5 | Content-Location: ?x", true),
        ("9110 9.3.3, no lifetime", 200, "Last-Modified: @-5 | Content-Location: /form?x", false),
        (
            "9110 9.3.3, elsewhere",
            200,
            "Cache-Control: max-age=5 | Content-Location: /other",
            false,
        ),
        (
            "9110 15.3.2, what was made, not what is there",
            201,
            "Cache-Control: max-age=5 | Content-Location: /form?x",
            false,
        ),
        ("9110 9.3.3, nowhere", 200, "Cache-Control: max-age=5", false),
        (
            "9110 9.3.3, an error",
            500,
            "Cache-Control: max-age=5 | Content-Location: /form?x",
            false,
        ),
    ] {
        assert_eq!(
            storable_as_get(target, &head(status, text), &Rules::default()),
            expected,
            "{section}: {text}"
        );
    }
}

#[test]
fn each_reason_has_its_word() {
    let words = [
        Unstorable::Method,
        Unstorable::Status,
        Unstorable::NotUnderstood,
        Unstorable::AskedNotTo,
        Unstorable::NoStore,
        Unstorable::Private,
        Unstorable::Authorization,
        Unstorable::SetCookie,
        Unstorable::Vary,
        Unstorable::NoLifetime,
        Unstorable::Useless,
        Unstorable::Part,
    ]
    .map(|why| why.to_string());
    let mut distinct = words.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), words.len());
    assert!(
        words.iter().all(|word| HeaderName::from_bytes(word.as_bytes()).is_ok()),
        "each is a token"
    );
}
