//! The tier as a whole, in directories of its own.

mod damage;
mod eviction;
mod failures;
mod foreign;
mod proptests;
mod purges;
mod several;
mod storing;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tempfile::TempDir;

use super::{Disk, DiskBody, DiskLimits, Settings, Stored};
use crate::entry::{BodyId, Head, Meta, Times};
use crate::key::{Address, Key, KeyBuilder};
use crate::policy::Freshness;

/// A directory and a tier in it.
struct Rig {
    folder: TempDir,
    disk: Disk,
}

const LIMITS: DiskLimits = DiskLimits { size: 1 << 30, min_free: 0, largest: 1 << 30, variants: 4 };

fn settings(path: &Path, limits: DiskLimits) -> Settings {
    Settings { path: path.join("cache"), limits, threads: 2 }
}

impl Rig {
    fn new() -> Self {
        Self::with(LIMITS)
    }

    fn with(limits: DiskLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(&settings(folder.path(), limits)).unwrap();
        Self { folder, disk }
    }

    /// What another process, or this one after a restart, makes of the same directory.
    fn again(&self) -> Disk {
        Disk::open(&settings(self.folder.path(), LIMITS)).unwrap()
    }

    /// From now on files are taken for each other: tests write them as nobody else does.
    fn ignores_births(self) -> Self {
        let directory = &self.disk.tier.directory;
        directory.ignores_births.store(true, std::sync::atomic::Ordering::Relaxed);
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("cache/v1")
    }

    /// The files of entries and, with `t-`, of what is not finished.
    fn files(&self) -> Vec<PathBuf> {
        let shards = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = shards
            .filter(|path| path.is_dir())
            .flat_map(|shard| std::fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()));
        files.collect()
    }

    fn only_file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files.into_iter().next().unwrap()
    }

    async fn store(&self, meta: &Meta, body: &[u8]) -> Stored {
        store(&self.disk, meta, body).await
    }
}

async fn store(disk: &Disk, meta: &Meta, body: &[u8]) -> Stored {
    let mut writer = disk.writer(meta.clone(), Some(body.len() as u64)).unwrap();
    for piece in body.chunks(100_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn load(disk: &Disk, key: &Key) -> Option<Stored> {
    disk.load(key, |_| true).await
}

async fn read(body: &DiskBody) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = body.read(all.len() as u64, 1 << 20).await.unwrap();
        if piece.is_empty() {
            return all;
        }
        all.extend_from_slice(&piece);
    }
}

/// Status, fields and body are those of `meta`, to the last byte.
async fn assert_is(stored: &Stored, meta: &Meta, body: &[u8]) {
    assert_eq!(format!("{:?}", stored.meta), format!("{meta:?}"));
    assert_eq!(stored.body.length(), body.len() as u64);
    assert!(read(&stored.body).await == body, "another body");
}

fn key(path: &str) -> Key {
    let (scheme, host, port) = (b"http".as_slice(), b"a.example".as_slice(), b"80".as_slice());
    let address = Address { scheme, host, port, path: path.as_bytes(), query: b"" };
    KeyBuilder::new(b"", address).build()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(1_800_000_000 + seconds, 123_456_789)
}

fn meta(path: &str) -> Meta {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("etag", HeaderValue::from_static("\"v1\""));
    headers.append("link", HeaderValue::from_static("</a.css>; rel=preload"));
    headers.append("link", HeaderValue::from_bytes(b"</\xff>; rel=preload").unwrap());
    Meta {
        key: key(path),
        head: Head { status: StatusCode::OK, headers },
        times: Times { request: at(0), response: at(1) },
        freshness: Freshness { lifetime: Duration::from_secs(60), ..Freshness::default() },
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: ["news".into(), "front page".into()].into(),
        generation: 7,
        body: BodyId::numbered(7),
    }
}

/// For requests with this `Accept-Encoding`.
fn variant(path: &str, coding: &'static str) -> Meta {
    let name = HeaderName::from_static("accept-encoding");
    let selected_by = [(name.clone(), HeaderValue::from_static(coding))].into_iter().collect();
    Meta { vary: [name].into(), selected_by, ..meta(path) }
}

/// Bytes of which no two blocks are the same.
fn body(length: usize) -> Vec<u8> {
    let mut state = length as u64 | 1;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn folder(path: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
}

/// Until the keeper has learned everything.
async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "never so: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
