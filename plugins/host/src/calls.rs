//! How often a plugin was called: counted at every call, so that it costs next to nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::watch::{self, Post};

/// Threads with a place of their own; the rest share the last one.
const PLACES: usize = 32;

/// A number that only grows, of many threads.
///
/// Each thread counts on a cache line of its own, without the bus: as many as there are places, at least. A place is used by another thread
/// only when its own has ended.
#[derive(Default)]
pub struct Calls {
    places: [Place; PLACES],
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
        match self.places.get(post.number()) {
            // The last place is everybody's.
            Some(Place(count)) if post.number() < PLACES - 1 => {
                // Nobody else writes here.
                let before = count.load(Ordering::Relaxed);
                count.store(before.wrapping_add(1), Ordering::Relaxed);
                before
            }
            _ => self.shared(),
        }
    }

    #[cold]
    fn shared(&self) -> u64 {
        self.places.last().map_or(0, |Place(count)| count.fetch_add(1, Ordering::Relaxed))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.places.iter().map(|Place(count)| count.load(Ordering::Relaxed)).sum()
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
