//! Whether the shard that is to have a key answers as the one that has it: of what is read of keys that move, a part is asked of both.
//!
//! The client has the answer of the first, which is hashed as it passes. The other one is asked beside it, by a request that nobody
//! waits for and whose answer goes nowhere. Whichever ends later compares the two.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use pingora_http::RequestHeader;
use twox_hash::XxHash3_128;

use super::super::cache::fetch;
use super::super::context::Context;
use super::super::outcome;
use super::Chosen;
use crate::metrics::Counter;
use crate::snapshot::shards::moving::{Moving, Otherwise, Placed};

/// What came of comparing.
#[derive(Debug, Default)]
pub(crate) struct Comparisons {
    /// Of so many reads in 2^32, both shards are asked.
    share: u64,
    running: AtomicUsize,
    /// Answers that were alike: by status and body.
    pub(crate) equal: Counter,
    /// Answers that were not.
    pub(crate) different: Counter,
    /// What the shard that has the key did not answer, or not to the end.
    pub(crate) failed: Counter,
    /// What told nothing: too many at once, a client that went away, a key that was written meanwhile.
    pub(crate) skipped: Counter,
}

/// Comparisons at once.
const MOST: usize = 64;
/// The longest that the other answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Comparisons {
    /// Of this part of all reads, from 0 to 1.
    pub(crate) fn of(share: f64) -> Self {
        Self { share: (share.clamp(0.0, 1.0) * ALL).round() as u64, ..Self::default() }
    }

    /// Which part of all reads is asked of both.
    pub(crate) fn share(&self) -> f64 {
        self.share as f64 / ALL
    }

    fn is_meant(&self) -> bool {
        self.share > 0 && (outcome::chance().wrapping_mul(MIX) >> 32) < self.share
    }

    fn has_room(&self) -> bool {
        let one_more = |running| (running < MOST).then_some(running + 1);
        self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn told(&self, [first, second]: &[Option<Seen>; 2], was_written: bool) {
        let (Some(first), Some(second)) = (first, second) else {
            let counter = if first.is_some() { &self.failed } else { &self.skipped };
            return counter.add();
        };
        match first == second {
            true => self.equal.add(),
            // One may have been asked before that and one after it.
            false if was_written => self.skipped.add(),
            false => self.different.add(),
        }
    }
}

const ALL: f64 = (1_u64 << 32) as f64;
/// The chances of one thread are in steps: each bit of this is as good as any.
const MIX: u64 = 0xd6e8_feb8_6659_fd93;

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    status: StatusCode,
    length: u64,
    digest: u128,
}

/// What both halves share; the last that lets go of it compares.
#[derive(Debug)]
struct Pair {
    moving: Arc<Moving>,
    /// Of the key.
    hash: u64,
    seen: Mutex<[Option<Seen>; 2]>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        let comparisons = &self.moving.comparisons;
        comparisons.told(&self.seen.lock(), self.moving.was_written(self.hash));
        comparisons.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of the two answers, as it passes.
pub(crate) struct Half {
    pair: Arc<Pair>,
    /// Whether it is the one that nobody waits for.
    is_second: bool,
    status: StatusCode,
    length: u64,
    digest: XxHash3_128,
}

impl Half {
    fn new(pair: &Arc<Pair>, is_second: bool, status: StatusCode) -> Box<Self> {
        let (pair, digest) = (Arc::clone(pair), XxHash3_128::new());
        Box::new(Self { pair, is_second, status, length: 0, digest })
    }

    /// Another head, of another try.
    fn start(&mut self, status: StatusCode) {
        (self.status, self.length, self.digest) = (status, 0, XxHash3_128::new());
    }

    /// A piece of the body.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.digest.write(piece);
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").field("is_second", &self.is_second).finish_non_exhaustive()
    }
}

