//! A zone in memory, from outside.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

mod disk;
mod search;

use super::{Found, Limits, Zone};
use crate::entry::{Body, Entry};
use crate::key::Key;
use crate::purge::{Manner, Scope, Standing};
use crate::testing::{address, at, body, entry, in_language, key, speaking, tagged};

const MIB: u64 = 1024 * 1024;

fn zone(memory: u64) -> Zone {
    Zone::new(Limits { memory, largest_in_memory: MIB, variants: 3 })
}

fn found(zone: &Zone, key: &Key, request: &HeaderMap) -> Option<Arc<Entry>> {
    match zone.find(key, request) {
        Found::Entry(entry) => Some(entry),
        Found::Purged(_) | Found::Ask | Found::Others | Found::Nothing => None,
    }
}

fn finds(zone: &Zone, path: &str) -> bool {
    found(zone, &key(path), &HeaderMap::new()).is_some()
}

/// The body that a request in `language` gets.
fn heard(zone: &Zone, language: &'static str) -> Option<Vec<u8>> {
    found(zone, &key("/"), &speaking(language)).map(|entry| body(&entry))
}

fn purge(zone: &Zone, scope: Scope<'_>, manner: Manner) {
    drop(zone.purge(scope, manner));
}

#[test]
fn what_was_stored_is_found_and_its_bytes_are_the_same_ones() {
    let zone = zone(MIB);
    let stored = zone.store(entry(&key("/a"), b"hello"));
    let found = found(&zone, &key("/a"), &HeaderMap::new()).unwrap();
    assert!(Arc::ptr_eq(&stored, &found));
    assert!(!finds(&zone, "/b"));
    let statistics = zone.statistics();
    assert_eq!((statistics.keys, statistics.hits, statistics.misses), (1, 1, 1));
    assert!(statistics.bytes > 5);
}

#[test]
fn a_later_response_takes_the_place_of_an_earlier_one() {
    let zone = zone(MIB);
    zone.store(entry(&key("/a"), b"one"));
    let bytes = zone.statistics().bytes;
    let later = zone.store(entry(&key("/a"), b"two"));
    assert!(Arc::ptr_eq(&found(&zone, &key("/a"), &HeaderMap::new()).unwrap(), &later));
    assert_eq!(zone.statistics().bytes, bytes);
}

#[test]
fn each_request_gets_the_variant_that_it_selects() {
    let zone = zone(MIB);
    for language in ["de", "fr"] {
        zone.store(in_language(language, entry(&key("/"), language.as_bytes())));
    }
    assert_eq!(heard(&zone, "de").as_deref(), Some(&b"de"[..]));
    assert_eq!(heard(&zone, "fr").as_deref(), Some(&b"fr"[..]));
    assert_eq!(heard(&zone, "en"), None);
    assert_eq!(zone.variants(&key("/")).len(), 2);
    zone.store(in_language("de", entry(&key("/"), b"new")));
    assert_eq!(heard(&zone, "de").as_deref(), Some(&b"new"[..]));
    assert_eq!(zone.variants(&key("/")).len(), 2);
}

#[test]
fn of_too_many_variants_the_oldest_goes() {
    let zone = zone(MIB);
    for language in ["de", "fr", "en", "it"] {
        zone.store(in_language(language, entry(&key("/"), language.as_bytes())));
    }
    assert_eq!(heard(&zone, "de"), None);
    assert!(["fr", "en", "it"].iter().all(|language| heard(&zone, language).is_some()));
    let two = Limits { variants: 2, ..zone.limits() };
    zone.set_limits(two);
    zone.store(in_language("es", entry(&key("/"), b"es")));
    assert_eq!((zone.variants(&key("/")).len(), heard(&zone, "fr")), (2, None));
}

/// RFC 9111, 4.1: some origins forget `Vary` on what they send by default.
#[test]
fn a_response_that_does_not_say_what_selects_it_comes_last() {
    let zone = zone(MIB);
    zone.store(in_language("de", entry(&key("/"), b"de")));
    zone.store(entry(&key("/"), b"default"));
    assert_eq!(heard(&zone, "de").as_deref(), Some(&b"de"[..]));
    assert_eq!(heard(&zone, "en").as_deref(), Some(&b"default"[..]));
}

