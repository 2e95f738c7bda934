//! Short notes on keys, in bounded room.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use crate::key::Key;

/// A note on each of the keys that were noted last: at least `most / 2` of them, at most `most`.
///
/// Two keys are taken for one by a chance of one in 2^64.
#[derive(Debug)]
pub(crate) struct Marks<V> {
    hashes: RandomState,
    most: usize,
    notes: Mutex<Notes<V>>,
}

/// When the younger half is full, it becomes the older one, and what that held is forgotten.
#[derive(Debug)]
struct Notes<V> {
    younger: HashMap<u64, V>,
    older: HashMap<u64, V>,
}

impl<V: Copy + Default> Marks<V> {
    pub(crate) fn new(most: usize) -> Self {
        let notes = Notes { younger: HashMap::new(), older: HashMap::new() };
        Self { hashes: RandomState::new(), most, notes: Mutex::new(notes) }
    }

    /// The note on `key`.
    pub(crate) fn find(&self, key: &Key) -> Option<V> {
        let hash = self.hashes.hash_one(key);
        let notes = self.notes.lock();
        notes.younger.get(&hash).or_else(|| notes.older.get(&hash)).copied()
    }

    /// Changes the note on `key`, or makes one; what it is then.
    pub(crate) fn note(&self, key: &Key, change: impl FnOnce(V) -> V) -> V {
        let hash = self.hashes.hash_one(key);
        let mut notes = self.notes.lock();
        let note = notes.younger.remove(&hash).or_else(|| notes.older.remove(&hash));
        let note = change(note.unwrap_or_default());
        if notes.younger.len() >= self.most / 2 {
            notes.older = std::mem::take(&mut notes.younger);
        }
        notes.younger.insert(hash, note);
        note
    }

    /// Forgets the note on `key`.
    pub(crate) fn forget(&self, key: &Key) {
        let hash = self.hashes.hash_one(key);
        let mut notes = self.notes.lock();
        notes.younger.remove(&hash);
        notes.older.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;
    use crate::key::{Address, Key, KeyBuilder};

    fn key(number: u32) -> Key {
        KeyBuilder::template(b"", &number.to_le_bytes(), Address::default()).build()
    }

    #[test]
    fn the_last_ones_are_remembered_and_the_first_forgotten() {
        let marks: Marks<u32> = Marks::new(100);
        (0..1000).for_each(|number| {
            marks.note(&key(number), |_| number);
        });
        let known = (0..1000).filter(|number| marks.find(&key(*number)) == Some(*number)).count();
        assert!((50..=100).contains(&known), "{known}");
        assert!((950..1000).all(|number| marks.find(&key(number)) == Some(number)));
    }

    #[test]
    fn what_is_noted_often_stays() {
        let marks: Marks<u32> = Marks::new(100);
        for number in 0..1000 {
            marks.note(&key(number), |_| 0);
            assert_eq!(marks.note(&key(5000), |count| count + 1), number + 1);
        }
        marks.forget(&key(5000));
        assert_eq!(marks.find(&key(5000)), None);
    }
}
