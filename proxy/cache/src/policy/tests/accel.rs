//! `X-Accel-Expires`, as nginx reads it.

use std::time::UNIX_EPOCH;

use http::{HeaderName, HeaderValue, header};

use super::{asked, now, seconds, stored, times, used};
use crate::policy::accel::{ACCEL_EXPIRES, Accel};
use crate::policy::{Rules, Unstorable, Use};

fn rules() -> Rules {
    Rules { targeted: [ACCEL_EXPIRES].into(), ..Rules::default() }
}

fn fresh_for(text: &str, rules: &Rules) -> Result<u64, Unstorable> {
    let stored = stored(200, text, rules)?.freshness;
    Ok(stored.lifetime.saturating_sub(stored.initial_age).as_secs())
}

#[test]
fn the_field_of_nginx_wins_over_what_others_are_told() {
    for (text, expected) in [
        ("X-Accel-Expires: 60", Ok(60)),
        ("X-Accel-Expires: 60 | Cache-Control: max-age=5, s-maxage=7", Ok(60)),
        ("X-Accel-Expires: 60 | Expires: @5", Ok(60)),
        ("X-Accel-Expires: 60 | Cache-Control: no-store, private, no-cache", Ok(60)),
        ("X-Accel-Expires: 60 | Age: 1000", Ok(60)),
        ("X-Accel-Expires: 60 | Date: @-1000", Ok(60)),
        ("X-Accel-Expires: 060", Ok(60)),
        ("X-Accel-Expires: 60 | X-Accel-Expires: 5", Ok(60)),
        ("X-Accel-Expires: 18446744073709551615", Ok(1 << 31)),
        ("X-Accel-Expires: 0 | Cache-Control: max-age=5", Err(Unstorable::NoStore)),
        ("X-Accel-Expires: 60 | Set-Cookie: a=b", Err(Unstorable::SetCookie)),
        ("X-Accel-Expires: 60 | Vary: *", Err(Unstorable::Vary)),
    ] {
        assert_eq!(fresh_for(text, &rules()), expected, "{text}");
    }
}

#[test]
fn a_moment_is_one_of_the_clock() {
    let said = |value: String| {
        let value = HeaderValue::try_from(value).unwrap();
        Accel::of(&std::iter::once((ACCEL_EXPIRES, value)).collect())
    };
    let received = now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (moment, expected) in [(received + 90, 90), (received, 0), (received - 90, 0), (0, 0)] {
        let accel = said(format!("@{moment}")).unwrap();
        assert_eq!(accel.lifetime(times()), seconds(expected), "{moment}");
    }
    for value in ["@", "@-1", "@+1", "@ 1", "@x", "@18446744073709551615", "@18446744073709551616"]
    {
        assert_eq!(said(value.to_owned()), None, "{value}");
    }
}

#[test]
fn a_field_that_cannot_be_read_is_not_there() {
    for value in ["", "-1", "+60", "6 0", "60s", "60, 5", "off", "18446744073709551616"] {
        let text = format!("X-Accel-Expires: {value} | Cache-Control: max-age=5");
        assert_eq!(fresh_for(&text, &rules()), Ok(5), "{value}");
    }
}

#[test]
fn it_counts_where_the_rules_name_it_and_in_their_order() {
    let text = "X-Accel-Expires: 60 | CDN-Cache-Control: max-age=7 | Cache-Control: max-age=5";
    let cdn = HeaderName::from_static("cdn-cache-control");
    for (targeted, ignored, expected) in [
        (vec![], None, 5),
        (vec![ACCEL_EXPIRES], None, 60),
        (vec![ACCEL_EXPIRES, cdn.clone()], None, 60),
        (vec![cdn.clone(), ACCEL_EXPIRES], None, 7),
        (vec![ACCEL_EXPIRES], Some(ACCEL_EXPIRES), 5),
        (vec![ACCEL_EXPIRES, cdn], Some(ACCEL_EXPIRES), 7),
        (vec![ACCEL_EXPIRES], Some(header::CACHE_CONTROL), 60),
    ] {
        let rules = Rules {
            targeted: targeted.into(),
            ignored: ignored.into_iter().collect(),
            ..Rules::default()
        };
        assert_eq!(fresh_for(text, &rules), Ok(expected), "{rules:?}");
    }
    assert_eq!(fresh_for(text, &Rules::default()), Ok(7), "not by default");
}

#[test]
fn stale_use_is_as_cache_control_says_and_sharing_as_the_rfc_does() {
    let text =
        "X-Accel-Expires: 60 | Cache-Control: must-revalidate, stale-if-error=30 | ETag: \"a\"";
    assert_eq!(used(text, "", 60, &rules()), Use::Validate { if_error: true });
    assert_eq!(used(text, "", 91, &rules()), Use::Validate { if_error: false });
    // RFC 9111, 3.5: it does not say that the response is for others, too.
    let authorized = asked("Authorization: x", 200, "X-Accel-Expires: 60", &rules());
    assert_eq!(authorized, Err(Unstorable::Authorization));
}

#[test]
fn a_lifetime_of_the_route_still_rules_over_it() {
    let forced = Rules { ttl_of_others: Some(seconds(9)), overrides_origin: true, ..rules() };
    assert_eq!(fresh_for("X-Accel-Expires: 60", &forced), Ok(9));
    let said = Rules { overrides_origin: false, ..forced };
    assert_eq!(fresh_for("X-Accel-Expires: 60", &said), Ok(60));
}
