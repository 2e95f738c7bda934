//! What is in the directory, in memory: a slot of 24 bytes for each entry and a place of 16 in the order of eviction.
//!
//! Eviction is S3-FIFO: what is new waits in a small queue for a second use before it joins the main one, so that what is asked
//! for once does not drive out what is asked for often; what comes back soon after it was driven out joins the main one at once.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashTable;
use parking_lot::Mutex;

use super::name::{KeyHash, Name, SHARDS, Shard};

/// What lengths are counted in: what a file system gives room in.
const UNIT: u64 = 4096;

/// More uses than this say nothing more.
const MOST_USES: u8 = 3;

/// How many places are looked at to find one entry to evict.
const MOST_STEPS: usize = 100_000;

/// All entries known.
#[derive(Debug)]
pub(super) struct Index {
    shards: Vec<Part>,
    order: Mutex<Order>,
    entries: AtomicU64,
    units: AtomicU64,
    small_units: AtomicU64,
}

#[derive(Debug, Default)]
struct Part {
    slots: Mutex<HashTable<Slot>>,
    /// Whether every name in the directory is here.
    is_known: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: KeyHash,
    variant: u32,
    /// 0 where the length is not known yet.
    units: u32,
    /// Of its place in a queue; 0 where it has none yet.
    ticket: u32,
    uses: u8,
    is_small: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    name: Name,
    ticket: u32,
}

#[derive(Debug, Default)]
struct Order {
    small: VecDeque<Place>,
    main: VecDeque<Place>,
    ghosts: Ghosts,
    last_ticket: u32,
}

/// Names that left the small queue unused, as many as the main queue is long.
#[derive(Debug, Default)]
struct Ghosts {
    line: VecDeque<u32>,
    set: HashSet<u32>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Part::default()).collect(),
            order: Mutex::default(),
            entries: AtomicU64::new(0),
            units: AtomicU64::new(0),
            small_units: AtomicU64::new(0),
        }
    }
}

