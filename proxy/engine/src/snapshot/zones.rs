//! Caches, which outlive snapshots.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use ipnet::IpNet;
use parking_lot::Mutex;
use switchback_cache::disk::{self, Disk, DiskLimits};
use switchback_cache::fill::Budget;
use switchback_cache::{Address, Limits, Listed, Standing, Zone};
use switchback_conf::plan::ZonePlan;
use switchback_conf::{Code, Diagnostic};

use crate::http::cache::counters::{Counters, Outcome};
use crate::http::cache::place::Shape;
use crate::purge::{KeyPage, StoredKey, ZoneStatus};

/// A cache that may be in use.
#[derive(Debug)]
pub(crate) struct LiveZone {
    /// A number that no other has while the process runs.
    pub(crate) number: usize,
    /// What is stored.
    pub(crate) stored: Zone,
    /// What bodies may take in memory while they arrive.
    pub(crate) arriving: Arc<Budget>,
    /// What was done with it.
    pub(crate) counters: Counters,
    /// The purge clock when what purges have spoilt was last cleared away.
    swept: AtomicU64,
    /// The same of its disk; `None` before the first time. Held while it is done.
    tended: tokio::sync::Mutex<Option<u64>>,
}

/// A cache as a snapshot has it.
#[derive(Debug)]
pub(crate) struct NamedZone {
    /// Its settings.
    pub(crate) plan: ZonePlan,
    /// What keys of its routes hold, each kind once.
    pub(crate) shapes: Vec<Shape>,
    /// The cache.
    pub(crate) live: Arc<LiveZone>,
}

/// What makes a cache the same as before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// In memory alone: its name.
    Name(Box<str>),
    /// Its directory, whatever it is called: two caches must never write into one.
    Directory(PathBuf),
}

/// All caches that a snapshot, or a request of an old one, still refers to.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    known: Mutex<HashMap<Identity, Weak<LiveZone>>>,
    /// How many there have been.
    count: AtomicUsize,
    /// Whether no directory is touched.
    only_checks: bool,
}

impl Zones {
    /// For plans that are never put in force.
    pub(crate) fn only_checking() -> Self {
        Self { only_checks: true, ..Self::default() }
    }

    /// The cache of `plan`, new or known already. A directory that cannot be used is told in `found`, and memory goes on alone.
    pub(crate) fn find(&self, plan: ZonePlan, found: &mut Vec<Diagnostic>) -> NamedZone {
        let identity = match &plan.disk {
            None => Identity::Name(plan.name.clone()),
            Some(disk) => Identity::Directory(disk.path.clone()),
        };
        let mut known = self.known.lock();
        let live = known.get(&identity).and_then(Weak::upgrade);
        // Without its directory it is given another chance.
        let is_whole = |live: &Arc<LiveZone>| plan.disk.is_none() || live.stored.disk().is_some();
        if let Some(live) = live.filter(is_whole) {
            return NamedZone::new(plan, live);
        }
        let stored = match self.open(&plan, found) {
            Some(disk) => Zone::with_disk(limits(&plan), disk),
            None => Zone::new(limits(&plan)),
        };
        let live = Arc::new(LiveZone {
            number: self.count.fetch_add(1, Ordering::Relaxed),
            swept: AtomicU64::new(stored.generation()),
            stored,
            arriving: Budget::new(arriving(&plan)),
            tended: tokio::sync::Mutex::default(),
            counters: Counters::default(),
        });
        known.insert(identity, Arc::downgrade(&live));
        NamedZone::new(plan, live)
    }

    /// The directory of a zone, if it has one that can be used.
    fn open(&self, plan: &ZonePlan, found: &mut Vec<Diagnostic>) -> Option<Disk> {
        /// Enough to keep a disk busy.
        const THREADS: usize = 4;
        let disk = plan.disk.as_ref().filter(|_| !self.only_checks)?;
        let settings = disk::Settings {
            path: disk.path.clone(),
            limits: disk_limits(plan)?,
            threads: THREADS,
        };
        Disk::open(&settings)
            .map_err(|error| {
                let message = format!("zone `{}` is in memory alone: {error}", plan.name);
                let diagnostic = Diagnostic::warning(Code::ZoneDirectory, plan.at.clone(), message);
                found.push(
                    diagnostic.hint("a directory of this user, into which nobody else may write"),
                );
            })
            .ok()
    }

