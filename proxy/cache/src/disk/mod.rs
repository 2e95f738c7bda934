//! Stored responses in a directory: one file each, valid or absent whatever happens to process or power.

mod body;
mod directory;
mod format;
mod growing;
mod health;
mod index;
mod journal;
mod keeper;
mod meta;
mod name;
mod older;
mod pool;
#[cfg(test)]
mod tests;
mod tier;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use self::health::Action;
use self::name::{KeyHash, Name, Shard};
use self::pool::Kind;
use self::tier::{Tier, count};
use crate::entry::{Meta, Times};
use crate::key::Key;
use crate::purge;

pub use body::{DiskBody, ReadError};
pub use growing::Growing;
pub use writer::{GivenUp, Writer};

/// What is read of a file with its head: small bodies come along.
const FIRST_READ: usize = 72 << 10;
/// The same where the head alone is wanted.
const HEAD_READ: usize = 4 << 10;
/// Heads that a sweep looks at in one go.
const SWEEP: usize = 32;

/// Where a disk tier is and what it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The directory; made, for its owner alone, if it is not there (but not its parents).
    pub path: PathBuf,
    /// What may change while it lives.
    pub limits: DiskLimits,
    /// Threads that do the reading and writing.
    pub threads: usize,
}

/// How much a disk tier keeps; may change while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// Bytes that the files may take together.
    pub size: u64,
    /// Bytes of the file system that are left free for others.
    pub min_free: u64,
    /// The largest body that is stored.
    pub largest: u64,
    /// How many variants one key may have.
    pub variants: usize,
}

/// Why a directory cannot be a disk tier.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system says no.
    #[error("{path}: {error}")]
    Failed {
        /// What was asked for.
        path: PathBuf,
        /// The answer.
        error: std::io::Error,
    },
    /// Others could write into it, or it is not a directory of this user.
    #[error("{path}: {reason}")]
    Unsafe {
        /// What was asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Stored responses in a directory. A handle: clones are the same tier.
///
/// Nothing here fails a request: what cannot be read is not there, what cannot be written is not stored, and [`Disk::stats`]
/// counts it. All file work is done by threads of its own.
#[derive(Clone)]
pub struct Disk {
    tier: Arc<Tier>,
    /// As they were when the directory was opened.
    purges: Arc<[Bytes]>,
}

/// A response found on disk.
#[derive(Clone, Debug)]
pub struct Stored {
    /// All but its body.
    pub meta: Meta,
    /// Its body, read piece by piece.
    pub body: DiskBody,
}

/// What became of a new head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is stored.
    Stored,
    /// It is not, and neither is the old one any more: it did not fit, or there was none.
    Absent,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Heads looked at.
    pub seen: u64,
    /// Entries removed.
    pub removed: u64,
    /// Whether the disk was too busy to look at all of them.
    pub is_partial: bool,
}

/// What a disk tier did and is; counters only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Entries known.
    pub entries: u64,
    /// Bytes they take, as far as the index knows them yet.
    pub bytes: u64,
    /// Whether the index knows the whole directory.
    pub is_indexed: bool,
    /// Whether the tier rests after errors, or for want of room.
    pub is_paused: bool,
    /// Entries found.
    pub hits: u64,
    /// Entries not found.
    pub misses: u64,
    /// Entries stored.
    pub stored: u64,
    /// Entries removed to make room.
    pub evicted: u64,
    /// Entries removed because something in them was wrong.
    pub corrupt: u64,
    /// Entries removed because an older version had written them.
    pub old: u64,
    /// Things in the directory that are not ours: left alone, never opened.
    pub foreign: u64,
    /// System calls that failed.
    pub errors: u64,
    /// Requests and objects that were turned away: paused, queue full, no room.
    pub refused: u64,
    /// Bytes written, heads and checksums included.
    pub written: u64,
    /// The last error, for a person to read.
    pub last_error: Option<String>,
}

