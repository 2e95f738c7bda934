//! Threads that do jobs beside the request path: few, of low priority, with a queue that has an end.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::counts::{Counters, Counts, add};
use crate::ticket::{Flight, Ticket};
use crate::{Alarm, Job, Outcome, Reason, convert};

/// How much a pool does at once, and keeps waiting.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// How many jobs are done at once. Together they need up to as many times [`Limits::memory`](crate::Limits::memory).
    pub threads: NonZeroUsize,
    /// How many jobs may wait for a thread.
    pub queue: usize,
    /// How many bytes of originals may wait with them.
    pub queued_bytes: u64,
    /// How far the threads stand back behind the others of the process: 0 not at all, 19 as far as can be.
    pub niceness: u8,
}

impl PoolSettings {
    /// One thread less than there are cores, at least one; twice as many jobs may wait.
    pub fn for_cores(cores: usize) -> Self {
        let threads = NonZeroUsize::new(cores.saturating_sub(1)).unwrap_or(NonZeroUsize::MIN);
        Self { threads, queue: threads.get() * 2, queued_bytes: 128 << 20, niceness: 10 }
    }
}

/// What identifies a job among others: who submits the same key means the same source, target, width and quality.
pub type JobKey = u128;

/// What became of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The job is new and waits for a thread: whoever holds this ticket stores what is made.
    Queued(Ticket),
    /// Another has submitted the same; its outcome is shared.
    Joined(Ticket),
    /// There is too much to do. The original is the answer ([`Reason::Busy`]).
    Busy,
}

/// Threads that do jobs. Dropped, it tells them to stop and does not wait; [`Pool::close`] does.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: PoolSettings) -> io::Result<Self> {
        Self::with_work(settings, convert)
    }

    /// A pool that does something else with its jobs.
    fn with_work(
        settings: PoolSettings,
        work: impl Fn(&Job, &Alarm) -> Outcome + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::default(),
            wake: Condvar::new(),
            counters: Counters::default(),
            work: Box::new(work),
        });
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..settings.threads.get() {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(format!("images-{number}"));
            pool.threads.push(thread.spawn(move || shared.run())?);
        }
        Ok(pool)
    }

    /// Puts a job in the queue, or joins the one that has the same key. Never waits.
    pub fn submit(&self, key: JobKey, job: Job) -> Submitted {
        let submitted = self.shared.enter(key, job);
        let counters = &self.shared.counters;
        match submitted {
            Submitted::Queued(_) => {
                add(&counters.queued, 1);
                self.shared.wake.notify_one();
            }
            Submitted::Joined(_) => add(&counters.joined, 1),
            Submitted::Busy => add(&counters.busy, 1),
        }
        submitted
    }

    /// What has been done so far, and what there is to do.
    pub fn counts(&self) -> Counts {
        let waiting = self.shared.state.lock().queue.len() as u64;
        self.shared.counters.read(waiting)
    }

    /// Ends what is begun, gives [`Reason::Closed`] to whoever waits for the rest, and waits for the threads: at most as long as
    /// one step of a job takes. Blocks, so it is not for a thread that has requests.
    pub fn close(mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended too.
            drop(thread.join());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

struct Shared {
    settings: PoolSettings,
    state: Mutex<State>,
    wake: Condvar,
    counters: Counters,
    work: Box<Work>,
}

/// What a thread does with a job.
type Work = dyn Fn(&Job, &Alarm) -> Outcome + Send + Sync;

#[derive(Default)]
struct State {
    queue: VecDeque<Queued>,
    /// Bytes of the originals in the queue.
    bytes: u64,
    /// Every job that waits or runs.
    flights: HashMap<JobKey, Arc<Flight>>,
    is_closed: bool,
}

struct Queued {
    key: JobKey,
    job: Job,
    flight: Arc<Flight>,
}

impl Shared {
    fn enter(&self, key: JobKey, job: Job) -> Submitted {
        let mut state = self.state.lock();
        if let Some(ticket) = state.flights.get(&key).and_then(Flight::join) {
            return Submitted::Joined(ticket);
        }
        let bytes = job.source.len() as u64;
        state.forget_abandoned(&self.counters);
        let is_full = state.queue.len() >= self.settings.queue
            || state.bytes.saturating_add(bytes) > self.settings.queued_bytes;
        if is_full || state.is_closed {
            return Submitted::Busy;
        }
        let (flight, ticket) = Flight::start();
        state.flights.insert(key, Arc::clone(&flight));
        state.queue.push_back(Queued { key, job, flight });
        state.bytes += bytes;
        Submitted::Queued(ticket)
    }

    /// What each thread does until the pool is closed.
    fn run(&self) {
        stand_back(self.settings.niceness);
        while let Some(queued) = self.next() {
            add(&self.counters.running, 1);
            let begun = Instant::now();
            let alarm = Alarm::after(queued.job.limits.time, Arc::clone(&queued.flight.abandoned));
            let outcome = (self.work)(&queued.job, &alarm);
            let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            add(&self.counters.worked, took);
            self.counters.running.fetch_sub(1, Ordering::Relaxed);
            self.state.lock().end(&queued);
            self.counters.ended(&outcome);
            queued.flight.land(Arc::new(outcome));
        }
    }

    /// The next job, as soon as there is one; `None` when the pool is closed.
    fn next(&self) -> Option<Queued> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return None;
            }
            state.forget_abandoned(&self.counters);
            if let Some(queued) = state.take() {
                return Some(queued);
            }
            self.wake.wait(&mut state);
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let queue = std::mem::take(&mut state.queue);
        state.bytes = 0;
        for flight in state.flights.values() {
            flight.abandoned.store(true, Ordering::Relaxed);
        }
        for queued in &queue {
            state.end(queued);
        }
        drop(state);
        self.wake.notify_all();
        for queued in queue {
            let outcome = Outcome::Original(Reason::Closed);
            self.counters.ended(&outcome);
            queued.flight.land(Arc::new(outcome));
        }
    }
}

/// Takes from this thread so much of its priority. Where the system refuses, it is like all others.
fn stand_back(niceness: u8) {
    let Ok(own) = rustix::process::getpriority_process(None) else { return };
    let further = own.saturating_add(niceness.into()).min(19);
    rustix::process::setpriority_process(None, further).ok();
}

impl State {
    fn take(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.bytes -= queued.job.source.len() as u64;
        Some(queued)
    }

    /// Makes room of jobs that nobody waits for.
    fn forget_abandoned(&mut self, counters: &Counters) {
        let is_abandoned = |queued: &Queued| queued.flight.abandoned.load(Ordering::Relaxed);
        if !self.queue.iter().any(is_abandoned) {
            return;
        }
        let (left, kept) = self.queue.drain(..).partition::<VecDeque<_>, _>(is_abandoned);
        self.queue = kept;
        for queued in left {
            self.bytes -= queued.job.source.len() as u64;
            self.end(&queued);
            counters.ended(&Outcome::Original(Reason::Abandoned));
        }
    }

    /// Whoever submits the key from now on starts anew.
    fn end(&mut self, ended: &Queued) {
        let is_current =
            self.flights.get(&ended.key).is_some_and(|flight| Arc::ptr_eq(flight, &ended.flight));
        if is_current {
            self.flights.remove(&ended.key);
        }
    }
}

#[cfg(test)]
mod tests;
