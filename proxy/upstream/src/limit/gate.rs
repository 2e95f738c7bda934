//! How many are let in to a service at once, and who waits for that.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::adaptive::{Adaptive, Certainty, Sample};
use super::queue::{Class, Patience, Queue};

/// How many may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// As many as come.
    Off,
    /// So many.
    Fixed(u32),
    /// As many as the service can work at.
    Adaptive,
}

/// Who may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRules {
    /// So many at once.
    pub most: usize,
    /// So long.
    pub wait: Duration,
}

/// One service, or one shard of it. `T` is how those who wait are told.
#[derive(Debug)]
pub struct Gate<T> {
    in_flight: AtomicU32,
    /// The adaptive limit in force.
    limit: AtomicU32,
    waiting: AtomicU32,
    certainty: AtomicU8,
    /// How long an answer usually takes, in microseconds.
    usual: AtomicU64,
    queue: Mutex<Queue<T>>,
    adaptive: Mutex<Adaptive>,
    /// Answers that two told at once.
    missed: AtomicU32,
}

/// Somebody who would wait.
#[derive(Debug)]
pub struct Waiting<T> {
    /// How important it is.
    pub class: Class,
    /// How it is told.
    pub who: T,
    /// Since now.
    pub now: Instant,
    /// Not longer than this.
    pub deadline: Instant,
}

/// What became of somebody who would wait.
#[derive(Debug)]
pub enum Left<T> {
    /// It is in, as this one of them: nobody is sent away for what is only a trial.
    Entered(u32, T),
    /// It waits, under this number; somebody else may have to go instead.
    Waits(u64, Option<T>),
    /// There is no room.
    Shed(T),
}

/// Where not all can be served in time one may wait so long, or half of what an answer takes.
const TARGET: Duration = Duration::from_millis(5);

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(u32::MAX),
            waiting: AtomicU32::new(0),
            certainty: AtomicU8::new(Certainty::Settled as u8),
            usual: AtomicU64::new(0),
            queue: Mutex::new(Queue::new()),
            adaptive: Mutex::default(),
            missed: AtomicU32::new(0),
        }
    }
}

impl<T> Gate<T> {
    /// Those that are in.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Those who wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many may be in; `None` is as many as come.
    #[must_use]
    pub fn limit(&self, ceiling: Ceiling) -> Option<u32> {
        Some(self.most(ceiling)).filter(|most| *most != u32::MAX)
    }

    /// How long an answer takes that need not wait, once known.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        let micros = self.usual.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Lets one in, if there is room and nobody waits: it is this one of them. No lock.
    pub fn enter(&self, ceiling: Ceiling) -> Option<u32> {
        if self.waiting.load(Ordering::SeqCst) > 0 && ceiling != Ceiling::Off {
            return None;
        }
        self.admit(ceiling)
    }

    fn admit(&self, ceiling: Ceiling) -> Option<u32> {
        let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
        if others < self.most(ceiling) {
            return Some(others.saturating_add(1));
        }
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        None
    }

    /// One is in that was not counted until now.
    pub fn come(&self) -> u32 {
        self.in_flight.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }

    /// Whether the limit is only a trial: who has waited in vain is let in, by [`Gate::come`].
    #[must_use]
    pub fn is_on_trial(&self, ceiling: Ceiling) -> bool {
        self.is(Certainty::Maybe, ceiling)
    }

    fn most(&self, ceiling: Ceiling) -> u32 {
        match ceiling {
            Ceiling::Off => u32::MAX,
            Ceiling::Fixed(most) => most,
            Ceiling::Adaptive => self.limit.load(Ordering::Relaxed),
        }
    }

    /// Waits to be let in. Whoever comes out of here alive calls [`Gate::next`]: room may have been made meanwhile.
    pub fn wait(&self, waiting: Waiting<T>, ceiling: Ceiling, rules: QueueRules) -> Left<T> {
        let Waiting { class, who, now, deadline } = waiting;
        self.look_again(ceiling, now);
        let mut queue = self.queue.lock();
        if queue.length() >= rules.most && self.is_on_trial(ceiling) {
            return Left::Entered(self.come(), who);
        }
        let patience = self.patience(ceiling);
        let (ticket, gone) = queue.push((class, who), (now, deadline), (rules.most, patience));
        self.count(&queue);
        match (ticket, gone) {
            (Some(ticket), gone) => Left::Waits(ticket, gone),
            (None, Some(who)) => Left::Shed(who),
            // A queue gives back whom it does not take.
            (None, None) => Left::Waits(0, None),
        }
    }

    /// Who is let in now, and as which one of them; `shed` are told that they are not.
    pub fn next(&self, ceiling: Ceiling, now: Instant, shed: impl FnMut(T)) -> Option<(u32, T)> {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let mut queue = self.queue.lock();
        let number = self.admit(ceiling)?;
        let next = queue.pop(now, self.patience(ceiling), shed);
        self.count(&queue);
        if next.is_none() {
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        next.map(|who| (number, who))
    }

    /// Somebody who waited has gone.
    pub fn remove(&self, ticket: u64) {
        let mut queue = self.queue.lock();
        queue.remove(ticket);
        self.count(&queue);
    }

    /// One has come out. Whoever tells this calls [`Gate::next`] until it gives nobody.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Somebody was answered. Two that tell at once need not wait for each other: of one it is only known that it was.
    pub fn learn(&self, sample: Sample, now: Instant) {
        let Some(mut adaptive) = self.adaptive.try_lock() else {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        adaptive.missed(self.missed.swap(0, Ordering::Relaxed));
        adaptive.learn(sample, now);
        self.follow(&adaptive);
    }

    /// Has what was learned in force.
    fn follow(&self, adaptive: &Adaptive) {
        self.limit.store(adaptive.limit(), Ordering::SeqCst);
        self.certainty.store(adaptive.certainty() as u8, Ordering::Relaxed);
        let usual = adaptive.usual().unwrap_or_default().as_micros();
        self.usual.store(u64::try_from(usual).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Somebody is to wait.
    fn look_again(&self, ceiling: Ceiling, now: Instant) {
        if ceiling == Ceiling::Adaptive
            && let Some(mut adaptive) = self.adaptive.try_lock()
        {
            adaptive.waits(now);
            self.follow(&adaptive);
        }
    }

    fn count(&self, queue: &Queue<T>) {
        self.waiting.store(u32::try_from(queue.length()).unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    fn is(&self, certainty: Certainty, ceiling: Ceiling) -> bool {
        let known = match ceiling {
            Ceiling::Adaptive => self.certainty.load(Ordering::Relaxed),
            Ceiling::Off | Ceiling::Fixed(_) => Certainty::Settled as u8,
        };
        known == certainty as u8
    }

    fn patience(&self, ceiling: Ceiling) -> Patience {
        let usual = self.usual().unwrap_or_default();
        self.is(Certainty::Settled, ceiling).then(|| TARGET.max(usual / 2))
    }
}
