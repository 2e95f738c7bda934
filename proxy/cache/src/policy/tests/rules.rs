//! What routes may say.

use http::{HeaderName, StatusCode, header};

use super::{asked, fields, head, seconds, stored, times, used};
use crate::policy::{Asked, Rules, Unstorable, Use, storable, to_store};

fn ignoring(names: &[HeaderName]) -> Rules {
    Rules { ignored: names.into(), ..Rules::default() }
}

fn with_ttl() -> Rules {
    Rules {
        ttl: [(StatusCode::OK, seconds(600)), (StatusCode::NOT_FOUND, seconds(5))].into(),
        ttl_of_others: Some(seconds(1)),
        ..Rules::default()
    }
}

#[test]
fn a_configured_lifetime_is_for_those_that_say_none() {
    let rules = with_ttl();
    for (status, text, expected) in [
        (200, "", Ok(600)),
        (404, "", Ok(5)),
        (500, "", Ok(1)),
        (200, "Last-Modified: @-1000", Ok(600)),
        (200, "Cache-Control: max-age=7", Ok(7)),
        (200, "Cache-Control: s-maxage=7", Ok(7)),
        (200, "Expires: @7", Ok(7)),
        (200, "Cache-Control: public", Ok(600)),
        (200, "Cache-Control: max-age=x | ETag: \"a\"", Ok(0)),
        (200, "Cache-Control: no-store", Err(Unstorable::NoStore)),
        (200, "Cache-Control: private", Err(Unstorable::Private)),
        (200, "Set-Cookie: a=b", Err(Unstorable::SetCookie)),
        (200, "Vary: *", Err(Unstorable::Vary)),
        (304, "", Err(Unstorable::Status)),
    ] {
        let outcome =
            stored(status, text, &rules).map(|stored| stored.freshness.lifetime.as_secs());
        assert_eq!(outcome, expected, "{status} {text}");
    }
    assert!(!stored(200, "", &rules).unwrap().freshness.is_heuristic);
    assert!(
        stored(200, "Cache-Control: no-cache | ETag: \"a\"", &rules)
            .unwrap()
            .freshness
            .always_validate
    );
    assert_eq!(
        asked("Authorization: x", 200, "", &rules),
        Err(Unstorable::Authorization),
        "RFC 9111, 3.5"
    );
    let few = Rules { ttl_of_others: None, ..with_ttl() };
    assert_eq!(stored(500, "", &few), Err(Unstorable::NoLifetime));
}

#[test]
fn a_lifetime_may_overrule_the_origin() {
    let rules = Rules { overrides_origin: true, ttl_of_others: None, ..with_ttl() };
    for (status, text, expected) in [
        (200, "Cache-Control: max-age=7", Ok(600)),
        (200, "Cache-Control: max-age=0", Ok(600)),
        (200, "Cache-Control: no-cache", Ok(600)),
        (200, "Expires: 0", Ok(600)),
        (500, "Cache-Control: max-age=7", Ok(7)),
        (200, "Cache-Control: no-store", Err(Unstorable::NoStore)),
        (200, "Cache-Control: private", Err(Unstorable::Private)),
        (200, "Set-Cookie: a=b", Err(Unstorable::SetCookie)),
    ] {
        let outcome =
            stored(status, text, &rules).map(|stored| stored.freshness.lifetime.as_secs());
        assert_eq!(outcome, expected, "{status} {text}");
    }
    assert!(!stored(200, "Last-Modified: @-1000", &rules).unwrap().freshness.is_heuristic);
    assert_eq!(used("Cache-Control: no-cache", "", 5, &rules), Use::Fresh);
    assert_eq!(
        used("Cache-Control: must-revalidate", "", 605, &rules),
        Use::Validate { if_error: false }
    );
}

#[test]
fn what_is_ignored_is_as_if_it_were_not_there() {
    let ttl = |names: &[HeaderName]| Rules { ignored: names.into(), ..with_ttl() };
    for (names, text, expected) in [
        ([header::CACHE_CONTROL].as_slice(), "Cache-Control: no-store", Ok(600)),
        (&[header::CACHE_CONTROL], "Cache-Control: private, max-age=7 | Expires: @9", Ok(9)),
        (&[header::EXPIRES], "Expires: 0", Ok(600)),
        (&[header::EXPIRES], "Expires: 0 | Cache-Control: max-age=7", Ok(7)),
        (
            &[HeaderName::from_static("cdn-cache-control")],
            "CDN-Cache-Control: max-age=5 | Cache-Control: max-age=7",
            Ok(7),
        ),
        (&[header::SET_COOKIE], "Set-Cookie: a=b", Ok(600)),
        (&[header::VARY], "Vary: *", Ok(600)),
        (&[header::VARY], "Set-Cookie: a=b", Err(Unstorable::SetCookie)),
    ] {
        let outcome =
            stored(200, text, &ttl(names)).map(|stored| stored.freshness.lifetime.as_secs());
        assert_eq!(outcome, expected, "{names:?} {text}");
    }
    assert!(
        stored(200, "Cache-Control: max-age=5 | Vary: a", &ignoring(&[header::VARY]))
            .unwrap()
            .vary
            .is_empty()
    );
}

#[test]
fn an_ignored_cookie_is_not_given_to_others() {
    let text = "Cache-Control: max-age=5 | Set-Cookie: a=b";
    for (rules, is_kept) in [
        (ignoring(&[header::SET_COOKIE]), false),
        (Rules { stores_cookies: true, ..Rules::default() }, true),
        (Rules { stores_cookies: true, ..ignoring(&[header::SET_COOKIE]) }, true),
    ] {
        let mut head = head(200, text);
        let request = fields("");
        let asked = Asked { method: &http::Method::GET, headers: &request };
        let storable = storable(asked, &head, times(), &rules).unwrap();
        to_store(&mut head, &storable, times(), &rules);
        assert_eq!(head.headers.contains_key(header::SET_COOKIE), is_kept);
    }
}

#[test]
fn what_may_be_used_stale_is_worth_storing() {
    let text = "Cache-Control: max-age=0";
    for (rules, is_stored) in [
        (Rules::default(), false),
        (Rules { stale_while_revalidate: seconds(5), ..Rules::default() }, true),
        (Rules { stale_if_error: seconds(5), ..Rules::default() }, true),
        (Rules { always_online: true, ..Rules::default() }, true),
    ] {
        assert_eq!(stored(200, text, &rules).is_ok(), is_stored);
        assert!(stored(200, "Cache-Control: max-age=0, must-revalidate", &rules).is_err());
        let by_s_maxage = stored(200, "Cache-Control: s-maxage=0", &rules).is_ok();
        assert_eq!(by_s_maxage, rules.always_online);
    }
}
