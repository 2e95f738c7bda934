//! The worker threads, whose number may change.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::listen::worker::{self, Order, Retirement, Shared, WorkerHandle};

/// The running workers, and those that are about to end.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// In the order of their numbers. After a change of their number those that leave stand at the end until
    /// [`Workers::retire`].
    pub(crate) running: Vec<WorkerHandle>,
    retired: Vec<WorkerHandle>,
}

impl Workers {
    /// Starts as many as there are fewer than `count`, or none. They have nothing to do yet.
    pub(crate) fn grow(&mut self, count: usize, shared: &Arc<Shared>) -> io::Result<()> {
        let before = self.running.len();
        for number in before..count {
            match worker::start(number, Arc::clone(shared)) {
                Ok(worker) => self.running.push(worker),
                Err(error) => {
                    self.running.drain(before..).for_each(stop);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Has all but the first `count` end: after `settle` they take nothing new, and then have the time `within` to finish.
    pub(crate) fn retire(&mut self, count: usize, settle: Duration, within: Duration) {
        let leaving = self.running.drain(count.min(self.running.len())..);
        self.retired.extend(leaving.inspect(|worker| {
            let orders = worker.orders.clone();
            // One that is gone has ended.
            let _ = worker.orders.send(Order::Retire(Retirement { settle, within, orders }));
        }));
    }

    /// Forgets those that have ended. Whether any is still about to.
    pub(crate) fn forget_ended(&mut self) -> bool {
        let is_running = |worker: &WorkerHandle| {
            worker.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        };
        self.retired.retain(is_running);
        !self.retired.is_empty()
    }

    /// Ends all of them, whatever runs, and waits for that.
    pub(crate) fn stop(&mut self) {
        let all: Vec<_> = self.running.drain(..).chain(self.retired.drain(..)).collect();
        for worker in &all {
            let _ = worker.orders.send(Order::Stop);
        }
        all.into_iter().for_each(join);
    }
}

fn stop(worker: WorkerHandle) {
    let _ = worker.orders.send(Order::Stop);
    join(worker);
}

fn join(mut worker: WorkerHandle) {
    if let Some(thread) = worker.thread.take() {
        // A worker that panicked has ended too.
        let _ = thread.join();
    }
}
