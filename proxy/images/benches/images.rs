//! What smaller forms of pictures cost and save: a photo in two sizes, a photo as PNG, a screenshot, a logo, an animation, and how
//! soon a bomb is refused.
//!
//! For each it prints bytes before and after, what is saved in percent, milliseconds of a core per megapixel and per megabyte of
//! the original, and the memory that it took at most beside what was reckoned before. With `--tiny`, with
//! `SWITCHBACK_BENCH_TINY=1` or as a test it runs on small pictures. It fails where a photo saves less than 30 %, where more
//! memory was taken than reckoned, or where a bomb is looked at for 5 ms.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::unwrap_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use image::ImageFormat;
use switchback_images::{Alarm, Effort, Header, Job, Made, Outcome, Quality, Target, convert};

#[path = "../tests/all/samples.rs"]
mod samples;

/// One form of one picture.
struct Case {
    name: &'static str,
    job: Job,
    /// Percent that have to be saved.
    saves: u64,
}

/// Tells the heap of C to give back at once what is large, so that the peak of each case is its own.
const GIVE_BACK: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "65536");

fn main() -> ExitCode {
    if std::env::var_os(GIVE_BACK.0).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let status = again.args(std::env::args_os().skip(1)).env(GIVE_BACK.0, GIVE_BACK.1).status();
        return if status.unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let mut is_right = true;
    for case in cases(if is_tiny { 4 } else { 1 }) {
        is_right &= case.run();
    }
    is_right &= refuse();
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cases(divisor: u32) -> Vec<Case> {
    let (width, height) = (1920 / divisor, 1280 / divisor);
    let photo = samples::photo(width, height);
    let jpeg = job(samples::jpeg(&photo, 90, None));
    let png = job(samples::encoded(photo, ImageFormat::Png));
    let window = samples::screenshot(1440 / divisor, 900 / divisor);
    let window = job(samples::encoded(window, ImageFormat::Png));
    let logo = job(samples::encoded(samples::logo(512 / divisor), ImageFormat::Png));
    let moving = job(samples::animation(640 / divisor, 400 / divisor, 24));
    let case = |name, saves, job| Case { name, job, saves };
    let mut cases = vec![
        case("photo", 30, jpeg.clone()),
        case("photo_thorough", 30, Job { effort: Effort::Thorough, ..jpeg.clone() }),
        case(
            "photo_save_data",
            40,
            Job { save_data: Some(jpeg.quality.lowered()), ..jpeg.clone() },
        ),
        case("photo_half", 70, Job { width: Some(width / 2), ..jpeg.clone() }),
        case("photo_png", 75, png),
        case("screenshot", 20, window),
        case("logo", 5, logo),
        case("animation", 5, moving),
    ];
    if Target::Avif.is_built() {
        let quality = Quality::default_of(Target::Avif);
        cases.push(case("photo_avif", 30, Job { target: Target::Avif, quality, ..jpeg }));
    }
    cases
}

fn job(source: Vec<u8>) -> Job {
    Job::new(source.into(), Target::WebP)
}

impl Case {
    /// Runs it and prints its figures. Whether they are as they have to be.
    fn run(&self) -> bool {
        let header = Header::read(&self.job.source).unwrap();
        // Once for what stays: code and tables count as memory too.
        convert(&self.job, &Alarm::never());
        let before = memory("VmRSS:");
        // Only what is held from now on counts; where that cannot be said, nothing is measured.
        let is_measured = fs::write("/proc/self/clear_refs", "5").is_ok();
        let Outcome::Made(made) = convert(&self.job, &Alarm::never()) else {
            println!("images_{}: nothing was made", self.name);
            return false;
        };
        let peak = if is_measured { memory("VmHWM:") } else { before };
        let taken = peak.saturating_sub(before);
        self.print(&made, &header, taken);
        made.saved() >= self.saves && taken <= self.job.memory(&header)
    }

    fn print(&self, made: &Made, header: &Header, taken: u64) {
        let (name, took) = (self.name, made.facts.took.as_secs_f64() * 1e3);
        let per = |amount: u64| took * 1e6 / amount.max(1) as f64;
        println!("images_{name}_source_bytes: {}", self.job.source.len());
        println!("images_{name}_bytes: {}", made.bytes.len());
        println!("images_{name}_saved_percent: {}", made.saved());
        println!("images_{name}_ms: {took:.1}");
        println!("images_{name}_ms_per_megapixel: {:.1}", per(header.pixels()));
        println!("images_{name}_ms_per_megabyte: {:.1}", per(self.job.source.len() as u64));
        println!("images_{name}_memory_kib: {}", taken >> 10);
        println!("images_{name}_memory_reckoned_kib: {}", self.job.memory(header) >> 10);
    }
}

/// How soon a picture of 50,000 by 50,000 pixels is refused, and whether that is soon enough.
fn refuse() -> bool {
    let mut bomb = samples::encoded(samples::screenshot(64, 64), ImageFormat::Png);
    bomb[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let job = job(bomb);
    let begun = Instant::now();
    let outcome = convert(&job, &Alarm::never());
    let took = begun.elapsed();
    println!("images_bomb_us: {:.1}", took.as_secs_f64() * 1e6);
    matches!(outcome, Outcome::Original(_)) && took < Duration::from_millis(5)
}

/// A figure of this process's memory, in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib << 10
}
