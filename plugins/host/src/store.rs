//! What plugins keep: values under keys, in stores with names, of which each has a bound.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use switchback_plugin::{Change, OperationError, Outcome, StoreOperation};

/// How many parts a store has, each with a lock of its own.
const PARTS: usize = 8;

/// What an entry takes beside its key and value, about.
const OVERHEAD: usize = 160;

/// All stores of a process. They outlive configurations.
///
/// What is there longest without being asked for goes first when a store is full. Each action on a key happens at once, whoever else is
/// at it.
pub struct Store {
    stores: RwLock<HashMap<Box<str>, Arc<Named>>>,
    bounds: Bounds,
    hasher: RandomState,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many stores there are at most.
    pub stores: usize,
    /// How many bytes each takes, of keys, values and what they need beside. One value has an eighth of it at most.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 256 stores of 64 MiB.
    fn default() -> Self {
        Self { stores: 256, bytes: 64 << 20 }
    }
}

#[derive(Default)]
struct Named {
    parts: [Mutex<Part>; PARTS],
}

/// Keys of one store that are under one lock.
#[derive(Default)]
struct Part {
    entries: HashMap<Bytes, Entry>,
    /// By when they were asked for.
    order: BTreeMap<u64, Bytes>,
    /// How often something was asked for.
    asked: u64,
    bytes: usize,
}

struct Entry {
    value: Bytes,
    until: Option<Instant>,
    asked: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Store {
    /// With nothing in it.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { stores: RwLock::default(), bounds, hasher: RandomState::new() }
    }

    /// Does one thing. Times to live are of a clock that is never set: `now` is handed down.
    ///
    /// # Errors
    ///
    /// [`OperationError::Failed`] as [`StoreAction::apply`](switchback_plugin::StoreAction::apply), [`OperationError::TooLarge`] for what is
    /// more than its store takes, [`OperationError::Refused`] for one store too many.
    pub fn run(&self, operation: &StoreOperation, now: Instant) -> Result<Outcome, OperationError> {
        let store = self.named(&operation.store)?;
        let hash = self.hasher.hash_one(&operation.key);
        let place = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        let part = store.parts.get(place).ok_or(OperationError::Failed)?;
        part.lock().run(operation, now, self.bounds.bytes / PARTS)
    }

    /// How many keys there are in a store, also those whose time is over and that nobody has asked for since.
    #[must_use]
    pub fn len(&self, store: &str) -> usize {
        let stores = self.stores.read();
        stores
            .get(store)
            .map_or(0, |store| store.parts.iter().map(|part| part.lock().entries.len()).sum())
    }

    fn named(&self, name: &str) -> Result<Arc<Named>, OperationError> {
        if let Some(store) = self.stores.read().get(name) {
            return Ok(Arc::clone(store));
        }
        let mut stores = self.stores.write();
        if stores.len() >= self.bounds.stores && !stores.contains_key(name) {
            return Err(OperationError::Refused);
        }
        Ok(Arc::clone(stores.entry(name.into()).or_default()))
    }
}

impl Part {
    fn run(
        &mut self,
        operation: &StoreOperation,
        now: Instant,
        bound: usize,
    ) -> Result<Outcome, OperationError> {
        let key = &operation.key;
        if self.entries.get(key).is_some_and(|entry| entry.until.is_some_and(|until| until <= now))
        {
            self.remove(key);
        }
        self.touch(key);
        let there = self.entries.get(key);
        let (change, outcome) = operation.action.apply(there.map(|entry| &entry.value))?;
        match change {
            Change::None => {}
            Change::Remove => self.remove(key),
            Change::Put(value, ttl) => {
                // Beyond what the clock can say is for ever.
                let until = ttl.and_then(|ttl| now.checked_add(ttl));
                self.put(key, &value, until, bound)?;
            }
            Change::Replace(value) => {
                let until = there.and_then(|entry| entry.until);
                self.put(key, &value, until, bound)?;
            }
        }
        Ok(outcome)
    }

