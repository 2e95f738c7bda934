//! What it costs to find a file and to say how it is answered, without sending it: a plain hit, a hit of a stored coding with
//! all three looked for, a 304, and a range.
//!
//! Prints the lowest mean of five rounds, in nanoseconds, and how often the heap was asked for each. With `--tiny`, with
//! `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little input, and fails where the heap was asked more often than is
//! written here.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::expect_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

use std::fs;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use switchback_files::{
    Asked, Candidate, Coding, Kind, Outcome, Settings, Symlinks, Types, answer,
};

const ROUNDS: u32 = 5;
const PATH: &[u8] = b"/assets/css/site.3f2a9c.css";

/// A request, the status it gets, and how often the heap may be asked for it.
struct Case {
    name: &'static str,
    header: Option<(HeaderName, &'static str)>,
    precompressed: &'static [Coding],
    status: u16,
    allocations: u64,
}

const ALL: &[Coding] = &[Coding::Br, Coding::Zstd, Coding::Gzip];

const CASES: [Case; 4] = [
    Case { name: "plain", header: None, precompressed: &[], status: 200, allocations: 5 },
    Case {
        name: "precompressed",
        header: Some((ACCEPT_ENCODING, "gzip, deflate, br, zstd")),
        precompressed: ALL,
        status: 200,
        allocations: 6,
    },
    Case {
        name: "not_modified",
        header: Some((IF_NONE_MATCH, "*")),
        precompressed: &[],
        status: 304,
        allocations: 3,
    },
    Case {
        name: "range",
        header: Some((RANGE, "bytes=100-199")),
        precompressed: &[],
        status: 206,
        allocations: 7,
    },
];

fn main() -> ExitCode {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let requests = if is_tiny { 100 } else { 100_000 };

    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("assets/css/site.3f2a9c.css");
    fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
    fs::write(&file, "0123456789".repeat(1000)).expect("a file");
    fs::write(file.with_extension("css.gz"), "0123456789".repeat(100)).expect("a sibling");

    let mut is_right = true;
    for case in &CASES {
        let settings = Settings {
            root: folder.path().into(),
            symlinks: Symlinks::Beneath,
            index: ["index.html".into()].into(),
            autoindex: None,
            precompressed: case.precompressed.into(),
            etag: true,
            types: Types::new([], None, Some("utf-8")).expect("types"),
            hidden: false,
        };
        let cost = Cost::of(case, &settings, requests);
        println!("files_{}_ns: {:.0}", case.name, cost.nanoseconds);
        println!("files_{}_allocations: {}", case.name, cost.allocations);
        is_right &= cost.is_right && cost.allocations <= case.allocations;
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one request costs.
struct Cost {
    nanoseconds: f64,
    allocations: u64,
    is_right: bool,
}

impl Cost {
    fn of(case: &Case, settings: &Settings, requests: u64) -> Self {
        let value = |(name, value): &(HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = case.header.iter().map(value).collect();
        let ask = || {
            let asked =
                Asked { method: &Method::GET, headers: &headers, url_path: PATH, query: None };
            let candidates = [Candidate::new(PATH, Kind::Any).own()];
            answer(black_box(settings), candidates.into_iter(), black_box(&asked))
        };
        // Once for what is made but once, such as the counts of shared header values.
        let is_right = matches!(ask(), Outcome::Answer(answer) if answer.status == case.status);
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for _ in 0..requests {
                black_box(ask());
            }
            best = best.min(start.elapsed());
        }
        let count = measure(|| (0..requests).for_each(|_| drop(black_box(ask()))));
        let nanoseconds = best.as_nanos() as f64 / requests as f64;
        Self { nanoseconds, allocations: count.count_total.div_ceil(requests), is_right }
    }
}
