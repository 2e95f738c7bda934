//! What a pool has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Flaw, Outcome, Reason};

/// What a pool has done so far, and what it has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were taken.
    pub queued: u64,
    /// Submissions that were given the outcome of a job that was there already.
    pub joined: u64,
    /// Submissions that were refused because the queue was full.
    pub busy: u64,
    /// Pictures that were made.
    pub made: u64,
    /// Bytes of the originals of which they were made.
    pub bytes_in: u64,
    /// Bytes of what was made of them.
    pub bytes_out: u64,
    /// Time that threads spent on jobs, in microseconds.
    pub worked: u64,
    /// Jobs that wait for a thread now.
    pub waiting: u64,
    /// Jobs that threads are at now.
    pub running: u64,
    originals: [u64; Reason::ALL.len()],
    broken: [u64; Flaw::ALL.len()],
}

impl Counts {
    /// How many jobs ended with the original, for this reason.
    pub fn originals(&self, reason: Reason) -> u64 {
        self.originals.get(reason as usize).copied().unwrap_or_default()
    }

    /// How many originals had this flaw.
    pub fn broken(&self, flaw: Flaw) -> u64 {
        self.broken.get(flaw as usize).copied().unwrap_or_default()
    }
}

/// What threads add to.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) queued: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) busy: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) worked: AtomicU64,
    made: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    originals: [AtomicU64; Reason::ALL.len()],
    broken: [AtomicU64; Flaw::ALL.len()],
}

impl Counters {
    /// Counts how a job ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Made(made) => {
                add(&self.made, 1);
                add(&self.bytes_in, made.facts.source_bytes as u64);
                add(&self.bytes_out, made.bytes.len() as u64);
            }
            Outcome::Original(reason) => {
                self.originals.get(*reason as usize).into_iter().for_each(|count| add(count, 1));
            }
            Outcome::Broken(flaw) => {
                self.broken.get(*flaw as usize).into_iter().for_each(|count| add(count, 1));
            }
        }
    }

    pub(crate) fn read(&self, waiting: u64) -> Counts {
        Counts {
            queued: get(&self.queued),
            joined: get(&self.joined),
            busy: get(&self.busy),
            made: get(&self.made),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
            worked: get(&self.worked),
            waiting,
            running: get(&self.running),
            originals: self.originals.each_ref().map(get),
            broken: self.broken.each_ref().map(get),
        }
    }
}

/// Adds to a counter that nothing else depends on.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
