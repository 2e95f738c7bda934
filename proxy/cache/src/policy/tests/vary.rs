//! Which stored response a request selects.

use super::fields;
use crate::policy::{Rules, Vary, selecting, selecting_answer, selects, vary};

fn names(text: &str) -> Option<Vec<String>> {
    match vary(&fields(text), &Rules::default()) {
        Vary::By(names) => Some(names.iter().map(ToString::to_string).collect()),
        Vary::Any => None,
    }
}

#[test]
fn vary_is_read_with_all_its_corners() {
    for (section, text, expected) in [
        ("9110 12.5.5", "", Some(&[] as &[&str])),
        ("9110 12.5.5", "Vary: Foo", Some(&["foo"])),
        ("9110 12.5.5", "Vary: Foo, bar,foo", Some(&["bar", "foo"])),
        ("9110 12.5.5, lines", "Vary: Foo | Vary: Bar", Some(&["bar", "foo"])),
        ("9110 5.6.1, empty members", "Vary: , Foo,,", Some(&["foo"])),
        ("9110 5.6.1, empty", "Vary: ", Some(&[])),
        ("9111 4.1", "Vary: *", None),
        ("9111 4.1", "Vary: *, *", None),
        ("9111 4.1", "Vary: * | Vary: *", None),
        ("9111 4.1", "Vary: , *", None),
        ("9111 4.1", "Vary: | Vary: *", None),
        ("9111 4.1", "Vary: *, Foo", None),
        ("9111 4.1", "Vary: Foo, *", None),
        ("9111 4.1", "Vary: Foo | Vary: *", None),
        ("9110 12.5.5, no name", "Vary: Foo Bar", None),
        ("9110 12.5.5, no name", "Vary: \"Foo\"", None),
        ("9110 12.5.5, no name", "Vary: Foo;q=1", None),
    ] {
        let expected =
            expected.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(text), expected, "{section}: {text}");
    }
    let many = (0..33).map(|at| format!("a{at}")).collect::<Vec<_>>().join(",");
    assert_eq!(names(&format!("Vary: {many}")), None);
}

fn is_selected(by: &str, first: &str, then: &str) -> bool {
    let Vary::By(by) = vary(&fields(&format!("Vary: {by}")), &Rules::default()) else {
        return false;
    };
    selects(&by, &selecting(&by, &fields(first)), &fields(then))
}

#[test]
fn a_request_selects_what_its_fields_agree_with() {
    for (section, by, first, then, expected) in [
        ("9111 4.1", "Foo", "Foo: 1", "Foo: 1", true),
        ("9111 4.1", "Foo", "Foo: 1", "Foo: 2", false),
        ("9111 4.1", "Foo", "Foo: 1", "Foo: 12", false),
        ("9111 4.1", "Foo", "Foo: 12", "Foo: 1", false),
        ("9111 4.1, absent", "Foo", "", "Foo: 1", false),
        ("9111 4.1, absent", "Foo", "Foo: 1", "", false),
        ("9111 4.1, absent from both", "Foo", "", "", true),
        ("9111 4.1, empty is not absent", "Foo", "Foo: ", "", false),
        ("9111 4.1, empty is not absent", "Foo", "", "Foo: ", false),
        ("9111 4.1, empty", "Foo", "Foo: ", "Foo: ", true),
        ("9111 4.1, others do not count", "Foo", "Foo: 1 | Other: 2", "Foo: 1 | Other: 3", true),
        ("9111 4.1, several", "Foo, Bar", "Foo: 1 | Bar: abc", "Bar: abc | Foo: 1", true),
        ("9111 4.1, several", "Foo, Bar", "Foo: 1 | Bar: abc", "Foo: 2 | Bar: abc", false),
        ("9111 4.1, several", "Foo, Bar", "Foo: 1 | Bar: abc", "", false),
        ("9111 4.1, several", "Foo, Bar, Baz", "Foo: 1 | Baz: 789", "Foo: 1 | Baz: 789", true),
        (
            "9111 4.1, several",
            "Foo, Bar, Baz",
            "Foo: 1 | Bar: abc | Baz: 789",
            "Foo: 1 | Baz: 789 | Bar: abcde",
            false,
        ),
        ("9110 5.3, lines are one", "Foo", "Foo: 1, 2", "Foo: 1 | Foo: 2", true),
        ("9110 5.3, in their order", "Foo", "Foo: 1, 2", "Foo: 2 | Foo: 1", false),
        ("9111 4.1, blanks", "Foo", "Foo: 1,2", "Foo: 1 ,  2", true),
        ("9111 4.1, blanks elsewhere", "Foo", "Foo: a b", "Foo: ab", false),
        ("9111 4.1, blanks in quotes", "Foo", "Foo: \"a, b\"", "Foo: \"a,b\"", false),
        ("9111 4.1, blanks in quotes", "Foo", "Foo: \"a\\\", b\"", "Foo: \"a\\\",b\"", false),
        ("9111 4.1, case", "Foo", "Foo: a", "Foo: A", false),
        ("9110 10.1.5, no list", "User-Agent", "User-Agent: a, b", "User-Agent: a,b", false),
        ("9113 8.2.3, crumbs", "Cookie", "Cookie: a=b; c=d", "Cookie: a=b | Cookie: c=d", true),
        ("9113 8.2.3, no list", "Cookie", "Cookie: a=b, c", "Cookie: a=b,c", false),
    ] {
        assert_eq!(is_selected(by, first, then), expected, "{section}: {by}: {first} / {then}");
    }
}

