//! How soon a cache with very many entries serves.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchback_cache::disk::Disk;
use tokio::task::JoinSet;

use super::loop_mount::{LoopMount, NoMount};
use super::tier::{helper, key, meta, mixed, settings};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct MillionPlan {
    /// Entries in the directory, each of a block of the file system.
    pub entries: u64,
}

/// When what was there, counted from the beginning of the process. The disk had been unmounted before: nothing of it was in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Million {
    /// How long the entries took to be stored.
    pub stored_in: Duration,
    /// The tier took requests.
    pub open: Duration,
    /// The first entry asked for was there, and right.
    pub first_hit: Duration,
    /// A hundred others too, asked for one after the other while the directory was still being read.
    pub hundred_hits: Duration,
    /// Every name was known.
    pub indexed: Duration,
    /// Every length was known, and the order of eviction.
    pub measured: Duration,
    /// What an entry of the index takes in memory, in bytes.
    pub bytes_per_entry: u64,
    /// Entries that should have been there and were not.
    pub missing: u64,
}

/// Stores so many entries, and begins a process on them.
///
/// # Errors
/// When this user cannot mount a file system of its own.
///
/// # Panics
/// When the helper does not do its part.
pub fn million(plan: &MillionPlan) -> Result<Million, NoMount> {
    let inodes = (plan.entries + plan.entries / 10 + 1000).to_string();
    let size = format!("{}M", plan.entries * 4096 * 3 / 2 / (1 << 20) + 400);
    let mut disk = LoopMount::make(&size, &["-N", &inodes, "-m", "0"])?;
    disk.mount("")?;
    let begun = Instant::now();
    play("fill", disk.folder(), plan.entries);
    let stored_in = begun.elapsed();
    disk.unmount();
    disk.mount("")?;
    let said = play("begin", disk.folder(), plan.entries);
    disk.unmount();
    let figures: Vec<u64> =
        said.split_whitespace().map(|word| word.parse().expect("figures")).collect();
    let micros = |at: usize| Duration::from_micros(figures[at]);
    Ok(Million {
        stored_in,
        open: micros(0),
        first_hit: micros(1),
        hundred_hits: micros(2),
        indexed: micros(3),
        measured: micros(4),
        bytes_per_entry: figures[5],
        missing: figures[6],
    })
}

fn play(part: &str, folder: &Path, entries: u64) -> String {
    let mut command = Command::new(helper());
    let output = command.arg(part).arg(folder).arg(entries.to_string()).output();
    let output = output.expect("the helper starts");
    assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("figures")
}

fn content(page: u64) -> Bytes {
    Bytes::from(format!("page {page} ").repeat(100))
}

/// Stores all of them, a few at a time.
pub(super) async fn fill(folder: &Path, entries: u64) {
    let disk = Disk::open(&settings(folder, 1 << 50)).expect("the directory opens");
    let mut page = 0;
    while page < entries {
        let last = entries.min(page + 64);
        let mut some = JoinSet::new();
        for page in page..last {
            some.spawn(store(disk.clone(), page));
        }
        some.join_all().await;
        page = last;
    }
}

async fn store(disk: Disk, page: u64) {
    let mut writer = disk.writer(meta(page, 1), None).expect("the tier takes it");
    writer.write(content(page)).await.expect("it is written");
    writer.finish().await.expect("it is stored");
}

/// Prints when what was there, in microseconds.
pub(super) async fn begin(folder: &Path, entries: u64) {
    let begun = Instant::now();
    let memory = resident();
    let disk = Disk::open(&settings(folder, 1 << 50)).expect("the directory opens");
    let open = begun.elapsed();
    let mut missing = u64::from(!is_there(&disk, mixed(1) % entries).await);
    let first = begun.elapsed();
    for number in 2..102 {
        missing += u64::from(!is_there(&disk, mixed(number) % entries).await);
    }
    let hundred = begun.elapsed();
    let indexed = until(begun, || disk.stats().is_indexed).await;
    // Each takes a block at least.
    let measured = until(begun, || disk.stats().bytes >= entries * 4096).await;
    let each = resident().saturating_sub(memory) / entries.max(1);
    missing += entries.abs_diff(disk.stats().entries);
    let micros = [open, first, hundred, indexed, measured].map(|at| at.as_micros().to_string());
    let line = format!("{} {each} {missing}\n", micros.join(" "));
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).expect("somebody listens");
}

async fn is_there(disk: &Disk, page: u64) -> bool {
    let stored = disk.load(&key(page), |_| true).await;
    stored.is_some_and(|stored| stored.body.whole() == Some(&content(page)))
}

async fn until(begun: Instant, mut is_so: impl FnMut() -> bool) -> Duration {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed()
}

/// Of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}
