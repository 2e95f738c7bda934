//! A named cache.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::HeaderMap;

use crate::compact::compact;
use crate::disk::Disk;
use crate::entry::{Body, Entry, Meta};
use crate::key::Key;
use crate::listing::{Page, page};
use crate::marks::Marks;
use crate::memory::Memory;
use crate::policy::search::NoVarySearch;
use crate::purge::{Manner, Purges, Scope, Standing};
use crate::searches::Searches;
use crate::variants::Selected;

mod on_disk;

/// How much a zone keeps; may change while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in memory, heads and keys included.
    pub memory: u64,
    /// The largest body kept in memory.
    pub largest_in_memory: u64,
    /// How many variants one key may have.
    pub variants: usize,
}

/// A named cache: what it stores is in memory, on disk, or in both.
#[derive(Debug)]
pub struct Zone {
    limits: parking_lot::RwLock<Limits>,
    memory: Memory,
    disk: Option<on_disk::OnDisk>,
    purges: Arc<Purges>,
    searches: Arc<Searches>,
    passes: Marks<Option<SystemTime>>,
    uses: Marks<u32>,
    counts: Counts,
}

/// What is stored for a request.
#[derive(Clone, Debug)]
pub enum Found {
    /// This, and no purge bears on it.
    Entry(Arc<Entry>),
    /// This, and it was purged softly: as if its lifetime were over, and to be validated before it is used, whatever else allows
    /// stale use but an error of that validation (`policy::judge_purged`).
    Purged(Arc<Entry>),
    /// Not in memory; the disk may have it: [`Zone::read`].
    Ask,
    /// Nothing for this request, but something for others.
    Others,
    /// Nothing.
    Nothing,
}

/// What a zone holds in memory and has done; counters only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Keys in memory, however many variants they have.
    pub keys: u64,
    /// Their bytes: bodies, heads, keys, and what tables need for them.
    pub bytes: u64,
    /// Lookups that found something in memory.
    pub hits: u64,
    /// Lookups that found nothing there.
    pub misses: u64,
    /// Keys that made room for others, or were too large.
    pub evictions: u64,
    /// Purges asked for.
    pub purges: u64,
}

/// Apart from what is only read, so that counting does not slow reading.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    purges: AtomicU64,
}

