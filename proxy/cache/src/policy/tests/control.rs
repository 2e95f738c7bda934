//! How `Cache-Control` and its kin are read.

use http::header;

use super::{asked, fields, meta, seconds, stored};
use crate::policy::control::Directives;
use crate::policy::{Asks, Rules, Stale, Unstorable, asks};

fn directives(text: &str) -> Directives {
    Directives::of(&fields(text).get_all(header::CACHE_CONTROL))
}

#[test]
fn a_lifetime_is_read_as_the_rfc_says() {
    for (section, text, expected) in [
        ("9111 5.2.2.1", "max-age=3600", 3600),
        ("9111 5.2, case", "MaX-aGe=3600", 3600),
        ("9111 5.2, extensions", "foobar, max-age=3600", 3600),
        ("9111 5.2, extensions", "foo=\"bar\", max-age=3600", 3600),
        ("9111 5.2, empty members", ",, max-age=3600 ,", 3600),
        ("9111 5.2, quoted form", "max-age=\"3600\"", 3600),
        ("9111 1.2.2, zeros before", "max-age=003600", 3600),
        ("9111 1.2.2, overflow", "max-age=2147483647", 2_147_483_647),
        ("9111 1.2.2, overflow", "max-age=2147483648", 2_147_483_648),
        ("9111 1.2.2, overflow", "max-age=2147483649", 2_147_483_648),
        ("9111 1.2.2, overflow", "max-age=99999999999999999999999999", 2_147_483_648),
        ("9111 4.2.1, the first counts", "max-age=1800, max-age=1", 1800),
        ("9111 4.2.1, the first counts", "max-age=1, max-age=1800", 1),
        ("9111 4.2.1, the first counts", "max-age=1800 | Cache-Control: max-age=1", 1800),
        ("9111 4.2.1, the first counts", "max-age=1 | Cache-Control: max-age=1800", 1),
        ("9111 4.2.1, the first counts", "max-age=x, max-age=1800", 0),
        ("9111 5.2, in a quoted string", "extension=\"max-age=3600\", max-age=1", 1),
        ("9111 5.2, in a quoted string", "max-age=1, extension=\"max-age=3600\"", 1),
        ("9111 5.2, in a quoted string", "extension=\"a\\\", max-age=3600\", max-age=1", 1),
        ("9111 4.2.1, invalid", "max-age=-3600", 0),
        ("9111 4.2.1, invalid", "max-age='3600'", 0),
        ("9111 4.2.1, invalid", "max-age=3600.0", 0),
        ("9111 4.2.1, invalid", "max-age=3600.5", 0),
        ("9111 4.2.1, invalid", "max-age=a3600", 0),
        ("9111 4.2.1, invalid", "max-age=3600a", 0),
        ("9111 4.2.1, invalid", "max-age=+3600", 0),
        ("9111 4.2.1, invalid", "max-age=", 0),
        ("9111 4.2.1, invalid", "max-age", 0),
        ("9111 4.2.1, invalid", "max-age=\"\"", 0),
        ("9111 4.2.1, invalid", "max-age=\"3600", 0),
        ("9111 5.2, no blank at the =", "max-age =3600", 0),
        ("9111 5.2, no blank at the =", "max-age= 3600", 0),
        ("9111 5.2, no blank at the =", "max-age = 3600", 0),
        ("9111 5.2, no semicolons", "max-age=3600; foo", 0),
    ] {
        let read = directives(&format!("Cache-Control: {text}")).max_age;
        assert_eq!(read, Some(seconds(expected)), "{section}: {text}");
    }
    assert_eq!(directives("Cache-Control: xmax-age=1, max-agex=1, min-fresh=1").max_age, None);
    assert_eq!(directives("Cache-Control: s-maxage=5, max-age=3").s_maxage, Some(seconds(5)));
    assert_eq!(
        directives("Cache-Control: stale-while-revalidate=5").stale_while_revalidate,
        Some(seconds(5))
    );
    assert_eq!(directives("Cache-Control: stale-if-error=5").stale_if_error, Some(seconds(5)));
    assert_eq!(directives("Cache-Control: stale-if-error=x").stale_if_error, Some(seconds(0)));
}