    /// Notes that a key was asked for.
    fn touch(&mut self, key: &Bytes) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.asked += 1;
        if let Some(key) = self.order.remove(&entry.asked) {
            self.order.insert(self.asked, key);
        }
        entry.asked = self.asked;
    }

    fn put(
        &mut self,
        key: &Bytes,
        value: &Bytes,
        until: Option<Instant>,
        bound: usize,
    ) -> Result<(), OperationError> {
        let size = size(key, value);
        if size > bound {
            return Err(OperationError::TooLarge);
        }
        self.remove(key);
        while self.bytes + size > bound {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
        }
        self.asked += 1;
        self.bytes += size;
        // Copies of their own: what a plugin hands over may be a piece of something large.
        let key = Bytes::copy_from_slice(key);
        let value = Bytes::copy_from_slice(value);
        self.order.insert(self.asked, key.clone());
        self.entries.insert(key, Entry { value, until, asked: self.asked });
        Ok(())
    }

    fn remove(&mut self, key: &Bytes) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.bytes -= size(key, &entry.value);
        self.order.remove(&entry.asked);
    }
}

fn size(key: &Bytes, value: &Bytes) -> usize {
    key.len() + value.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use proptest::prelude::*;
    use switchback_plugin::StoreAction;

    use super::*;

    fn operation(key: &[u8], action: StoreAction) -> StoreOperation {
        StoreOperation { store: "s".to_owned(), key: Bytes::copy_from_slice(key), action }
    }

    fn put(value: &str, ttl: Option<u64>) -> StoreAction {
        StoreAction::Put { value: value.to_owned().into(), ttl: ttl.map(Duration::from_secs) }
    }

    fn get(store: &Store, key: &[u8], now: Instant) -> Option<Bytes> {
        match store.run(&operation(key, StoreAction::Get), now).unwrap() {
            Outcome::Value(value) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn what_has_a_time_is_forgotten_after_it() {
        let (store, now) = (Store::default(), Instant::now());
        assert_eq!(get(&store, b"k", now), None);
        store.run(&operation(b"k", put("v", Some(2))), now).unwrap();
        let late = now + Duration::from_secs(2);
        assert_eq!(get(&store, b"k", late - Duration::from_nanos(1)), Some("v".into()));
        assert_eq!(get(&store, b"k", late), None);
        assert_eq!(store.len("s"), 0);
    }

    #[test]
    fn adding_keeps_the_time_of_the_first() {
        let (store, now) = (Store::default(), Instant::now());
        let add = |delta, ttl| {
            let ttl = Some(Duration::from_secs(ttl));
            operation(b"k", StoreAction::Add { delta, ttl })
        };
        assert_eq!(store.run(&add(2, 1), now), Ok(Outcome::Value("2".into())));
        let late = now + Duration::from_secs(1);
        let before = late - Duration::from_nanos(1);
        assert_eq!(store.run(&add(-5, 9), before), Ok(Outcome::Value("-3".into())));
        assert_eq!(store.run(&add(1, 9), late), Ok(Outcome::Value("1".into())));
    }

    #[test]
    fn nothing_is_added_to_what_is_no_number() {
        let (store, now) = (Store::default(), Instant::now());
        store.run(&operation(b"k", put("one", None)), now).unwrap();
        let add = operation(b"k", StoreAction::Add { delta: 1, ttl: None });
        assert_eq!(store.run(&add, now), Err(OperationError::Failed));
        assert_eq!(get(&store, b"k", now), Some("one".into()));
    }

    #[test]
    fn a_value_is_swapped_only_for_the_one_that_was_expected() {
        let (store, now) = (Store::default(), Instant::now());
        let swap = |expected: Option<&'static str>, value: &'static str| {
            let expected = expected.map(Bytes::from);
            let action = StoreAction::Swap { expected, value: value.into(), ttl: None };
            store.run(&operation(b"k", action), now)
        };
        let swapped = |done, now: Option<&'static str>| {
            Ok(Outcome::Swapped { done, now: now.map(Bytes::from) })
        };
        assert_eq!(swap(Some("x"), "a"), swapped(false, None));
        assert_eq!(swap(None, "a"), swapped(true, Some("a")));
        assert_eq!(swap(None, "b"), swapped(false, Some("a")));
        let remove = operation(b"k", StoreAction::Remove);
        assert_eq!(store.run(&remove, now), Ok(Outcome::Done));
        assert_eq!(swap(None, "b"), swapped(true, Some("b")));
    }

    #[test]
    fn stores_do_not_see_each_other() {
        let (store, now) = (Store::default(), Instant::now());
        store.run(&operation(b"k", put("v", None)), now).unwrap();
        let other = StoreOperation { store: "other".into(), ..operation(b"k", StoreAction::Get) };
        assert_eq!(store.run(&other, now), Ok(Outcome::Done));
    }

    #[test]
    fn there_is_a_bound_to_stores_and_to_values() {
        let now = Instant::now();
        let store = Store::new(Bounds { stores: 1, bytes: PARTS * 1000 });
        let large = operation(b"k", put(&"x".repeat(1000), None));
        assert_eq!(store.run(&large, now), Err(OperationError::TooLarge));
        let other = StoreOperation { store: "other".into(), ..operation(b"k", StoreAction::Get) };
        assert_eq!(store.run(&other, now), Err(OperationError::Refused));
    }

    #[test]
    fn a_store_never_takes_more_than_its_bound() {
        let now = Instant::now();
        let store = Store::new(Bounds { stores: 1, bytes: PARTS * 1000 });
        for key in 0..1000_u32 {
            store.run(&operation(&key.to_be_bytes(), put("xx", None)), now).unwrap();
        }
        let most = PARTS * (1000 / size(&Bytes::from_static(b"keys"), &Bytes::from_static(b"xx")));
        let there = store.len("s");
        assert!((1..=most).contains(&there), "{there} of {most}");
        assert_eq!(get(&store, &999_u32.to_be_bytes(), now), Some("xx".into()));
    }

    #[test]
    fn no_addition_is_lost_between_threads() {
        let (store, now) = (Store::default(), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let add = StoreAction::Add { delta: 1, ttl: None };
                        store.run(&operation(b"k", add), now).unwrap();
                    }
                });
            }
        });
        assert_eq!(get(&store, b"k", now), Some("2000".into()));
    }

    proptest! {
        /// Against a list in the order of use, from which the first is dropped while there is too much.
        #[test]
        fn what_was_not_asked_for_longest_goes_first(
            steps in prop::collection::vec((0_u8..12, 0_u8..4, 0_usize..300), 1..200)
        ) {
            let (bound, now) = (2000, Instant::now());
            let mut part = Part::default();
            let mut model: VecDeque<(Bytes, Bytes)> = VecDeque::new();
            for (key, action, length) in steps {
                let key = Bytes::from(vec![key]);
                let value = Bytes::from(vec![b'x'; length]);
                let at = model.iter().position(|(other, _)| *other == key);
                let there = at.and_then(|at| model.remove(at));
                let action = match action {
                    0 => StoreAction::Remove,
                    1 | 2 => StoreAction::Put { value: value.clone(), ttl: None },
                    _ => StoreAction::Get,
                };
                let outcome = part.run(&operation(&key, action.clone()), now, bound).unwrap();
                match action {
                    StoreAction::Get => {
                        let value = there.as_ref().map(|(_, value)| value.clone());
                        prop_assert_eq!(outcome, value.map_or(Outcome::Done, Outcome::Value));
                        model.extend(there);
                    }
                    StoreAction::Put { .. } => model.push_back((key, value)),
                    _ => {}
                }
                let total = |model: &VecDeque<(Bytes, Bytes)>| -> usize {
                    model.iter().map(|(key, value)| size(key, value)).sum()
                };
                while total(&model) > bound {
                    model.pop_front();
                }
                prop_assert_eq!(part.bytes, total(&model));
                prop_assert_eq!(part.entries.len(), model.len());
                prop_assert!(part.order.values().eq(model.iter().map(|(key, _)| key)));
            }
        }
    }
}
