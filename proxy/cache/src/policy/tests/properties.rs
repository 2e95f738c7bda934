//! What holds of any input.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use super::{fields, head, meta_of, now, seconds, times};
use crate::entry::{Head, Times};
use crate::policy::{
    Asked, Rules, Use, Vary, age, asks, belongs, by_head, judge, merge, renew, selecting, selects,
    storable, storable_part, tags, to_store, vary,
};

/// A line of `Cache-Control` made of what it may and may not be made of.
fn directives() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "max-age",
        "s-maxage",
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "immutable",
        "must-understand",
        "stale-while-revalidate",
        "stale-if-error",
        "max-stale",
        "min-fresh",
        "only-if-cached",
        "ext",
        "Max-Age",
    ]);
    let arguments = prop::sample::select(vec![
        "",
        "=0",
        "=5",
        "=50",
        "=x",
        "=\"5\"",
        "=\"a, b\"",
        " =5",
        "=-1",
        "=\"",
        "=99999999999",
    ]);
    let separators = prop::sample::select(vec![", ", ",", ",,", "; ", " "]);
    let members = prop::collection::vec((names, arguments, separators), 0..6);
    members.prop_map(|members| {
        members
            .iter()
            .map(|(name, argument, separator)| format!("{name}{argument}{separator}"))
            .collect()
    })
}

fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let names = prop::sample::select(vec![
        "cache-control",
        "cdn-cache-control",
        "expires",
        "date",
        "age",
        "last-modified",
        "etag",
        "vary",
        "set-cookie",
        "connection",
        "content-range",
        "content-length",
        "cache-groups",
        "no-vary-search",
        "surrogate-key",
        "cache-tag",
        "pragma",
        "accept-language",
        "accept-encoding",
        "cookie",
        "foo",
        "authorization",
        "location",
    ]);
    let value = prop_oneof![
        directives().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,20}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "*",
            "bytes 0-4/10",
            "\"a\"",
            "W/\"a\"",
            "5"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((names, value), 0..8).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        headers
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let flags = any::<[bool; 6]>();
    let times = (0_u64..3, 0_u64..3, prop::option::of(0_u64..3), 0_u8..=100);
    (flags, times).prop_map(
        |([cookies, client, online, query, overrides, ignores], (swr, sie, ttl, percent))| Rules {
            stores_cookies: cookies,
            obeys_client: client,
            always_online: online,
            query,
            overrides_origin: overrides,
            ignored: if ignores {
                [http::header::CACHE_CONTROL, http::header::SET_COOKIE].into()
            } else {
                Box::default()
            },
            stale_while_revalidate: seconds(swr * 10),
            stale_if_error: seconds(sie * 10),
            ttl_of_others: ttl.map(|ttl| seconds(ttl * 10)),
            heuristic_percent: percent,
            ..Rules::default()
        },
    )
}

