//! How often a plugin was called: counted at every call, so that it costs next to nothing.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads with a place of their own; the rest share the last one.
const PLACES: usize = 32;

/// A number that only grows, of many threads.
///
/// Each thread counts on a cache line of its own, without the bus: the first of them that ever counted something, at least. Workers live as
/// long as the process.
#[derive(Default)]
pub struct Calls {
    places: [Place; PLACES],
}

#[derive(Default)]
#[repr(align(64))]
struct Place(AtomicU64);

/// The next thread's number. For the whole process, because a thread is one thread to every counter.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl Calls {
    /// One more. Returns how many of this thread there were before.
    #[inline]
    pub fn add(&self) -> u64 {
        match self.places.get(thread()) {
            Some(Place(count)) => {
                // Nobody else writes here.
                let before = count.load(Ordering::Relaxed);
                count.store(before.wrapping_add(1), Ordering::Relaxed);
                before
            }
            None => self.shared(),
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

/// The number of this thread, from 0 in the order in which threads first count something; no less than `PLACES` for those that share.
#[inline]
fn thread() -> usize {
    let number = THREAD.get();
    if number == usize::MAX { numbered() } else { number }
}

#[cold]
fn numbered() -> usize {
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    // The last place is everybody's.
    let number = if number < PLACES - 1 { number } else { PLACES };
    THREAD.set(number);
    number
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
