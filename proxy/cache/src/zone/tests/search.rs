//! Queries that bring the same response.

use http::{HeaderMap, HeaderValue};

use super::{MIB, found, purge, zone};
use crate::entry::Entry;
use crate::key::Key;
use crate::policy::Rules;
use crate::policy::search::NoVarySearch;
use crate::purge::{Manner, Scope};
use crate::testing::{address, at, body, entry, key};
use crate::zone::{Found, Zone};

pub(super) fn said(rule: &'static str) -> NoVarySearch {
    let mut headers = HeaderMap::new();
    headers.insert("no-vary-search", HeaderValue::from_static(rule));
    NoVarySearch::of(&headers, &Rules::default())
}

/// As a fill stores what says this of queries and was asked for at this time.
pub(super) fn ruled(zone: &Zone, path: &str, rule: &'static str, generation: u64) -> Entry {
    let key = zone.stored_as(&key(path), said(rule), generation);
    at(generation, entry(&key, path.as_bytes()))
}

fn keep(zone: &Zone, path: &str, rule: &'static str) {
    let entry = ruled(zone, path, rule, zone.generation());
    drop(zone.store(entry));
}

/// What answers a request for `path`, by the path that it was stored for.
fn answer(zone: &Zone, path: &str) -> Option<String> {
    let found = found(zone, &key(path), &HeaderMap::new())?;
    Some(String::from_utf8(body(&found)).unwrap())
}

const NO_UTM: &str = "params=(\"utm\")";

#[test]
fn what_means_the_same_finds_what_was_stored() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    for same in ["/a?x=1&utm=2", "/a?x=1", "/a?utm&x=1&utm=3", "/a?%78=1"] {
        assert_eq!(answer(&zone, same).as_deref(), Some("/a?x=1&utm=2"), "{same}");
    }
    for other in ["/a?x=2&utm=2", "/a", "/a?utm=2", "/b?x=1&utm=2", "//b.test/a?x=1&utm=2"] {
        assert_eq!(answer(&zone, other), None, "{other}");
    }
    let statistics = zone.statistics();
    assert_eq!((statistics.hits, statistics.misses), (4, 5));
}

#[test]
fn what_says_nothing_of_queries_is_for_its_own() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    drop(zone.store(entry(&key("/a?x=3&utm=4"), b"plain")));
    assert_eq!(answer(&zone, "/a?x=3&utm=4").as_deref(), Some("plain"));
    assert_eq!(answer(&zone, "/a?x=3&utm=5"), None);
}

#[test]
fn of_two_that_answer_the_newer_does() {
    for is_plain_newer in [true, false] {
        let zone = zone(MIB);
        let mut plain = entry(&key("/a?x=1"), b"plain");
        let mut ruled = ruled(&zone, "/a?x=1&utm=2", NO_UTM, 0);
        let newer = if is_plain_newer { &mut plain } else { &mut ruled };
        newer.meta.times.response += std::time::Duration::from_secs(1);
        drop((zone.store(plain), zone.store(ruled)));
        let expected = if is_plain_newer { "plain" } else { "/a?x=1&utm=2" };
        assert_eq!(answer(&zone, "/a?x=1").as_deref(), Some(expected));
    }
}

#[test]
fn a_purge_finds_what_means_the_same_and_nothing_else() {
    for manner in [Manner::Hard, Manner::Soft] {
        let zone = zone(MIB);
        keep(&zone, "/a?x=1&utm=2", NO_UTM);
        keep(&zone, "/a?x=2&utm=2", NO_UTM);
        purge(&zone, Scope::Page(address("/a?utm=7&x=1")), manner);
        assert_eq!(answer(&zone, "/a?x=1&utm=2"), None);
        let found = zone.find(&key("/a?x=1&utm=2"), &HeaderMap::new());
        assert_eq!(matches!(found, Found::Purged(_)), manner == Manner::Soft);
        assert!(answer(&zone, "/a?x=2").is_some());
    }
}

#[test]
fn a_rule_in_the_place_of_another_makes_that_ones_responses_void() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    // For its own query only, for once.
    keep(&zone, "/a?y=1&x=1", "params=(\"y\")");
    assert_eq!(answer(&zone, "/a?x=1"), None);
    assert_eq!(answer(&zone, "/a?y=1&x=1").as_deref(), Some("/a?y=1&x=1"));
    keep(&zone, "/a?y=2&x=1", "params=(\"y\")");
    assert_eq!(answer(&zone, "/a?y=3&x=1").as_deref(), Some("/a?y=2&x=1"));
    // Were they only out of sight, the purge would have missed the first of them.
    purge(&zone, Scope::Page(address("/a?x=1&utm=4")), Manner::Hard);
    keep(&zone, "/a?x=9", NO_UTM);
    keep(&zone, "/a?x=8", NO_UTM);
    assert_eq!(answer(&zone, "/a?x=1&utm=2"), None);
    assert!(answer(&zone, "/a?x=8&utm=1").is_some());
}

