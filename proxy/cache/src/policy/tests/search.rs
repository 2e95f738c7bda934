//! `No-Vary-Search`.

use std::borrow::Cow;

use proptest::prelude::*;

use super::fields;
use crate::policy::search::NoVarySearch;

fn said(text: &str) -> NoVarySearch {
    NoVarySearch::of(&fields(&format!("No-Vary-Search: {text}")))
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
    ] {
        let said = said(text);
        assert_eq!(
            said.canonical(one) == said.canonical(other),
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
    assert!(matches!(said("").canonical("b&a=+"), Cow::Borrowed("b&a=+")));
}

proptest! {
    #[test]
    fn canonical_queries_are_their_own(query in "[abx=&%+12 ]{0,30}", text in prop::sample::select(vec![
        "", "params", "key-order", "params=(\"x\")", "params, except=(\"a\" \"b\")", "key-order, params=(\"x\")",
    ])) {
        let said = said(text);
        let once = said.canonical(&query).into_owned();
        prop_assert_eq!(said.canonical(&once), once.as_str());
    }
}