#[test]
fn a_variant_is_removed_alone_and_a_key_with_all_of_them() {
    let zone = zone(MIB);
    let german = zone.store(in_language("de", entry(&key("/"), b"de")));
    zone.store(in_language("fr", entry(&key("/"), b"fr")));
    drop(zone.remove_entry(&german));
    assert_eq!((heard(&zone, "de"), heard(&zone, "fr").is_some()), (None, true));
    zone.store(in_language("fr", entry(&key("/"), b"newer")));
    drop(zone.remove_entry(&german));
    assert!(heard(&zone, "fr").is_some(), "what took its place stays");
    drop(zone.remove(&key("/")));
    assert_eq!((heard(&zone, "fr"), zone.statistics().bytes), (None, 0));
}

#[test]
fn a_refreshed_entry_has_the_new_head_and_the_old_bytes() {
    let zone = zone(MIB);
    let old = zone.store(entry(&key("/"), b"body"));
    let mut meta = old.meta.clone();
    meta.head.headers.insert("etag", HeaderValue::from_static("\"new\""));
    zone.refresh(&old, meta);
    let new = found(&zone, &key("/"), &HeaderMap::new()).unwrap();
    assert_eq!(new.meta.head.headers["etag"], "\"new\"");
    let (Body::Memory(old), Body::Memory(new)) = (&old.body, &new.body) else {
        panic!("not in memory")
    };
    assert_eq!(old.first().map(|piece| piece.as_ptr()), new.first().map(|piece| piece.as_ptr()));
}

#[test]
fn a_refresh_that_changes_what_selects_leaves_no_double() {
    let zone = zone(MIB);
    let old = zone.store(entry(&key("/"), b"body"));
    let meta = in_language("de", Entry::clone(&old)).meta;
    zone.refresh(&old, meta);
    assert_eq!((heard(&zone, "de").is_some(), heard(&zone, "en")), (true, None));
}

#[test]
fn memory_is_bounded_whatever_is_stored() {
    let zone = zone(8 * MIB);
    for number in 0..4000_usize {
        let path = format!("/{number}");
        zone.store(entry(&key(&path), &vec![0; (number * 37) % 20_000]));
        zone.store(entry(&key(&path), &vec![0; (number * 37) % 20_000]));
        assert!(zone.statistics().bytes <= 8 * MIB);
    }
    let statistics = zone.statistics();
    assert!(statistics.bytes > 7 * MIB && statistics.evictions > 0, "{statistics:?}");
}

#[test]
fn limits_change_while_it_lives() {
    // Far less than there is room for: keys do not fall evenly on shards.
    let zone = zone(8 * MIB);
    let fill = || {
        (0..30).for_each(|number| {
            drop(zone.store(entry(&key(&format!("/{number}")), &[0; 100_000])));
        });
    };
    fill();
    assert_eq!(zone.statistics().keys, 30);
    zone.set_limits(Limits { memory: 2 * MIB, ..zone.limits() });
    assert!(zone.statistics().bytes <= 2 * MIB && zone.statistics().keys > 5);
    zone.set_limits(Limits { memory: 8 * MIB, ..zone.limits() });
    fill();
    assert_eq!(zone.statistics().keys, 30);
    zone.set_limits(Limits { largest_in_memory: 10, ..zone.limits() });
    zone.store(entry(&key("/1"), &[0; 11]));
    assert!(!finds(&zone, "/1"), "too large, and the one before is outdated");
    zone.set_limits(Limits { memory: 0, ..zone.limits() });
    assert_eq!(zone.statistics().keys, 0);
}

#[test]
fn what_comes_once_displaces_nothing() {
    let zone = zone(8 * MIB);
    let store = |path: &str| drop(zone.store(entry(&key(path), &[0; 50_000])));
    let popular: Vec<String> = (0..100).map(|number| format!("/popular/{number}")).collect();
    for path in &popular {
        store(path);
        assert!(finds(&zone, path) && finds(&zone, path));
    }
    (0..5000).for_each(|number| store(&format!("/once/{number}")));
    let kept = popular.iter().filter(|path| finds(&zone, path)).count();
    assert!(kept >= 95, "{kept}");
    store("/twice");
    store("/twice");
    assert!(finds(&zone, "/twice"), "what comes again comes in");
}

