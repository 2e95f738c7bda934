//! A hit in memory takes the key from the heap, and nothing else.
#![expect(clippy::unwrap_used, reason = "what is counted has run")]

use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use switchback_cache::policy::Freshness;
use switchback_cache::{
    Address, Body, BodyId, Entry, Found, Head, Key, KeyBuilder, Limits, Manner, Meta, Scope, Times,
    Zone,
};

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let asked = measure(|| result = Some(work())).count_total;
    (result.unwrap(), asked)
}

fn zone() -> Zone {
    Zone::new(Limits { memory: 1 << 20, largest_in_memory: 1 << 20, variants: 16 })
}

fn key(path: &str) -> Key {
    let path = path.as_bytes();
    let address = Address { scheme: b"https", host: b"a.test", port: b"443", path, query: b"x=1" };
    KeyBuilder::new(b"", address).part(b"gold").build()
}

fn speaking(language: &'static str) -> HeaderMap {
    let name = HeaderName::from_static("accept-language");
    HeaderMap::from_iter([(name, HeaderValue::from_static(language))])
}

fn entry(path: &str, selected_by: HeaderMap) -> Entry {
    let now = SystemTime::UNIX_EPOCH;
    let meta = Meta {
        key: key(path),
        head: Head { status: StatusCode::OK, headers: HeaderMap::new() },
        times: Times { request: now, response: now },
        freshness: Freshness { lifetime: Duration::from_mins(1), ..Freshness::default() },
        vary: selected_by.keys().cloned().collect(),
        selected_by,
        tags: ["news".into()].into(),
        generation: 0,
        body: BodyId::fresh(),
    };
    Entry::new(meta, Body::of([0; 5000]), 5000)
}

#[test]
fn a_hit_takes_the_key_from_the_heap_and_nothing_else() {
    let zone = zone();
    zone.store(entry("/plain", HeaderMap::new()));
    let languages = ["de", "fr", "en", "it", "es", "pl", "nl", "sv", "da", "fi"];
    languages
        .into_iter()
        .for_each(|language| drop(zone.store(entry("/varied", speaking(language)))));
    for (path, request) in
        [("/plain", HeaderMap::new()), ("/varied", speaking("de")), ("/varied", speaking("fi"))]
    {
        let (found, asked) = allocations_of(|| zone.find(&key(path), &request));
        assert!(matches!(found, Found::Entry(_)), "{path} {request:?}");
        assert_eq!(asked, 1, "{path} {request:?}");
    }
    drop(zone.purge(Scope::Tag("other"), Manner::Hard));
    let (found, asked) = allocations_of(|| zone.find(&key("/plain"), &HeaderMap::new()));
    assert!(matches!(found, Found::Entry(_)));
    assert_eq!(asked, 1, "after a purge, when it is looked at anew");
}

#[test]
fn a_miss_takes_no_more() {
    let zone = zone();
    let (_, asked) = allocations_of(|| zone.find(&key("/none"), &HeaderMap::new()));
    assert_eq!(asked, 1);
}

#[test]
fn counting_works() {
    assert_eq!(allocations_of(|| Box::new(1_u8)).1, 1);
}
