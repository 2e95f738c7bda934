//! Values that remember where they were written.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};

use crate::diagnostic::Location;

/// A value and where it was written. Compares, hashes and shows as the value alone.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where; [`Location::none`] when it was built in code.
    pub at: Location,
}

impl<T> At<T> {
    pub(crate) fn new(value: T, at: Location) -> Self {
        Self { value, at }
    }
}

impl<T: AsRef<str>> At<T> {
    /// Where the bytes `range` of this text were written; the whole of it where that cannot be told.
    pub(crate) fn within(&self, range: Range<usize>) -> Location {
        self.at.within(self.value.as_ref(), range)
    }
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self { value, at: Location::none() }
    }
}

impl<'a> From<&'a str> for At<Box<str>> {
    fn from(value: &'a str) -> Self {
        Self::from(Box::from(value))
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: Hash> Hash for At<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
