//! Purges, without a zone around them.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::{prop_assert, prop_assert_eq};

use super::record::Record;
use super::table::{LONGEST_PREFIX, Latest, MOST_NAMES, MOST_PREFIXES, Tables, What};
use super::{Manner, Purges, Scope, Standing};
use crate::entry::Meta;
use crate::key::Address;
use crate::testing::{address, at, entry, key, tagged};

fn meta(path: &str) -> Meta {
    entry(&key(path), b"").meta
}

fn with_tags(path: &str, tags: &[&str]) -> Meta {
    tagged(tags, entry(&key(path), b"")).meta
}

fn in_group(path: &str, groups: &'static str) -> Meta {
    let mut meta = meta(path);
    meta.head.headers.insert("cache-groups", http::HeaderValue::from_static(groups));
    meta
}

/// What becomes of an entry that was asked for before a purge.
fn after(scope: Scope<'_>, meta: &Meta) -> Standing {
    let purges = Purges::new();
    drop(purges.purge(scope, Manner::Hard));
    purges.standing(meta)
}

#[test]
fn a_purge_reaches_what_is_in_its_scope_and_nothing_else() {
    use Standing::{Holds, Void};
    for (scope, stored, expected) in [
        (Scope::Page(address("/a?x")), meta("/a?x"), Void),
        (Scope::Page(address("/a?x")), meta("/a?y"), Holds),
        (Scope::Page(address("/a?x")), meta("/a"), Holds),
        (Scope::Page(address("/a")), meta("//b.test/a"), Holds),
        (Scope::Prefix(address("/a/")), meta("/a/b?c"), Void),
        (Scope::Prefix(address("/a/")), meta("/a/"), Void),
        (Scope::Prefix(address("/a/")), meta("/a"), Holds),
        (Scope::Prefix(address("/a")), meta("/ab"), Void),
        (Scope::Prefix(address("/a")), meta("//b.test/a"), Holds),
        (Scope::Prefix(Address { scheme: b"http", ..address("/a") }), meta("/a"), Holds),
        (Scope::Prefix(Address { port: b"44", ..address("") }), meta("/a"), Holds),
        (Scope::Host(b"a.test"), meta("/a"), Void),
        (Scope::Host(b"a.test"), meta("//b.test/a"), Holds),
        (Scope::Host(b"a.tes"), meta("/a"), Holds),
        (Scope::Tag("news"), with_tags("/a", &["home", "news"]), Void),
        (Scope::Tag("news"), with_tags("/a", &["new", "newss"]), Holds),
        (Scope::Tag("news"), in_group("/a", "\"news\""), Holds),
        (Scope::Group(address("/"), "news"), in_group("/a", "\"home\", \"news\""), Void),
        (Scope::Group(address("/"), "news"), in_group("//b.test/a", "\"news\""), Holds),
        (Scope::Group(address("/"), "news"), with_tags("/a", &["news"]), Holds),
        (Scope::All, meta("/a"), Void),
    ] {
        assert_eq!(after(scope, &stored), expected, "{scope:?} {stored:?}");
    }
}

#[test]
fn what_was_asked_for_after_a_purge_holds() {
    let purges = Purges::new();
    let scope = Scope::Tag("a");
    drop(purges.purge(scope, Manner::Hard));
    let tagged = |generation| at(generation, tagged(&["a"], entry(&key("/"), b""))).meta;
    assert_eq!(purges.standing(&tagged(0)), Standing::Void);
    assert_eq!(purges.standing(&tagged(purges.clock())), Standing::Holds);
    assert_eq!(
        purges.standing(&tagged(purges.clock() + 1)),
        Standing::Void,
        "of a time yet to come"
    );
}

#[test]
fn a_soft_purge_makes_stale_and_a_hard_one_void() {
    let purges = Purges::new();
    let stored = meta("/");
    drop(purges.purge(Scope::Page(address("/")), Manner::Soft));
    assert_eq!(purges.standing(&stored), Standing::Stale);
    drop(purges.purge(Scope::Host(b"a.test"), Manner::Hard));
    assert_eq!(purges.standing(&stored), Standing::Void);
    drop(purges.purge(Scope::Page(address("/")), Manner::Soft));
    assert_eq!(purges.standing(&stored), Standing::Void);
}

#[test]
fn purges_hold_in_the_next_process() {
    let first = Purges::restore(&[]);
    let before = first.clock();
    let old = |path: &str| at(before, entry(&key(path), b"")).meta;
    let records: Vec<Bytes> = [
        (Scope::Page(address("/page")), Manner::Hard),
        (Scope::Prefix(address("/dir/")), Manner::Soft),
        (Scope::Host(b"b.test"), Manner::Hard),
    ]
    .map(|(scope, manner)| first.purge(scope, manner))
    .into();
    let after = first.clock();

    let added = [first.records(), records.clone()].concat();
    let compacted = first.records();
    for second in [added, compacted].map(|records| Purges::restore(&records)) {
        assert_eq!(second.standing(&old("/page")), Standing::Void);
        assert_eq!(second.standing(&old("/dir/x")), Standing::Stale);
        assert_eq!(second.standing(&old("//b.test/x")), Standing::Void);
        assert_eq!(second.standing(&old("/other")), Standing::Holds);
        assert_eq!(second.standing(&at(after, entry(&key("/page"), b"")).meta), Standing::Holds);
        assert!(second.clock() > after, "the time goes on");
    }
}