impl Disk {
    /// Opens the directory, and begins to learn in the background what is in it. A few system calls: serving can start at once.
    ///
    /// # Errors
    /// When the directory cannot be used, and why.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Failed { path: settings.path.clone(), error };
        let tier = Arc::new(Tier::open(settings)?);
        let purges = tier.journal.read(&tier.directory).map_err(failed)?;
        let (weak, bell) = (Arc::downgrade(&tier), Arc::clone(&tier.bell));
        let keeper = std::thread::Builder::new().name("cache keeper".to_owned());
        keeper.spawn(move || keeper::keep(&weak, &bell)).map_err(failed)?;
        Ok(Self { tier, purges: purges.into() })
    }

    /// Whether it is worth asking: `false` is certain, as far as this process's own entries and those it has seen go.
    #[must_use]
    pub fn may_have(&self, key: &Key) -> bool {
        let hash = KeyHash::of(key);
        let index = &self.tier.index;
        !index.is_known(hash.shard()) || index.contains(hash)
    }

    /// The newest entry of `key` that `selects` says yes to: variants, purges and whatever else the zone knows are its matter.
    ///
    /// A small body comes along in the same reading. Cancelling is safe.
    pub async fn load(
        &self,
        key: &Key,
        selects: impl Fn(&Meta) -> bool + Send + 'static,
    ) -> Option<Stored> {
        if !self.may_have(key) || !self.tier.allows(Action::Read) {
            count(&self.tier.counts.misses);
            return None;
        }
        let (tier, key) = (Arc::clone(&self.tier), key.clone());
        let find = move || find(&tier, &key, &selects);
        let found = self.tier.pool.run(Kind::Read, find).await;
        if found.is_none() {
            count(&self.tier.counts.refused);
        }
        let found = found.flatten();
        let counts = &self.tier.counts;
        count(if found.is_some() { &counts.hits } else { &counts.misses });
        found
    }

    /// Begins an entry; `length` is that of the body where it is known. `None` when the tier does not take it.
    #[must_use]
    pub fn writer(&self, meta: Meta, length: Option<u64>) -> Option<Writer> {
        Writer::begin(&self.tier, meta, length)
    }

    /// Replaces the head of the entry that `meta` names by key and variant and whose head has the times `old` (after a 304),
    /// crash-safe: the old or the new one is there. The body stays as it is.
    pub async fn update_head(&self, old: Times, meta: Meta) -> Updated {
        if !self.tier.allows(Action::Write) {
            return Updated::Absent;
        }
        let tier = Arc::clone(&self.tier);
        let update = move || writer::update_head(&tier, old, meta);
        self.tier.pool.run(Kind::Write, update).await.unwrap_or(Updated::Absent)
    }

    /// Removes all variants of `key` that this process knows of. When it is done, no power cut brings them back.
    ///
    /// # Errors
    /// When the disk could not do it: this process finds them no more, but the next one may.
    pub async fn remove(&self, key: &Key) -> std::io::Result<()> {
        let (tier, hash) = (Arc::clone(&self.tier), KeyHash::of(key));
        let remove = move || {
            tier.learn(hash.shard());
            let names = tier.index.find(hash);
            // What another process wrote is most likely called so.
            let plain = Name { key: hash, variant: 0 };
            let failed =
                names.into_iter().chain([plain]).filter(|name| !tier.discard(*name)).count();
            let synced = tier.noted(Action::Write, tier.directory.sync(hash.shard()));
            if failed == 0 && synced.is_some() { Ok(()) } else { Err(Errno::IO.into()) }
        };
        self.tier.pool.run(Kind::Write, remove).await.unwrap_or(Err(Errno::BUSY.into()))
    }

    /// A use of `key` that memory answered, so that what is hot there is not taken for cold here.
    pub fn touch(&self, key: &Key) {
        self.tier.index.touch(KeyHash::of(key));
    }

    /// Looks at every head, also of what was not found in the directory yet, and removes what `is_purged` says yes to; in the background, a few at a time. Correctness does not
    /// need it (see [`Disk::load`]): it gives room back.
    pub async fn sweep(&self, is_purged: impl Fn(&Meta) -> bool + Send + Sync + 'static) -> Swept {
        let is_purged = Arc::new(is_purged);
        let mut swept = Swept::default();
        for shard in Shard::all() {
            let tier = Arc::clone(&self.tier);
            let names = move || {
                tier.learn(shard);
                tier.index.names(shard)
            };
            let Some(names) = self.tier.pool.run(Kind::Write, names).await else {
                swept.is_partial = true;
                continue;
            };
            for names in names.chunks(SWEEP) {
                let (tier, names) = (Arc::clone(&self.tier), names.to_vec());
                let is_purged = Arc::clone(&is_purged);
                let sweep = move || sweep(&tier, &names, &*is_purged);
                match self.tier.pool.run(Kind::Write, sweep).await {
                    Some(some) => {
                        swept.seen += some.seen;
                        swept.removed += some.removed;
                    }
                    None => swept.is_partial = true,
                }
            }
        }
        swept
    }

    /// The records of purges in the order of their being made, as they were when the directory was opened.
    #[must_use]
    pub fn purges(&self) -> &[Bytes] {
        &self.purges
    }

    /// All records of purges, if another process on this directory added some since they were last read here.
    pub async fn new_purges(&self) -> Option<Vec<Bytes>> {
        let tier = Arc::clone(&self.tier);
        let read = move || {
            tier.noted(Action::Read, tier.journal.read_if_changed(&tier.directory)).flatten()
        };
        self.tier.pool.run(Kind::Read, read).await.flatten()
    }

    /// Keeps a record of a purge, of at most 64 KiB. When this is done, no power cut takes it back.
    ///
    /// # Errors
    /// When the disk could not keep it.
    pub async fn record_purge(&self, record: Bytes) -> std::io::Result<()> {
        let tier = Arc::clone(&self.tier);
        let append = move || tier.journal.append(&tier.directory, &record);
        self.tier.pool.run(Kind::Write, append).await.unwrap_or(Err(Errno::BUSY.into()))
    }

    /// Puts `records` in the place of all records, when there are too many. The same promise.
    ///
    /// # Errors
    /// When the disk could not keep them; the old ones are still there.
    pub async fn replace_purges(&self, records: Vec<Bytes>) -> std::io::Result<()> {
        let tier = Arc::clone(&self.tier);
        let replace = move || tier.journal.replace(&tier.directory, &records);
        self.tier.pool.run(Kind::Write, replace).await.unwrap_or(Err(Errno::BUSY.into()))
    }

    /// Changes what it may take; eviction follows in the background.
    pub fn set_limits(&self, limits: DiskLimits) {
        self.tier.set_limits(limits);
    }

    /// What it did and is.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.tier.stats()
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Reads the head of an entry from the bytes of its file; for the fuzzer and its corpus.
///
/// # Panics
/// When a head that was read is not written as it was.
pub fn check_file_head(bytes: &[u8]) {
    format::check_head(bytes);
}

