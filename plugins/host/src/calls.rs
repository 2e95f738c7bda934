//! How often a plugin was called: counted at every call, so that it costs next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::watch::{self, Post};

/// Threads with a place of their own; the rest share one.
const PLACES: usize = 31;

/// A number that only grows, of many threads.
///
/// Each thread counts on a cache line of its own, without the bus: as many as there are places, at least. A place is used by another thread
/// only when its own has ended.
#[derive(Default)]
pub struct Calls {
    own: [Place; PLACES],
    shared: Place,
}

#[derive(Default)]
#[repr(align(64))]
struct Place(AtomicU64);

impl Calls {
    /// One more. Returns how many of this thread there were before.
    #[inline]
    pub fn add(&self) -> u64 {
        self.add_at(watch::mine())
    }

    /// The same of the thread that has this post.
    #[inline]
    pub(crate) fn add_at(&self, post: &Post) -> u64 {
        match self.own.get(post.number()) {
            Some(Place(count)) => {
                // Nobody else writes here.
                let before = count.load(Ordering::Relaxed);
                count.store(before.wrapping_add(1), Ordering::Relaxed);
                before
            }
            None => self.shared.0.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// One more of the thread that has this post, unless it is one of those that are timed: each `every`th, or all where the thread has no place
    /// of its own. Returns which it is.
    #[inline]
    pub(crate) fn untimed(&self, post: &Post, every: u64) -> Option<u64> {
        let Place(count) = self.own.get(post.number())?;
        let before = count.load(Ordering::Relaxed);
        if before.is_multiple_of(every) {
            return None;
        }
        count.store(before.wrapping_add(1), Ordering::Relaxed);
        Some(before)
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        let all = self.own.iter().chain([&self.shared]);
        all.map(|Place(count)| count.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_lost_between_more_threads_than_places() {
        let calls = Calls::default();
        std::thread::scope(|scope| {
            for _ in 0..PLACES * 2 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        calls.add();
                    }
                });
            }
        });
        assert_eq!(calls.count(), PLACES as u64 * 2000);
    }
}