    /// Lets go of the names of what is gone: a cache ends with the last request that refers to it.
    pub(crate) fn forget_unused(&self) {
        self.known.lock().retain(|_, live| live.strong_count() > 0);
    }
}

impl NamedZone {
    fn new(plan: ZonePlan, live: Arc<LiveZone>) -> Self {
        Self { plan, shapes: Vec::new(), live }
    }

    /// What it holds and has done.
    pub(crate) fn status(&self) -> ZoneStatus {
        let (held, counters) = (self.live.stored.statistics(), &self.live.counters);
        let count = |outcomes: &[Outcome]| outcomes.iter().map(|one| counters.of(*one)).sum();
        ZoneStatus {
            name: self.plan.name.clone(),
            entries: held.keys,
            bytes: held.bytes,
            limit: self.plan.memory,
            hits: count(&[Outcome::Hit, Outcome::Stale, Outcome::Updating, Outcome::Revalidated]),
            misses: count(&[Outcome::Miss, Outcome::Expired]),
            evictions: held.evictions,
            purges: held.purges,
        }
    }

    /// Some of its keys.
    pub(crate) fn keys(&self, after: Option<u128>, most: usize) -> KeyPage {
        let page = self.live.stored.list(after, most);
        KeyPage { entries: page.entries.iter().map(told).collect(), next: page.next }
    }

    /// Has the cache obey these settings.
    pub(crate) fn take_over(&self) {
        self.live.stored.set_limits(limits(&self.plan));
        self.live.arriving.set_most(arriving(&self.plan));
        if let (Some(disk), Some(limits)) = (self.live.stored.disk(), disk_limits(&self.plan)) {
            disk.set_limits(limits);
        }
    }

    /// Who may purge with PURGE, if the method means that here.
    pub(crate) fn purgers(&self) -> Option<&[IpNet]> {
        self.plan.purge.as_deref()
    }
}

impl LiveZone {
    /// Gives back the memory of what was purged, if anything was. Blocks.
    pub(crate) fn sweep(&self) {
        let now = self.stored.generation();
        if self.swept.swap(now, Ordering::Relaxed) != now {
            self.stored.sweep();
        }
    }

    /// Whether its disk has to be told at once of the purges that are in force: before, what it stores ends with the process.
    pub(crate) fn is_new_on_disk(&self) -> bool {
        self.stored.disk().is_some() && self.tended.try_lock().is_ok_and(|tended| tended.is_none())
    }

    /// Learns what other processes on the same disk have purged; keeps record of what is purged here, and gives back the room of
    /// that, if anything was.
    pub(crate) async fn tend(&self) {
        /// No time of the clock.
        const FAILED: u64 = u64::MAX;
        let Ok(mut tended) = self.tended.try_lock() else { return };
        let now = self.stored.generation();
        if *tended == Some(now) {
            return self.stored.learn().await;
        }
        let has_failed = *tended == Some(FAILED);
        *tended = Some(FAILED);
        match self.stored.tend().await {
            Ok(_) => *tended = Some(now),
            Err(_) if has_failed => {}
            Err(error) => tracing::warn!(
                %error, zone = self.number,
                "purges cannot be recorded on disk: what is stored there ends with this process"
            ),
        }
    }
}

fn told(listed: &Listed) -> StoredKey {
    let meta = &listed.entry.meta;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Address { scheme, host, port, path, query } = meta.key.address();
    let colon = if port.is_empty() { "" } else { ":" };
    let mark = if query.is_empty() { "" } else { "?" };
    let origin = format!("{}://{}{colon}{}", text(scheme), text(host), text(port));
    StoredKey {
        hash: meta.key.digest(),
        url: format!("{origin}{}{mark}{}", text(path), text(query)),
        status: meta.head.status.as_u16(),
        length: listed.entry.length,
        tags: meta.tags.to_vec(),
        purged: listed.standing == Standing::Stale,
    }
}