#[test]
fn a_purged_entry_is_gone_at_once_and_its_room_after_a_sweep() {
    for (scope, is_hit) in [
        (Scope::Page(address("/dir/a?b")), true),
        (Scope::Page(address("/dir/a")), false),
        (Scope::Prefix(address("/dir/")), true),
        (Scope::Prefix(address("/dir/ab")), false),
        (Scope::Host(b"a.test"), true),
        (Scope::Tag("t"), true),
        (Scope::Tag("u"), false),
        (Scope::All, true),
    ] {
        let zone = zone(MIB);
        zone.store(tagged(&["s", "t"], entry(&key("/dir/a?b"), b"")));
        zone.store(entry(&key("//b.test/"), b""));
        purge(&zone, scope, Manner::Hard);
        assert_eq!(finds(&zone, "/dir/a?b"), !is_hit, "{scope:?}");
        assert_eq!(finds(&zone, "//b.test/"), scope != Scope::All, "{scope:?}");
        let expected = usize::from(is_hit) + usize::from(scope == Scope::All);
        assert_eq!(zone.sweep(), expected, "{scope:?}");
        assert_eq!(zone.statistics().keys, 2 - expected as u64);
        assert_eq!(zone.sweep(), 0);
    }
}

#[test]
fn a_purge_reaches_one_variant_and_leaves_the_other() {
    let zone = zone(MIB);
    zone.store(tagged(&["t"], in_language("de", entry(&key("/"), b"de"))));
    zone.store(in_language("fr", entry(&key("/"), b"fr")));
    purge(&zone, Scope::Tag("t"), Manner::Hard);
    assert_eq!((heard(&zone, "de"), heard(&zone, "fr").is_some()), (None, true));
    assert_eq!((zone.sweep(), zone.variants(&key("/")).len()), (1, 1));
}

#[test]
fn what_is_purged_softly_is_found_as_such_until_it_is_validated() {
    let zone = zone(MIB);
    let stored = zone.store(tagged(&["t"], entry(&key("/"), b"")));
    purge(&zone, Scope::Tag("t"), Manner::Soft);
    for _ in 0..2 {
        assert!(matches!(zone.find(&key("/"), &HeaderMap::new()), Found::Purged(_)));
    }
    purge(&zone, Scope::Tag("unlike"), Manner::Hard);
    assert!(
        matches!(zone.find(&key("/"), &HeaderMap::new()), Found::Purged(_)),
        "another purge lifts nothing"
    );
    assert_eq!(zone.standing(&stored.meta), Standing::Stale);
    let mut meta = stored.meta.clone();
    meta.generation = zone.generation();
    zone.refresh(&stored, meta);
    assert!(finds(&zone, "/"));
    assert_eq!(zone.sweep(), 0);
}

#[test]
fn what_was_asked_for_before_a_purge_and_arrives_after_it_is_not_kept() {
    let zone = zone(MIB);
    let generation = zone.generation();
    purge(&zone, Scope::Page(address("/")), Manner::Hard);
    zone.store(at(generation, entry(&key("/"), b"old")));
    assert!(!finds(&zone, "/"));
    assert_eq!(zone.statistics().keys, 0);
    zone.store(at(zone.generation(), entry(&key("/"), b"new")));
    assert!(finds(&zone, "/"));

    purge(&zone, Scope::Page(address("/")), Manner::Soft);
    zone.store(at(generation + 1, entry(&key("/"), b"new")));
    assert!(matches!(zone.find(&key("/"), &HeaderMap::new()), Found::Purged(_)));
}

#[test]
fn a_pass_mark_ends() {
    let zone = zone(MIB);
    let now = SystemTime::UNIX_EPOCH;
    let later = now + Duration::from_secs(10);
    assert!(!zone.is_pass(&key("/"), now));
    zone.mark_pass(&key("/"), later);
    assert!(
        zone.is_pass(&key("/"), now)
            && !zone.is_pass(&key("/"), later)
            && !zone.is_pass(&key("/a"), now)
    );
    zone.store(entry(&key("/"), b""));
    assert!(!zone.is_pass(&key("/"), now), "it is storable after all");
}

#[test]
fn uses_are_counted_per_key() {
    let zone = zone(MIB);
    assert_eq!(
        (zone.count_use(&key("/")), zone.count_use(&key("/")), zone.count_use(&key("/a"))),
        (1, 2, 1)
    );
}

