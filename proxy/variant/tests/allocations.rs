//! Deciding what a request gets takes nothing from the heap.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use switchback_variant::{
    Capabilities, Choice, Coding, Flush, Merged, Needs, Offer, Pattern, Rules, Scope, Store,
    Variant, Varies, Verdict, etag,
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
}

fn browser() -> HeaderMap {
    let line = |(name, value): (HeaderName, &'static str)| (name, HeaderValue::from_static(value));
    let lines = [
        (ACCEPT, "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"),
        (ACCEPT_ENCODING, "gzip, deflate, br, zstd, dcb, dcz"),
        (USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)"),
        (COOKIE, "session=0123456789; switchback-segment=modern.service"),
        (HeaderName::from_static("sec-fetch-site"), "same-origin"),
        (
            HeaderName::from_static("available-dictionary"),
            ":ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:",
        ),
    ];
    lines.into_iter().map(line).collect()
}

#[test]
fn a_request_is_decided_on_without_the_heap() {
    let request = browser();
    let html = (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let answer = HeaderMap::from_iter([html]);
    let rules = Rules::default();
    let store = Store::new(1 << 20);
    let pattern = Pattern::parse("/app.*.js").map(Arc::new).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    store.keep(Scope(1), &pattern, Bytes::from_static(b"abc"), until).unwrap();

    let before = ASKED.get();
    let client = Capabilities::of(black_box(&request), Needs::ALL);
    let verdict = rules.judge(&Method::GET, StatusCode::OK, black_box(&answer));
    let digest = client.dictionary().unwrap();
    let found = store.find(Scope(1), &digest, b"/app.2.js?x", Instant::now());
    let choice = Offer::STORED.with_dictionary().choose(&client);
    let token = Variant::with_dictionary(Coding::Dcz, &digest).token();
    let vary = Varies::DICTIONARY.merge(&answer);
    let is_current = etag::is_current(b"\"v1;br;0000002a\"", b"\"v1;br;0000002b\"");
    assert_eq!(ASKED.get() - before, 0);

    assert_eq!(verdict, Verdict::Code(Flush::WhenQuiet));
    assert!(found.is_some() && is_current);
    assert_eq!(choice, Choice::Send(Coding::Dcz));
    assert_eq!(token.as_str(), "dcz-ba7816bf8f01cfea414140de5dae2223");
    let line = HeaderValue::from_static("accept-encoding, available-dictionary");
    assert_eq!(vary, Merged::Line(line));
}