fn disk_limits(plan: &ZonePlan) -> Option<DiskLimits> {
    let disk = plan.disk.as_ref()?;
    Some(DiskLimits {
        size: disk.size,
        min_free: disk.min_free,
        largest: plan.max_object,
        variants: plan.variants as usize,
    })
}

fn limits(plan: &ZonePlan) -> Limits {
    /// No body takes more than this part of memory.
    const LARGEST_PART: u64 = 8;
    Limits {
        memory: plan.memory,
        largest_in_memory: plan.max_object.min((plan.memory / LARGEST_PART).max(1)),
        variants: plan.variants as usize,
    }
}

/// What bodies may take together while they arrive, beside what is stored.
fn arriving(plan: &ZonePlan) -> u64 {
    /// It is this part of memory: two of the largest.
    const ARRIVING_PART: u64 = 4;
    plan.memory / ARRIVING_PART
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use switchback_conf::load_text;

    use super::*;

    fn zone(name: &str, keys: &str) -> ZonePlan {
        let site = "[[listeners]]\naddress = \":80\"\n[[sites]]\n[[sites.routes]]\nrespond = {}";
        let text = format!("{site}\n[zones.{name}]\n{keys}");
        let plan = load_text("switchback.toml", &text, &BTreeMap::new()).value;
        plan.map(|loaded| loaded.plan.zones.into_iter().next().unwrap()).unwrap()
    }

    fn find(zones: &Zones, plan: ZonePlan) -> NamedZone {
        zones.find(plan, &mut Vec::new())
    }

    #[test]
    fn a_zone_is_the_same_whatever_its_limits_are() {
        let zones = Zones::default();
        let first = find(&zones, zone("a", "memory = \"1MiB\""));
        let second = find(&zones, zone("a", "memory = \"2MiB\"\nvariants = 2"));
        assert!(Arc::ptr_eq(&first.live, &second.live));
        let other = find(&zones, zone("b", "memory = \"1MiB\""));
        assert!(!Arc::ptr_eq(&first.live, &other.live));
        assert_ne!(first.live.number, other.live.number);
    }

    #[test]
    fn a_directory_is_one_zone_whatever_it_is_called() {
        let folder = Folder::new("directory");
        let disk = &*format!("disk = {{ path = {:?}, size = \"1GiB\" }}", folder.0);
        let zones = Zones::default();
        let (first, second) = (find(&zones, zone("a", disk)), find(&zones, zone("b", disk)));
        assert!(Arc::ptr_eq(&first.live, &second.live));
        assert!(!Arc::ptr_eq(&first.live, &find(&zones, zone("a", "")).live));
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_told_and_tried_again() {
        let folder = Folder::new("chance");
        let inner = folder.0.join("not/there");
        let plan = || zone("a", &format!("disk = {{ path = {inner:?}, size = \"1GiB\" }}"));
        let zones = Zones::default();
        let mut found = Vec::new();
        let without = zones.find(plan(), &mut found);
        assert_eq!(found[0].code, Code::ZoneDirectory);
        assert!(without.live.stored.disk().is_none());
        std::fs::create_dir_all(&inner).unwrap();
        let with = zones.find(plan(), &mut found);
        assert!(with.live.stored.disk().is_some() && found.len() == 1);
        assert!(Arc::ptr_eq(&with.live, &find(&zones, plan()).live));
    }

    #[test]
    fn a_check_touches_no_directory() {
        let folder = Folder::new("check");
        let path = folder.0.join("cache");
        let plan = zone("a", &format!("disk = {{ path = {path:?}, size = \"1GiB\" }}"));
        let checked = find(&Zones::only_checking(), plan);
        assert!(checked.live.stored.disk().is_none() && !path.exists());
    }

    /// A directory that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("switchback-zones-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_zone_ends_with_the_last_that_refers_to_it() {
        let zones = Zones::default();
        let first = find(&zones, zone("a", ""));
        let (watched, held) = (Arc::downgrade(&first.live), Arc::clone(&first.live));
        drop(first);
        zones.forget_unused();
        assert!(Arc::ptr_eq(&held, &find(&zones, zone("a", "")).live), "a request has it");
        drop(held);
        assert!(watched.upgrade().is_none());
        zones.forget_unused();
        assert!(zones.known.lock().is_empty());
    }
}
