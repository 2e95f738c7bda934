//! What plugins keep: values by key in stores by name, shared by all plugins that name the same one. They outlive configurations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use switchback_plugin::{Outcome, StoreAction, StoreOperation};

/// Bytes that one store keeps, keys and what each takes beside counted.
const ROOM: usize = 64 << 20;
/// The most stores.
const MOST_STORES: usize = 256;
/// What an entry takes beside its key and value.
const BESIDE: usize = 160;

/// All stores.
#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<HashMap<Box<str>, Arc<Mutex<Store>>>>);

#[derive(Debug, Default)]
struct Store {
    entries: HashMap<Bytes, Entry>,
    /// Keys, those first that were not asked for longest.
    order: BTreeMap<u64, Bytes>,
    /// The number of the last use.
    uses: u64,
    taken: usize,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    until: Option<Instant>,
    used: u64,
}

impl Stores {
    /// Does what `operation` says. `None` where there is no room for one more store, or for the value.
    pub(crate) fn operate(&self, operation: StoreOperation, now: Instant) -> Option<Outcome> {
        let StoreOperation { store, key, action } = operation;
        let store = {
            let mut stores = self.0.lock();
            match stores.get(&*store) {
                Some(known) => Arc::clone(known),
                None if stores.len() >= MOST_STORES => return None,
                None => Arc::clone(stores.entry(store.into()).or_default()),
            }
        };
        // A key may be part of a request that has been read as a whole.
        let key = Bytes::copy_from_slice(&key);
        store.lock().operate(key, action, now)
    }
}

impl Store {
    fn operate(&mut self, key: Bytes, action: StoreAction, now: Instant) -> Option<Outcome> {
        let is_over = |entry: &Entry| entry.until.is_some_and(|until| until <= now);
        if self.entries.get(&key).is_some_and(is_over) {
            self.remove(&key);
        }
        Some(match action {
            StoreAction::Get => match self.get(&key) {
                Some(value) => Outcome::Value(value),
                None => Outcome::Done,
            },
            StoreAction::Put { value, ttl } => {
                self.put(key, value, until(ttl, now))?;
                Outcome::Done
            }
            StoreAction::Swap { expected, value, ttl } => {
                let there = self.get(&key);
                if there != expected {
                    return Some(Outcome::Swapped { done: false, now: there });
                }
                self.put(key, value.clone(), until(ttl, now))?;
                Outcome::Swapped { done: true, now: Some(value) }
            }
            StoreAction::Add { delta, ttl } => {
                let there = self.entries.get(&key);
                let until = there.map_or_else(|| until(ttl, now), |entry| entry.until);
                let number =
                    there.and_then(|entry| std::str::from_utf8(&entry.value).ok()?.parse().ok());
                let sum = number.unwrap_or(0_i64).saturating_add(delta);
                let sum = Bytes::from(sum.to_string());
                self.put(key, sum.clone(), until)?;
                Outcome::Value(sum)
            }
            StoreAction::Remove => {
                self.remove(&key);
                Outcome::Done
            }
            _ => return None,
        })
    }

    fn get(&mut self, key: &Bytes) -> Option<Bytes> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some(entry.value.clone())
    }

    fn put(&mut self, key: Bytes, value: Bytes, until: Option<Instant>) -> Option<()> {
        let size = key.len() + value.len() + BESIDE;
        if size > ROOM / 8 {
            return None;
        }
        self.remove(&key);
        self.taken += size;
        while self.taken > ROOM {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { value, until, used: self.uses });
        Some(())
    }

    fn remove(&mut self, key: &Bytes) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.taken = self.taken.saturating_sub(key.len() + entry.value.len() + BESIDE);
        }
    }
}

fn until(ttl: Option<Duration>, now: Instant) -> Option<Instant> {
    ttl.and_then(|ttl| now.checked_add(ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(stores: &Stores, key: &str, action: StoreAction, now: Instant) -> Option<Outcome> {
        let key = Bytes::copy_from_slice(key.as_bytes());
        stores.operate(StoreOperation { store: "s".into(), key, action }, now)
    }

    fn put(value: impl Into<Bytes>, ttl: Option<u64>) -> StoreAction {
        StoreAction::Put { value: value.into(), ttl: ttl.map(Duration::from_secs) }
    }

    #[test]
    fn values_are_kept_until_their_time_is_over() {
        let (stores, now) = (Stores::default(), Instant::now());
        assert_eq!(act(&stores, "a", StoreAction::Get, now), Some(Outcome::Done));
        act(&stores, "a", put("1", Some(5)), now);
        let later = now + Duration::from_secs(4);
        assert_eq!(act(&stores, "a", StoreAction::Get, later), Some(Outcome::Value("1".into())));
        let late = now + Duration::from_secs(5);
        assert_eq!(act(&stores, "a", StoreAction::Get, late), Some(Outcome::Done));
    }

    #[test]
    fn numbers_are_added_and_keep_their_time() {
        let (stores, now) = (Stores::default(), Instant::now());
        let add = |delta| StoreAction::Add { delta, ttl: Some(Duration::from_secs(5)) };
        assert_eq!(act(&stores, "n", add(2), now), Some(Outcome::Value("2".into())));
        let later = now + Duration::from_secs(4);
        assert_eq!(act(&stores, "n", add(-5), later), Some(Outcome::Value("-3".into())));
        let late = now + Duration::from_secs(6);
        assert_eq!(act(&stores, "n", add(1), late), Some(Outcome::Value("1".into())));
    }

    #[test]
    fn a_value_is_swapped_only_for_the_one_that_was_expected() {
        let (stores, now) = (Stores::default(), Instant::now());
        let swap = |expected: Option<&'static str>, value: &'static str| StoreAction::Swap {
            expected: expected.map(Bytes::from),
            value: value.into(),
            ttl: None,
        };
        let swapped = |done, now: Option<&'static str>| {
            Some(Outcome::Swapped { done, now: now.map(Bytes::from) })
        };
        assert_eq!(act(&stores, "k", swap(Some("x"), "a"), now), swapped(false, None));
        assert_eq!(act(&stores, "k", swap(None, "a"), now), swapped(true, Some("a")));
        assert_eq!(act(&stores, "k", swap(None, "b"), now), swapped(false, Some("a")));
        assert_eq!(act(&stores, "k", StoreAction::Remove, now), Some(Outcome::Done));
        assert_eq!(act(&stores, "k", swap(None, "b"), now), swapped(true, Some("b")));
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let (stores, now) = (Stores::default(), Instant::now());
        let large = || put(vec![0; ROOM / 8 - 1000], None);
        for key in ["0", "1", "2", "3", "4", "5", "6", "7"] {
            act(&stores, key, large(), now);
        }
        act(&stores, "0", StoreAction::Get, now);
        act(&stores, "8", large(), now);
        assert!(matches!(act(&stores, "0", StoreAction::Get, now), Some(Outcome::Value(_))));
        assert_eq!(act(&stores, "1", StoreAction::Get, now), Some(Outcome::Done));
        assert_eq!(act(&stores, "9", put(vec![0; ROOM / 8], None), now), None);
    }
}
