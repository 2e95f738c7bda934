//! Threads that wait for the disk, so that nobody else does.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// How many readings wait at most; one more is a miss.
const MOST_READS: usize = 4096;
/// How many writings wait at most; each writer has one at a time.
const MOST_WRITES: usize = 4096;

type Job = Box<dyn FnOnce() + Send>;

/// What a job is: somebody waits for the first kind, and the second must not starve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

/// Threads and what they have to do. Dropped, they do what was asked of them and end.
pub(super) struct Pool {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    reads: VecDeque<Job>,
    writes: VecDeque<Job>,
    /// Readings since the last writing.
    in_a_row: u32,
    is_closed: bool,
}

impl Pool {
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let pool = Self { queue: Arc::default() };
        for _ in 0..threads.max(1) {
            let queue = Arc::clone(&pool.queue);
            std::thread::Builder::new()
                .name("cache disk".to_owned())
                .spawn(move || queue.serve())?;
        }
        Ok(pool)
    }

    /// What `job` returns, on another thread; `None` if too much waits already. The job is done even if nobody waits for it.
    pub(super) fn run<T: Send + 'static, J: FnOnce() -> T + Send + 'static>(
        &self,
        kind: Kind,
        job: J,
    ) -> impl Future<Output = Option<T>> + Send + use<T, J> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            let _ = answer.send(job());
        });
        // A job that is not taken is dropped, and its answer with it.
        self.push(kind, work);
        async { answered.await.ok() }
    }

    /// Something to clear away: no limit but that of what there is to clear.
    pub(super) fn clear_away(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.waiting.lock().writes.push_back(Box::new(job));
        self.queue.ready.notify_one();
    }

    fn push(&self, kind: Kind, job: Job) {
        let mut waiting = self.queue.waiting.lock();
        let (line, most) = match kind {
            Kind::Read => (&mut waiting.reads, MOST_READS),
            Kind::Write => (&mut waiting.writes, MOST_WRITES),
        };
        if line.len() < most {
            line.push_back(job);
            drop(waiting);
            self.queue.ready.notify_one();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.waiting.lock().is_closed = true;
        self.queue.ready.notify_all();
    }
}

impl Queue {
    fn serve(&self) {
        while let Some(job) = self.next() {
            // A job that panics costs its own answer, not the thread.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(job) = waiting.take() {
                return Some(job);
            }
            if waiting.is_closed {
                return None;
            }
            self.ready.wait(&mut waiting);
        }
    }
}

impl Waiting {
    /// Readings first, but every fourth time a writing.
    fn take(&mut self) -> Option<Job> {
        if self.in_a_row < 3
            && let Some(job) = self.reads.pop_front()
        {
            self.in_a_row += 1;
            return Some(job);
        }
        self.in_a_row = 0;
        self.writes.pop_front().or_else(|| self.reads.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_costs_no_thread() {
        let pool = Pool::start(1).unwrap();
        let panicked = pool.run(Kind::Read, || -> u32 { panic!("as it should") });
        assert_eq!(panicked.await, None);
        assert_eq!(pool.run(Kind::Read, || 7).await, Some(7));
    }

    #[tokio::test]
    async fn what_does_not_fit_the_queue_is_answered_at_once() {
        let pool = Pool::start(1).unwrap();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let holds = pool.run(Kind::Read, move || gone.recv().is_ok());
        let waiting: Vec<_> = (0..MOST_READS + 1).map(|_| pool.run(Kind::Read, || ())).collect();
        let last = pool.run(Kind::Read, || ());
        assert_eq!(last.await, None);
        let written = pool.run(Kind::Write, || ());
        go.send(()).unwrap();
        assert_eq!((holds.await, written.await), (Some(true), Some(())));
        drop(waiting);
    }

    #[test]
    fn writing_does_not_starve() {
        let mut waiting = Waiting::default();
        let order = Arc::new(Mutex::new(String::new()));
        let job = |letter: char| -> Job {
            let order = Arc::clone(&order);
            Box::new(move || order.lock().push(letter))
        };
        waiting.reads.extend((0..6).map(|_| job('r')));
        waiting.writes.extend((0..3).map(|_| job('w')));
        while let Some(job) = waiting.take() {
            job();
        }
        assert_eq!(*order.lock(), "rrrwrrrww");
    }
}
