//! A process that works on a disk tier until it is killed, and what is checked of the directory it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use switchback_cache::disk::{Disk, DiskLimits, Settings, Stored};
use switchback_cache::policy::Freshness;
use switchback_cache::{Address, BodyId, Head, Key, KeyBuilder, Meta, Times};

use crate::guard::must_not_outlive;

/// Different responses that are stored, over and over.
const PAGES: u64 = 200;

/// Small enough that entries are evicted all the time.
const SIZE: u64 = 8 << 20;

/// What was found after a kill or a cut, all rounds together.
#[derive(Clone, Debug, Default)]
pub struct Survived {
    /// Kills or cuts.
    pub rounds: usize,
    /// Entries that were found, and right to the last byte.
    pub right: u64,
    /// Entries whose file was broken, and which were absent for that.
    pub dropped: u64,
    /// Entries with anything wrong in them.
    pub wrong: Vec<String>,
    /// Entries that were removed, or purges that were recorded, and were not any more.
    pub undone: Vec<String>,
    /// The longest that an opening of the directory took.
    pub slowest_open: Duration,
}

/// What the process said was done.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Up to which version a page was removed.
    removed: BTreeMap<u64, u64>,
    recorded: BTreeSet<String>,
}

/// A process that works on the directory.
pub(super) struct Working {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

/// What the helper binary does: `work FOLDER FIRST-VERSION`, `fill FOLDER ENTRIES` or `begin FOLDER ENTRIES`.
///
/// # Panics
/// When it is asked for something else, or the directory cannot be opened.
pub fn tier_process(arguments: &[String]) {
    let number = |at: usize| arguments[at].parse::<u64>().expect("a number");
    let folder = Path::new(&arguments[1]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    match &*arguments[0] {
        "work" => runtime.block_on(work(folder, number(2))),
        "fill" => runtime.block_on(super::million::fill(folder, number(2))),
        "begin" => runtime.block_on(super::million::begin(folder, number(2))),
        other => panic!("{other} is nothing that a tier does"),
    }
}

/// The helper binary, built beside this program.
pub(super) fn helper() -> PathBuf {
    let caller = std::env::current_exe().expect("a running program has a path");
    let mut beside = caller.ancestors().skip(1).take(2).map(|folder| folder.join("cache-tier"));
    let found = beside.find(|path| path.is_file());
    found.expect("cache-tier is built with the package of this program")
}

impl Working {
    pub(super) fn start(folder: &Path, first_version: u64) -> Self {
        let mut command = Command::new(helper());
        command.arg("work").arg(folder).arg(first_version.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the helper starts");
        must_not_outlive(child.id());
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let said = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&said);
        let listen =
            move || output.lines().map_while(Result::ok).for_each(|l| heard.lock().push(l));
        Self { child, said, listening: std::thread::spawn(listen) }
    }

    /// Adds what it has said by now to `claims`.
    pub(super) fn listen(&self, claims: &mut Claims) {
        self.said.lock().iter().for_each(|line| claims.add(line));
    }

    /// Kills it, with no chance to tidy up, and returns when all that it said was heard.
    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        while !self.listening.is_finished() {
            std::thread::yield_now();
        }
    }
}

impl Claims {
    /// A line that was cut short is none.
    fn add(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match *words.as_slice() {
            ["removed", page, version, "."] => {
                let parse = |text: &str| text.parse().expect("a number");
                self.removed.insert(parse(page), parse(version));
            }
            ["recorded", record, "."] => drop(self.recorded.insert(record.to_owned())),
            _ => {}
        }
    }
}

impl Survived {
    /// Looks at everything that a new process finds in the directory.
    pub(super) fn check(&mut self, folder: &Path, claims: &Claims) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(self.look(folder, claims));
        self.rounds += 1;
    }

    async fn look(&mut self, folder: &Path, claims: &Claims) {
        let begun = Instant::now();
        let disk = match Disk::open(&settings(folder, SIZE)) {
            Ok(disk) => disk,
            Err(error) => return self.wrong.push(error.to_string()),
        };
        self.slowest_open = self.slowest_open.max(begun.elapsed());
        for page in 0..PAGES {
            let Some(stored) = disk.load(&key(page), |_| true).await else { continue };
            match faults(page, &stored).await {
                Ok(version) => {
                    self.right += 1;
                    if claims.removed.get(&page).is_some_and(|removed| version <= *removed) {
                        self.undone.push(format!("page {page}, version {version}"));
                    }
                }
                Err(None) => {}
                Err(Some(fault)) => self.wrong.push(format!("page {page}: {fault}")),
            }
        }
        let kept: BTreeSet<_> = disk.purges().iter().map(|r| String::from_utf8_lossy(r)).collect();
        let lost = claims.recorded.iter().filter(|record| !kept.contains(&***record));
        self.undone.extend(lost.map(|record| format!("record {record}")));
        self.dropped += disk.stats().corrupt;
    }
}

