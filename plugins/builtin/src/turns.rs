//! A bound on how many do something at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many may do something at the same time.
#[derive(Debug)]
pub(crate) struct Turns {
    taken: AtomicUsize,
    most: usize,
}

impl Turns {
    pub(crate) const fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    /// A turn, if there is one left; given back when dropped: also when a client goes away while a hook waits.
    pub(crate) fn take(&self) -> Option<Turn<'_>> {
        let next = |taken| (taken < self.most).then_some(taken + 1);
        let took = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        took.is_ok().then_some(Turn(&self.taken))
    }
}

/// One of them.
pub(crate) struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_given_back() {
        let turns = Turns::new(2);
        let first = turns.take();
        let second = turns.take();
        assert!(first.is_some() && second.is_some() && turns.take().is_none());
        drop(first);
        assert!(turns.take().is_some());
    }
}
