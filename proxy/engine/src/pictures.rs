//! Smaller forms of pictures: who makes them, how much of that may be at hand, and what is counted.

mod counters;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_images::{Job, JobKey, Pool, PoolSettings, Submitted, Ticket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::encoders::{Busy, Room};
use crate::metrics::Gauge;
use counters::Counters;

/// The threads of a process that make pictures. There are none before there is something to do.
#[derive(Default)]
pub(crate) struct Pictures {
    /// What is counted.
    pub(crate) counters: Counters,
    makers: Mutex<Option<Arc<Makers>>>,
    is_closed: AtomicBool,
    /// Bytes of originals at hand.
    held: Arc<AtomicU64>,
}

/// Threads, and who may give them something to do.
struct Makers {
    room: Room,
    pool: Pool,
    /// As many as may be at work, or have their picture in memory and wait.
    turns: Arc<Semaphore>,
    /// Those who have neither.
    waiting: Gauge,
}

/// The right to have something done, which ends with this.
pub(crate) struct Turn {
    makers: Arc<Makers>,
    _permit: OwnedSemaphorePermit,
}

/// Bytes of an original in memory, which count as long as this is there.
pub(crate) struct Held {
    all: Arc<AtomicU64>,
    bytes: u64,
}

/// Bytes of originals that may be in memory at once, beside the cache.
const MOST_HELD: u64 = 256 << 20;
/// Pictures that may wait for their turn, with nothing of them in memory.
const MOST_WAITING: u64 = 1024;
/// How long they wait.
const PATIENCE: Duration = Duration::from_mins(1);
/// How far the threads stand back behind those with requests.
const NICENESS: u8 = 10;

impl Pictures {
    /// Waits for a turn.
    ///
    /// # Errors
    /// Too many wait for theirs, or it did not come in time.
    pub(crate) async fn turn(&self, room: Room) -> Result<Turn, Busy> {
        let makers = self.makers(room).ok_or(Busy)?;
        let turns = Arc::clone(&makers.turns);
        let permit = {
            let waits = makers.waiting.hold();
            if makers.waiting.value() > MOST_WAITING {
                return Err(Busy);
            }
            let permit = timeout(PATIENCE, turns.acquire_owned()).await;
            drop(waits);
            permit.ok().and_then(Result::ok).ok_or(Busy)?
        };
        Ok(Turn { makers, _permit: permit })
    }

    /// Those of so much room; others than before where a reload has changed it.
    fn makers(&self, room: Room) -> Option<Arc<Makers>> {
        let mut makers = self.makers.lock();
        if self.is_closed.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(known) = makers.as_ref().filter(|known| known.room == room) {
            return Some(Arc::clone(known));
        }
        if let Some(before) = makers.take() {
            self.counters.remember(&before.pool.counts());
        }
        let started = Makers::start(room).map(Arc::new);
        if let Err(error) = &started {
            tracing::warn!("no thread for pictures: {error}");
        }
        *makers = started.ok();
        makers.clone()
    }

    /// A count of bytes in memory, which begins at nothing.
    pub(crate) fn hold(&self) -> Held {
        Held { all: Arc::clone(&self.held), bytes: 0 }
    }

    /// Ends: what waits is dropped, and what is being done ends with its next step. Nobody waits for that.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        drop(self.makers.lock().take());
    }

    /// Appends what is counted, in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        let makers = self.makers.lock().clone();
        let now = makers.as_ref().map(|makers| makers.pool.counts());
        let waiting = makers.map_or(0, |makers| makers.waiting.value());
        self.counters.render(now.as_ref(), waiting, out);
    }
}

impl fmt::Debug for Pictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pictures").field("held", &self.held).finish_non_exhaustive()
    }
}

impl Makers {
    fn start(room: Room) -> std::io::Result<Self> {
        let turns = room.threads + room.queue;
        let pool = Pool::start(PoolSettings {
            threads: NonZeroUsize::new(room.threads).unwrap_or(NonZeroUsize::MIN),
            // Who has a turn has room.
            queue: turns,
            queued_bytes: MOST_HELD,
            niceness: NICENESS,
        })?;
        let turns = Arc::new(Semaphore::new(turns));
        Ok(Self { room, pool, turns, waiting: Gauge::default() })
    }
}

impl Turn {
    /// Has it made.
    ///
    /// # Errors
    /// There is no room for it after all.
    pub(crate) fn submit(&self, key: JobKey, job: Job) -> Result<Ticket, Busy> {
        match self.makers.pool.submit(key, job) {
            Submitted::Queued(ticket) | Submitted::Joined(ticket) => Ok(ticket),
            Submitted::Busy => Err(Busy),
        }
    }
}

impl Held {
    /// So many bytes more.
    ///
    /// # Errors
    /// Together with those of others they are too many.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Busy> {
        self.bytes += bytes;
        let before = self.all.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > MOST_HELD { Err(Busy) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn bytes_in_memory_are_bounded_and_given_back() {
        let pictures = Pictures::default();
        let mut one = pictures.hold();
        assert_eq!(one.take(MOST_HELD - 10), Ok(()));
        assert_eq!(pictures.hold().take(11), Err(Busy));
        assert_eq!(pictures.hold().take(10), Ok(()));
        drop(one);
        assert_eq!(pictures.hold().take(MOST_HELD), Ok(()));
    }

    #[tokio::test]
    async fn turns_are_as_many_as_there_is_room_and_the_next_waits() {
        let pictures = Pictures::default();
        let room = Room { threads: 1, queue: 1 };
        let first = pictures.turn(room).await.unwrap();
        let _second = pictures.turn(room).await.unwrap();
        let mut third = Box::pin(pictures.turn(room));
        assert!(third.as_mut().now_or_never().is_none());
        let mut text = String::new();
        pictures.render(&mut text);
        assert!(text.contains("images_queue 1\n"), "{text}");
        drop(first);
        assert!(third.await.is_ok());
        pictures.close();
        assert!(pictures.turn(room).await.is_err());
    }
}
