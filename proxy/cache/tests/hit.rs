//! A hit in memory takes the key from the heap, and nothing else.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use switchback_cache::policy::Freshness;
use switchback_cache::{
    Address, Body, Entry, Found, Head, Key, KeyBuilder, Limits, Manner, Meta, Scope, Times, Zone,
};

#[global_allocator]
static HEAP: CountingHeap = CountingHeap;

thread_local! {
    /// How often this thread asked for memory.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// The system's heap, with a count for each thread.
struct CountingHeap;

// SAFETY: every call goes on to the system's allocator with the arguments unchanged; counting takes no memory.
unsafe impl GlobalAlloc for CountingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`, and the memory came from this allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller keeps the promises of `realloc`, and the memory came from this allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ASKED.get();
    let result = work();
    (result, ASKED.get() - before)
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
