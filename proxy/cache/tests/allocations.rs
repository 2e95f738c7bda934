//! What a hit takes from the heap.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use switchback_cache::policy::{self, Asks, CacheStatus, Freshness, Rules, Use};
use switchback_cache::serve::{self, Answered, Asked, Hop, Reply};
use switchback_cache::{Address, Body, Entry, Head, KeyBuilder, Meta, Times};

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

const OPEN: Hop<'_> = Hop { connection: "keep-alive", is_granted: true, is_chunked: false };
const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(line).collect()
}

fn entry() -> Entry {
    let address = Address { scheme: b"http", host: b"a", port: b"80", path: b"/", query: b"" };
    let fields = [
        ("cache-control", "max-age=60"),
        ("content-type", "text/html"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("etag", "\"a\""),
    ];
    let lifetime = Duration::from_mins(1);
    let meta = Meta {
        key: KeyBuilder::new(b"", address).build(),
        head: Head { status: StatusCode::OK, headers: headers(&fields) },
        times: Times { request: NOW, response: NOW },
        freshness: Freshness { lifetime, ..Freshness::default() },
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: Box::default(),
        generation: 0,
    };
    Entry::new(meta, Body::of(Bytes::from(vec![b'x'; 1024])), 1024)
}

/// Head and body of the answer to GET, in one buffer.
fn answer(entry: &Entry, request: &HeaderMap, rules: &Rules) -> Vec<u8> {
    assert_eq!(policy::judge(&entry.meta, &Asks::default(), rules, NOW), Use::Fresh);
    let age = Some(policy::age(&entry.meta, NOW).as_secs());
    let hit = Some(CacheStatus { ttl: Some(60), ..CacheStatus::hit("switchback") });
    let mut out = Vec::with_capacity(2048);
    let asked = Asked { method: &Method::GET, headers: request };
    match serve::answered(&entry.meta.head, NOW, Some(entry.length), asked) {
        Answered::Whole => {
            let reply = Reply { cache_status: hit, ..Reply::whole(age, Some(entry.length)) };
            reply.write(entry.wire(), OPEN, &mut out);
            let Body::Memory(pieces) = &entry.body else { unreachable!("it is in memory") };
            let slices = serve::slices(pieces, 0..entry.length);
            slices.for_each(|piece| out.extend_from_slice(&piece));
        }
        _ => Reply::not_modified(age, hit).write(entry.wire(), OPEN, &mut out),
    }
    out
}

#[test]
fn a_hit_takes_one_buffer_from_the_heap() {
    let (entry, rules) = (entry(), Rules::default());
    for (request, end) in [
        (headers(&[("accept", "*/*"), ("host", "a")]), &b"xxxx"[..]),
        (headers(&[("if-none-match", "\"a\"")]), b"\r\n\r\n"),
    ] {
        let first = answer(&entry, &request, &rules);
        let (again, asked) = allocations_of(|| answer(&entry, &request, &rules));
        assert_eq!(asked, 1, "{}", again.escape_ascii());
        assert!(first == again && again.ends_with(end), "{}", again.escape_ascii());
    }
}
