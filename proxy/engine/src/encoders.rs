//! Threads that encode beside the way of requests: few, of low priority, with a queue that has an end.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::metrics::{Counter, Gauge, sample};

/// How much is done at once, and may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Threads.
    pub(crate) threads: usize,
    /// Jobs that wait for one.
    pub(crate) queue: usize,
}

/// The threads of a process. There are none while there is nothing to do.
#[derive(Default)]
pub(crate) struct Encoders {
    shared: Arc<Shared>,
}

/// There is too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// Whether the threads are to end: asked between two steps of a job, which take a tenth of a second at most.
#[derive(Clone)]
pub(crate) struct Alarm(Arc<Shared>);

type Job = Box<dyn FnOnce(&Alarm) + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    is_closed: AtomicBool,
    waiting: Gauge,
    done: Counter,
    refused: Counter,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
}

/// How far the threads stand back behind those with requests.
const NICENESS: i32 = 10;

impl Encoders {
    /// Has a job done, as soon as it is its turn.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn submit(
        &self,
        room: Room,
        job: impl FnOnce(&Alarm) + Send + 'static,
    ) -> Result<(), Busy> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        let begins = state.threads < room.threads;
        let is_full = !begins && state.queue.len() >= room.queue;
        if is_full || shared.is_closed.load(Ordering::Relaxed) {
            shared.refused.add();
            return Err(Busy);
        }
        state.queue.push_back(Box::new(job));
        shared.waiting.up();
        if begins && shared.start() {
            state.threads += 1;
        }
        if state.threads > 0 {
            return Ok(());
        }
        // The system gives no thread.
        drop(state.queue.pop_back());
        shared.waiting.down();
        shared.refused.add();
        Err(Busy)
    }

    /// Ends: what waits is dropped, and what is being done ends with its next step. Nobody waits for that.
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        let queue = std::mem::take(&mut self.shared.state.lock().queue);
        queue.iter().for_each(|_| self.shared.waiting.down());
    }

    /// Appends what is counted, in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        let Shared { waiting, done, refused, .. } = &*self.shared;
        let help = "Jobs that wait for a thread that encodes in the background.";
        sample(out, ("encoder_queue", help, "gauge"), waiting.value());
        let help = "Jobs done by threads that encode in the background.";
        sample(out, ("encoder_jobs_total", help, "counter"), done.value());
        let help = "Jobs refused because too many waited for such a thread.";
        sample(out, ("encoder_jobs_refused_total", help, "counter"), refused.value());
    }
}

impl Drop for Encoders {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Encoders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoders").field("waiting", &self.shared.waiting).finish_non_exhaustive()
    }
}

impl Shared {
    /// Whether there is one thread more.
    fn start(self: &Arc<Self>) -> bool {
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("encoder".to_owned());
        thread.spawn(move || this.run()).is_ok()
    }

    /// What a thread does until there is nothing left to do.
    fn run(self: Arc<Self>) {
        stand_back();
        let alarm = Alarm(Arc::clone(&self));
        while let Some(job) = self.next() {
            self.waiting.down();
            // One that dies takes its job with it, and no more.
            let work = std::panic::AssertUnwindSafe(|| job(&alarm));
            drop(std::panic::catch_unwind(work));
            self.done.add();
        }
    }

    /// The next job; without one, there is a thread less.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        let job = state.queue.pop_front();
        if job.is_none() {
            state.threads -= 1;
        }
        job
    }
}

impl Alarm {
    /// Whether it is to end.
    pub(crate) fn rings(&self) -> bool {
        self.0.is_closed.load(Ordering::Relaxed)
    }
}

/// Takes priority from this thread. Where the system refuses, it is like all others.
fn stand_back() {
    let Ok(own) = rustix::process::getpriority_process(None) else { return };
    rustix::process::setpriority_process(None, own.saturating_add(NICENESS).min(19)).ok();
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const ROOM: Room = Room { threads: 1, queue: 1 };

    #[test]
    fn jobs_are_done_one_after_the_other_and_refused_where_there_is_no_room() {
        let encoders = Encoders::default();
        let (begun, has_begun) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let first = move |_: &Alarm| {
            begun.send(()).unwrap();
            may_go.recv().unwrap();
        };
        assert_eq!(encoders.submit(ROOM, first), Ok(()));
        has_begun.recv().unwrap();
        let (done, is_done) = mpsc::channel();
        assert_eq!(encoders.submit(ROOM, move |_: &Alarm| done.send(1).unwrap()), Ok(()));
        assert_eq!(encoders.submit(ROOM, |_: &Alarm| ()), Err(Busy));
        let mut text = String::new();
        encoders.render(&mut text);
        assert!(text.contains("encoder_queue 1\n"), "{text}");
        assert!(text.contains("encoder_jobs_refused_total 1\n"), "{text}");
        go.send(()).unwrap();
        assert_eq!(is_done.recv(), Ok(1));
    }

    #[test]
    fn a_job_that_dies_is_no_matter_to_the_next() {
        let encoders = Encoders::default();
        let room = Room { threads: 1, queue: 2 };
        encoders.submit(room, |_: &Alarm| std::panic::resume_unwind(Box::new(()))).unwrap();
        let (done, is_done) = mpsc::channel();
        encoders.submit(room, move |_: &Alarm| done.send(1).unwrap()).unwrap();
        assert_eq!(is_done.recv(), Ok(1));
    }

    #[test]
    fn who_closes_waits_for_nobody() {
        let encoders = Encoders::default();
        let (begun, has_begun) = mpsc::channel();
        let (rang, has_rung) = mpsc::channel();
        let job = move |alarm: &Alarm| {
            begun.send(()).unwrap();
            while !alarm.rings() {
                thread::yield_now();
            }
            rang.send(()).unwrap();
        };
        encoders.submit(ROOM, job).unwrap();
        has_begun.recv().unwrap();
        encoders.close();
        has_rung.recv().unwrap();
        assert_eq!(encoders.submit(ROOM, |_: &Alarm| ()), Err(Busy));
    }
}