#[test]
fn what_restricts_is_understood_generously() {
    for text in [
        "no-store",
        "No-StOrE",
        "no-store=1",
        "no-store =x",
        "max-age=5 , no-store",
        "a=\"b\",no-store",
        "a;no-store",
    ] {
        assert!(directives(&format!("Cache-Control: {text}")).no_store, "{text}");
    }
    // Nothing hides behind a quote that is never closed.
    assert!(directives("Cache-Control: a=\"b, no-store").no_store);
    assert!(directives("Cache-Control: max-age=9, a=\"b | Cache-Control: private").private);
    for text in ["no-stores", "xno-store", "a=\"no-store\"", "no_store", "no-store-"] {
        assert!(!directives(&format!("Cache-Control: {text}")).no_store, "{text}");
    }
    for text in
        ["private", "private=\"\"", "private=\"a b\"", "private =\"a\"", "private=", "private; a"]
    {
        assert!(directives(&format!("Cache-Control: {text}")).private, "{text}");
    }
    for text in
        ["no-cache", "NO-CACHE", "no-cache=\"\"", "no-cache=\"a, (\"", "no-cache=\"a\", no-cache"]
    {
        assert!(directives(&format!("Cache-Control: {text}")).no_cache, "{text}");
    }
}

#[test]
fn what_allows_must_be_well_written() {
    let plain = directives(
        "Cache-Control: public, immutable, must-understand, must-revalidate, proxy-revalidate",
    );
    assert!(
        plain.public
            && plain.immutable
            && plain.must_understand
            && plain.must_revalidate
            && plain.proxy_revalidate
    );
    for text in [
        "public=1, immutable=1, must-understand=x",
        "public x, immutable x, must-understand x",
        "public; immutable; must-understand",
    ] {
        let read = directives(&format!("Cache-Control: {text}"));
        assert!(!read.public && !read.immutable && !read.must_understand, "{text}");
    }
    let broken =
        directives("Cache-Control: s-maxage=9, stale-while-revalidate=9, stale-if-error=9, a=\"");
    assert_eq!(broken.s_maxage, Some(seconds(0)));
    assert_eq!(
        (broken.stale_while_revalidate, broken.stale_if_error),
        (Some(seconds(0)), Some(seconds(0)))
    );
}

#[test]
fn fields_are_named_in_either_form() {
    for text in [
        "no-cache=\"a, B\"",
        "no-cache=\"a,,b,\"",
        "private=\"a\", no-cache=b",
        "no-cache=\"a\" | Cache-Control: no-cache=\"b\"",
    ] {
        let read = directives(&format!("Cache-Control: {text}"));
        assert_eq!(read.fields, ["a", "b"], "RFC 9111, 5.2.2.4: {text}");
        assert!(!read.no_cache && !read.private, "{text}");
    }
}

