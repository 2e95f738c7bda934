//! A zone over a directory.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tempfile::TempDir;

use super::MIB;
use super::search::ruled;
use crate::disk::{Disk, DiskLimits, Settings};
use crate::entry::{Body, Entry};
use crate::purge::{Manner, Scope};
use crate::testing::{address, at, body, entry, in_language, key, speaking, tagged};
use crate::zone::{Found, Limits, Zone};

/// A zone, begun.
async fn begin(folder: &Path) -> Zone {
    let zone = open(folder);
    zone.tend().await.unwrap();
    zone
}

fn open(folder: &Path) -> Zone {
    let limits = DiskLimits { size: 1 << 30, min_free: 0, largest: 1 << 30, variants: 4 };
    let settings = Settings { path: folder.join("cache"), limits, threads: 2 };
    let memory = Limits { memory: 16 * MIB, largest_in_memory: MIB, variants: 4 };
    Zone::with_disk(memory, Disk::open(&settings).unwrap())
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// As a fill does: written through, then stored.
async fn keep(zone: &Zone, entry: Entry) -> Arc<Entry> {
    let entry = at(zone.generation(), entry);
    let mut writer = zone.disk().unwrap().writer(entry.meta.clone(), Some(entry.length)).unwrap();
    let Body::Memory(pieces) = &entry.body else { panic!("not in memory") };
    for piece in pieces {
        writer.write(piece.clone()).await.unwrap();
    }
    writer.finish().await.unwrap();
    zone.store(entry)
}

/// What is found, in whatever tier.
async fn found(zone: &Zone, path: &str, request: &HeaderMap) -> Found {
    match zone.find(&key(path), request) {
        Found::Ask => zone.read(&key(path), request).await,
        found => found,
    }
}

async fn is_there(zone: &Zone, path: &str) -> bool {
    matches!(found(zone, path, &HeaderMap::new()).await, Found::Entry(_))
}

#[tokio::test]
async fn what_is_on_disk_is_found_after_a_restart_and_then_in_memory() {
    let folder = folder();
    for language in ["de", "fr"] {
        keep(
            &begin(folder.path()).await,
            in_language(language, entry(&key("/x"), language.as_bytes())),
        )
        .await;
    }
    let zone = open(folder.path());
    assert!(matches!(zone.find(&key("/x"), &speaking("de")), Found::Ask));
    let Found::Entry(first) = zone.read(&key("/x"), &speaking("de")).await else {
        panic!("not there")
    };
    assert_eq!(body(&first), b"de");
    let Found::Entry(again) = zone.find(&key("/x"), &speaking("de")) else {
        panic!("not in memory")
    };
    assert!(Arc::ptr_eq(&first, &again));
    assert!(
        matches!(zone.find(&key("/x"), &speaking("fr")), Found::Ask),
        "the other is on disk alone"
    );
    assert!(matches!(found(&zone, "/x", &speaking("en")).await, Found::Nothing));
}

#[tokio::test]
async fn what_is_large_stays_on_disk() {
    let folder = folder();
    keep(&begin(folder.path()).await, entry(&key("/x"), &vec![7; 2 * 1024 * 1024])).await;
    keep(&begin(folder.path()).await, entry(&key("/y"), &vec![7; 900 * 1024])).await;
    let zone = open(folder.path());
    let Found::Entry(large) = found(&zone, "/x", &HeaderMap::new()).await else {
        panic!("not there")
    };
    assert!(matches!(&large.body, Body::Disk(body) if body.length() == 2 * MIB));
    let Found::Entry(small) = found(&zone, "/y", &HeaderMap::new()).await else {
        panic!("not there")
    };
    assert_eq!(body(&small), vec![7; 900 * 1024]);
    assert_eq!(zone.statistics().keys, 1);
}

#[tokio::test]
async fn what_is_purged_is_gone_from_disk_too_and_for_good() {
    for scope in [
        Scope::Page(address("/dir/x")),
        Scope::Prefix(address("/dir/")),
        Scope::Host(b"a.test"),
        Scope::Tag("t"),
        Scope::All,
    ] {
        let folder = folder();
        let zone = begin(folder.path()).await;
        keep(&zone, tagged(&["t"], entry(&key("/dir/x"), b"x"))).await;
        keep(&zone, entry(&key("//b.test/"), b"y")).await;
        zone.purge(scope, Manner::Hard).await.unwrap();
        for zone in [zone, open(folder.path())] {
            assert!(!is_there(&zone, "/dir/x").await, "{scope:?}");
            assert_eq!(is_there(&zone, "//b.test/").await, scope != Scope::All, "{scope:?}");
        }
        let zone = open(folder.path());
        // Some may have gone by then: whoever came upon them, or the rebuilding of the index, has removed them.
        assert!(zone.tend().await.unwrap().removed <= 1 + u64::from(scope == Scope::All));
        assert!(
            !is_there(&open(folder.path()), "/dir/x").await,
            "after the records were written anew"
        );
    }
}

#[tokio::test]
async fn what_is_purged_softly_is_so_on_disk_and_after_a_restart() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    keep(&zone, entry(&key("/x"), b"x")).await;
    zone.purge(Scope::Page(address("/x")), Manner::Soft).await.unwrap();
    let zone = open(folder.path());
    for _ in 0..2 {
        assert!(matches!(found(&zone, "/x", &HeaderMap::new()).await, Found::Purged(_)));
    }
}

#[tokio::test]
async fn without_its_records_of_purges_a_directory_is_empty() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    keep(&zone, entry(&key("/x"), b"x")).await;
    zone.disk().unwrap().replace_purges(vec![Bytes::from_static(b"nonsense")]).await.unwrap();
    assert!(!is_there(&open(folder.path()), "/x").await);
}

