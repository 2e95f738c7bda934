//! Little that comes to very much: how soon it is refused, and what it takes to read.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use image::ImageFormat;
use switchback_images::{Alarm, Job, Outcome, Target, convert};
use switchback_variant::{Coding, Decoder, Encoder, Limits, Step};

use super::pictures;
use crate::config::site;
use crate::message::{Reply, get};
use crate::origin::Origin;
use crate::proxy::Proxy;

/// What came of zeros that were decoded.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked {
    /// In which coding they were.
    pub coding: &'static str,
    /// How many there were.
    pub zeros: u64,
    /// How many bytes they had been.
    pub packed: usize,
    /// What it took of memory at its height, in KiB.
    pub kib: u64,
    /// How long it took.
    pub took: Duration,
}

/// Decodes so many zeros in each coding, a portion at a time.
///
/// # Panics
/// When what was encoded cannot be decoded, or to something else.
#[must_use]
pub fn unpack_zeros(zeros: u64) -> Vec<Unpacked> {
    PACKED.into_iter().map(|coding| unpack(coding, zeros)).collect()
}

fn unpack(coding: Coding, zeros: u64) -> Unpacked {
    let bomb = pack(coding, zeros);
    // The highest is from now on.
    fs::write("/proc/self/clear_refs", "5").expect("a process may forget its peak");
    let (before, begun) = (memory("VmRSS:"), Instant::now());
    let mut decoder = Decoder::new(coding, Limits::default()).expect("memory for a decoder");
    let (mut input, mut out, mut came) = (bomb.as_slice(), Vec::new(), 0);
    while decoder.decode(&mut input, &mut out, 64 * 1024).expect("it is sound") == Step::Full {
        came += out.len() as u64;
        out.clear();
    }
    decoder.finish().expect("it ends properly");
    assert_eq!(came + out.len() as u64, zeros);
    let kib = memory("VmHWM:").saturating_sub(before);
    Unpacked { coding: coding.name(), zeros, packed: bomb.len(), kib, took: begun.elapsed() }
}

fn pack(coding: Coding, zeros: u64) -> Vec<u8> {
    let piece = vec![0; 1 << 20];
    let mut encoder = Encoder::new(coding, 1, None).expect("memory for an encoder");
    let mut bomb = Vec::new();
    let mut left = zeros;
    while left > 0 {
        let length = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        encoder.push(&piece[..length], &mut bomb).expect("an encoder takes zeros");
        left -= length as u64;
    }
    encoder.finish(&mut bomb).expect("an encoder ends");
    bomb
}

/// A figure of this process's memory, in KiB.
fn memory(name: &str) -> u64 {
    memory_of("self", name)
}

fn memory_of(process: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

/// A PNG that says that it has 50,000 by 50,000 pixels.
pub(super) fn giant() -> Vec<u8> {
    let side = 50_000_u32.to_be_bytes();
    let mut png = pictures::encoded(pictures::screenshot(64, 64), ImageFormat::Png);
    png[16..24].copy_from_slice(&[side, side].concat());
    png
}

/// How soon it is refused, and with which words.
#[must_use]
pub fn refuse_giant() -> (Duration, String) {
    let job = Job::new(giant().into(), Target::WebP);
    let begun = Instant::now();
    let outcome = convert(&job, &Alarm::never());
    let took = begun.elapsed();
    let is_refused = matches!(outcome, Outcome::Original(_));
    (took, if is_refused { outcome.to_string() } else { format!("taken: {outcome}") })
}

/// What came of a giant that a proxy was to make smaller.
#[derive(Clone, Debug)]
pub struct Giant {
    /// The soonest answer where pictures are made smaller.
    pub with: Duration,
    /// The same where they are not.
    pub without: Duration,
    /// What it says of it (`X-Media`), once it has looked at it.
    pub told: Option<String>,
    /// Whether the original was sent every time.
    pub is_original: bool,
}

/// Asks for it again and again.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn giant_through_proxy() -> Giant {
    let giant = giant();
    let reply = Reply::ok(giant.clone()).header("Content-Type", "image/png");
    let origin = Origin::start().serve("*", reply.header("Cache-Control", "max-age=600"));
    let proxy = Proxy::start(
        &site()
            .route("/small/*", "proxy = \"app\"\ncache = \"main\"\nimages = \"on\"")
            .route("/*", "proxy = \"app\"\ncache = \"main\"")
            .upstream("app", &[&origin], "")
            .toml("[zones.main]\nmemory = \"16MiB\""),
    );
    let mut client = proxy.client();
    let mut found =
        Giant { with: Duration::MAX, without: Duration::MAX, told: None, is_original: true };
    for number in 0..20 {
        for (target, is_with) in [("/small/giant.png", true), ("/giant.png", false)] {
            // Each of the first ten is one that it has never seen.
            let target = if number < 10 { format!("{target}?{number}") } else { target.to_owned() };
            let begun = Instant::now();
            let answer = client.ask(&get(&target).header("Accept", "image/webp,*/*"));
            let soonest = if is_with { &mut found.with } else { &mut found.without };
            *soonest = begun.elapsed().min(*soonest);
            found.is_original &= answer.body == giant;
            found.told = answer.headers.get("x-media").map(str::to_owned).or(found.told);
        }
    }
    found
}

/// What came of zeros that a proxy decodes for who cannot.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// How many came before the end or the cut.
    pub came: u64,
    /// Whether the answer ended properly.
    pub is_whole: bool,
    /// What it took of the proxy's memory at its height, in KiB.
    pub kib: u64,
}

/// The codings in which bombs come.
pub const PACKED: [Coding; 3] = [Coding::Gzip, Coding::Br, Coding::Zstd];

/// Asks for so many zeros that the origin has encoded, and that a cache may have.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn pass_zeros(zeros: u64, coding: Coding, is_cached: bool) -> Passed {
    let reply = |zeros| {
        let reply = Reply::ok(pack(coding, zeros)).header("Content-Type", "text/plain");
        reply.header("Content-Encoding", coding.name()).header("Cache-Control", "max-age=600")
    };
    let origin = Origin::start().serve("*", reply(100_000)).serve("/many", reply(zeros));
    let cache = if is_cached { "cache = \"main\"" } else { "" };
    let proxy = Proxy::start(
        &site()
            .route("/*", format_args!("proxy = \"app\"\nencode = \"on\"\n{cache}"))
            .upstream("app", &[&origin], "")
            .toml("[zones.main]\nmemory = \"1MiB\""),
    );
    let pid = proxy.pid().to_string();
    // Both workers have done it before, and what memory the cache may have is full.
    for number in 0..200 {
        proxy.get(&format!("/{number}")).expect_status(200);
    }
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process may forget its peak");
    let before = memory_of(&pid, "VmRSS:");
    let mut stream = TcpStream::connect(proxy.address("web")).expect("it listens");
    stream.write_all(&get("/many").close().to_bytes()).expect("it reads");
    let (mut came, mut last) = (0, Vec::new());
    let mut room = vec![0; 1 << 18];
    while let Ok(length @ 1..) = stream.read(&mut room) {
        came += room[..length].iter().filter(|&&byte| byte == 0).count() as u64;
        last = room[length.saturating_sub(5)..length].to_vec();
    }
    let kib = memory_of(&pid, "VmHWM:").saturating_sub(before);
    Passed { came, is_whole: came == zeros && last == b"0\r\n\r\n", kib }
}