/// Which version it is; what is wrong with it, or nothing when its body was found to be broken while it was read.
async fn faults(page: u64, stored: &Stored) -> Result<u64, Option<String>> {
    let field = |name: &str| stored.meta.head.headers.get(name).and_then(|v| v.to_str().ok());
    let version = field("x-version").and_then(|text| text.parse::<u64>().ok());
    let version = version.ok_or_else(|| Some("no version".to_owned()))?;
    if field("x-renewed").is_some_and(|text| text != version.to_string()) {
        return Err(Some(format!("version {version} with the head of another")));
    }
    let expected = body(page, version);
    let mut offset = 0;
    while offset < stored.body.length() {
        let piece = stored.body.read(offset, 1 << 20).await.map_err(|_| None)?;
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if piece.is_empty() || expected.get(at..at + piece.len()) != Some(&*piece) {
            return Err(Some(format!("version {version} has other bytes at {offset}")));
        }
        offset += piece.len() as u64;
    }
    match offset == expected.len() as u64 {
        true => Ok(version),
        false => Err(Some(format!("version {version} ends at {offset} of {}", expected.len()))),
    }
}

/// Stores, renews, removes and purges until it is killed; says what must not come back once it is done.
async fn work(folder: &Path, first_version: u64) {
    // The power may be gone already; what is wrong with the directory, the check finds out.
    let Ok(disk) = Disk::open(&settings(folder, SIZE)) else { return };
    let mut random = mixed(first_version);
    for version in first_version.. {
        random = mixed(random);
        let page = random % PAGES;
        match random >> 32 & 31 {
            0 => {
                if disk.remove(&key(page)).await.is_ok() {
                    say(&format!("removed {page} {version} ."));
                }
            }
            1 => {
                let record = format!("{page}@{version}");
                if disk.record_purge(record.clone().into()).await.is_ok() {
                    say(&format!("recorded {record} ."));
                }
            }
            2..8 => renew(&disk, page).await,
            _ => {
                // Whatever the disk says: it may be gone by now.
                let _ = store(&disk, page, version).await;
            }
        }
    }
}

async fn store(disk: &Disk, page: u64, version: u64) -> Option<Stored> {
    let body = body(page, version);
    let mut writer = disk.writer(meta(page, version), None)?;
    for piece in body.chunks(70_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.ok()?;
    }
    writer.finish().await.ok()
}

async fn renew(disk: &Disk, page: u64) {
    let Some(mut stored) = disk.load(&key(page), |_| true).await else { return };
    let old = stored.meta.times;
    let version = stored.meta.head.headers.get("x-version").cloned();
    stored.meta.head.headers.insert("x-renewed", version.expect("a version"));
    stored.meta.times.response = SystemTime::now();
    disk.update_head(old, stored.meta).await;
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // Nobody listens any more: this is about to be killed.
    let _said = writeln!(output, "{line}").and_then(|()| output.flush());
}

pub(super) fn settings(folder: &Path, size: u64) -> Settings {
    let limits = DiskLimits { size, min_free: 0, largest: 1 << 30, variants: 4 };
    Settings { path: folder.join("cache"), limits, threads: 2 }
}

pub(super) fn key(page: u64) -> Key {
    let path = format!("/{page}");
    let address = Address {
        scheme: b"http",
        host: b"pages.example",
        port: b"80",
        path: path.as_bytes(),
        query: b"",
    };
    KeyBuilder::new(b"", address).build()
}

pub(super) fn meta(page: u64, version: u64) -> Meta {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
    headers.insert("x-version", HeaderValue::from(version));
    let now = SystemTime::now();
    Meta {
        key: key(page),
        head: Head { status: StatusCode::OK, headers },
        times: Times { request: now, response: now },
        freshness: Freshness { lifetime: Duration::from_secs(60), ..Freshness::default() },
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: Box::default(),
        generation: version,
        body: BodyId::fresh(),
    }
}

/// No two versions, and no two blocks of one, have the same bytes; a few are of many blocks.
fn body(page: u64, version: u64) -> Vec<u8> {
    let mut state = mixed(page << 40 ^ version);
    let length =
        if state.is_multiple_of(8) { state >> 20 & 0x7_ffff } else { state >> 20 & 0x3fff };
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        state = mixed(state);
        state.to_le_bytes()
    });
    words.take(usize::try_from(length).unwrap_or(0)).collect()
}

/// A step of SplitMix64.
pub(super) fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