impl Zone {
    /// An empty one, in memory alone.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::of(limits, None, Purges::new())
    }

    /// With what is on `disk`, as far as the purges that are recorded there leave it. Where none are recorded yet, nothing that is
    /// stored outlives the process before [`Zone::tend`] was called.
    #[must_use]
    pub fn with_disk(limits: Limits, disk: Disk) -> Self {
        let purges = Purges::restore(disk.purges());
        Self::of(limits, Some(on_disk::OnDisk::new(disk)), purges)
    }

    fn of(limits: Limits, disk: Option<on_disk::OnDisk>, purges: Purges) -> Self {
        Self {
            limits: parking_lot::RwLock::new(limits),
            memory: Memory::new(limits),
            searches: Arc::new(Searches::new(disk.is_some())),
            disk,
            purges: Arc::new(purges),
            passes: Marks::new(MOST_MARKS),
            uses: Marks::new(MOST_MARKS),
            counts: Counts::default(),
        }
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        *self.limits.read()
    }

    /// Takes new limits; what no longer fits goes. Those of the disk are its own ([`Zone::disk`]).
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write() = limits;
        self.memory.set_bytes(limits.memory);
    }

    /// The tier on disk: what is larger than memory takes, or arrives slowly, is written there as it arrives.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref().map(on_disk::OnDisk::disk)
    }

    /// The newest stored response for `key` that the fields of `request` select (RFC 9111, 4.1), from memory.
    ///
    /// Never waits, and allocates only where responses for other queries may do, too.
    #[must_use]
    pub fn find(&self, key: &Key, request: &HeaderMap) -> Found {
        let mut found = self.look(key, request);
        if let Some(ruled) = self.searches.ruled(key) {
            found = found.or_newer(self.look(&ruled, request));
        }
        let Some(entry) = found.entry() else {
            self.counts.misses.fetch_add(1, Ordering::Relaxed);
            return found;
        };
        let before = self.counts.hits.fetch_add(1, Ordering::Relaxed);
        if let Some(disk) = self.disk().filter(|_| before.is_multiple_of(TOUCHES)) {
            disk.touch(&entry.meta.key);
        }
        found
    }

    /// The form of `original` that was [noted](Self::note_form) under this mark, if it is still in memory: without a look-up.
    ///
    /// No purge bears on it that does not bear on `original`, which is to be found and judged first.
    #[must_use]
    pub fn form(&self, original: &Entry, mark: u64) -> Option<Arc<Entry>> {
        let (form, before) = original.forms.find(mark)?;
        // For those who decide what goes, a few uses are as good as all.
        if before.is_multiple_of(TOUCHES) {
            drop(self.memory.find(&form.meta.key));
            self.disk().into_iter().for_each(|disk| disk.touch(&form.meta.key));
        }
        Some(form)
    }

    /// Notes beside `original` that what is stored as `form` was made of it, and will do for all requests that `mark` stands for,
    /// as long as both are in memory. Both have to have been found by the same request.
    pub fn note_form(&self, original: &Entry, mark: u64, form: &Arc<Entry>) {
        original.forms.note(mark, form);
    }

    fn look(&self, key: &Key, request: &HeaderMap) -> Found {
        let variants = self.memory.find(key);
        match variants.as_ref().map(|variants| variants.select(request, &self.purges)) {
            Some(Selected::Entry(entry, standing)) => Found::with(entry, standing),
            _ if self.disk().is_some_and(|disk| disk.may_have(key)) => Found::Ask,
            _ if variants.is_some_and(|variants| variants.hold(&self.purges)) => Found::Others,
            _ => Found::Nothing,
        }
    }

    /// What a response that says `said` of queries is stored under, if it was asked for as `key` at the time `generation`; from now
    /// on whoever asks with another query that means the same is looked for there, too.
    #[must_use]
    pub fn stored_as(&self, key: &Key, said: NoVarySearch, generation: u64) -> Key {
        self.searches.learn(key, said, generation, &self.purges)
    }

    /// What `key` has in common with requests that are likely to be answered alike: by what responses of its page have said of
    /// queries. Nobody may be answered by that alone ([`Key::is_met_by`]).
    #[must_use]
    pub fn likeness(&self, key: &Key) -> Key {
        self.searches.ruled(key).unwrap_or_else(|| key.clone())
    }

    /// Keeps `entry` in memory, instead of what was stored for the same request; returns it as it is kept.
    ///
    /// Its fields are copied into a buffer of their own; its body is not: see [`Body::Memory`]. Not kept is what was purged since
    /// it was asked for, what is too large or on disk, and what came for the first time when memory is full of better. Where the
    /// disk was not given the same response, [`Zone::remove_from_disk`] takes away what that has instead.
    pub fn store(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(compact(entry.meta), entry.body, entry.length));
        let limits = self.limits();
        if entry.body.is_in_memory() && entry.length <= limits.largest_in_memory {
            self.memory.store(Arc::clone(&entry), &self.purges, limits.variants);
        } else {
            // Something older is not to be found in its place.
            self.memory.keep_only(&entry.meta.key, |other| !other.answers_like(&entry.meta));
        }
        self.passes.forget(&entry.meta.key);
        entry
    }

    /// Keeps the body of `entry` under a new head, after a validation (RFC 9111, 4.3.4); no byte of the body is copied.
    ///
    /// In memory: [`Zone::refresh_on_disk`] does the rest. A body on disk is not taken into memory.
    pub fn refresh(&self, entry: &Arc<Entry>, meta: Meta) -> Arc<Entry> {
        let is_same =
            |other: &Meta| other.vary == meta.vary && other.selected_by == meta.selected_by;
        if !is_same(&entry.meta) || entry.meta.key != meta.key {
            self.memory.keep_only(&entry.meta.key, |stored| !Arc::ptr_eq(stored.entry(), entry));
        }
        self.store(Entry::new(meta, entry.body.clone(), entry.length))
    }

    /// Forgets everything stored for `key`, all variants: in memory by the time this returns, on disk when what it returns is done.
    #[must_use = "what is on disk is removed while this is awaited"]
    pub fn remove(&self, key: &Key) -> impl Future<Output = ()> + Send + use<'_> {
        let ruled = self.searches.ruled(key);
        for key in ruled.iter().chain([key]) {
            self.memory.remove(key);
        }
        let ruled = ruled.map(|ruled| self.remove_from_disk(&ruled));
        let own = self.remove_from_disk(key);
        async move {
            own.await;
            if let Some(ruled) = ruled {
                ruled.await;
            }
        }
    }

    /// Forgets this one in memory, if it is still what is stored there: the other variants of its key stay. On disk, where it may
    /// be too, all variants go when what this returns is done.
    #[must_use = "what is on disk is removed while this is awaited"]
    pub fn remove_entry(&self, entry: &Arc<Entry>) -> impl Future<Output = ()> + Send + use<'_> {
        self.memory.keep_only(&entry.meta.key, |stored| !Arc::ptr_eq(stored.entry(), entry));
        self.remove_from_disk(&entry.meta.key)
    }

    /// All in memory that are stored for `key` and that purges leave: what a 304 may speak of (RFC 9111, 4.3.4).
    #[must_use]
    pub fn variants(&self, key: &Key) -> Vec<Arc<Entry>> {
        let Some(variants) = self.memory.find(key) else { return Vec::new() };
        let held = variants.iter().filter(|stored| stored.standing(&self.purges) != Standing::Void);
        held.map(|stored| Arc::clone(stored.entry())).collect()
    }

    /// The time on the purge clock, for [`Meta::generation`]: taken before the origin is asked.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.purges.clock()
    }

    /// Purges what is in `scope`, in memory, on disk, and what is now being received: by the time this returns. What it returns
    /// is done when the purge is recorded on disk, where there is one, and will hold in the next process too.
    ///
    /// Also what a successful unsafe method does to its page (RFC 9111, 4.4): [`Scope::Page`].
    ///
    /// # Errors
    /// When it could not be recorded.
    #[must_use = "the purge is recorded while this is awaited"]
    pub fn purge(
        &self,
        scope: Scope<'_>,
        manner: Manner,
    ) -> impl Future<Output = io::Result<()>> + Send + use<'_> {
        self.counts.purges.fetch_add(1, Ordering::Relaxed);
        let records = match scope {
            Scope::Page(address) => self.searches.purge(address, manner, &self.purges),
            scope => vec![self.purges.purge(scope, manner)],
        };
        async move {
            let Some(disk) = &self.disk else { return Ok(()) };
            for record in records {
                disk.record(record, &self.purges).await?;
            }
            Ok(())
        }
    }

    /// What purges say of something that was asked for before them: what arrives may be sent, but not kept, if it is void.
    #[must_use]
    pub fn standing(&self, meta: &Meta) -> Standing {
        self.purges.standing(meta)
    }

    /// Gives back the room of what was purged, in memory; how many entries that were. Looks at every entry: not for a worker.
    ///
    /// What it looked at and left is no longer bound to the purges before, so that these may be forgotten: to be called now and
    /// then, and after every ten thousand purges.
    pub fn sweep(&self) -> usize {
        let holds =
            |stored: &crate::variants::Stored| stored.standing(&self.purges) != Standing::Void;
        let spoilt = self.memory.iter().filter(|(_, variants)| !variants.iter().all(holds));
        spoilt.map(|(key, _)| self.memory.keep_only(&key, holds)).sum()
    }

    /// Notes that the response for `key` was not storable: until then nobody waits for another's.
    pub fn mark_pass(&self, key: &Key, until: SystemTime) {
        self.passes.note(key, |_| Some(until));
    }

    /// Whether nobody is to wait for another's response for `key` now.
    #[must_use]
    pub fn is_pass(&self, key: &Key, now: SystemTime) -> bool {
        self.passes.find(key).flatten().is_some_and(|until| now < until)
    }

    /// Counts a request for `key`, for `min_uses`; how many there were, with this. Keys not asked for in long are forgotten.
    pub fn count_use(&self, key: &Key) -> u32 {
        self.uses.note(&self.likeness(key), |uses| uses.saturating_add(1))
    }

    /// The next `most` entries in memory after the key whose digest is `after`, in the order of digests. Looks at every key: not
    /// for a worker.
    #[must_use]
    pub fn list(&self, after: Option<u128>, most: usize) -> Page {
        page(self.memory.iter(), after, most, &self.purges)
    }

    /// What it holds in memory and has done.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Statistics {
            keys: self.memory.keys(),
            bytes: self.memory.bytes(),
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            evictions: self.memory.evictions(),
            purges: count(&self.counts.purges),
        }
    }
}