/// The head of an answer is here, and goes to who has asked.
pub(crate) fn begin(request: &RequestHeader, status: StatusCode, context: &mut Context) {
    if let Some(half) = &mut context.comparing {
        return half.start(status);
    }
    let Some((chosen, Otherwise { shard, epoch, moving, hash })) = meant(request, context) else {
        return;
    };
    let Some(fetcher) = &context.fetcher else { return };
    if !moving.comparisons.has_room() {
        return moving.comparisons.skipped.add();
    }
    shard.counters.requests.add();
    let pair = Arc::new(Pair { moving, hash, seen: Mutex::default() });
    let mut beside = fetch::beside(context);
    beside.comparing = Some(Half::new(&pair, true, StatusCode::OK));
    let part = shard.part.load();
    let placed = Some(Placed { shard, epoch, otherwise: None });
    beside.chosen = Some(Chosen { part, placed, is_turning: false, ..chosen });
    // Whatever is there: what another service says is nothing to compare.
    beside.spilt = context.spilt;
    beside.spilt.was_connected = true;
    fetcher.ask_beside(request, bytes::Bytes::new(), Box::new(beside), PATIENCE);
    context.comparing = Some(Half::new(&pair, false, status));
}

/// Who has the key, where another shard was asked for it and both are to be.
fn meant(request: &RequestHeader, context: &Context) -> Option<(Chosen, Otherwise)> {
    let chosen = context.chosen.as_ref()?;
    let otherwise = chosen.placed.as_ref()?.otherwise.as_ref()?;
    // Of other methods, an answer may tell of the moment, or belong to a body.
    let is_plain = request.method == Method::GET
        && [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE]
            .iter()
            .all(|name| !request.headers.contains_key(name));
    (is_plain && otherwise.moving.comparisons.is_meant())
        .then(|| (chosen.clone(), otherwise.clone()))
}

/// Whether nobody waits for the answer.
pub(in crate::http) fn is_beside(context: &Context) -> bool {
    context.comparing.as_ref().is_some_and(|half| half.is_second)
}

/// The answer is over, and whole or not.
pub(crate) fn end(is_whole: bool, context: &mut Context) {
    let Some(half) = context.comparing.take() else { return };
    let Half { pair, is_second, status, length, digest } = *half;
    if is_whole {
        let seen = Seen { status, length, digest: digest.finish_128() };
        if let Some(place) = pair.seen.lock().get_mut(usize::from(is_second)) {
            *place = Some(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: u16, digest: u128) -> Option<Seen> {
        Some(Seen { status: StatusCode::from_u16(status).unwrap(), length: 1, digest })
    }

    #[test]
    fn two_answers_are_alike_or_not_or_tell_nothing() {
        let found = Comparisons::of(1.0);
        found.told(&[seen(200, 1), seen(200, 1)], false);
        found.told(&[seen(200, 1), seen(200, 1)], true);
        found.told(&[seen(200, 1), seen(200, 2)], false);
        found.told(&[seen(200, 1), seen(404, 1)], false);
        found.told(&[seen(200, 1), seen(200, 2)], true);
        found.told(&[None, seen(200, 2)], false);
        found.told(&[None, None], false);
        found.told(&[seen(200, 1), None], true);
        let counters = [&found.equal, &found.different, &found.skipped, &found.failed];
        assert_eq!(counters.map(Counter::value), [2, 2, 3, 1]);
    }

    #[test]
    fn a_share_of_reads_is_meant_and_few_at_once() {
        for (share, range) in [(0.0, 0..=0), (0.1, 800..=1_200), (1.0, 10_000..=10_000)] {
            let comparisons = Comparisons::of(share);
            let meant = (0..10_000).filter(|_| comparisons.is_meant()).count();
            assert!(range.contains(&meant), "{share}: {meant}");
            assert!((comparisons.share() - share).abs() < 1e-9);
        }
        let comparisons = Comparisons::of(1.0);
        assert_eq!((0..MOST + 10).filter(|_| comparisons.has_room()).count(), MOST);
    }
}
