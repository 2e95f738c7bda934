//! What all handles of a disk tier share.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::directory::{Directory, Listed, Opened, OwnFile, Seen};
use super::format::{Broken, Preamble, Record};
use super::health::{Action, Health};
use super::index::Index;
use super::journal::Journal;
use super::keeper::Bell;
use super::name::{Name, SHARDS, Shard};
use super::pool::Pool;
use super::{DiskLimits, DiskStats, OpenError, Settings};

/// Entries evicted for one writing at most: it fails rather than clear the directory away while it is waited for.
const MOST_EVICTED: usize = 1024;

/// A disk tier.
pub(super) struct Tier {
    pub(super) directory: Directory,
    pub(super) index: Index,
    pub(super) pool: Pool,
    pub(super) health: Health,
    pub(super) journal: Journal,
    pub(super) counts: Counts,
    /// Woken when this is dropped.
    pub(super) bell: Arc<Bell>,
    limits: Mutex<DiskLimits>,
    /// Bytes of what is being written.
    pub(super) unfinished: AtomicU64,
    /// Each held while the names of its shard are read for the first time.
    learning: Vec<Mutex<()>>,
}

/// What [`DiskStats`] counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) old: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) written: AtomicU64,
}

/// An entry's file, with its head read.
#[derive(Debug)]
pub(super) struct EntryFile {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) preamble: Preamble,
    /// The head in force.
    pub(super) record: Record,
    /// The beginning of the file: the head at least.
    pub(super) start: Vec<u8>,
}