#[test]
fn a_request_is_asked_for_what_it_wants() {
    let none = Asks::default();
    for (section, text, expected) in [
        ("9111 5.2.1.4", "Cache-Control: no-cache", Asks { no_cache: true, ..none }),
        ("9111 5.2.1.5", "Cache-Control: No-Store", Asks { no_store: true, ..none }),
        ("9111 5.2.1.7", "Cache-Control: only-if-cached", Asks { only_if_cached: true, ..none }),
        ("9111 5.2.1.1", "Cache-Control: max-age=10", Asks { max_age: Some(seconds(10)), ..none }),
        (
            "9111 5.2.1.1",
            "Cache-Control: max-age=10, max-age=5, max-age=7",
            Asks { max_age: Some(seconds(5)), ..none },
        ),
        ("9111 5.2.1.1", "Cache-Control: max-age=x", Asks { max_age: Some(seconds(0)), ..none }),
        (
            "9111 5.2.1.3",
            "Cache-Control: min-fresh=20, min-fresh=5",
            Asks { min_fresh: Some(seconds(20)), ..none },
        ),
        ("9111 5.2.1.3", "Cache-Control: min-fresh=x", none),
        (
            "9111 5.2.1.2",
            "Cache-Control: max-stale=30",
            Asks { max_stale: Some(seconds(30)), ..none },
        ),
        (
            "9111 5.2.1.2",
            "Cache-Control: max-stale",
            Asks { max_stale: Some(std::time::Duration::MAX), ..none },
        ),
        (
            "9111 5.2.1.2",
            "Cache-Control: max-stale, max-stale=5",
            Asks { max_stale: Some(seconds(5)), ..none },
        ),
        (
            "9111 5.2.1.2",
            "Cache-Control: max-stale=x",
            Asks { max_stale: Some(seconds(0)), ..none },
        ),
        (
            "5861 4",
            "Cache-Control: stale-if-error=60",
            Asks { stale_if_error: Some(seconds(60)), ..none },
        ),
        ("9111 5.4", "Pragma: no-cache", Asks { no_cache: true, ..none }),
        ("9111 5.4", "Pragma: foo, No-Cache", Asks { no_cache: true, ..none }),
        ("9111 5.4", "Pragma: unknown", none),
        ("9111 5.4, not beside Cache-Control", "Pragma: no-cache | Cache-Control: foo", none),
        ("9111 5.2.3", "Cache-Control: nothing-to-see-here", none),
        ("9111 5.2", "Cache-Control: a=\"no-cache\"", none),
        ("", "", none),
    ] {
        assert_eq!(asks(&fields(text), &Rules::default()), expected, "{section}: {text}");
    }
    let deaf = Rules { obeys_client: false, ..Rules::default() };
    assert_eq!(asks(&fields("Cache-Control: no-cache, no-store | Pragma: no-cache"), &deaf), none);
    assert!(asked("Cache-Control: no-store", 200, "Cache-Control: max-age=5", &deaf).is_ok());
}

const TARGETED: &[(&str, &str, Result<u64, Unstorable>)] = &[
    ("9213 2.1", "CDN-Cache-Control: max-age=60", Ok(60)),
    ("9213 2.2", "CDN-Cache-Control: max-age=60 | Cache-Control: max-age=1", Ok(60)),
    ("9213 2.2", "CDN-Cache-Control: max-age=1 | Cache-Control: max-age=60", Ok(1)),
    ("9213 2.2", "CDN-Cache-Control: max-age=60 | Cache-Control: no-store", Ok(60)),
    ("9213 2.2", "CDN-Cache-Control: max-age=60 | Expires: @-10", Ok(60)),
    ("9213 2.2", "CDN-Cache-Control: max-age=60 | Expires: 0", Ok(60)),
    ("9213 2.2", "CDN-Cache-Control: max-age=0 | Expires: @100 | ETag: \"a\"", Ok(0)),
    ("9213 2.2", "CDN-Cache-Control: foo | Expires: @100", Err(Unstorable::NoLifetime)),
    (
        "9213 2.2",
        "CDN-Cache-Control: no-store | Cache-Control: max-age=60",
        Err(Unstorable::NoStore),
    ),
    (
        "9213 2.2",
        "CDN-Cache-Control: private | Cache-Control: max-age=60 | Expires: @60",
        Err(Unstorable::Private),
    ),
    (
        "9213 2.1, lines are one field",
        "CDN-Cache-Control: foo | CDN-Cache-Control: max-age=60",
        Ok(60),
    ),
    ("9213 2.1, parameters", "CDN-Cache-Control: max-age=60;a=b", Ok(60)),
    ("9651 4.2.2, the last counts", "CDN-Cache-Control: max-age=1, max-age=60", Ok(60)),
    ("9111 1.2.2", "CDN-Cache-Control: max-age=99999999999", Ok(2_147_483_648)),
    ("9111 4.2.1, negative", "CDN-Cache-Control: max-age=-60 | ETag: \"a\"", Ok(0)),
    (
        "9213 2.1, a type that it cannot have",
        "CDN-Cache-Control: max-age=\"60\" | Cache-Control: no-store",
        Err(Unstorable::NoStore),
    ),
    (
        "9213 2.1, a type that it cannot have",
        "CDN-Cache-Control: max-age=60.0 | Cache-Control: max-age=5",
        Ok(5),
    ),
    (
        "9213 2.1, cannot be read",
        "CDN-Cache-Control: max-age=60, &&&& | Cache-Control: no-store",
        Err(Unstorable::NoStore),
    ),
    (
        "9213 2.1, cannot be read",
        "CDN-Cache-Control: max-age =60 | Cache-Control: max-age=5",
        Ok(5),
    ),
    (
        "9213 2.1, cannot be read",
        "CDN-Cache-Control: max-age= 60 | Cache-Control: max-age=5",
        Ok(5),
    ),
    (
        "9651 3.1.2, keys are in lower case",
        "CDN-Cache-Control: MaX-aGe=60 | Cache-Control: max-age=5",
        Ok(5),
    ),
    ("9213 2.1, empty", "CDN-Cache-Control: | Cache-Control: max-age=5", Ok(5)),
    ("9651 3.3.6", "CDN-Cache-Control: max-age=60, no-store=?0", Ok(60)),
    ("9213 2.1, generously", "CDN-Cache-Control: max-age=60, no-store=1", Err(Unstorable::NoStore)),
];