#[test]
fn what_was_asked_for_before_a_purge_teaches_nothing_that_the_purge_did_not_know() {
    let zone = zone(MIB);
    let before = zone.generation();
    purge(&zone, Scope::Page(address("/a?x=1&utm=1")), Manner::Hard);
    let late = ruled(&zone, "/a?x=1&utm=2", NO_UTM, before);
    assert!(late.meta.key == key("/a?x=1&utm=2"));
    drop(zone.store(late));
    assert_eq!(answer(&zone, "/a?x=1&utm=1"), None);
    keep(&zone, "/a?x=2&utm=2", NO_UTM);
    let late = ruled(&zone, "/a?x=1&utm=2", NO_UTM, before);
    assert!(late.meta.key == key("/a?x=1&utm=2"), "now that it is known");
    // What the purge knew of, it bears on.
    purge(&zone, Scope::Page(address("/a?x=3&utm=1")), Manner::Hard);
    let late = ruled(&zone, "/a?x=3&utm=2", NO_UTM, zone.generation() - 1);
    drop(zone.store(late));
    assert_eq!(answer(&zone, "/a?x=3&utm=2"), None);
}

#[test]
fn what_is_forgotten_is_not_met_again_after_a_purge_that_did_not_know_it() {
    let zone = zone(64 * MIB);
    let page = |number: usize| format!("/{number}?utm=1");
    let rule = Box::leak(format!("params=(\"utm\" \"{}\")", "x".repeat(900)).into_boxed_str());
    (0..8192).for_each(|number| keep(&zone, &page(number), rule));
    let forgotten: Vec<_> =
        (0..8192).filter(|n| answer(&zone, &format!("/{n}")).is_none()).collect();
    assert!(forgotten.len() > 4096, "{} are known", 8192 - forgotten.len());
    let number = forgotten[0];
    purge(&zone, Scope::Page(address(&format!("/{number}?utm=2"))), Manner::Hard);
    for again in 0..2 {
        keep(&zone, &format!("/{number}?a={again}"), rule);
    }
    assert!(answer(&zone, &format!("/{number}?a=1&utm=3")).is_some(), "it is learnt again");
    assert_eq!(answer(&zone, &format!("/{number}?utm=3")), None);
}

#[test]
fn a_key_is_met_by_what_means_the_same_alone() {
    let zone = zone(MIB);
    let asked = key("/a?x=1");
    let stored = |path: &str, rule| zone.stored_as(&key(path), said(rule), 0);
    assert!(asked.is_met_by(&asked) && asked.is_met_by(&stored("/a?x=1&utm=2", NO_UTM)));
    assert!(zone.likeness(&asked) == stored("/a?x=1&utm=2", NO_UTM));
    for other in [key("/a?x=2"), stored("/a?x=2&utm=2", NO_UTM), stored("/b?x=1", "params")] {
        assert!(!asked.is_met_by(&other), "{other:?}");
    }
}

#[test]
fn uses_count_together_for_what_means_the_same() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    assert_eq!(zone.count_use(&key("/a?x=5&utm=1")), 1);
    assert_eq!(zone.count_use(&key("/a?x=5&utm=2")), 2);
    assert_eq!(zone.count_use(&key("/a?x=6")), 1);
}

#[test]
fn what_is_removed_is_gone_for_all_queries() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    drop(zone.remove(&key("/a?x=1&utm=3")));
    assert_eq!(answer(&zone, "/a?x=1&utm=2"), None);
}

#[test]
fn a_validation_may_bring_another_rule() {
    let zone = zone(MIB);
    keep(&zone, "/a?x=1&utm=2", NO_UTM);
    let asked = key("/a?x=1&utm=3");
    let old = found(&zone, &asked, &HeaderMap::new()).unwrap();
    let renewed: Key = zone.stored_as(&asked, NoVarySearch::default(), zone.generation());
    let meta = crate::Meta { key: renewed, ..old.meta.clone() };
    drop(zone.refresh(&old, meta));
    assert!(answer(&zone, "/a?x=1&utm=3").is_some());
    assert_eq!(answer(&zone, "/a?x=1&utm=2"), None);
    assert_eq!(zone.statistics().keys, 1);
}
