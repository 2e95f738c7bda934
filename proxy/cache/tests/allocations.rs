//! What a hit takes from the heap.
#![expect(clippy::unwrap_used, reason = "what is counted has run")]

use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use switchback_cache::policy::{self, Asks, CacheStatus, Freshness, Rules, Use};
use switchback_cache::serve::{self, Answered, Asked, Form, Hop, Reply};
use switchback_cache::{
    Address, Body, BodyId, Entry, Found, Head, KeyBuilder, Limits, Meta, Times, Zone,
};

fn allocations_of<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let asked = measure(|| result = Some(work())).count_total;
    (result.unwrap(), asked)
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
        body: BodyId::fresh(),
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
        Answered::Range(range) => {
            let reply = Reply {
                form: Form::Partial,
                cache_status: hit,
                range: Some((range.clone(), entry.length)),
                ..Reply::whole(age, Some(range.end - range.start))
            };
            reply.write(entry.wire(), OPEN, &mut out);
            let Body::Memory(pieces) = &entry.body else { unreachable!("it is in memory") };
            serve::slices(pieces, range).for_each(|piece| out.extend_from_slice(&piece));
        }
        _ => Reply::not_modified(age, hit).write(entry.wire(), OPEN, &mut out),
    }
    out
}

#[test]
fn counting_works() {
    assert_eq!(allocations_of(|| Box::new(1_u8)).1, 1);
}

#[test]
fn a_hit_takes_one_buffer_from_the_heap() {
    let (entry, rules) = (entry(), Rules::default());
    for (request, end, most) in [
        (headers(&[("accept", "*/*"), ("host", "a")]), &b"xxxx"[..], 1),
        (headers(&[("if-none-match", "\"a\"")]), b"\r\n\r\n", 1),
        // Ranges are a list.
        (headers(&[("range", "bytes=0-3")]), b"\r\n\r\nxxxx", 2),
        (headers(&[("range", "bytes=-4"), ("if-range", "\"a\"")]), b"\r\n\r\nxxxx", 2),
    ] {
        let first = answer(&entry, &request, &rules);
        let (again, asked) = allocations_of(|| answer(&entry, &request, &rules));
        assert_eq!(asked, most, "{}", again.escape_ascii());
        assert!(first == again && again.ends_with(end), "{}", again.escape_ascii());
    }
}

/// What a browser sends, and what else a request may ask of a cache.
const ASKED: [(&[(&str, &str)], Use); 6] = [
    (&[], Use::Fresh),
    (
        &[("accept-encoding", "gzip, deflate, br;q=0.9"), ("accept-language", "de-DE,de;q=0.9")],
        Use::Fresh,
    ),
    (&[("cache-control", "max-age=100, min-fresh=5, max-stale=\"60\", x-own=1")], Use::Fresh),
    (&[("cache-control", "max-age=0")], Use::Validate { if_error: false }),
    (&[("cache-control", "no-cache, no-store, only-if-cached")], Use::Validate { if_error: false }),
    (&[("pragma", "no-cache")], Use::Validate { if_error: false }),
];

#[test]
fn to_find_and_to_judge_a_stored_response_takes_nothing_from_the_heap() {
    let zone = Zone::new(Limits { memory: 1 << 20, largest_in_memory: 1 << 20, variants: 16 });
    let rules = Rules::default();
    let vary = ["accept-encoding", "accept-language"].map(HeaderName::from_static);
    for (fields, expected) in ASKED {
        let request = headers(fields);
        for vary in [&[][..], &vary] {
            let mut entry = entry();
            entry.meta.vary = vary.into();
            entry.meta.selected_by = policy::selecting(vary, &request);
            let key = zone.store(entry).meta.key.clone();
            let judged = || {
                assert!(policy::may_use_cache(&Method::GET, &rules));
                let asks = policy::asks(&request, &rules);
                let Found::Entry(entry) = zone.find(&key, &request) else { return None };
                Some(policy::judge(&entry.meta, &asks, &rules, NOW))
            };
            assert_eq!(allocations_of(judged), (Some(expected), 0), "{fields:?} by {vary:?}");
        }
    }
}
