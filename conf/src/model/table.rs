//! Collections as an operator writes them.

use std::ops::Deref;

use crate::at::At;

/// Keys with values, in the order they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<K, V>(Vec<(At<K>, V)>);

impl<K, V> Table<K, V> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn from_entries(entries: Vec<(At<K>, V)>) -> Self {
        Self(entries)
    }

    /// The entries with the places of their keys.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&At<K>, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (&key.value, value))
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: PartialEq, V> Table<K, V> {
    /// The value of `key`, looked for one by one.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<&V> {
        self.0.iter().find(|(own, _)| own.value == *key).map(|(_, value)| value)
    }

    /// Puts in an entry, at the end unless its key is there already.
    pub fn insert(&mut self, key: K, value: V) {
        match self.0.iter_mut().find(|(own, _)| own.value == key) {
            Some((_, own)) => *own = value,
            None => self.0.push((key.into(), value)),
        }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::new();
        entries.into_iter().for_each(|(key, value)| table.insert(key, value));
        table
    }
}

/// A list that may be written as its only element.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(one: T) -> Self {
        Self(vec![one])
    }
}

impl<T> FromIterator<T> for OneOrMany<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}
