//! An entry being written.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::Stored;
use super::body::PIECE;
use super::format::{LARGEST_BODY, Record};
use super::growing::{Growing, Output};
use super::health::Action;
use super::name::Name;
use super::pool::Kind;
use super::tier::{Tier, count};
use crate::entry::Meta;

/// An entry being written; dropped before [`Writer::finish`], nothing is stored.
///
/// It holds at most two pieces of 256 KiB in memory: one that is being written and one that grows.
pub struct Writer {
    output: Arc<Output>,
    meta: Meta,
    /// What the body is to be, where it is known.
    promised: Option<u64>,
    /// Taken so far.
    taken: u64,
    pending: Vec<Bytes>,
    pending_length: u64,
    in_flight: Option<InFlight>,
    /// Whether anything went to the file yet.
    has_begun: bool,
    is_given_up: bool,
}

type InFlight = Pin<Box<dyn Future<Output = Option<Result<(), GivenUp>>> + Send>>;

/// Why nothing more is written: the disk failed, is full or the body too large. The entry will not be stored, and what was
/// written stays readable through [`Growing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry is not stored")]
pub struct GivenUp;

impl Writer {
    /// `None` where the tier does not take it.
    pub(super) fn begin(tier: &Arc<Tier>, meta: Meta, promised: Option<u64>) -> Option<Self> {
        let limits = tier.limits();
        let is_too_large = promised.is_some_and(|length| length > limits.largest.min(LARGEST_BODY));
        if is_too_large || !tier.allows(Action::Write) {
            return None;
        }
        let Some(output) = Output::new(tier, &meta) else {
            count(&tier.counts.refused);
            return None;
        };
        Some(Self {
            output: Arc::new(output),
            meta,
            promised,
            taken: 0,
            pending: Vec::new(),
            pending_length: 0,
            in_flight: None,
            has_begun: false,
            is_given_up: false,
        })
    }

    /// Takes the next bytes of the body; waits while the disk has not taken the piece before them. Cancelling loses nothing:
    /// the bytes are taken. A disk that hangs is the caller's to give up on: with a deadline, and by dropping the writer.
    ///
    /// # Errors
    /// When the entry is given up.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), GivenUp> {
        let length = bytes.len() as u64;
        let most = self.output.tier.limits().largest.min(LARGEST_BODY);
        if self.is_given_up || self.taken + length > self.promised.unwrap_or(most).min(most) {
            return self.give_up();
        }
        self.taken += length;
        if length > 0 {
            self.pending.push(bytes);
            self.pending_length += length;
        }
        if self.pending_length >= PIECE { self.submit().await } else { Ok(()) }
    }

    /// Writes out what is held back, so that [`Growing`] sees all of it.
    ///
    /// # Errors
    /// When the entry is given up.
    pub async fn flush(&mut self) -> Result<(), GivenUp> {
        if self.is_given_up {
            return Err(GivenUp);
        }
        if self.pending_length > 0 {
            self.submit().await?;
        }
        self.settle().await
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What is written so far, for others to read.
    #[must_use]
    pub fn reader(&self) -> Growing {
        Growing::of(&self.output)
    }

    /// The body is whole: puts the entry in place of what was stored for the same key and variant.
    ///
    /// # Errors
    /// When the entry is given up, or less came than was promised.
    pub async fn finish(mut self) -> Result<Stored, GivenUp> {
        if self.is_given_up || self.promised.is_some_and(|promised| promised != self.taken) {
            return Err(GivenUp);
        }
        self.settle().await?;
        let last = std::mem::take(&mut self.pending);
        let (output, meta) = (Arc::clone(&self.output), self.meta.clone());
        let finish = move || output.finish(&last, meta);
        self.output.tier.pool.run(Kind::Write, finish).await.unwrap_or(Err(GivenUp))
    }

    /// Hands the pending bytes to a thread, once it is done with those before.
    async fn submit(&mut self) -> Result<(), GivenUp> {
        self.settle().await?;
        let pieces = std::mem::take(&mut self.pending);
        self.pending_length = 0;
        self.has_begun = true;
        let output = Arc::clone(&self.output);
        let job = self.output.tier.pool.run(Kind::Write, move || output.append(&pieces));
        self.in_flight = Some(Box::pin(job));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), GivenUp> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(()) };
        let written = in_flight.await;
        self.in_flight = None;
        match written {
            Some(Ok(())) => Ok(()),
            _ => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Result<(), GivenUp> {
        self.is_given_up = true;
        self.pending.clear();
        self.pending_length = 0;
        Err(GivenUp)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.has_begun {
            // The file goes where files are worked on; if it was finished, there is nothing to do.
            let output = Arc::clone(&self.output);
            self.output.tier.pool.clear_away(move || output.abandon());
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({} bytes of {:?})", self.taken, self.meta.key)
    }
}

/// Replaces the head of the entry that was received at `old.times`; `None` when that is not what is stored.
pub(super) fn update_head(
    tier: &Arc<Tier>,
    old: crate::entry::Times,
    meta: Meta,
) -> super::Updated {
    use super::Updated::{Absent, Stored};
    let name = Name::of(&meta);
    let Some(entry) = tier.open_entry(name, Action::Write, 4096) else { return Absent };
    let stored = &entry.record.meta;
    let is_same = stored.key == meta.key
        && stored.times == old
        && stored.vary == meta.vary
        && stored.selected_by == meta.selected_by;
    if !is_same {
        return Absent;
    }
    let record = Record { sequence: entry.record.sequence + 1, body: entry.record.body, meta };
    let mut bytes = Vec::new();
    let room = entry.preamble.tail_room as usize;
    let fits = record.write(entry.preamble.identity, &mut bytes).is_some() && bytes.len() <= room;
    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    if !fits || rustix::fs::flock(&entry.file, lock).is_err() {
        tier.discard(name);
        return Absent;
    }
    let place = u64::from(record.sequence & 1);
    let at = entry.preamble.tail_at(record.body, place);
    let written = std::os::unix::fs::FileExt::write_all_at(&entry.file, &bytes, at);
    if tier.noted(Action::Write, written).is_none() {
        tier.discard(name);
        return Absent;
    }
    tier.counts.written.fetch_add(bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
    tier.index.insert(name, entry.length.max(at + bytes.len() as u64));
    Stored
}
