//! Whether the requests that an origin parses are those that the proxy logged, whatever bytes clients send.
//!
//! The proxy marks every request that it sends with a secret, the number of the client's connection and of the request on it.
//! An origin with a strict parser of its own tells what it parsed; the access log tells what the proxy thought. Both must be
//! the same, request by request, and sound requests must have arrived as they were sent.

mod ledger;
mod origin;
mod player;
mod rig;
mod shrink;

use std::cell::RefCell;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::grammar::{ByteStream, Random};
use crate::peer::announce;
use player::Played;
use rig::Rig;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Smuggling {
    /// Byte streams that were sent: sound ones share a connection, a broken one is the last of its own.
    pub streams: u64,
    /// Connections that carried them.
    pub connections: u64,
    /// Requests that both the origin parsed and the proxy logged.
    pub requests: u64,
    /// Connections that the proxy did not end.
    pub stuck: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What was not the same on both sides, with the shortest bytes that show it.
    pub differences: Vec<String>,
}

/// Streams between two looks at what does not fit; the ledger of a batch is held in memory.
const BATCH: u64 = 200_000;

/// Sends `count` byte streams made from `seed`, in batches, each to a proxy of its own, as many at a time as there are
/// processors: one thread alone could not make so many.
///
/// # Panics
/// When a proxy does not start.
#[must_use]
#[track_caller]
pub fn smuggling(count: u64, seed: u64, clients: usize) -> Smuggling {
    let begun = Instant::now();
    let found = Mutex::new(Smuggling::default());
    let next = AtomicU64::new(0);
    let batches = count.div_ceil(BATCH);
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let player = || {
        loop {
            let from = next.fetch_add(1, Ordering::Relaxed) * BATCH;
            if from >= count || !found.lock().differences.is_empty() {
                return;
            }
            let played = batch(BATCH.min(count - from), seed.wrapping_add(from), clients);
            found.lock().add(played);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..processors.min(batches) {
            scope.spawn(player);
        }
    });
    Smuggling { elapsed: begun.elapsed(), ..found.into_inner() }
}

fn batch(count: u64, seed: u64, clients: usize) -> Smuggling {
    let rig = Rig::start();
    let played = Rc::new(RefCell::new(Maker::new(seed, count, &rig)));
    let next = Rc::clone(&played);
    let stuck = rig.play(clients, move || next.borrow_mut().next());
    let differences = rig.settle();
    let maker = played.borrow();
    let mut found = Smuggling {
        streams: maker.streams,
        connections: maker.connections,
        requests: rig.matched(),
        stuck,
        ..Smuggling::default()
    };
    if !differences.is_empty() {
        // To find the shortest takes a while.
        differences.iter().take(12).for_each(|difference| announce(difference));
        found.differences = shrink::shortest(&maker.again());
        found.differences.extend(differences.into_iter().take(12));
    }
    found
}

impl Smuggling {
    fn add(&mut self, batch: Self) {
        self.streams += batch.streams;
        self.connections += batch.connections;
        self.requests += batch.requests;
        self.stuck += batch.stuck;
        self.differences.extend(batch.differences);
    }
}

/// Sends these bytes, as a client would by hand, whole and cut at every position.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
#[track_caller]
pub fn cut_everywhere(stream: &ByteStream) -> Vec<String> {
    let rig = Rig::start();
    let mut cuts = 0..stream.bytes.len();
    let bytes = stream.bytes.clone();
    let next = move || {
        let cut = cuts.next()?;
        let cuts = if cut == 0 { Vec::new() } else { vec![cut] };
        let bytes = [&bytes[..], CLOSING].concat();
        Some(Played { bytes, cuts, ends_at_once: false, is_tolerant: cut % 2 == 1 })
    };
    let stuck = rig.play(16, next);
    let mut differences = rig.settle();
    let wanted = stream.intended.as_ref().map_or(0, Vec::len) * stream.bytes.len();
    if stream.intended.is_some() && rig.matched() != wanted as u64 {
        differences.push(format!("{} requests instead of {wanted}", rig.matched()));
    }
    if stuck > 0 {
        differences.push(format!("{stuck} connections were not ended"));
    }
    differences
}

/// Ends whatever is under way, a head, chunks or a short body, and is no request itself.
const CLOSING: &[u8] = &{
    let mut closing = [b'!'; 500];
    let mut at = 0;
    while at + 5 <= closing.len() {
        (closing[at + 1], closing[at + 2]) = (b'\r', b'\n');
        (closing[at + 3], closing[at + 4]) = (b'\r', b'\n');
        at += 5;
    }
    closing
};

/// Makes what is played.
struct Maker {
    seed: u64,
    random: Random,
    streams: u64,
    connections: u64,
    left: u64,
    ledger: Option<rig::Intentions>,
}

impl Maker {
    fn new(seed: u64, batch: u64, rig: &Rig) -> Self {
        let (random, ledger) = (Random::new(seed), Some(rig.intentions()));
        Self { seed, random, streams: 0, connections: 0, left: batch, ledger }
    }

    /// All of it once more.
    fn again(&self) -> Vec<Played> {
        let random = Random::new(self.seed);
        let left = self.left + self.streams;
        let maker =
            Self { seed: self.seed, random, streams: 0, connections: 0, left, ledger: None };
        maker.collect()
    }

    fn take(&mut self) -> u64 {
        self.left -= 1;
        self.streams += 1;
        self.seed.wrapping_add(self.streams)
    }
}

impl Iterator for Maker {
    type Item = Played;

    /// Sound streams and a broken one behind them.
    fn next(&mut self) -> Option<Played> {
        if self.left == 0 {
            return None;
        }
        self.connections += 1;
        let mut bytes = Vec::new();
        let ends_at_once = self.random.one_in(8);
        for _ in 0..self.random.below(5) {
            if self.left == 1 {
                break;
            }
            let number = self.take();
            let stream = ByteStream::sound(&mut self.random, number);
            bytes.extend_from_slice(&stream.bytes);
            // Whoever hangs up early may miss answers, and what would have been asked for them.
            if let Some(ledger) = self.ledger.as_ref().filter(|_| !ends_at_once) {
                stream.intended.iter().flatten().for_each(|intended| ledger.intend(intended));
            }
        }
        let number = self.take();
        bytes.extend_from_slice(&ByteStream::hostile(&mut self.random, number).bytes);
        if !ends_at_once {
            bytes.extend_from_slice(CLOSING);
        }
        let mut cuts: Vec<usize> = if self.random.one_in(4) {
            (0..1 + self.random.below(6)).map(|_| self.random.below(bytes.len())).collect()
        } else {
            Vec::new()
        };
        cuts.sort_unstable();
        Some(Played { bytes, cuts, ends_at_once, is_tolerant: self.random.one_in(2) })
    }
}