impl Found {
    fn with(entry: Arc<Entry>, standing: Standing) -> Self {
        match standing {
            Standing::Holds => Self::Entry(entry),
            Standing::Stale => Self::Purged(entry),
            Standing::Void => Self::Nothing,
        }
    }

    fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Entry(entry) | Self::Purged(entry) => Some(entry),
            Self::Ask | Self::Others | Self::Nothing => None,
        }
    }

    /// The better of two that answer the same request: of responses that no purge bears on, the newer.
    fn or_newer(self, other: Self) -> Self {
        let rank = |found: &Self| match found {
            Self::Entry(_) => 4,
            Self::Purged(_) => 3,
            Self::Ask => 2,
            Self::Others => 1,
            Self::Nothing => 0,
        };
        let received = |found: &Self| found.entry().map(|entry| entry.meta.times.response);
        let is_better = (rank(&other), received(&other)) > (rank(&self), received(&self));
        if is_better { other } else { self }
    }
}

/// Keys that are remembered as not storable, and as asked for: some 2 MiB each.
const MOST_MARKS: usize = 65_536;

/// Of so many hits in memory, the disk hears of one: enough for what is hot not to be taken for cold there. The same for forms that
/// were found beside what they were made of.
const TOUCHES: u64 = 16;

#[cfg(test)]
mod tests;
