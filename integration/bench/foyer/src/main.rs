//! One file per object beside foyer's blocks: `cargo run --profile demo -- FOLDER [ENTRIES]`.
//!
//! The same responses go into both, each in a folder of its own, on the same file system: written, found again warm and after a
//! restart, read as a whole and in ranges. What a store wrote is what the kernel counts for this process (`/proc/self/io`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, PsyncIoEngineConfig, RecoverMode,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use switchback_cache::disk::{Disk, DiskLimits, Settings};
use switchback_cache::policy::Freshness;
use switchback_cache::{Address, Head, Key, KeyBuilder, Meta, Times};

/// Small and middling bodies, as a web site has them.
const SIZES: [usize; 4] = [2_000, 8_000, 30_000, 100_000];
/// One that nobody wants in memory as a whole.
const LARGE: usize = 60 << 20;
const HITS: u64 = 5_000;
const CAPACITY: usize = 6 << 30;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let entries = arguments.next().map_or(20_000, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(files(&folder.join("files"), entries));
    runtime.block_on(blocks(&folder.join("blocks"), entries));
}

async fn files(folder: &Path, entries: u64) {
    println!("one file per object");
    std::fs::create_dir_all(folder).expect("a folder");
    let open = || {
        let limits = DiskLimits { size: CAPACITY as u64, min_free: 0, largest: 1 << 40, variants: 4 };
        let settings = Settings { path: folder.join("cache"), limits, threads: 2 };
        Disk::open(&settings).expect("it opens")
    };
    let disk = open();
    let work = Work::begin();
    let mut payload = 0;
    for page in 0..entries {
        let body = body(page);
        payload += body.len() as u64;
        put(&disk, page, &[body]).await;
    }
    synced(folder);
    work.end("store", payload);
    hits("warm", entries, |page| found(&disk, page)).await;
    drop(disk);
    let begun = Instant::now();
    let disk = open();
    println!("  start: open after {:?}", begun.elapsed());
    assert!(found(&disk, 1).await);
    println!("  start: first hit after {:?}", begun.elapsed());
    while !disk.stats().is_indexed {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("  start: all known after {:?}", begun.elapsed());
    hits("after restart", entries, |page| found(&disk, page)).await;
    let work = Work::begin();
    let piece = Bytes::from(vec![7; 256 << 10]);
    put(&disk, entries, &vec![piece; LARGE >> 18]).await;
    work.end("store 60 MiB as it arrives", LARGE as u64);
    let stored = disk.load(&key(entries), |_| true).await.expect("it is there").body;
    let begun = Instant::now();
    let first = stored.read(0, 1 << 18).await.expect("it is read").len();
    println!("  large: first {first} bytes after {:?}", begun.elapsed());
    let mut offset = first as u64;
    while offset < LARGE as u64 {
        offset += stored.read(offset, 1 << 18).await.expect("it is read").len() as u64;
    }
    println!("  large: all of it after {:?}", begun.elapsed());
    let mut times = Vec::new();
    for number in 0..500 {
        let begun = Instant::now();
        let at = mixed(number) % (LARGE as u64 - 1000);
        assert_eq!(stored.read(at, 100).await.map(|bytes| !bytes.is_empty()), Ok(true));
        times.push(begun.elapsed());
    }
    print_times("range of 100 bytes", times);
}

async fn put(disk: &Disk, page: u64, pieces: &[Bytes]) {
    let mut writer = disk.writer(meta(page), None).expect("it is taken");
    for piece in pieces {
        writer.write(piece.clone()).await.expect("it is written");
    }
    writer.finish().await.expect("it is stored");
}

async fn found(disk: &Disk, page: u64) -> bool {
    let Some(stored) = disk.load(&key(page), |_| true).await else { return false };
    let mut offset = 0;
    while offset < stored.body.length() {
        offset += stored.body.read(offset, 1 << 18).await.expect("it is read").len() as u64;
    }
    offset == body_length(page) as u64
}

type Blocks = HybridCache<u64, Vec<u8>>;

async fn blocks(folder: &Path, entries: u64) {
    println!("foyer, blocks of 64 MiB");
    std::fs::create_dir_all(folder).expect("a folder");
    let cache = open_blocks(folder).await;
    let work = Work::begin();
    let mut payload = 0;
    for page in 0..entries {
        let body = body(page);
        payload += body.len() as u64;
        cache.storage_writer(page).force().insert(body.to_vec());
        if page.is_multiple_of(64) {
            // It drops what its buffers have no room for.
            cache.storage().wait().await;
        }
    }
    cache.storage().wait().await;
    synced(folder);
    work.end("store", payload);
    let get = |cache: Blocks, page: u64| async move {
        let length = cache.get(&page).await.ok().flatten().map(|entry| entry.value().len());
        length == Some(body_length(page))
    };
    hits("warm", entries, |page| get(cache.clone(), page)).await;
    cache.close().await.expect("it closes");
    drop(cache);
    let begun = Instant::now();
    let cache = open_blocks(folder).await;
    println!("  start: open after {:?}", begun.elapsed());
    get(cache.clone(), 1).await;
    println!("  start: first answer after {:?}", begun.elapsed());
    hits("after restart", entries, |page| get(cache.clone(), page)).await;
    let work = Work::begin();
    cache.storage_writer(entries).force().insert(vec![7; LARGE]);
    cache.storage().wait().await;
    work.end("store 60 MiB, whole in memory first", LARGE as u64);
    let begun = Instant::now();
    let length = cache.get(&entries).await.ok().flatten().map(|entry| entry.value().len());
    println!("  large: {length:?} bytes, the first of them after {:?}; a range likewise", begun.elapsed());
}

async fn open_blocks(folder: &Path) -> Blocks {
    let device = FsDeviceBuilder::new(folder).with_capacity(CAPACITY).build().expect("a device");
    let engine = BlockEngineConfig::new(device)
        .with_block_size(64 << 20)
        .with_flushers(2)
        .with_buffer_pool_size(256 << 20);
    // As good as no memory: each hit is one of the disk.
    let memory = HybridCacheBuilder::new().with_policy(HybridCachePolicy::WriteOnInsertion);
    let memory = memory.memory(1).with_shards(1).with_weighter(|_, value: &Vec<u8>| value.len());
    let storage = memory.storage().with_io_engine_config(PsyncIoEngineConfig::new());
    let built = storage.with_engine_config(engine).with_recover_mode(RecoverMode::Quiet).build();
    built.await.expect("it opens")
}

async fn hits<F: Future<Output = bool>>(what: &str, entries: u64, find: impl Fn(u64) -> F) {
    let (mut times, mut missing) = (Vec::new(), 0);
    let processor = processor_time();
    for number in 0..HITS {
        let page = mixed(number) % entries;
        let begun = Instant::now();
        missing += u64::from(!find(page).await);
        times.push(begun.elapsed());
    }
    print_times(&format!("hit, {what} ({missing} missing)"), times);
    println!("  hit, {what}: {:?} of processor each", (processor_time() - processor) / HITS as u32);
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("  {what}: p50 {:?}, p99 {:?}", at(50), at(99));
}

/// What something took.
struct Work {
    begun: Instant,
    written: u64,
    processor: Duration,
}

impl Work {
    fn begin() -> Self {
        Self { begun: Instant::now(), written: written(), processor: processor_time() }
    }

    fn end(self, what: &str, payload: u64) {
        let (took, written) = (self.begun.elapsed(), written() - self.written);
        let processor = processor_time() - self.processor;
        let factor = written as f64 / payload as f64;
        println!("  {what}: {took:?}, {processor:?} of processor, {payload} bytes, written {factor:.2} times");
    }
}

/// Bytes that this process had the kernel send to a disk.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("a Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux");
    let words: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| words[*at].parse::<u64>().unwrap_or(0)).sum();
    Duration::from_millis(ticks * 10)
}

/// What is still in memory of the file system goes to the disk, so that it is counted.
fn synced(folder: &Path) {
    let status = std::process::Command::new("sync").arg("-f").arg(folder).status();
    assert!(status.is_ok_and(|status| status.success()));
}

fn body_length(page: u64) -> usize {
    SIZES[(mixed(page) % 4) as usize]
}

fn body(page: u64) -> Bytes {
    vec![page as u8; body_length(page)].into()
}

fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn key(page: u64) -> Key {
    let path = format!("/{page}");
    let path = path.as_bytes();
    let address = Address { scheme: b"http", host: b"a.example", port: b"80", path, query: b"" };
    KeyBuilder::new(b"", address).build()
}

fn meta(page: u64) -> Meta {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "public, max-age=600"),
        ("etag", "\"0123456789abcdef\""),
        ("last-modified", "Sun, 22 Nov 2026 08:00:00 GMT"),
        ("server", "origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let now = SystemTime::now();
    Meta {
        key: key(page),
        head: Head { status: StatusCode::OK, headers },
        times: Times { request: now, response: now },
        freshness: Freshness::default(),
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: Box::default(),
        generation: 0,
    }
}