#[test]
fn purges_of_another_process_are_learned_once() {
    let old = Purges::restore(&[]);
    let new = Purges::restore(&old.records());
    let stored = |purges: &Purges, path: &str| at(purges.clock(), entry(&key(path), b"")).meta;
    for (one, other) in [(&old, &new), (&new, &old)] {
        let (hit, kept) = (stored(other, "/hit"), stored(other, "/kept"));
        drop(one.purge(Scope::Page(address("/hit")), Manner::Hard));
        other.learn(&one.records());
        assert_eq!(other.standing(&hit), Standing::Void);
        assert_eq!(other.standing(&kept), Standing::Holds);
        let again = stored(other, "/hit");
        other.learn(&one.records());
        other.learn(&other.records());
        assert_eq!(other.standing(&again), Standing::Holds, "nothing was purged since");
    }
}

#[test]
fn without_records_nothing_from_before_holds() {
    let old = Purges::restore(&[]);
    for generation in [0, 1, old.clock(), u64::MAX >> 3] {
        let stored = at(generation, entry(&key("/"), b"")).meta;
        assert_eq!(Purges::restore(&[]).standing(&stored), Standing::Void, "{generation}");
        let garbled = [old.purge(Scope::All, Manner::Soft), Bytes::from_static(b"?")];
        assert_eq!(Purges::restore(&garbled).standing(&stored), Standing::Void, "{generation}");
    }
}

#[test]
fn a_full_table_purges_more_than_it_was_told_and_never_less() {
    let purges = Purges::new();
    let tags: Vec<String> = (0..MOST_NAMES + 1).map(|number| number.to_string()).collect();
    for tag in &tags {
        drop(purges.purge(Scope::Tag(tag), Manner::Hard));
    }
    assert!(purges.tables.read().all().count() <= MOST_NAMES);
    for (number, tag) in tags.iter().enumerate().step_by(999) {
        let stored = |generation| at(generation, tagged(&[tag], entry(&key("/"), b""))).meta;
        assert_eq!(purges.standing(&stored(number as u64)), Standing::Void);
        let untouched = at(purges.clock() - 10, entry(&key("/"), b"")).meta;
        assert_eq!(purges.standing(&untouched), Standing::Holds);
    }
    assert_eq!(
        purges.standing(&meta("/never/purged")),
        Standing::Void,
        "older than what is forgotten"
    );
}

#[test]
fn what_was_looked_at_outlives_the_forgetting_of_older_purges() {
    let purges = Purges::new();
    let stored = meta("/kept");
    let (labels, seen) = (super::Labels::of(&stored), super::Seen::from(&stored));
    for number in 0..MOST_PREFIXES * 2 {
        drop(purges.purge(Scope::Host(number.to_string().as_bytes()), Manner::Hard));
        if number % 1000 == 0 {
            assert_eq!(purges.look(&stored, &labels, &seen), Standing::Holds);
        }
    }
    assert_eq!(purges.look(&stored, &labels, &seen), Standing::Holds);
    assert_eq!(purges.standing(&stored), Standing::Void);
}

#[test]
fn a_prefix_too_long_to_remember_is_cut() {
    let long = format!("/{}", "x".repeat(2 * LONGEST_PREFIX));
    assert_eq!(after(Scope::Prefix(address(&long)), &meta(&long)), Standing::Void);
    assert_eq!(after(Scope::Prefix(address(&long)), &meta("/x")), Standing::Holds);
}

proptest! {
    #[test]
    fn every_prefix_is_found_and_nothing_else(
        noted in vec(vec(0..3_u8, 0..6), 0..40),
        place in vec(0..3_u8, 0..8),
    ) {
        let mut tables = Tables::default();
        let mut expected = Latest::default();
        for (number, prefix) in noted.iter().enumerate() {
            let (at, manner) = (number as u64 + 1, [Manner::Hard, Manner::Soft][number % 2]);
            tables.note(What::Prefix(prefix.clone().into()), manner, at);
            if place.starts_with(prefix) {
                match manner {
                    Manner::Hard => expected.hard = at,
                    Manner::Soft => expected.soft = at,
                }
            }
        }
        prop_assert_eq!(tables.latest(&[], &place), expected);
    }

    #[test]
    fn records_are_read_as_they_were_written(
        kind in 0..4_u8,
        name in any::<u128>(),
        prefix in vec(any::<u8>(), 0..50),
        is_soft in any::<bool>(),
        at in 0..u64::MAX >> 2,
    ) {
        let what = match kind {
            0 => What::Nothing,
            1 => What::Everything,
            2 => What::Name(name),
            _ => What::Prefix(prefix.into()),
        };
        let record = Record { what, manner: if is_soft { Manner::Soft } else { Manner::Hard }, at };
        prop_assert_eq!(Record::read(&record.write()), Some(record));
    }

    #[test]
    fn what_is_no_record_is_told(bytes in vec(any::<u8>(), 0..40)) {
        if let Some(record) = Record::read(&bytes) {
            prop_assert!(*record.write() == *bytes);
        }
    }
}
