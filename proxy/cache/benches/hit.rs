//! What it costs to find a stored response in memory: the key built and looked up, without a variant and with the tenth of
//! them, and again right after a purge that bears on others.
//!
//! Prints the lowest mean of five rounds, in nanoseconds of this thread's CPU time. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with
//! little input. How often the heap is asked is asserted by `tests/hit.rs`.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rustix::time::{ClockId, clock_gettime};
use switchback_cache::policy::Freshness;
use switchback_cache::{
    Address, Body, BodyId, Entry, Found, Head, Key, KeyBuilder, Limits, Manner, Meta, Scope, Times,
    Zone,
};

const LANGUAGE: HeaderName = HeaderName::from_static("accept-language");

const LANGUAGES: [&str; 10] = ["de", "fr", "en", "it", "es", "pl", "nl", "sv", "da", "fi"];

fn main() {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny || !is_bench || std::env::var_os("SWITCHBACK_BENCH_TINY").is_some();
    let (keys, requests) = if is_tiny { (100, 100) } else { (100_000, 1_000_000) };
    let limits = Limits { memory: 1 << 30, largest_in_memory: 1 << 20, variants: 16 };
    let zone = Zone::new(limits);
    let paths: Vec<String> = (0..keys).map(|number| format!("/assets/{number}/site.css")).collect();
    paths.iter().for_each(|path| drop(zone.store(entry(path, None))));
    LANGUAGES.iter().rev().for_each(|language| drop(zone.store(entry("/varied", Some(language)))));

    let plain = HeaderMap::new();
    let spoken = HeaderMap::from_iter([(LANGUAGE, HeaderValue::from_static("fi"))]);
    let path = |number: usize| paths.get(number * 7919 % keys).map_or("/", String::as_str);
    measure("hit", requests, |number| finds(&zone, path(number), &plain));
    measure("hit, tenth variant", requests, |_| finds(&zone, "/varied", &spoken));
    measure("miss", requests, |_| !finds(&zone, "/none", &plain));
    measure("hit after a purge", requests, |number| {
        drop(zone.purge(Scope::Tag("other"), Manner::Hard));
        finds(&zone, path(number), &plain)
    });
}

fn finds(zone: &Zone, path: &str, request: &HeaderMap) -> bool {
    matches!(black_box(zone.find(&key(path), request)), Found::Entry(_))
}

fn measure(name: &str, requests: usize, is_right: impl Fn(usize) -> bool) {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = spent();
        let right = (0..requests).filter(|number| is_right(*number)).count();
        assert_eq!(right, requests, "{name}");
        best = best.min(spent() - start);
    }
    println!("{name:20} {:7.0} ns", best.as_secs_f64() * 1e9 / requests as f64);
}

/// The CPU time of this thread: what others do on the machine does not count.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn key(path: &str) -> Key {
    let path = path.as_bytes();
    let address = Address { scheme: b"https", host: b"bench.test", port: b"443", path, query: b"" };
    KeyBuilder::new(b"", address).build()
}

fn entry(path: &str, language: Option<&'static str>) -> Entry {
    let now = SystemTime::UNIX_EPOCH;
    let selected = language.map(|language| (LANGUAGE, HeaderValue::from_static(language)));
    let meta = Meta {
        key: key(path),
        head: Head { status: StatusCode::OK, headers: HeaderMap::new() },
        times: Times { request: now, response: now },
        freshness: Freshness { lifetime: Duration::from_mins(1), ..Freshness::default() },
        vary: selected.iter().map(|(name, _)| name.clone()).collect(),
        selected_by: selected.into_iter().collect(),
        tags: ["news".into()].into(),
        generation: 0,
        body: BodyId::fresh(),
    };
    Entry::new(meta, Body::of([0; 1024]), 1024)
}
