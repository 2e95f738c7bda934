//! A job that somebody waits for, perhaps several.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::{Outcome, Reason};

/// A claim on the outcome of a job. The last one that is dropped before the end stops the job.
#[derive(Debug)]
pub struct Ticket {
    flight: Arc<Flight>,
    outcome: watch::Receiver<Option<Arc<Outcome>>>,
}

/// What a wait with a deadline ended with.
#[derive(Debug)]
pub enum Waited {
    /// The job has ended.
    Done(Arc<Outcome>),
    /// It goes on for as long as the ticket is kept.
    Late(Ticket),
}

impl Ticket {
    /// The outcome, as soon as there is one.
    pub async fn outcome(mut self) -> Arc<Outcome> {
        self.wait().await
    }

    /// The outcome, if there is one within this time; else the ticket again, to leave the job in the background: hand it to a
    /// task that waits for [`Ticket::outcome`] and stores what was made.
    ///
    /// # Panics
    /// Outside a runtime of tokio with its clock.
    pub async fn within(mut self, time: Duration) -> Waited {
        match timeout(time, self.wait()).await {
            Ok(outcome) => Waited::Done(outcome),
            Err(_) => Waited::Late(self),
        }
    }

    async fn wait(&mut self) -> Arc<Outcome> {
        let found = self.outcome.wait_for(Option::is_some).await;
        let outcome = found.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Arc::new(Outcome::Original(Reason::Closed)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.flight.tickets.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.flight.abandoned.store(true, Ordering::Relaxed);
        }
    }
}

/// A job on its way, from submission to its outcome.
#[derive(Debug)]
pub(crate) struct Flight {
    outcome: watch::Sender<Option<Arc<Outcome>>>,
    /// How many wait. None is for good: whoever comes then starts anew.
    tickets: AtomicUsize,
    pub(crate) abandoned: Arc<AtomicBool>,
}

impl Flight {
    /// A flight with its first ticket.
    pub(crate) fn start() -> (Arc<Self>, Ticket) {
        let (sender, outcome) = watch::channel(None);
        let abandoned = Arc::default();
        let flight = Arc::new(Self { outcome: sender, tickets: AtomicUsize::new(1), abandoned });
        (Arc::clone(&flight), Ticket { flight, outcome })
    }

    /// One more ticket, unless everybody has left.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Ticket> {
        let more = |tickets: usize| tickets.checked_add(1).filter(|_| tickets > 0);
        self.tickets.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Ticket { flight: Arc::clone(self), outcome: self.outcome.subscribe() })
    }

    /// Tells everybody who waits.
    pub(crate) fn land(&self, outcome: Arc<Outcome>) {
        self.outcome.send_replace(Some(outcome));
    }
}