#[test]
fn a_targeted_field_speaks_before_cache_control() {
    for (section, text, expected) in TARGETED {
        let read =
            stored(200, text, &Rules::default()).map(|stored| stored.freshness.lifetime.as_secs());
        assert_eq!(read, *expected, "{section}: {text}");
    }
    assert!(
        meta("CDN-Cache-Control: no-cache, max-age=60 | ETag: \"a\"").freshness.always_validate
    );
    for (text, stale) in [
        ("must-revalidate", Stale::Never),
        ("proxy-revalidate", Stale::Never),
        ("s-maxage=5", Stale::AsSaid),
    ] {
        assert_eq!(
            meta(&format!("CDN-Cache-Control: max-age=5, {text}")).freshness.stale,
            stale,
            "RFC 9213, 2.1: {text}"
        );
    }
    let freshness =
        meta("CDN-Cache-Control: max-age=5, immutable, stale-while-revalidate=6, stale-if-error=7")
            .freshness;
    assert!(freshness.is_immutable);
    assert_eq!(
        (freshness.stale_while_revalidate, freshness.stale_if_error),
        (Some(seconds(6)), Some(seconds(7)))
    );
    let named =
        stored(200, "CDN-Cache-Control: no-cache=\"a\", private=b, max-age=60", &Rules::default())
            .unwrap();
    assert_eq!(*named.without, ["a", "b"]);
}

#[test]
fn of_several_targeted_fields_the_first_that_can_be_read_speaks() {
    let targeted = ["x-our-cache-control", "cdn-cache-control"].map(http::HeaderName::from_static);
    let rules = Rules { targeted: targeted.into(), ..Rules::default() };
    for (text, expected) in [
        (
            "X-Our-Cache-Control: max-age=1 | CDN-Cache-Control: max-age=2 | Cache-Control: max-age=3",
            1,
        ),
        ("X-Our-Cache-Control: ! | CDN-Cache-Control: max-age=2 | Cache-Control: max-age=3", 2),
        ("X-Our-Cache-Control: ! | Cache-Control: max-age=3", 3),
    ] {
        assert_eq!(
            stored(200, text, &rules).unwrap().freshness.lifetime,
            seconds(expected),
            "RFC 9213, 2.2: {text}"
        );
    }
    let untargeted = Rules { targeted: Box::default(), ..Rules::default() };
    let text = "CDN-Cache-Control: max-age=60 | Cache-Control: max-age=3";
    assert_eq!(stored(200, text, &untargeted).unwrap().freshness.lifetime, seconds(3));
}
