//! The slow lane of a worker: whoever sends a body in crumbs is served few at a time, so that thousands who do so at once keep
//! no request of others waiting.
//!
//! Without it all of them are ready together whenever their kernel has something, and a new request waits behind them all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Those who wait for their turn. Nobody is in it twice.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    queue: Mutex<VecDeque<Entry>>,
    filled: Notify,
}

/// A task in a lane: what the kernel wakes in its place.
#[derive(Debug)]
pub(crate) struct Slow {
    lane: Arc<Lane>,
    task: Mutex<Waker>,
    is_queued: AtomicBool,
}

#[derive(Debug)]
enum Entry {
    Slow(Arc<Slow>),
    Once(Waker),
}

/// So many have their turn between two looks at who else has something to do.
const AT_ONCE: usize = 4;

impl Lane {
    /// Lets those who wait go on in their order, few at a time, for ever.
    pub(crate) async fn let_go_on(&self) {
        loop {
            self.filled.notified().await;
            while self.turn() {
                // Whoever else is ready goes first.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Wakes the first; whether there were any.
    fn turn(&self) -> bool {
        for woken in 0..AT_ONCE {
            // A statement of its own: nobody is woken under the lock.
            let first = self.queue.lock().pop_front();
            let Some(first) = first else { return woken > 0 };
            match first {
                Entry::Slow(slow) => slow.wake_task(),
                Entry::Once(waker) => waker.wake(),
            }
        }
        true
    }

    /// Gives back the room that a burst has taken.
    pub(crate) fn tidy(&self) {
        self.queue.lock().shrink_to_fit();
    }

    /// Has `wakers` woken in their turn.
    pub(crate) fn queue(&self, wakers: Vec<Waker>) {
        if !wakers.is_empty() {
            self.queue.lock().extend(wakers.into_iter().map(Entry::Once));
            self.filled.notify_one();
        }
    }
}

impl Slow {
    /// For the task in hand.
    pub(crate) fn new(lane: Arc<Lane>, cx: &Context<'_>) -> Arc<Self> {
        let task = Mutex::new(cx.waker().clone());
        Arc::new(Self { lane, task, is_queued: AtomicBool::new(false) })
    }

    /// What is to be woken in the place of the task in hand.
    pub(crate) fn waker(self: &Arc<Self>, cx: &Context<'_>) -> Waker {
        let mut task = self.task.lock();
        if !task.will_wake(cx.waker()) {
            task.clone_from(cx.waker());
        }
        Waker::from(Arc::clone(self))
    }

    fn wake_task(&self) {
        self.is_queued.store(false, Ordering::Release);
        let task = self.task.lock().clone();
        task.wake();
    }
}

impl Wake for Slow {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let lane = Arc::clone(&self.lane);
            lane.queue.lock().push_back(Entry::Slow(self));
            lane.filled.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;

    use super::*;

    type Ready = Arc<Mutex<Vec<Waker>>>;

    /// Waits as for the kernel, until what it adds to `ready` is woken.
    async fn crumb(lane: Arc<Lane>, ready: Ready, counted: Arc<AtomicUsize>) {
        let mut is_first = true;
        std::future::poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                ready.lock().push(Slow::new(Arc::clone(&lane), cx).waker(cx));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        counted.fetch_add(1, Ordering::Relaxed);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn between_two_looks_at_others_few_go_on_however_many_are_ready() {
        let (lane, ready, counted) = (Arc::new(Lane::default()), Ready::default(), Arc::default());
        let driven = Arc::clone(&lane);
        tokio::spawn(async move { driven.let_go_on().await });
        for _ in 0..100 {
            tokio::spawn(crumb(Arc::clone(&lane), Arc::clone(&ready), Arc::clone(&counted)));
        }
        while ready.lock().len() < 100 {
            tokio::task::yield_now().await;
        }
        // Twice: nobody gets two turns for that.
        ready.lock().iter().for_each(Waker::wake_by_ref);
        ready.lock().drain(..).for_each(Waker::wake);
        assert_eq!(lane.queue.lock().len(), 100);
        let (mut longest, mut before) = (0, 0);
        while before < 100 {
            tokio::task::yield_now().await;
            let now = counted.load(Ordering::Relaxed);
            (longest, before) = (longest.max(now - before), now);
        }
        assert!((1..=2 * AT_ONCE).contains(&longest), "{longest} at once");
        lane.tidy();
        assert_eq!(lane.queue.lock().capacity(), 0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_was_let_go_on_may_queue_again() {
        let lane = Arc::new(Lane::default());
        let slow = Slow::new(Arc::clone(&lane), &Context::from_waker(Waker::noop()));
        for _ in 0..2 {
            slow.waker(&Context::from_waker(Waker::noop())).wake();
            assert_eq!(lane.queue.lock().len(), 1);
            assert!(lane.turn() && !lane.turn());
        }
    }
}