#[test]
fn a_list_has_every_entry_once_over_all_pages() {
    let zone = zone(8 * MIB);
    for number in 0..100 {
        zone.store(entry(&key(&format!("/{number}")), b"x"));
    }
    zone.store(in_language("de", entry(&key("/0"), b"y")));
    purge(&zone, Scope::Page(address("/7")), Manner::Hard);
    let (mut after, mut paths) = (None, Vec::new());
    loop {
        let page = zone.list(after, 7);
        let path = |key: &Key| String::from_utf8(key.address().path.to_vec()).unwrap();
        paths.extend(page.entries.iter().map(|listed| path(&listed.entry.meta.key)));
        assert!(page.entries.iter().all(|listed| listed.weight > 1));
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(paths.len(), 100);
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), paths.contains(&"/7".to_owned())), (99, false));
}

#[test]
fn fields_of_a_stored_head_hold_no_larger_buffer() {
    let zone = zone(MIB);
    let buffer = Bytes::from(vec![b'v'; 100_000]);
    let watched = buffer.clone();
    let mut arrived = entry(&key("/"), b"");
    arrived
        .meta
        .head
        .headers
        .insert("etag", HeaderValue::from_maybe_shared(buffer.slice(..4)).unwrap());
    drop(buffer);
    zone.store(arrived);
    assert!(finds(&zone, "/") && watched.is_unique());
}

#[test]
fn a_missing_variant_is_told_from_nothing_and_an_older_plain_response_is_not_used_for_it() {
    let zone = zone(MIB);
    assert!(matches!(zone.find(&key("/"), &speaking("fr")), Found::Nothing));
    zone.store(entry(&key("/"), b"default"));
    assert_eq!(heard(&zone, "fr").as_deref(), Some(&b"default"[..]));
    zone.store(in_language("en", entry(&key("/"), b"en")));
    assert_eq!(heard(&zone, "en").as_deref(), Some(&b"en"[..]));
    assert!(matches!(zone.find(&key("/"), &speaking("fr")), Found::Others));
    purge(&zone, Scope::All, Manner::Hard);
    assert!(matches!(zone.find(&key("/"), &speaking("fr")), Found::Nothing));
}

/// What was made of `/a`, as it is stored for itself.
fn form(zone: &Zone, original: &Entry, bytes: &[u8]) -> Arc<Entry> {
    zone.store(entry(&original.meta.key.of_form(original.meta.body, b"br"), bytes))
}

#[test]
fn a_form_is_found_beside_what_it_was_made_of_for_as_long_as_both_are_stored() {
    let zone = zone(MIB);
    let original = zone.store(entry(&key("/a"), b"hello"));
    assert!(zone.form(&original, 1).is_none());
    let first = form(&zone, &original, b"h");
    zone.note_form(&original, 1, &first);
    assert!(Arc::ptr_eq(&zone.form(&original, 1).unwrap(), &first));
    assert!(zone.form(&original, 2).is_none());
    let (better, gone) = (form(&zone, &original, b"b"), Arc::downgrade(&first));
    drop(first);
    assert!(gone.upgrade().is_none(), "what is noted is kept");
    assert!(zone.form(&original, 1).is_none(), "another has taken its place");
    zone.note_form(&original, 1, &better);
    assert!(Arc::ptr_eq(&zone.form(&original, 1).unwrap(), &better));
    // What is validated anew is another, whose forms are looked for.
    let renewed = zone.refresh(&original, original.meta.clone());
    assert!(zone.form(&renewed, 1).is_none());
}

#[test]
fn only_so_many_forms_are_noted_and_the_oldest_goes() {
    let zone = zone(MIB);
    let original = zone.store(entry(&key("/a"), b"hello"));
    let form = form(&zone, &original, b"h");
    (0..20).for_each(|mark| zone.note_form(&original, mark, &form));
    let known: Vec<u64> = (0..20).filter(|mark| zone.form(&original, *mark).is_some()).collect();
    assert_eq!(known, [14, 15, 16, 17, 18, 19]);
}

#[test]
fn a_form_that_is_found_beside_its_original_counts_as_asked_for() {
    let zone = zone(MIB);
    let original = zone.store(entry(&key("/a"), b"hello"));
    let name = form(&zone, &original, &[0; 20_000]).meta.key.clone();
    let noted = found(&zone, &name, &HeaderMap::new()).unwrap();
    zone.note_form(&original, 1, &noted);
    drop(noted);
    for other in 0..400 {
        for _ in 0..20 {
            assert!(zone.form(&original, 1).is_some(), "gone with the {other}th other");
            let path = format!("/{other}");
            if !finds(&zone, &path) {
                zone.store(entry(&key(&path), &[0; 20_000]));
            }
        }
    }
    assert!(zone.statistics().evictions > 100);
}
