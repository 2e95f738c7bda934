//! Where a thread that calls plugins says which one it is in.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// What one thread says of itself, for the watchdog to look at. It costs the thread two stores to its own memory, and no look at a clock (bench
/// `chain`, `idle`).
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Post {
    /// The turn of the call at hand, in the upper half; in the lower one [whose](Mark) it is. 0 between two calls. Written by its thread
    /// alone.
    at: AtomicU64,
    /// What `at` was when the watchdog found that it took too long. Of another call: nothing.
    late: AtomicU64,
    /// Turns that it has given out. Its thread's alone, too.
    turns: AtomicU64,
    number: usize,
    holder: Mutex<Option<Holder>>,
}

/// Whose call it is: the plugin's number, and the hook's in the lowest bits.
pub(crate) type Mark = u32;

/// The thread that has a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its number, as the system has it.
    pub(crate) thread: i32,
    /// What it is called.
    pub(crate) name: Box<str>,
}

/// The part of `at` that is a [`Mark`].
const MARK: u64 = 0xffff_ffff;
/// No call is that.
const NOTHING: u64 = u64::MAX;

thread_local! {
    static MINE: Cell<Option<&'static Post>> = const { Cell::new(None) };
    /// Gives it back when the thread ends. Apart from it, because what has an end takes longer to look at.
    static LEASE: RefCell<Option<Lease>> = const { RefCell::new(None) };
}

/// That of this thread.
#[inline]
pub(crate) fn mine() -> &'static Post {
    MINE.get().unwrap_or_else(taken)
}

#[cold]
fn taken() -> &'static Post {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let name = std::thread::current().name().unwrap_or("without a name").into();
    let post = super::post(Holder { thread, name });
    MINE.set(Some(post));
    // A thread that is about to end keeps it: nobody else gets it then.
    let _ = LEASE.try_with(|lease| *lease.borrow_mut() = Some(Lease(post)));
    post
}

struct Lease(&'static Post);

impl Drop for Lease {
    fn drop(&mut self) {
        MINE.set(None);
        *self.0.holder.lock() = None;
    }
}

impl Post {
    pub(super) fn new(number: usize, holder: Holder) -> Self {
        Self {
            at: AtomicU64::new(0),
            late: AtomicU64::new(NOTHING),
            turns: AtomicU64::new(0),
            number,
            holder: Mutex::new(Some(holder)),
        }
    }

    /// From 0, in the order in which threads came. Of two threads that are there at once, each has another.
    #[inline]
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// A number for a call of which nobody has counted how many there were.
    pub(crate) fn turn(&self) -> u64 {
        let turn = self.turns.load(Ordering::Relaxed).wrapping_add(1);
        self.turns.store(turn, Ordering::Relaxed);
        turn
    }

    /// A call begins, whose `turn` is another than that of the one before it at this post with the same mark. Returns what tells it from
    /// others.
    #[inline]
    pub(crate) fn enter(&self, turn: u64, mark: Mark) -> u64 {
        let at = turn << 32 | u64::from(mark);
        self.at.store(at, Ordering::Relaxed);
        at
    }

    /// It has ended. Whether it took too long, as far as the watchdog has said so by now.
    #[inline]
    pub(crate) fn leave(&self, at: u64) -> bool {
        self.at.store(0, Ordering::Relaxed);
        self.late.load(Ordering::Relaxed) == at
    }

    /// The call at hand, with whose it is.
    pub(super) fn at(&self) -> (u64, Mark) {
        let at = self.at.load(Ordering::Relaxed);
        // The lower half is all of it.
        (at, (at & MARK) as Mark)
    }

    /// Says that this call takes too long. Whether it is still at hand.
    pub(super) fn is_late(&self, at: u64) -> bool {
        self.late.store(at, Ordering::SeqCst);
        let is_there = self.at.load(Ordering::SeqCst) == at;
        if !is_there {
            self.late.store(NOTHING, Ordering::Relaxed);
        }
        is_there
    }

    /// That call is over: its number will be another's.
    pub(super) fn is_over(&self, at: u64) {
        let (Ok(_) | Err(_)) =
            self.late.compare_exchange(at, NOTHING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whose post it is; nobody's once the thread has ended.
    pub(super) fn holder(&self) -> Option<Holder> {
        self.holder.lock().clone()
    }

    /// Has it be this thread's if it is nobody's.
    pub(super) fn is_taken_by(&self, holder: &Holder) -> bool {
        let mut own = self.holder.lock();
        let is_free = own.is_none();
        if is_free {
            *own = Some(holder.clone());
        }
        is_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_another_and_between_two_there_is_none() {
        let post = Post::new(0, Holder { thread: 1, name: "a".into() });
        let enter = || post.enter(post.turn(), 0x21);
        let first = enter();
        assert_eq!(post.at(), (first, 0x21));
        assert!(!post.leave(first));
        assert_eq!(post.at(), (0, 0));
        let second = enter();
        assert_ne!(first, second);
        assert!(!post.is_late(first), "one that has ended is not late");
        assert!(post.is_late(second));
        assert!(post.leave(second));
        post.is_over(second);
        let third = enter();
        assert!(!post.leave(third));
    }

    #[test]
    fn threads_that_are_there_at_once_have_posts_of_their_own() {
        let own = mine().number();
        let other = std::thread::spawn(|| mine().number()).join().unwrap();
        assert_ne!(own, other);
        assert_eq!(mine().number(), own);
    }
}
