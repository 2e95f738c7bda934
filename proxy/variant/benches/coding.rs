//! How fast each coding is at each level, how much it saves of a page and of a bundle of scripts, what the new version of that
//! bundle costs who has the old one, how much memory an encoder takes, and what a bomb of 10 GB takes to decode.
//!
//! Speeds are of one thread, the best of three, in MB of what is not coded for each second of its processor time; sizes in
//! percent of that. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little input.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::unwrap_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use switchback_variant::{
    Coding, Decoder, Dictionary, Encoder, Limits, Step, decode_whole, encode_whole,
};

mod samples;

use samples::{bundle, page};

/// Which levels of which codings.
const MADE: [(Coding, &[u8]); 5] = [
    (Coding::Gzip, &[1, 6, 9]),
    (Coding::Br, &[1, 4, 5, 9, 11]),
    (Coding::Zstd, &[1, 3, 6, 19]),
    (Coding::Dcb, &[4, 5, 9, 11]),
    (Coding::Dcz, &[1, 3, 9, 19]),
];

fn main() {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let (statements, zeros) = if is_tiny { (200, 8 << 20) } else { (12_000, 10_000_000_000) };

    let old = Dictionary::new(Bytes::from(bundle(statements, 1))).unwrap();
    let [page, new] = [page(statements), bundle(statements, 2)];
    encoder_memory(&page);
    println!("variant_page_bytes: {}", page.len());
    println!("variant_bundle_bytes: {}", new.len());
    for (coding, levels) in MADE {
        for &level in levels {
            if !coding.needs_dictionary() {
                measure("page", coding, level, &page, &old);
            }
            measure("bundle", coding, level, &new, &old);
        }
    }
    for coding in [Coding::Gzip, Coding::Br, Coding::Zstd] {
        bomb(coding, zeros);
    }
}

/// One body in one coding.
fn measure(what: &str, coding: Coding, level: u8, body: &[u8], old: &Dictionary) {
    let mut coded = Vec::new();
    let there = best(|| coded = encode_whole(coding, level, black_box(body), Some(old)).unwrap());
    let back = best(|| {
        let whole = decode_whole(coding, black_box(&coded), Limits::default(), Some(old));
        assert!(whole.as_deref() == Ok(body));
    });
    let speed = |time: Duration| body.len() as f64 / 1e6 / time.as_secs_f64();
    let share = 100.0 * coded.len() as f64 / body.len() as f64;
    println!(
        "variant_{what}_{}_{level}: {share:.2} %, {:.1} MB/s, {:.0} ms/MB, decoded at {:.0} MB/s",
        coding.name(),
        speed(there),
        1000.0 / speed(there),
        speed(back),
    );
}

/// The shortest of three, in time of this thread's processor.
fn best(mut work: impl FnMut()) -> Duration {
    let rounds = (0..3).map(|_| {
        let start = processor_time();
        work();
        processor_time().saturating_sub(start)
    });
    rounds.min().unwrap_or_default().max(Duration::from_nanos(1))
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// Of this process, in KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// What an encoder of a body of unknown length takes that has seen some of it: the mean of four. All stay until the end, so that
/// none uses what another has left.
fn encoder_memory(body: &[u8]) {
    let mut kept = Vec::new();
    for (coding, level) in [
        (Coding::Gzip, 6),
        (Coding::Br, 4),
        (Coding::Zstd, 3),
        (Coding::Br, 11),
        (Coding::Zstd, 19),
    ] {
        let mut out = Vec::with_capacity(2 * body.len());
        let before = memory("VmRSS");
        for _ in 0..4 {
            let mut encoder = Encoder::new(coding, level, None).unwrap();
            encoder.push(body, &mut out).unwrap();
            out.clear();
            kept.push(encoder);
        }
        let taken = memory("VmRSS").saturating_sub(before) / 4;
        println!("variant_{}_{level}_encoder_kib: {taken}", coding.name());
    }
}

/// Zeros, coded and decoded piece by piece.
fn bomb(coding: Coding, zeros: u64) {
    let piece = vec![0; 1 << 20];
    let mut encoder = Encoder::new(coding, 1, None).unwrap();
    let mut bomb = Vec::new();
    let mut left = zeros;
    while left > 0 {
        let length = left.min(piece.len() as u64);
        encoder.push(piece.get(..usize::try_from(length).unwrap()).unwrap(), &mut bomb).unwrap();
        left -= length;
    }
    encoder.finish(&mut bomb).unwrap();

    // The highest is from now on.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    let start = Instant::now();
    let mut decoder = Decoder::new(coding, Limits::default()).unwrap();
    let (mut input, mut out, mut came) = (bomb.as_slice(), Vec::new(), 0);
    while decoder.decode(&mut input, &mut out, 64 * 1024).unwrap() == Step::Full {
        came += out.len() as u64;
        out.clear();
    }
    decoder.finish().unwrap();
    assert_eq!(came + out.len() as u64, zeros);
    let taken = memory("VmHWM").saturating_sub(before);
    println!("variant_{}_bomb_seconds: {:.1}", coding.name(), start.elapsed().as_secs_f64());
    println!("variant_{}_bomb_kib: {taken}", coding.name());
}
