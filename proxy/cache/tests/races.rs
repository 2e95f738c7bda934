//! What many threads do to one zone at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use switchback_cache::policy::Freshness;
use switchback_cache::{
    Address, Body, BodyId, Entry, Found, Head, Key, KeyBuilder, Limits, Manner, Meta, Scope, Times,
    Zone,
};

const MIB: u64 = 1 << 20;

fn zone(memory: u64) -> Zone {
    Zone::new(Limits { memory, largest_in_memory: MIB, variants: 4 })
}

fn address(path: &str) -> Address<'_> {
    let path = path.as_bytes();
    Address { scheme: b"https", host: b"a.test", port: b"443", path, query: b"" }
}

fn key(path: &str) -> Key {
    KeyBuilder::new(b"", address(path)).build()
}

/// Asked for at `generation`; its body is `version`, as often as its length demands.
fn entry(path: &str, generation: u64, version: u64) -> Entry {
    let now = SystemTime::UNIX_EPOCH;
    let body = version.to_le_bytes().repeat(1 + (version as usize * 31) % 500);
    let meta = Meta {
        key: key(path),
        head: Head { status: StatusCode::OK, headers: HeaderMap::new() },
        times: Times { request: now, response: now },
        freshness: Freshness { lifetime: Duration::from_mins(1), ..Freshness::default() },
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: ["all".into()].into(),
        generation,
        body: BodyId::fresh(),
    };
    let length = body.len() as u64;
    Entry::new(meta, Body::of(body), length)
}

/// The version of a body, which must be one and the same throughout.
fn version(entry: &Entry) -> u64 {
    let Body::Memory(pieces) = &entry.body else { return u64::MAX };
    let bytes = pieces.concat();
    let (versions, rest) = bytes.as_chunks::<8>();
    assert!(rest.is_empty() && bytes.len() as u64 == entry.length);
    let first = versions.first().copied().unwrap_or_default();
    assert!(versions.iter().all(|version| *version == first));
    u64::from_le_bytes(first)
}

fn stored(zone: &Zone, path: &str) -> Option<u64> {
    match zone.find(&key(path), &HeaderMap::new()) {
        Found::Entry(entry) => Some(version(&entry)),
        _ => None,
    }
}

/// An origin changes its page, then purges it. Whoever looks after that must not see what was before, however many are just
/// then storing what they asked for earlier.
#[test]
fn after_a_purge_nobody_sees_what_was_before_it() {
    for scope in [
        Scope::Page(address("/")),
        Scope::Prefix(address("/")),
        Scope::Host(b"a.test"),
        Scope::Tag("all"),
        Scope::All,
    ] {
        let (zone, origin, purged) = (zone(4 * MIB), AtomicU64::new(1), AtomicU64::new(0));
        let ends = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    while !ends.load(Ordering::Relaxed) {
                        let generation = zone.generation();
                        let version = origin.load(Ordering::SeqCst);
                        thread::yield_now();
                        zone.store(entry("/", generation, version));
                        let least = purged.load(Ordering::SeqCst);
                        let seen = stored(&zone, "/");
                        assert!(
                            seen.is_none_or(|seen| seen >= least),
                            "{seen:?} after {least} was purged by {scope:?}"
                        );
                    }
                });
            }
            for version in 2..400 {
                origin.store(version, Ordering::SeqCst);
                drop(zone.purge(scope, Manner::Hard));
                purged.store(version, Ordering::SeqCst);
                if version % 50 == 0 {
                    zone.sweep();
                }
                thread::yield_now();
            }
            ends.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_soft_purge_is_lifted_only_by_what_was_asked_for_after_it() {
    let zone = zone(4 * MIB);
    let (purged, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    let generation = zone.generation();
                    zone.store(entry("/", generation, 1));
                    let least = purged.load(Ordering::SeqCst);
                    if let Found::Entry(found) = zone.find(&key("/"), &HeaderMap::new()) {
                        assert!(found.meta.generation >= least);
                    }
                }
            });
        }
        for _ in 0..500 {
            drop(zone.purge(Scope::Tag("all"), Manner::Soft));
            purged.store(zone.generation(), Ordering::SeqCst);
            thread::yield_now();
        }
        ends.store(true, Ordering::Relaxed);
    });
}

#[test]
fn variants_stored_at_once_are_all_kept() {
    let zone = zone(4 * MIB);
    let language = HeaderName::from_static("accept-language");
    let speaking = |language_of: &'static str| {
        HeaderMap::from_iter([(language.clone(), HeaderValue::from_static(language_of))])
    };
    let zone = &zone;
    for round in 0..200 {
        let path = format!("/{round}");
        thread::scope(|threads| {
            for spoken in ["de", "fr", "en", "it"] {
                let mut entry = entry(&path, zone.generation(), 1);
                entry.meta.vary = [language.clone()].into();
                entry.meta.selected_by = speaking(spoken);
                threads.spawn(move || zone.store(entry));
            }
        });
        assert_eq!(zone.variants(&key(&path)).len(), 4);
    }
}

#[test]
fn many_at_work_keep_bodies_whole_and_the_bound() {
    let zone = zone(MIB);
    thread::scope(|threads| {
        for thread in 0..4_u64 {
            let zone = &zone;
            threads.spawn(move || {
                let mut random = thread + 1;
                for _ in 0..4_000 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let path = format!("/{}", (random >> 40) % 2000);
                    match (random >> 33) % 16 {
                        0 => drop(zone.remove(&key(&path))),
                        1 => drop(zone.purge(Scope::Page(address(&path)), Manner::Hard)),
                        2 => zone
                            .variants(&key(&path))
                            .iter()
                            .for_each(|entry| drop(zone.remove_entry(entry))),
                        3 => {
                            let memory = MIB - random % (MIB / 2);
                            zone.set_limits(Limits { memory, ..zone.limits() });
                        }
                        4..10 => drop(zone.store(entry(&path, zone.generation(), random >> 50))),
                        _ => drop(stored(zone, &path)),
                    }
                    assert!(zone.statistics().bytes <= MIB);
                }
            });
        }
        threads.spawn(|| (0..20).for_each(|_| drop((zone.sweep(), zone.list(None, 100)))));
    });
}