/// The less, the freer the use.
fn rank(of: Use) -> u8 {
    match of {
        Use::Fresh => 0,
        Use::Stale => 1,
        Use::WhileRevalidating => 2,
        Use::Validate { if_error: true } => 3,
        Use::Validate { if_error: false } => 4,
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_odd_is_stored(
        request in any_fields(), response in any_fields(), answer in any_fields(), status in 100_u16..600, rules in any_rules(),
        after in any::<u32>(),
    ) {
        let head = Head { status: StatusCode::from_u16(status).unwrap(), headers: response };
        let asked = Asked { method: &Method::GET, headers: &request };
        let _ = storable_part(asked, &head, times(), &rules);
        let _ = tags(&head.headers);
        let Ok(storable) = storable(asked, &head, times(), &rules) else { return Ok(()) };
        let mut kept = head.clone();
        to_store(&mut kept, &storable, times(), &rules);
        for name in ["connection", "age", "keep-alive"] {
            prop_assert!(!kept.headers.contains_key(name));
        }
        prop_assert!(rules.stores_cookies || !kept.headers.contains_key("set-cookie"));
        prop_assert!(kept.headers.contains_key("date"));
        let selected_by = selecting(&storable.vary, &request);
        prop_assert!(selects(&storable.vary, &selected_by, &request));

        let mut meta = meta_of("", "Cache-Control: max-age=5", &Rules::default());
        (meta.head, meta.freshness, meta.vary, meta.selected_by) = (kept, storable.freshness, storable.vary, selected_by);
        let later = now() + seconds(u64::from(after));
        let _ = judge(&meta, &asks(&request, &rules), &rules, later);
        let answer = Head { status: StatusCode::NOT_MODIFIED, headers: answer };
        let _ = (belongs(&meta, &answer, &request), by_head(&meta, 5, &answer), merge(&meta.head, &answer, times(), &rules));
        if let Ok(renewed) = renew(&meta, &answer, asked, Times { request: later, response: later }, &rules) {
            prop_assert_eq!(renewed.head.status, meta.head.status);
            prop_assert!(selects(&renewed.vary, &renewed.selected_by, &request));
        }
    }

    #[test]
    fn older_is_never_fresher(line in directives(), request in directives(), ages in (0_u64..200, 0_u64..200), rules in any_rules()) {
        let response = head(200, &format!("Cache-Control: {} | ETag: \"a\"", line.replace('|', "")));
        let empty = fields("");
        let asked = Asked { method: &Method::GET, headers: &empty };
        let Ok(storable) = storable(asked, &response, times(), &rules) else { return Ok(()) };
        let mut meta = meta_of("", "Cache-Control: max-age=5", &Rules::default());
        meta.freshness = storable.freshness;
        let asks = asks(&fields(&format!("Cache-Control: {request}")), &rules);
        let (young, old) = (now() + seconds(ages.0.min(ages.1)), now() + seconds(ages.0.max(ages.1)));
        prop_assert!(age(&meta, young) <= age(&meta, old));
        let (young, old) = (judge(&meta, &asks, &rules, young), judge(&meta, &asks, &rules, old));
        prop_assert!(rank(young) <= rank(old), "{young:?} then {old:?}");
    }

    #[test]
    fn a_restriction_more_never_stores_more(line in directives(), more in prop::sample::select(vec!["no-store", "private"])) {
        let rules = Rules::default();
        let text = format!("Cache-Control: {more}, {line} | ETag: \"a\"");
        let understands = line.contains("must-understand") && more == "no-store";
        prop_assert!(super::stored(200, &text, &rules).is_err() || understands);
        let text = format!("Cache-Control: {line}, {more} | ETag: \"a\"");
        let understands = line.contains("must-understand") && more == "no-store";
        let is_hidden = line.contains(' ') && !line.trim_end().ends_with([',', ';']) && !line.trim().is_empty();
        prop_assert!(super::stored(200, &text, &rules).is_err() || understands || is_hidden);
    }

    #[test]
    fn selection_is_an_equivalence(one in "[a-c;q=01., \"]{0,12}", other in "[a-c;q=01., \"]{0,12}", name in prop::sample::select(vec![
        "accept-language", "accept-encoding", "cookie", "foo", "user-agent",
    ])) {
        let Vary::By(by) = vary(&fields(&format!("Vary: {name}")), &Rules::default()) else { return Ok(()) };
        let one = fields(&format!("{name}: {one}"));
        let other = fields(&format!("{name}: {other}"));
        let (by_one, by_other) = (selecting(&by, &one), selecting(&by, &other));
        prop_assert!(selects(&by, &by_one, &one));
        prop_assert_eq!(selects(&by, &by_one, &other), selects(&by, &by_other, &one));
        prop_assert_eq!(selects(&by, &by_one, &other), by_one == by_other);
        prop_assert_eq!(&selecting(&by, &by_one), &by_one, "a normalised value is its own");
    }
}