/// Reads records of purges from the bytes of their file, and from bytes that are records; for the fuzzer and its corpus.
///
/// # Panics
/// When a record is not written as it was read, or a process does not learn from records what they say.
pub fn check_purges(bytes: &[u8]) {
    let read = journal::check(&Bytes::copy_from_slice(bytes));
    read.iter().for_each(|records| purge::check(records));
}

/// Reads the heads of all variants of `key`, and takes the newest that is wanted.
fn find(tier: &Arc<Tier>, key: &Key, selects: &dyn Fn(&Meta) -> bool) -> Option<Stored> {
    let hash = KeyHash::of(key);
    if !tier.index.is_known(hash.shard()) {
        // One file is sooner opened than thousands of names are read, and what has no variants is called so.
        let plain = Name { key: hash, variant: 0 };
        if let Some(found) = newest(tier, key, vec![plain], selects) {
            tier.index.add_name(plain);
            return Some(found);
        }
        tier.learn(hash.shard());
    }
    let found = newest(tier, key, tier.index.find(hash), selects)?;
    tier.index.touch(hash);
    Some(found)
}

fn newest(
    tier: &Arc<Tier>,
    key: &Key,
    names: Vec<Name>,
    selects: &dyn Fn(&Meta) -> bool,
) -> Option<Stored> {
    let open = |name| Some((name, tier.open_entry(name, Action::Read, FIRST_READ)?));
    let wanted = names.into_iter().filter_map(open).filter(|(_, entry)| {
        let meta = &entry.record.meta;
        meta.key == *key && selects(meta)
    });
    let (name, entry) = wanted.max_by_key(|(_, entry)| entry.record.meta.times.response)?;
    tier.health.succeeded(Action::Read);
    let meta = entry.record.meta.clone();
    Some(Stored { meta, body: body::of_entry(tier, name, entry)? })
}

fn sweep(tier: &Tier, names: &[Name], is_purged: &dyn Fn(&Meta) -> bool) -> Swept {
    let mut swept = Swept::default();
    for name in names {
        let Some(entry) = tier.open_entry(*name, Action::Read, HEAD_READ) else { continue };
        swept.seen += 1;
        if is_purged(&entry.record.meta) {
            tier.discard(*name);
            swept.removed += 1;
        }
    }
    swept
}
