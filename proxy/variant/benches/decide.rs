//! What it costs to decide on the request of a browser: what the client can do, whether the answer may be coded, and with what.
//!
//! Prints the lowest mean of five rounds, in nanoseconds. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with
//! little input.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use switchback_variant::{Capabilities, Coding, Needs, Offer, Rules, Variant, Varies};

const ROUNDS: u32 = 5;

fn main() {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let requests = if is_tiny { 100 } else { 1_000_000 };

    let [request, answer] = [request(), answer()];
    let rules = Rules::default();
    let client = Capabilities::of(&request, Needs::ALL);
    let figures = [
        ("read_codings", mean(requests, || Capabilities::of(black_box(&request), Needs::CODINGS))),
        ("read_all", mean(requests, || Capabilities::of(black_box(&request), Needs::ALL))),
        (
            "judge_answer",
            mean(requests, || rules.judge(&Method::GET, StatusCode::OK, black_box(&answer))),
        ),
        ("choose", mean(requests, || Offer::STORED.choose(black_box(&client)))),
        ("name", mean(requests, || Variant::coded(black_box(Coding::Br)).token())),
        ("vary", mean(requests, || Varies::CODING.merge(black_box(&answer)))),
    ];
    for (name, nanoseconds) in figures {
        println!("variant_{name}_ns: {nanoseconds:.0}");
    }
}

/// In nanoseconds.
fn mean<T>(requests: u32, work: impl Fn() -> T) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..requests {
            black_box(work());
        }
        best = best.min(start.elapsed());
    }
    best.as_nanos() as f64 / f64::from(requests)
}

/// As Chromium sends it.
fn request() -> HeaderMap {
    let name = HeaderName::from_static;
    let lines = [
        (HOST, "www.example.com"),
        (name("sec-ch-ua"), "\"Chromium\";v=\"156\", \"Not?A_Brand\";v=\"24\""),
        (name("sec-ch-ua-mobile"), "?0"),
        (name("upgrade-insecure-requests"), "1"),
        (
            USER_AGENT,
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
        ),
        (
            ACCEPT,
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
        ),
        (name("sec-fetch-site"), "same-origin"),
        (name("sec-fetch-mode"), "navigate"),
        (name("sec-fetch-dest"), "document"),
        (ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (ACCEPT_LANGUAGE, "en-US,en;q=0.9"),
    ];
    lines.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn answer() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))])
}