#[test]
fn weighted_choices_are_sets() {
    for (section, first, then, expected) in [
        ("9110 12.5.4, order", "en, de", "de, en", true),
        ("9110 12.5.4, case", "en, de", "eN, De", true),
        ("9110 5.6.3, blanks", "en, de", "  en ,   de", true),
        ("9110 12.4.2, a weight of one", "en, de;q=0.5", "de;q=0.5, en;q=1.0", true),
        ("9110 12.4.2, digits", "en;q=0.5", "en; q=0.500", true),
        ("9110 12.4.2, weights", "en, de;q=0.5", "en;q=0.5, de", false),
        ("9110 12.4.2, weights", "en;q=0.5", "en;q=0.501", false),
        ("9110 12.4.2, not acceptable", "en, de;q=0", "en", false),
        ("9110 12.5.4, one more", "en", "en, de", false),
        ("9110 12.5.4, twice", "en", "en, en", true),
        ("9110 12.5.4, prefixes", "en", "en-US", false),
        ("9110 5.3, lines", "en, de", "de | Accept-Language: en", true),
        ("9110 5.6.1, empty members", "en, de", ",en,,de,", true),
        ("not understood: as it is", "en;level=1, de", "de, en;level=1", false),
        ("not understood: as it is", "en;q=2, de", "de, en;q=2", false),
        ("not understood: as it is", "en;q=0.5000", "en;q=0.5", false),
        ("not understood: as it is", "en;q=1.001", "en", false),
        ("not understood: as it is", "en;q=x", "en;q=0", false),
        ("not understood: as it is", "en;q=0.5;q=0.5", "en;q=0.5", false),
    ] {
        let line = |value: &str| format!("Accept-Language: {value}");
        assert_eq!(
            is_selected("Accept-Language", &line(first), &line(then)),
            expected,
            "{section}: {first} / {then}"
        );
    }
    for (section, first, then, expected) in [
        ("9110 12.5.3", "gzip, br", "br, gzip", true),
        ("9110 8.4.1.3", "x-gzip", "gzip", true),
        ("9110 8.4.1.1", "x-compress", "compress", true),
        ("9110 12.5.3, nothing but identity", "", "identity", false),
        ("9110 12.5.3, refused", "gzip;q=0", "gzip", false),
    ] {
        let line = |value: &str| format!("Accept-Encoding: {value}");
        assert_eq!(
            is_selected("Accept-Encoding", &line(first), &line(then)),
            expected,
            "{section}: {first} / {then}"
        );
    }
    assert!(
        !is_selected("Accept", "Accept: a/b, c/d", "Accept: c/d, a/b"),
        "others keep their order"
    );
}

#[test]
fn very_many_choices_are_compared_as_they_are() {
    let many = |from: u32| (from..from + 30).map(|at| format!("a{at}")).collect::<Vec<_>>();
    let forwards = format!("Accept-Language: {}", many(0).join(","));
    let backwards =
        format!("Accept-Language: {}", many(0).into_iter().rev().collect::<Vec<_>>().join(","));
    assert!(is_selected("Accept-Language", &forwards, &forwards));
    assert!(!is_selected("Accept-Language", &forwards, &backwards));
}

#[test]
fn the_language_that_is_wanted_most_is_enough_where_the_rules_say_so() {
    let by = [http::header::ACCEPT_LANGUAGE];
    for (about, first, language, then, expected) in [
        ("weights", "en, de", "de", "fr;q=0.5, de;q=1.0", true),
        ("case", "en, de", "De", "dE", true),
        ("the list itself", "en, de", "de", "de, en", true),
        ("wanted alike", "en, de", "de", "fr, de", false),
        ("wanted less", "en, de", "de", "fr, de;q=0.9", false),
        ("not wanted", "en, de", "de", "fr", false),
        ("none", "en, de", "de", "", false),
        ("refused", "en, de", "de", "de;q=0", false),
        ("not the best of the first", "en, de;q=0.5", "de", "de", false),
        ("not asked for", "en", "de", "de", false),
        ("another", "en, de", "fr", "fr", false),
        ("no language", "en, de", "", "de", false),
        ("two languages", "en, de", "de, en", "de", false),
        ("a region beside it", "de-CH, de", "de", "de", false),
        ("a region beside it", "de, de-CH;q=0.5", "de", "de", false),
        ("a region beside it", "en, de", "de", "de, de-AT;q=0.5", false),
        ("a region", "en, de-CH", "de-CH", "de-CH", true),
        ("a region", "en, de-CH", "de-CH", "de", false),
        ("no list", "en, de", "de", "de;level=1", false),
        ("no list", "de;level=1", "de", "de", false),
        ("what is written down", "en, de", "de", "\tde\tde,en", false),
        ("what is written down", "\tde\tde,en", "de", "de", false),
    ] {
        let request = |list: &str| fields(&format!("Accept-Language: {list}"));
        let answer = fields(&format!("Content-Language: {language}"));
        let then = if then.is_empty() { fields("") } else { request(then) };
        let rules = Rules { matches_language: true, ..Rules::default() };
        let stored = selecting_answer(&by, &request(first), &answer, &rules);
        assert_eq!(
            selects(&by, &stored, &then),
            expected,
            "{about}: {first}; {language}; {then:?}"
        );
        let stored = selecting_answer(&by, &request(first), &answer, &Rules::default());
        assert_eq!(stored, selecting(&by, &request(first)), "not of itself");
    }
    let rules = Rules { matches_language: true, ..Rules::default() };
    let others = [http::header::ACCEPT];
    let answer = fields("Content-Language: de");
    let stored =
        selecting_answer(&others, &fields("Accept: a | Accept-Language: de"), &answer, &rules);
    assert_eq!(stored, selecting(&others, &fields("Accept: a")), "it varies by others");
    assert!(!selects(&others, &fields("Accept: \ta\tb"), &fields("Accept: a")));
}
