//! `No-Vary-Search`.

use std::borrow::Cow;

use http::HeaderName;
use proptest::prelude::*;

use super::fields;
use crate::policy::Rules;
use crate::policy::search::NoVarySearch;

fn said(text: &str) -> NoVarySearch {
    NoVarySearch::of(&fields(&format!("No-Vary-Search: {text}")), &Rules::default())
}

#[test]
fn queries_are_the_same_as_the_response_says() {
    for (text, one, other, expected) in [
        ("params", "a=1&b=2", "", true),
        ("params=(\"a\")", "a=1&b=2", "b=2&a=3", true),
        ("params=(\"a\")", "a=1&b=2", "b=3", false),
        ("params, except=(\"a\")", "a=1&b=2", "c=5&a=1", true),
        ("params, except=(\"a\")", "a=1", "a=2", false),
        ("params, except=(\"a\")", "a=1", "", false),
        ("key-order", "a=1&b=2", "b=2&a=1", true),
        ("key-order", "a=1&a=2", "a=2&a=1", false),
        ("key-order", "a=1&b=2", "b=2", false),
        ("key-order, params=(\"x\")", "x=0&a=1&b=2", "b=2&a=1", true),
        ("params=(\"x\")", "a=1&b=2", "b=2&a=1", false),
        ("params=(\"x y\")", "x+y=1&a", "a&x%20y=2", true),
        ("params=(\"x+y\")", "x+y=1&a", "a", true),
        ("params=(\"x\")", "a=%41", "a=A", true),
        ("params=(\"x\")", "a=+", "a=%20", true),
        ("params=(\"x\")", "a", "a=", true),
        ("params=(\"x\")", "a&&b", "a&b", true),
        ("params=(\"x\")", "a=%", "a=%25", true),
        ("params=(\"x\")", "a=1%26b", "a=1&b", false),
        ("params=(\"x\")", "a=b%3D", "a=b=", true),
        ("params=(\"x\")", "a=%f6", "a=%ef%bf%bd", true),
        ("params, except=(\"%f6\")", "%f7=1", "", false),
        ("params=(\"%C3%A9+%E6%B0%97\")", "%C3%A9%20%E6%B0%97=3", "\u{e9}+\u{6c17}=4", true),
    ] {
        let said = said(text);
        assert_eq!(
            said.canonical(one.as_bytes()) == said.canonical(other.as_bytes()),
            expected,
            "{text}: {one} / {other}"
        );
        assert!(!said.is_default(), "{text}");
    }
}

#[test]
fn what_cannot_be_read_makes_every_difference_count() {
    for text in [
        "",
        "params=?0",
        "key-order=?0",
        "params=1",
        "params=(a)",
        "except=(\"a\")",
        "params=(\"a\"), except=(\"b\")",
        "params, except",
        "params, except=\"a\"",
        "key-order=1",
        "params,",
        "unknown",
    ] {
        assert!(said(text).is_default(), "{text}");
    }
    assert!(matches!(said("").canonical(b"b&a=+"), Cow::Borrowed(b"b&a=+")));
    let long = format!("params=(\"{}\")", "x".repeat(1024));
    assert!(said(&long).is_default(), "more than is kept");
}

#[test]
fn rules_that_mean_the_same_are_the_same() {
    assert_eq!(said("params=(\"b\" \"a\" \"b\")"), said("params=(\"a\" \"%62\")"));
    assert_eq!(said("key-order, params, except=()"), said("params, key-order=?1"));
    for (one, other) in
        [("params=(\"a\")", "params, except=(\"a\")"), ("params", "params, key-order")]
    {
        assert_ne!(said(one), said(other));
        assert_ne!(said(one).to_bytes(), said(other).to_bytes());
    }
}

#[test]
fn a_route_may_be_deaf_to_it() {
    let rules =
        Rules { ignored: [HeaderName::from_static("no-vary-search")].into(), ..Rules::default() };
    assert!(NoVarySearch::of(&fields("No-Vary-Search: params"), &rules).is_default());
}

const RULES: [&str; 6] = [
    "",
    "params",
    "key-order",
    "params=(\"x\")",
    "params, except=(\"a\" \"b\")",
    "key-order, params=(\"x\" \"%C3%A9\")",
];

proptest! {
    #[test]
    fn canonical_queries_are_their_own(query in "[abx=&%+12 \u{e9}]{0,30}", text in prop::sample::select(&RULES[..])) {
        let said = said(text);
        let once = said.canonical(query.as_bytes()).into_owned();
        prop_assert_eq!(said.canonical(&once), once.as_slice());
    }

    #[test]
    fn a_rule_is_read_as_it_was_written(text in prop::sample::select(&RULES[..])) {
        let said = said(text);
        prop_assert_eq!(NoVarySearch::from_bytes(&said.to_bytes()), Some(said));
    }

    #[test]
    fn bytes_that_are_no_rule_are_told(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Some(said) = NoVarySearch::from_bytes(&bytes) {
            prop_assert_eq!(said.to_bytes(), bytes);
        }
    }
}
