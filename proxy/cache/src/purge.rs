//! What no longer holds, without looking for it.
//!
//! A purge advances the zone's clock and notes the new time under what it purges. An entry carries the time at which it was asked
//! for ([`crate::Meta::generation`]), and is void if something that it belongs to was purged later. So a purge costs the same
//! whether it bears on one entry or on a million, reaches what is on disk and what is still being received, and is seen by the
//! next lookup. An entry in memory remembers up to which time it was looked at, so that it is looked at once per purge at most.

mod check;
mod record;
mod table;

use std::cmp::Ordering::{Equal, Greater, Less};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;
use twox_hash::XxHash3_128;

use crate::entry::Meta;
use crate::key::Address;
use crate::policy::groups::groups;
pub(crate) use check::check;
use record::Record;
use table::{Latest, Tables};

/// What is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'s> {
    /// All that is stored for one address: every method class, variant, part and slice.
    Page(Address<'s>),
    /// All that is stored for this address, whatever its query, under a rule for queries.
    Ruled(Address<'s>),
    /// Every path of this scheme, host and port that begins so; the query is not looked at.
    Prefix(Address<'s>),
    /// Every scheme and port of this host.
    Host(&'s [u8]),
    /// All with this surrogate key.
    Tag(&'s str),
    /// All of this group (RFC 9875) of this scheme, host and port.
    Group(Address<'s>, &'s str),
    /// Everything in the zone.
    All,
}

/// What becomes of what is purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It is gone.
    Hard,
    /// It is stale, and not used before it was validated, but may stand in for an error.
    Soft,
}

/// What purges say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None bears on it.
    Holds,
    /// One bears on it softly.
    Stale,
    /// It is gone.
    Void,
}

/// All purges of a zone, and its clock.
#[derive(Debug)]
pub(crate) struct Purges {
    clock: AtomicU64,
    tables: RwLock<Tables>,
    /// Up to which time purges of processes before this one and after it are known.
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    earlier: u64,
    later: u64,
}

/// What an entry belongs to that may be purged, beside its address.
#[derive(Clone, Debug)]
pub(crate) struct Labels(std::sync::Arc<[u128]>);

/// Up to which time an entry was looked at, and what was seen.
#[derive(Debug)]
pub(crate) struct Seen(AtomicU64);

impl Purges {
    /// Of a zone of which nothing outlives the process.
    pub(crate) fn new() -> Self {
        Self::at(0, Tables::default(), Heard::default())
    }

    /// As `records` of another process say; entries of a time that they do not tell of are void.
    ///
    /// The clock goes on in an epoch of its own: what a process that still runs on the same entries stores from now on counts
    /// as older than what is purged here.
    pub(crate) fn restore(records: &[Bytes]) -> Self {
        let records: Option<Vec<Record>> =
            records.iter().map(|bytes| Record::read(bytes)).collect();
        let records = records.unwrap_or_default();
        let mut tables = Tables::default();
        let last = records.iter().map(|record| record.at).max();
        for record in records {
            tables.note(record.what, record.manner, record.at);
        }
        let now = last.map_or_else(random_start, |last| (last / EPOCH + 1) * EPOCH);
        if last.is_none() {
            tables.note(table::What::Everything, Manner::Hard, now);
        }
        Self::at(now, tables, Heard { earlier: last.unwrap_or(0), later: 0 })
    }

    fn at(now: u64, tables: Tables, heard: Heard) -> Self {
        Self { clock: AtomicU64::new(now), tables: RwLock::new(tables), heard: Mutex::new(heard) }
    }

    /// Learns what other processes on the same entries have purged by now: it counts as purged here and now.
    pub(crate) fn learn(&self, records: &[Bytes]) {
        let mut heard = self.heard.lock();
        let mut tables = self.tables.write();
        let own = self.clock() / EPOCH;
        let at = self.clock() + 1;
        let Heard { earlier, later } = *heard;
        for record in records.iter().filter_map(|bytes| Record::read(bytes)) {
            let (known, heard) = match (record.at / EPOCH).cmp(&own) {
                Less => (earlier, &mut heard.earlier),
                Greater => (later, &mut heard.later),
                Equal => continue,
            };
            if record.at > known {
                *heard = record.at.max(*heard);
                tables.note(record.what, record.manner, at);
            }
        }
        self.clock.store(at, Ordering::Release);
    }

    /// The time.
    pub(crate) fn clock(&self) -> u64 {
        self.clock.load(Ordering::Acquire)
    }

    /// Notes a purge; from now on it holds. What is to be kept so that it holds in the next process too.
    pub(crate) fn purge(&self, scope: Scope<'_>, manner: Manner) -> Bytes {
        let what = scope.what();
        let mut tables = self.tables.write();
        let at = self.clock() + 1;
        let record = Record { what: what.clone(), manner, at }.write();
        tables.note(what, manner, at);
        // Last: whoever sees the new time finds it noted.
        self.clock.store(at, Ordering::Release);
        record
    }

    /// As few records as tell the next process all.
    pub(crate) fn records(&self) -> Vec<Bytes> {
        let tables = self.tables.read();
        let clock = Record { what: table::What::Nothing, manner: Manner::Hard, at: self.clock() };
        let noted = tables.all().map(|(what, manner, at)| Record { what, manner, at });
        std::iter::once(clock).chain(noted).map(|record| record.write()).collect()
    }

    /// What they say of an entry that was read from elsewhere.
    pub(crate) fn standing(&self, meta: &Meta) -> Standing {
        if meta.generation > self.clock() {
            return Standing::Void;
        }
        self.look(meta, &Labels::of(meta), &Seen::from(meta))
    }

    /// What they say of an entry that was last looked at as `seen` says, which learns of it.
    pub(crate) fn look(&self, meta: &Meta, labels: &Labels, seen: &Seen) -> Standing {
        let now = self.clock();
        let (then, was_stale) = seen.load();
        if then >= now {
            return if was_stale { Standing::Stale } else { Standing::Holds };
        }
        let latest = self.latest(meta, labels);
        if latest.hard > then {
            return Standing::Void;
        }
        let is_stale = was_stale || latest.soft > then;
        seen.store(now, is_stale);
        if is_stale { Standing::Stale } else { Standing::Holds }
    }

    fn latest(&self, meta: &Meta, labels: &Labels) -> Latest {
        let place = place(meta.key.address());
        let tables = self.tables.read();
        tables.latest(&labels.0, &place)
    }
}

impl Labels {
    /// Its page, by what rules, its tags and its groups.
    pub(crate) fn of(meta: &Meta) -> Self {
        let address = meta.key.address();
        let ruled = meta.key.is_ruled().then(|| Scope::Ruled(address).name());
        let page = std::iter::once(Scope::Page(address).name()).chain(ruled);
        let tags = meta.tags.iter().map(|tag| Scope::Tag(tag).name());
        let groups = groups(&meta.head.headers);
        let groups = groups.iter().map(|group| Scope::Group(address, group).name());
        Self(page.chain(tags).chain(groups).collect())
    }

    /// The bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        size_of_val(&*self.0)
    }
}

impl Seen {
    /// When it was asked for: everything before that bears on it no more.
    pub(crate) fn from(meta: &Meta) -> Self {
        let seen = Self(AtomicU64::new(0));
        seen.store(meta.generation, false);
        seen
    }

    fn load(&self) -> (u64, bool) {
        let packed = self.0.load(Ordering::Relaxed);
        (packed >> 1, packed & 1 == 1)
    }

    fn store(&self, at: u64, is_stale: bool) {
        self.0.store(at << 1 | u64::from(is_stale), Ordering::Relaxed);
    }
}

impl Clone for Seen {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Scope<'_> {
    fn what(self) -> table::What {
        match self {
            Self::Page(_) | Self::Ruled(_) | Self::Tag(_) | Self::Group(..) => {
                table::What::Name(self.name())
            }
            Self::Prefix(address) => table::What::Prefix(Box::from(&*place(address))),
            Self::Host(host) => table::What::Prefix(Box::from(&*host_of(host))),
            Self::All => table::What::Everything,
        }
    }

    /// What stands for it, the same in every process. Two that are alike by chance are purged together.
    fn name(self) -> u128 {
        let parts: SmallVec<[&[u8]; 6]> = match self {
            Self::Page(Address { scheme, host, port, path, query }) => {
                SmallVec::from_slice(&[b"page".as_slice(), scheme, host, port, path, query])
            }
            Self::Ruled(Address { scheme, host, port, path, .. }) => {
                SmallVec::from_slice(&[b"ruled".as_slice(), scheme, host, port, path])
            }
            Self::Group(Address { scheme, host, port, .. }, group) => {
                SmallVec::from_slice(&[b"group".as_slice(), scheme, host, port, group.as_bytes()])
            }
            Self::Tag(tag) => SmallVec::from_slice(&[b"tag".as_slice(), tag.as_bytes()]),
            Self::Prefix(_) | Self::Host(_) | Self::All => SmallVec::new(),
        };
        let mut written = Place::new();
        for part in parts {
            written.extend_from_slice(&(part.len() as u64).to_le_bytes());
            written.extend_from_slice(part);
        }
        XxHash3_128::oneshot(&written)
    }
}

/// Times of one process are so far from those of the next.
const EPOCH: u64 = 1 << 32;

/// Where an address lies among all, so that what is purged together begins alike: host, scheme, port, path.
type Place = SmallVec<[u8; 256]>;

fn place(address: Address<'_>) -> Place {
    let mut place = host_of(address.host);
    for part in [address.scheme, address.port] {
        place.extend_from_slice(part);
        place.push(0);
    }
    place.extend_from_slice(address.path);
    place
}

fn host_of(host: &[u8]) -> Place {
    let mut place = Place::from_slice(host);
    place.push(0);
    place
}

/// A time at which no other history of purges begins, but by a chance of one in 2^28: so that entries whose purges were lost are
/// not taken for younger than those.
fn random_start() -> u64 {
    (RandomState::new().hash_one(0_u8) >> 36 | 1) * EPOCH
}

#[cfg(test)]
mod tests;
