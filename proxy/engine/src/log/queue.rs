//! Between those who have lines and the thread that writes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Bytes that may wait; as many again may be in the writer's hand.
pub(super) const MOST_WAITING: usize = 8 * 1024 * 1024;
/// Larger buffers are given back after a rush.
const USUAL: usize = 256 * 1024;
/// The longest anybody waits for lines to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// What was lost, and how often writing failed.
#[derive(Debug, Default)]
pub struct Losses {
    lines: AtomicU64,
    failures: AtomicU64,
}

impl Losses {
    /// Lines that were never written.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Times that a log could not be opened or written.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn lose(&self, lines: u64) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lines that wait, and what else the writer is to do.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The writer waits here.
    work: Condvar,
    /// Who waits for lines to be written waits here.
    written: Condvar,
    losses: Arc<Losses>,
}

#[derive(Debug, Default)]
struct State {
    /// Each ends with a newline.
    lines: Vec<u8>,
    /// Lines that found no room since the writer asked.
    refused: u64,
    reopen: bool,
    closed: bool,
    flushes_wanted: u64,
    flushes_done: u64,
}

/// What the writer is to do beside writing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orders {
    /// Open the target again.
    pub(super) reopen: bool,
    /// Nobody hands over anything any more.
    pub(super) closed: bool,
    /// Lines that found no room since the last time.
    pub(super) refused: u64,
    flush: u64,
}

impl Queue {
    pub(super) fn new(losses: Arc<Losses>) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), written: Condvar::new(), losses }
    }

    /// Takes a line, newline included; one that finds no room is counted as lost.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.closed || state.lines.len() + line.len() > MOST_WAITING {
            state.refused += 1;
            drop(state);
            self.losses.lose(1);
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.work.notify_one();
        }
    }

    /// Has the target opened again.
    pub(super) fn reopen(&self) {
        self.state.lock().reopen = true;
        self.work.notify_one();
    }

    /// Ends the writer, once it has written what waits.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_one();
    }

    /// Waits until everything handed over so far is written or known not to go, at most a second.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH;
        let mut state = self.state.lock();
        state.flushes_wanted += 1;
        let mine = state.flushes_wanted;
        self.work.notify_one();
        while state.flushes_done < mine {
            if self.written.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// Waits for lines, which are put into `hand` when that is empty, or for orders. With a full hand only until `until`.
    pub(super) fn wait(&self, hand: &mut Vec<u8>, until: Instant) -> Orders {
        let mut state = self.state.lock();
        loop {
            let is_asked =
                state.reopen || state.closed || state.flushes_wanted > state.flushes_done;
            if hand.is_empty() {
                if !state.lines.is_empty() || is_asked {
                    break;
                }
                self.work.wait(&mut state);
            } else if is_asked || self.work.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        if hand.is_empty() {
            if hand.capacity() > USUAL {
                *hand = Vec::new();
            }
            std::mem::swap(hand, &mut state.lines);
        }
        Orders {
            reopen: std::mem::take(&mut state.reopen),
            closed: state.closed,
            refused: std::mem::take(&mut state.refused),
            flush: state.flushes_wanted,
        }
    }

    /// Those who waited for the lines of `orders` need not wait any longer.
    pub(super) fn flushed(&self, orders: Orders) {
        let mut state = self.state.lock();
        if state.flushes_done < orders.flush {
            state.flushes_done = orders.flush;
            drop(state);
            self.written.notify_all();
        }
    }
}
