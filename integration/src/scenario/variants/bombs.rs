//! Little that comes to very much: how soon it is refused, and what it takes to read.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use image::ImageFormat;
use switchback_images::{Alarm, Job, Outcome, Target, convert};
use switchback_variant::{Coding, Decoder, Encoder, Limits, Step};

use super::pictures;
use crate::config::site;
use crate::message::{Reply, get};
use crate::origin::Origin;
use crate::proxy::Proxy;

/// Zeros, packed.
#[derive(Clone, Debug)]
pub struct Bomb {
    /// In which coding.
    pub coding: Coding,
    /// Who has packed them.
    pub by: &'static str,
    /// The window that a decoder needs for them, in KiB: it belongs to what was sent, and not to who decodes.
    pub window: u64,
    /// How many they are.
    pub zeros: u64,
    /// What they have become.
    pub packed: Vec<u8>,
}

/// What came of zeros that were decoded.
#[derive(Clone, Copy, Debug)]
pub struct Unpacked {
    /// What it took of memory at its height, in KiB.
    pub kib: u64,
    /// How long it took.
    pub took: Duration,
}

/// Programs, and the windows of what they pack at these levels.
const PROGRAMS: [(Coding, &str, [&str; 2], u64); 2] = [
    (Coding::Br, "brotli -5", ["brotli", "-5"], 16 * 1024),
    (Coding::Zstd, "zstd -3", ["zstd", "-3"], 2 * 1024),
];

/// So many zeros in each coding, as streams are packed here, and with the windows that programs choose.
///
/// # Panics
/// When they cannot be packed.
#[must_use]
pub fn bombs(zeros: u64) -> Vec<Bomb> {
    let here = [(Coding::Gzip, 32), (Coding::Br, 256), (Coding::Zstd, 512)];
    let by = "the encoder here";
    let here = here.map(|(coding, window)| Bomb {
        coding,
        by,
        window,
        zeros,
        packed: pack(coding, zeros),
    });
    let programs = PROGRAMS.map(|(coding, by, command, window)| Bomb {
        coding,
        by,
        window,
        zeros,
        packed: pack_by(command, zeros),
    });
    here.into_iter().chain(programs).collect()
}

/// The first argument of a process that is to unpack a file, and nothing else.
pub const UNPACK: &str = "unpack";

/// Decodes it, a portion at a time, in a process that has done nothing before: this program, called with [`UNPACK`].
///
/// # Panics
/// When it cannot be decoded, or comes to something else.
#[must_use]
pub fn unpack(bomb: &Bomb) -> Unpacked {
    let folder = tempfile::tempdir().expect("a folder for a moment");
    let file = folder.path().join("bomb");
    fs::write(&file, &bomb.packed).expect("a file for a moment");
    let program = env::current_exe().expect("a program has a name");
    let output = Command::new(program).args([UNPACK, bomb.coding.name()]).arg(&file).output();
    let output = String::from_utf8(output.expect("it runs").stdout).expect("it says numbers");
    let mut numbers =
        output.split_whitespace().map(|number| number.parse::<u64>().expect("a number"));
    let mut next = || numbers.next().expect("three numbers");
    let (zeros, kib, millis) = (next(), next(), next());
    assert_eq!(zeros, bomb.zeros);
    Unpacked { kib, took: Duration::from_millis(millis) }
}

/// What such a process says: how many bytes came, what it took of memory in KiB, and how many milliseconds.
///
/// # Panics
/// When the file cannot be decoded.
#[must_use]
pub fn unpack_file(coding: &str, file: &Path) -> String {
    let coding = Coding::named(coding.as_bytes()).expect("a coding");
    let mut file = File::open(file).expect("a file");
    let mut room = vec![0; 64 * 1024];
    // The highest is from now on.
    fs::write("/proc/self/clear_refs", "5").expect("a process may forget its peak");
    let (before, begun) = (memory("VmRSS:"), Instant::now());
    let mut decoder = Decoder::new(coding, Limits::default()).expect("memory for a decoder");
    let (mut out, mut came) = (Vec::new(), 0);
    while let Ok(length @ 1..) = file.read(&mut room) {
        let mut input = &room[..length];
        loop {
            let step = decoder.decode(&mut input, &mut out, 64 * 1024).expect("it is sound");
            came += out.len();
            out.clear();
            if step != Step::Full {
                break;
            }
        }
    }
    decoder.finish().expect("it ends properly");
    let kib = memory("VmHWM:").saturating_sub(before);
    format!("{came} {kib} {}", begun.elapsed().as_millis())
}

fn pack(coding: Coding, zeros: u64) -> Vec<u8> {
    let mut encoder = Encoder::new(coding, 1, None).expect("memory for an encoder");
    let mut bomb = Vec::new();
    in_pieces(zeros, |piece| encoder.push(piece, &mut bomb).expect("an encoder takes zeros"));
    encoder.finish(&mut bomb).expect("an encoder ends");
    bomb
}

fn pack_by([program, level]: [&str; 2], zeros: u64) -> Vec<u8> {
    let mut child = Command::new(program)
        .args([level, "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("installed by integration/setup.sh");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writing = thread::spawn(move || {
        in_pieces(zeros, |piece| stdin.write_all(piece).expect("it takes zeros"));
    });
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("it takes all");
    output.stdout
}

fn in_pieces(zeros: u64, mut take: impl FnMut(&[u8])) {
    let piece = vec![0; 1 << 20];
    let mut left = zeros;
    while left > 0 {
        let length = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        take(&piece[..length]);
        left -= length as u64;
    }
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

/// Asks for zeros that the origin has encoded, and that a cache may have.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn pass_zeros(bomb: &Bomb, is_cached: bool) -> Passed {
    let Bomb { coding, zeros, .. } = *bomb;
    let reply = |packed: Vec<u8>| {
        let reply = Reply::ok(packed).header("Content-Type", "text/plain");
        reply.header("Content-Encoding", coding.name()).header("Cache-Control", "max-age=600")
    };
    let few = reply(pack(coding, 100_000));
    let origin = Origin::start().serve("*", few).serve("/many", reply(bomb.packed.clone()));
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
