//! Handshakes take turns, so that a flood of them does not keep a worker from its established connections.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// The turns of one worker, for each number that its listeners allow at once.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Vec<(u32, Arc<Semaphore>)>>);

impl Turns {
    fn of(&self, at_once: u32) -> Arc<Semaphore> {
        let mut all = self.0.lock();
        if let Some((_, turns)) = all.iter().find(|(own, _)| *own == at_once) {
            return Arc::clone(turns);
        }
        // What a reload has changed is forgotten, once nobody waits for it.
        all.retain(|(_, turns)| Arc::strong_count(turns) > 1);
        let turns = Arc::new(Semaphore::new(at_once as usize));
        all.push((at_once, Arc::clone(&turns)));
        turns
    }

    /// Runs `work` step by step: in one round of the worker's tasks, at most `at_once` steps of all works together.
    ///
    /// A work that waits for its client has no turn: whoever is silent keeps nobody waiting.
    pub(crate) async fn take<F: Future>(&self, at_once: u32, work: F) -> F::Output {
        let turns = self.of(at_once);
        let mut work = pin!(work);
        loop {
            let turn = turns.acquire().await;
            // Whoever else is ready goes first.
            tokio::task::yield_now().await;
            if let Poll::Ready(output) = futures::poll!(work.as_mut()) {
                return output;
            }
            drop(turn);
            // Nothing is awaited since the work was polled, so whatever wakes it wakes this.
            until_woken().await;
        }
    }
}

async fn until_woken() {
    let mut is_first = true;
    std::future::poll_fn(|_| {
        if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// Needs this many polls, and counts them all.
    async fn steps(count: u32, counted: Rc<Cell<u32>>) {
        for _ in 0..count {
            counted.set(counted.get() + 1);
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn between_two_rounds_few_steps_are_made_however_many_wait() {
        let turns = Rc::new(Turns::default());
        let (counted, local) = (Rc::new(Cell::new(0)), tokio::task::LocalSet::new());
        let longest = local
            .run_until(async {
                for _ in 0..100 {
                    let (turns, counted) = (Rc::clone(&turns), Rc::clone(&counted));
                    tokio::task::spawn_local(async move {
                        turns.take(2, steps(3, counted)).await;
                    });
                }
                let (mut longest, mut before) = (0, 0);
                while counted.get() < 300 {
                    tokio::task::yield_now().await;
                    longest = longest.max(counted.get() - before);
                    before = counted.get();
                }
                longest
            })
            .await;
        assert!((1..=4).contains(&longest), "{longest} steps in one round");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn works_that_wait_keep_nobody_waiting() {
        let turns = Turns::default();
        let silent = turns.take(1, std::future::pending::<()>());
        let other = turns.take(1, async { 7 });
        let (mut silent, mut other) = (pin!(silent), pin!(other));
        let seven = std::future::poll_fn(|cx| {
            assert!(silent.as_mut().poll(cx).is_pending());
            other.as_mut().poll(cx)
        });
        assert_eq!(seven.await, 7);
    }
}