impl Tier {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let directory = Directory::open(&settings.path)?;
        let failed = |error| OpenError::Failed { path: settings.path.clone(), error };
        Ok(Self {
            directory,
            index: Index::default(),
            pool: Pool::start(settings.threads).map_err(failed)?,
            health: Health::default(),
            journal: Journal::default(),
            counts: Counts::default(),
            bell: Arc::default(),
            limits: Mutex::new(settings.limits),
            unfinished: AtomicU64::new(0),
            learning: (0..SHARDS).map(|_| Mutex::new(())).collect(),
        })
    }

    pub(super) fn limits(&self) -> DiskLimits {
        *self.limits.lock()
    }

    pub(super) fn set_limits(&self, limits: DiskLimits) {
        *self.limits.lock() = limits;
        self.bell.ring();
    }

    pub(super) fn allows(&self, action: Action) -> bool {
        let allowed = self.health.allows(action, Instant::now());
        if !allowed {
            count(&self.counts.refused);
        }
        allowed
    }

    /// What came of a system call; an error is counted, and too many of them pause the tier.
    pub(super) fn noted<T>(&self, action: Action, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                count(&self.counts.errors);
                self.health.failed(action, &error, Instant::now());
                None
            }
        }
    }

    /// Reads the names in `shard`, if nobody has yet. What stands under them is not looked at.
    pub(super) fn learn(&self, shard: Shard) {
        if self.index.is_known(shard) {
            return;
        }
        let _turn = self.learning.get(shard.index()).map(Mutex::lock);
        if self.index.is_known(shard) {
            return;
        }
        let listed = self.directory.list(shard, |listed| match listed {
            Listed::Entry(name) => self.index.add_name(name),
            Listed::Temporary(name) => {
                self.noted(Action::Write, self.directory.remove_litter(shard, name));
            }
            Listed::Foreign => count(&self.counts.foreign),
        });
        // Also after an error: what could not be listed is not there.
        self.noted(Action::Read, listed);
        self.index.set_known(shard);
    }

    /// The entry of this name with its head, and as much of what follows it as `first` bytes from the beginning of the file
    /// hold. What is wrong is removed and counted.
    pub(super) fn open_entry(&self, name: Name, access: Action, first: usize) -> Option<EntryFile> {
        let opened = self.directory.open_entry(name, access == Action::Write);
        match self.noted(Action::Read, opened)? {
            Opened::Nothing => {
                self.index.remove(name);
                None
            }
            Opened::Foreign => {
                self.set_aside(name);
                None
            }
            Opened::File(found) => {
                let read = read_entry(found, first);
                match self.noted(Action::Read, read)? {
                    Ok(entry) => Some(entry),
                    Err(broken) => {
                        self.drop_broken(name, broken);
                        None
                    }
                }
            }
        }
    }

    pub(super) fn drop_broken(&self, name: Name, broken: Broken) {
        count(match broken {
            Broken::Corrupt => &self.counts.corrupt,
            Broken::Version => &self.counts.old,
        });
        self.discard(name);
    }

    /// Not ours: it keeps its place, and is asked no more.
    fn set_aside(&self, name: Name) {
        if self.index.remove(name) {
            count(&self.counts.foreign);
        }
    }

    /// Removes it, unless it is not ours; `false` when the disk could not.
    pub(super) fn discard(&self, name: Name) -> bool {
        self.index.remove(name);
        let is_foreign = matches!(self.directory.look(name), Ok(Seen::Foreign));
        is_foreign || self.noted(Action::Write, self.directory.remove(name)).is_some()
    }

    /// Evicts until `more` bytes have room; `false` if they cannot.
    pub(super) fn make_room(&self, more: u64) -> bool {
        let limits = self.limits();
        for _ in 0..MOST_EVICTED {
            let unfinished = self.unfinished.load(Ordering::Relaxed);
            let fits = self.index.bytes() + unfinished + more <= limits.size;
            if fits && self.is_free(more.saturating_add(limits.min_free)) {
                return true;
            }
            if !self.evict() {
                return false;
            }
        }
        false
    }

    /// Evicts as much as the limits say; used in the background. Whether there is more to do.
    pub(super) fn is_over(&self) -> bool {
        let limits = self.limits();
        let taken = self.index.bytes() + self.unfinished.load(Ordering::Relaxed);
        taken > limits.size || !self.is_free(limits.min_free)
    }

    /// Whether there was one to evict.
    pub(super) fn evict(&self) -> bool {
        let Some(name) = self.index.evict() else { return false };
        count(&self.counts.evicted);
        self.discard(name);
        true
    }

    fn is_free(&self, bytes: u64) -> bool {
        self.noted(Action::Write, self.directory.free()).is_none_or(|free| free >= bytes)
    }

    pub(super) fn stats(&self) -> DiskStats {
        let counts = &self.counts;
        let now = Instant::now();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DiskStats {
            entries: self.index.entries(),
            bytes: self.index.bytes(),
            is_indexed: self.index.is_complete(),
            is_paused: !self.health.allows(Action::Write, now),
            hits: read(&counts.hits),
            misses: read(&counts.misses),
            stored: read(&counts.stored),
            evicted: read(&counts.evicted),
            corrupt: read(&counts.corrupt),
            old: read(&counts.old),
            foreign: read(&counts.foreign),
            errors: read(&counts.errors),
            refused: read(&counts.refused),
            written: read(&counts.written),
            last_error: self.health.last_error(),
        }
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        self.bell.close();
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A number that no other process comes to either.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// At most `length` bytes from `offset` on; fewer at the end of the file.
pub(super) fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn read_entry(found: OwnFile, first: usize) -> io::Result<Result<EntryFile, Broken>> {
    let OwnFile { file, length, birth } = found;
    let first = usize::try_from(length).unwrap_or(first).min(first);
    let mut start = read_at(&file, 0, first)?;
    let preamble = match Preamble::read(&start, birth) {
        Ok(preamble) => preamble,
        Err(broken) => return Ok(Err(broken)),
    };
    let head = preamble.body_at as usize;
    if start.len() < head {
        let rest = read_at(&file, start.len() as u64, head - start.len())?;
        start.extend_from_slice(&rest);
    }
    let record = match preamble.first_record(&start) {
        Ok(record) => record,
        Err(broken) => return Ok(Err(broken)),
    };
    let tails_at = preamble.tail_at(record.body, 0);
    let Some(behind) = length.checked_sub(tails_at) else { return Ok(Err(Broken::Corrupt)) };
    let record = if behind == 0 {
        record
    } else {
        let most = 2 * preamble.tail_room as usize;
        let behind = usize::try_from(behind).unwrap_or(most).min(most);
        preamble.newest(record, &read_at(&file, tails_at, behind)?)
    };
    Ok(Ok(EntryFile { file, length, preamble, record, start }))
}
