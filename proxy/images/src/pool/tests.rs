use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Pool, PoolSettings, Submitted};
use crate::{Alarm, Flaw, Job, Outcome, Reason, Target, Ticket, Waited};

/// A pool of one thread whose jobs begin and end when a test says so.
struct Stage {
    pool: Pool,
    /// The first byte of the source of each job that begins, and when it has to stop.
    begun: Receiver<(u8, Alarm)>,
    /// Lets the next job end.
    end: Sender<Outcome>,
}

impl Stage {
    fn new(queue: usize, queued_bytes: u64) -> Self {
        let threads = NonZeroUsize::MIN;
        let settings = PoolSettings { threads, queue, queued_bytes, niceness: 7 };
        let (begins, begun) = channel();
        let (end, ends) = channel();
        let (begins, ends) = (Mutex::new(begins), Mutex::new(ends));
        let pool = Pool::with_work(settings, move |job, alarm| {
            let first = job.source.first().copied().unwrap_or_default();
            begins.lock().send((first, alarm.clone())).unwrap();
            ends.lock().recv().unwrap_or(Outcome::Original(Reason::Encoder))
        });
        Self { pool: pool.unwrap(), begun, end }
    }

    fn submit(&self, key: u8) -> Submitted {
        self.pool.submit(key.into(), job(key))
    }