impl Index {
    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.units.load(Ordering::Relaxed) * UNIT
    }

    pub(super) fn is_known(&self, shard: Shard) -> bool {
        self.part(shard).is_known.load(Ordering::Acquire)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.shards.iter().all(|part| part.is_known.load(Ordering::Acquire))
    }

    /// Whether every entry has its place in the order of eviction.
    #[cfg(test)]
    pub(super) fn is_queued(&self) -> bool {
        let is_queued = |part: &Part| part.slots.lock().iter().all(|slot| slot.ticket != 0);
        self.is_complete() && self.shards.iter().all(is_queued)
    }

    /// Every name in the directory of `shard` was added.
    pub(super) fn set_known(&self, shard: Shard) {
        self.part(shard).is_known.store(true, Ordering::Release);
    }

    pub(super) fn contains(&self, key: KeyHash) -> bool {
        let slots = self.part(key.shard()).slots.lock();
        slots.find(spot(key), |slot| slot.key == key).is_some()
    }

    /// The names under `key`.
    pub(super) fn find(&self, key: KeyHash) -> Vec<Name> {
        let slots = self.part(key.shard()).slots.lock();
        slots.iter_hash(spot(key)).filter(|slot| slot.key == key).map(Slot::name).collect()
    }

    /// Everything under `key` is of use.
    pub(super) fn touch(&self, key: KeyHash) {
        let mut slots = self.part(key.shard()).slots.lock();
        for slot in slots.iter_hash_mut(spot(key)).filter(|slot| slot.key == key) {
            slot.uses = (slot.uses + 1).min(MOST_USES);
        }
    }

    /// A name that was seen in the directory, of which nothing else is known.
    pub(super) fn add_name(&self, name: Name) {
        let mut slots = self.part(name.key.shard()).slots.lock();
        if slots.find(spot(name.key), |slot| slot.name() == name).is_none() {
            let slot = Slot {
                key: name.key,
                variant: name.variant,
                units: 0,
                ticket: 0,
                uses: 0,
                is_small: false,
            };
            slots.insert_unique(spot(name.key), slot, |slot| spot(slot.key));
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The names in `shard` whose length is not known yet.
    pub(super) fn without_length(&self, shard: Shard) -> Vec<Name> {
        let slots = self.part(shard).slots.lock();
        slots.iter().filter(|slot| slot.units == 0).map(Slot::name).collect()
    }

    /// All names in `shard`.
    pub(super) fn names(&self, shard: Shard) -> Vec<Name> {
        self.part(shard).slots.lock().iter().map(Slot::name).collect()
    }

    /// The length of a file that was seen; nothing if it is known better, or gone.
    pub(super) fn set_length(&self, name: Name, length: u64) {
        let mut slots = self.part(name.key.shard()).slots.lock();
        let slot = slots.find_mut(spot(name.key), |slot| slot.name() == name);
        if let Some(slot) = slot.filter(|slot| slot.units == 0) {
            self.resize(slot, length);
        }
    }

    /// Queues those that were found in the directory, the one to evict first at the front.
    pub(super) fn queue_found(&self, names: impl IntoIterator<Item = Name>) {
        let mut order = self.order.lock();
        for name in names {
            let mut slots = self.part(name.key.shard()).slots.lock();
            let slot = slots.find_mut(spot(name.key), |slot| slot.name() == name);
            let Some(slot) = slot.filter(|slot| slot.ticket == 0) else { continue };
            slot.ticket = order.ticket();
            order.main.push_back(Place { name, ticket: slot.ticket });
        }
    }

    /// A file that was just written.
    pub(super) fn insert(&self, name: Name, length: u64) {
        let mut order = self.order.lock();
        let mut slots = self.part(name.key.shard()).slots.lock();
        if let Some(slot) = slots.find_mut(spot(name.key), |slot| slot.name() == name) {
            self.resize(slot, length);
            if slot.ticket == 0 {
                slot.ticket = order.ticket();
                order.main.push_back(Place { name, ticket: slot.ticket });
            }
            return;
        }
        let is_small = !order.ghosts.remove(ghost_of(name));
        let ticket = order.ticket();
        let queue = if is_small { &mut order.small } else { &mut order.main };
        queue.push_back(Place { name, ticket });
        let mut slot =
            Slot { key: name.key, variant: name.variant, units: 0, ticket, uses: 0, is_small };
        self.resize(&mut slot, length);
        slots.insert_unique(spot(name.key), slot, |slot| spot(slot.key));
        self.entries.fetch_add(1, Ordering::Relaxed);
        drop(slots);
        self.drop_dead_places(&mut order);
    }

    /// Of the variants of `name`'s key the one to give up, when there are more than `most`: never `name` itself.
    pub(super) fn surplus_variant(&self, name: Name, most: usize) -> Option<Name> {
        let mut slots = self.part(name.key.shard()).slots.lock();
        let all = || slots.iter_hash(spot(name.key)).filter(|slot| slot.key == name.key);
        if all().count() <= most {
            return None;
        }
        let others = all().filter(|slot| slot.variant != name.variant);
        let surplus = others.min_by_key(|slot| (slot.uses, slot.ticket)).map(Slot::name)?;
        self.take(&mut slots, surplus);
        Some(surplus)
    }

    /// Places of what was removed otherwise are passed over when they come up; here they go before they are too many.
    fn drop_dead_places(&self, order: &mut Order) {
        let places = (order.small.len() + order.main.len()) as u64;
        if places <= 2 * self.entries() + 1024 {
            return;
        }
        let lives = |place: &Place| {
            let slots = self.part(place.name.key.shard()).slots.lock();
            slots.find(spot(place.name.key), |slot| slot.is_at(*place)).is_some()
        };
        order.small.retain(lives);
        order.main.retain(lives);
    }

    /// Whether it was there.
    pub(super) fn remove(&self, name: Name) -> bool {
        let mut slots = self.part(name.key.shard()).slots.lock();
        self.take(&mut slots, name)
    }

    /// Takes out the entry that is the least loss; its file is still there.
    pub(super) fn evict(&self) -> Option<Name> {
        let mut order = self.order.lock();
        for _ in 0..MOST_STEPS {
            let small = self.small_units.load(Ordering::Relaxed);
            let is_small_full = small * 10 >= self.units.load(Ordering::Relaxed);
            let from_small = !order.small.is_empty() && (is_small_full || order.main.is_empty());
            let queue = if from_small { &mut order.small } else { &mut order.main };
            let Some(place) = queue.pop_front() else { break };
            let evicted = match from_small {
                true => self.leave_small(&mut order, place),
                false => self.leave_main(&mut order, place),
            };
            if let Some(name) = evicted {
                return Some(name);
            }
        }
        drop(order);
        self.evict_unqueued()
    }

    fn leave_small(&self, order: &mut Order, place: Place) -> Option<Name> {
        let mut slots = self.part(place.name.key.shard()).slots.lock();
        let slot = slots.find_mut(spot(place.name.key), |slot| slot.is_at(place))?;
        if slot.uses > 0 {
            slot.uses = 0;
            slot.is_small = false;
            self.small_units.fetch_sub(u64::from(slot.units), Ordering::Relaxed);
            order.main.push_back(place);
            return None;
        }
        self.take(&mut slots, place.name);
        order.ghosts.add(ghost_of(place.name), order.main.len());
        Some(place.name)
    }

    fn leave_main(&self, order: &mut Order, place: Place) -> Option<Name> {
        let mut slots = self.part(place.name.key.shard()).slots.lock();
        let slot = slots.find_mut(spot(place.name.key), |slot| slot.is_at(place))?;
        if slot.uses > 0 {
            slot.uses -= 1;
            order.main.push_back(place);
            return None;
        }
        self.take(&mut slots, place.name);
        Some(place.name)
    }

    /// While the directory is still being looked at, most entries have no place yet: any one of them.
    fn evict_unqueued(&self) -> Option<Name> {
        self.shards.iter().find_map(|part| {
            let mut slots = part.slots.lock();
            let name = slots.iter().find(|slot| slot.ticket == 0).map(Slot::name)?;
            self.take(&mut slots, name);
            Some(name)
        })
    }

    fn take(&self, slots: &mut HashTable<Slot>, name: Name) -> bool {
        let Ok(found) = slots.find_entry(spot(name.key), |slot| slot.name() == name) else {
            return false;
        };
        let (slot, _) = found.remove();
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.units.fetch_sub(u64::from(slot.units), Ordering::Relaxed);
        if slot.is_small {
            self.small_units.fetch_sub(u64::from(slot.units), Ordering::Relaxed);
        }
        true
    }

    fn resize(&self, slot: &mut Slot, length: u64) {
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let change = |total: &AtomicU64| {
            total.fetch_add(u64::from(units), Ordering::Relaxed);
            total.fetch_sub(u64::from(slot.units), Ordering::Relaxed);
        };
        change(&self.units);
        if slot.is_small {
            change(&self.small_units);
        }
        slot.units = units;
    }

    fn part(&self, shard: Shard) -> &Part {
        // As many as there are shards.
        &self.shards[shard.index()]
    }
}

impl Slot {
    fn name(&self) -> Name {
        Name { key: self.key, variant: self.variant }
    }

    fn is_at(&self, place: Place) -> bool {
        self.name() == place.name && self.ticket == place.ticket
    }
}

impl Order {
    /// Never 0, and not soon the same.
    fn ticket(&mut self) -> u32 {
        self.last_ticket = self.last_ticket.wrapping_add(1).max(1);
        self.last_ticket
    }
}

impl Ghosts {
    fn add(&mut self, ghost: u32, most: usize) {
        if self.set.insert(ghost) {
            self.line.push_back(ghost);
        }
        while self.line.len() > most.max(1024) {
            if let Some(oldest) = self.line.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, ghost: u32) -> bool {
        self.set.remove(&ghost)
    }
}

/// Where the table looks: its tags are of the first bits, which are the same in all of a shard.
fn spot(key: KeyHash) -> u64 {
    key.0.rotate_left(6)
}

fn ghost_of(name: Name) -> u32 {
    // The lower half: the upper one names the shard.
    name.key.0 as u32 ^ name.variant
}