#[tokio::test]
async fn a_purge_in_one_process_reaches_the_other() {
    let folder = folder();
    let one = begin(folder.path()).await;
    let other = open(folder.path());
    keep(&one, entry(&key("/x"), b"x")).await;
    keep(&one, entry(&key("/y"), b"y")).await;
    other.purge(Scope::Page(address("/x")), Manner::Hard).await.unwrap();
    one.tend().await.unwrap();
    assert_eq!((is_there(&one, "/x").await, is_there(&one, "/y").await), (false, true));
}

#[tokio::test]
async fn what_is_removed_is_gone_from_both() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    keep(&zone, entry(&key("/x"), b"x")).await;
    let stored = keep(&zone, entry(&key("/y"), b"y")).await;
    zone.remove(&key("/x")).await;
    zone.remove_entry(&stored).await;
    for zone in [zone, open(folder.path())] {
        assert!(!is_there(&zone, "/x").await && !is_there(&zone, "/y").await);
    }
}

#[tokio::test]
async fn a_refreshed_head_is_there_after_a_restart() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    let old = keep(&zone, entry(&key("/x"), b"x")).await;
    let mut meta = old.meta.clone();
    meta.head.headers.insert("etag", HeaderValue::from_static("\"new\""));
    let new = zone.refresh(&old, meta);
    zone.refresh_on_disk(&old, &new).await;
    let Found::Entry(found) = found(&open(folder.path()), "/x", &HeaderMap::new()).await else {
        panic!("not there")
    };
    assert_eq!(found.meta.head.headers["etag"], "\"new\"");
    assert_eq!(body(&found), b"x");
}

const NO_UTM: &str = "params=(\"utm\")";

/// As a fill stores what says this of queries.
async fn keep_ruled(zone: &Zone, path: &str, rule: &'static str) -> Arc<Entry> {
    keep(zone, ruled(zone, path, rule, zone.generation())).await
}

#[tokio::test]
async fn what_is_on_disk_tells_which_queries_are_the_same() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    keep_ruled(&zone, "/a?x=1&utm=1", NO_UTM).await;
    let zone = open(folder.path());
    assert!(!is_there(&zone, "/a?x=1&utm=2").await, "nobody has looked");
    zone.tend().await.unwrap();
    assert!(matches!(zone.find(&key("/a?x=1&utm=2"), &HeaderMap::new()), Found::Ask));
    assert!(is_there(&zone, "/a?x=1&utm=2").await);
    assert!(!is_there(&zone, "/a?x=2&utm=1").await);
    zone.remove(&key("/a?x=1")).await;
    for zone in [zone, begin(folder.path()).await] {
        assert!(!is_there(&zone, "/a?x=1&utm=1").await);
    }
}

#[tokio::test]
async fn a_purge_reaches_what_nobody_has_looked_at_and_then_what_means_the_same_alone() {
    let purge = Scope::Page(address("/a?x=1&utm=2"));
    for is_known in [false, true] {
        let folder = folder();
        let zone = begin(folder.path()).await;
        keep_ruled(&zone, "/a?x=1&utm=1", NO_UTM).await;
        keep_ruled(&zone, "/a?x=2&utm=1", NO_UTM).await;
        keep_ruled(&zone, "/b?x=1&utm=1", NO_UTM).await;
        let zone = open(folder.path());
        if is_known {
            zone.tend().await.unwrap();
        }
        zone.purge(purge, Manner::Hard).await.unwrap();
        zone.tend().await.unwrap();
        for zone in [zone, begin(folder.path()).await] {
            assert!(!is_there(&zone, "/a?x=1&utm=1").await);
            assert_eq!(is_there(&zone, "/a?x=2").await, is_known);
            assert!(is_there(&zone, "/b?x=1").await);
        }
    }
}

#[tokio::test]
async fn of_two_rules_on_disk_the_later_is_known() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    for (seconds, rule) in [(2, NO_UTM), (1, "params=(\"x\")"), (0, "params")] {
        // As other processes wrote them, which knew nothing of each other.
        let other = Zone::new(zone.limits());
        let mut entry = ruled(&other, "/a?x=1&utm=1", rule, 0);
        entry.meta.times.response += std::time::Duration::from_secs(seconds);
        keep(&zone, entry).await;
    }
    let zone = begin(folder.path()).await;
    assert!(is_there(&zone, "/a?x=1&utm=2").await);
    assert!(!is_there(&zone, "/a?x=2&utm=1").await);
}

#[tokio::test]
async fn what_a_replaced_rule_left_on_disk_is_void_in_the_next_process_too() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    keep_ruled(&zone, "/a?x=1&utm=1", NO_UTM).await;
    keep_ruled(&zone, "/a?x=1", "params=(\"x\")").await;
    zone.tend().await.unwrap();
    let zone = begin(folder.path()).await;
    assert!(!is_there(&zone, "/a?x=1&utm=2").await);
    assert!(is_there(&zone, "/a?x=1").await, "for its own query");
}

#[tokio::test]
async fn a_validation_with_another_rule_leaves_nothing_of_the_old_on_disk() {
    let folder = folder();
    let zone = begin(folder.path()).await;
    let old = keep_ruled(&zone, "/a?x=1&utm=1", NO_UTM).await;
    let meta = crate::Meta { key: key("/a?x=1"), ..old.meta.clone() };
    let new = zone.refresh(&old, meta);
    zone.refresh_on_disk(&old, &new).await;
    assert!(is_there(&zone, "/a?x=1").await && !is_there(&zone, "/a?x=1&utm=1").await);
    let zone = begin(folder.path()).await;
    assert!(!is_there(&zone, "/a?x=1&utm=1").await);
}