    fn queued(&self, key: u8) -> Ticket {
        match self.submit(key) {
            Submitted::Queued(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// A job that has begun and does not end.
    fn occupied(&self, key: u8) -> Ticket {
        let ticket = self.queued(key);
        assert_eq!(self.begun.recv().unwrap().0, key);
        ticket
    }
}

fn job(first: u8) -> Job {
    Job::new(Bytes::from(vec![first; 10]), Target::WebP)
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    if let Outcome::Original(reason) = outcome { Some(*reason) } else { None }
}

#[tokio::test]
async fn a_full_queue_says_so_at_once() {
    let stage = Stage::new(2, 1000);
    let tickets = [stage.occupied(1), stage.queued(2), stage.queued(3)];
    assert!(matches!(stage.submit(4), Submitted::Busy));
    let counts = stage.pool.counts();
    assert_eq!((counts.queued, counts.busy, counts.waiting, counts.running), (3, 1, 2, 1));
    for ticket in tickets {
        stage.end.send(Outcome::Original(Reason::Size)).unwrap();
        assert_eq!(reason(&*ticket.outcome().await), Some(Reason::Size));
    }
    let counts = stage.pool.counts();
    assert_eq!((counts.waiting, counts.originals(Reason::Size)), (0, 3));
}

#[tokio::test]
async fn what_waits_has_a_bound_in_bytes_too() {
    let stage = Stage::new(100, 25);
    let first = stage.occupied(1);
    let _tickets = [stage.queued(2), stage.queued(3)];
    assert!(matches!(stage.submit(4), Submitted::Busy));
    stage.end.send(Outcome::Broken(Flaw::Corrupt)).unwrap();
    assert!(matches!(*first.outcome().await, Outcome::Broken(Flaw::Corrupt)));
    assert_eq!(stage.begun.recv().unwrap().0, 2);
    assert!(matches!(stage.submit(4), Submitted::Queued(_)));
    assert_eq!(stage.pool.counts().broken(Flaw::Corrupt), 1);
}

#[tokio::test]
async fn the_same_job_is_done_once_for_all_who_want_it() {
    let stage = Stage::new(4, 1000);
    let first = stage.occupied(1);
    let others: Vec<_> = (0..3).map(|_| stage.submit(1)).collect();
    stage.end.send(Outcome::Original(Reason::Size)).unwrap();
    let outcome = first.outcome().await;
    for other in others {
        let Submitted::Joined(ticket) = other else { panic!("{other:?}") };
        assert!(std::sync::Arc::ptr_eq(&ticket.outcome().await, &outcome));
    }
    assert_eq!((stage.pool.counts().queued, stage.pool.counts().joined), (1, 3));
    // It is done: whoever comes now starts anew.
    let _again = stage.occupied(1);
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_is_not_begun() {
    let stage = Stage::new(1, 1000);
    let first = stage.occupied(1);
    drop(stage.queued(2));
    let third = stage.queued(3);
    stage.end.send(Outcome::Original(Reason::Size)).unwrap();
    first.outcome().await;
    assert_eq!(stage.begun.recv().unwrap().0, 3);
    assert_eq!(stage.pool.counts().originals(Reason::Abandoned), 1);
    drop(third);
}

#[tokio::test]
async fn a_job_stops_when_the_last_who_waits_leaves() {
    let stage = Stage::new(1, 1000);
    let Submitted::Queued(first) = stage.submit(1) else { panic!("busy") };
    let (_, alarm) = stage.begun.recv().unwrap();
    let Submitted::Joined(second) = stage.submit(1) else { panic!("not joined") };
    drop(first);
    assert_eq!(alarm.rings(), None);
    drop(second);
    assert_eq!(alarm.rings(), Some(Reason::Abandoned));
    // What is on its way to its end is not joined any more.
    assert!(matches!(stage.submit(1), Submitted::Queued(_)));
}

#[tokio::test]
async fn who_waits_no_longer_keeps_the_ticket() {
    let stage = Stage::new(1, 1000);
    let ticket = stage.occupied(1);
    let Waited::Late(ticket) = ticket.within(Duration::ZERO).await else {
        panic!("it has not ended")
    };
    stage.end.send(Outcome::Original(Reason::Size)).unwrap();
    let Waited::Done(outcome) = ticket.within(Duration::from_secs(60)).await else {
        panic!("it has ended")
    };
    assert_eq!(reason(&outcome), Some(Reason::Size));
}

#[tokio::test]
async fn a_pool_that_closes_answers_everybody() {
    let stage = Stage::new(2, 1000);
    let (running, waiting) = (stage.queued(1), stage.queued(2));
    let (_, alarm) = stage.begun.recv().unwrap();
    let Stage { pool, end, begun } = stage;
    pool.shared.close();
    assert_eq!(alarm.rings(), Some(Reason::Abandoned));
    assert_eq!(reason(&*waiting.outcome().await), Some(Reason::Closed));
    assert!(matches!(pool.submit(3, job(3)), Submitted::Busy));
    end.send(Outcome::Original(Reason::Abandoned)).unwrap();
    assert_eq!(reason(&*running.outcome().await), Some(Reason::Abandoned));
    pool.close();
    assert!(begun.recv().is_err(), "its threads have ended");
}

#[tokio::test]
async fn threads_stand_back_behind_others() {
    let settings =
        PoolSettings { threads: NonZeroUsize::MIN, queue: 1, queued_bytes: 1000, niceness: 7 };
    let own = rustix::process::getpriority_process(None).unwrap();
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let pool = Pool::with_work(settings, move |_, _| {
        let niceness = rustix::process::getpriority_process(None).unwrap();
        sender.lock().send(niceness).unwrap();
        Outcome::Original(Reason::Size)
    });
    let pool = pool.unwrap();
    let Submitted::Queued(ticket) = pool.submit(1, job(1)) else { panic!("busy") };
    ticket.outcome().await;
    assert_eq!(receiver.recv().unwrap(), (own + 7).min(19));
}

#[test]
fn one_core_is_left_to_the_requests() {
    let threads = [0, 1, 2, 8].map(|cores| PoolSettings::for_cores(cores).threads.get());
    assert_eq!(threads, [1, 1, 1, 7]);
    assert_eq!(PoolSettings::for_cores(8).queue, 14);
}

#[test]
fn what_an_engine_holds_may_go_to_other_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent(_: impl Send) {}
    is_shared::<Pool>();
    is_shared::<Ticket>();
    is_shared::<Job>();
    is_sent(|ticket: Ticket| is_sent(ticket.within(Duration::ZERO)));
}
