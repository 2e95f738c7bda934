//! How many requests at once a service can do, found by watching it.
//!
//! A service is free, without any limit, until even its quickest answers take more than [`ENGAGE`] times what is usual: whoever
//! waits for others does so whatever it asks for, while slow requests among quick ones make nobody else late. Either of two things
//! then shows that requests queue in it. While more come than are answered, each takes longer than the one before by as much
//! as those before it need: that is waiting, and nothing else looks like it. Where as many come as are answered, the service is
//! asked a little less, as a trial: if it answers as many as before, and sooner, they waited; if it answers fewer, it is slower by nature,
//! and free again.
//!
//! Once waiting is proven the service has for one round fewer requests than it can work at, which shows how long an answer takes
//! without waiting, and from then on about as many as it can work at, and a quarter more. How that limit follows the service is in
//! [`held`]: not by latency, which a machine that is short of time adds to whatever the limit is, but by how many are answered.

mod held;

use std::time::{Duration, Instant};

use super::window::{Measure, Window};
use held::{Carried, Held};

/// A request that a service answered.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How long the head of its answer took.
    pub took: Duration,
    /// How many were in flight when it was sent, with this one.
    pub in_flight: u32,
}

/// How sure it is that a service is overloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is, or it is not: who has waited too long is sent away.
    Settled,
    /// Who finds room to wait does so as long as it may.
    Likely,
    /// Nobody is sent away.
    Maybe,
}

/// The limit of one service, as it is learned.
#[derive(Debug)]
pub struct Adaptive {
    phase: Phase,
    /// How long an answer takes that need not wait, in seconds.
    usual: Option<f64>,
    /// Until when what is usual is hardly known.
    young: Option<Instant>,
    window: Window,
    /// Only requests sent since then tell of the limit in force.
    since: Option<Instant>,
    /// When the first of them was answered, ...
    heard: Option<Instant>,
    /// For how long somebody was seen to wait since anybody was answered, and until when.
    silence: (Duration, Option<Instant>),
    /// What it has answered in a second under some limit.
    best: f64,
    /// Windows without a trial, once one has shown nothing; doubles each time.
    caution: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No limit.
    Free {
        /// The first of the windows in a row in which all was slow.
        first: Option<(Measure, Instant)>,
        /// Windows to come without a trial.
        rest: u32,
    },
    /// Less, to see whether latency falls by it; if soft, nobody is sent away for that.
    Trial { limit: f64, before: Measure, is_soft: bool },
    /// So few that nobody waits, to see what is usual; or a part of a limit that is held, to see whether as many are answered.
    Round { limit: f64, before: Measure, held: Option<(f64, Carried)> },
    /// A limit.
    Held(Held),
}

/// No limit is lower.
const FLOOR: f64 = 4.0;
/// So few in flight are left alone.
const FEW: f64 = 4.0 * FLOOR;
/// Latency over the usual one at which a free service is tried.
const ENGAGE: f64 = 2.0;
/// What a round asks of what the service can do.
const LESS: f64 = 0.75;
/// What a trial asks of what is in flight.
const TRIAL: f64 = 0.7;
/// The same where more come than are answered.
const HARD_TRIAL: f64 = 0.5;
/// It shows that waiting was the reason when latency falls to this part, and answers in a second less than what was asked.
const PROVEN: f64 = 0.85;
/// Answers in a second against those before where those were counted over a moment only.
const AS_MANY: f64 = 0.4;
/// What more come than are answered, against that, where nobody has to be asked whether requests queue.
const FAST: f64 = 0.3;
/// A trial in which nobody is answered for so long is over.
const SILENCE: Duration = Duration::from_millis(500);
/// Longer than that nobody is seen to wait where the machine stands still.
const A_MOMENT: Duration = Duration::from_millis(10);
/// This part of what was answered before is hardly anything.
const STARVED: f64 = 0.5;
/// A service whose answers take longer is never tried: it would take too long to see what comes of it.
const SLOW_BY_NATURE: f64 = 1.0;
const YOUNG: Duration = Duration::from_secs(5);
/// Seconds over which what is usual is averaged.
const LONG: f64 = 20.0;
const CAUTION: u32 = 8;
const MOST_CAUTION: u32 = 4096;

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            phase: Phase::free(0),
            usual: None,
            young: None,
            window: Window::default(),
            since: None,
            heard: None,
            silence: (Duration::ZERO, None),
            best: 0.0,
            caution: CAUTION,
        }
    }
}

impl Phase {
    fn free(rest: u32) -> Self {
        Self::Free { first: None, rest }
    }
}

impl Adaptive {
    /// Learns from an answer; returns how many may be in flight from now on.
    pub fn learn(&mut self, sample: Sample, now: Instant) -> u32 {
        // One that was let in before may be sent late, where the machine has much to do.
        let counts = sample.in_flight <= self.limit()
            && self
                .since
                .is_none_or(|since| now.checked_sub(sample.took).is_none_or(|sent| sent >= since));
        self.silence = (Duration::ZERO, Some(now));
        if counts {
            self.heard.get_or_insert(now);
        }
        let slow = self.usual.map_or(f64::MAX, |usual| usual * ENGAGE);
        self.window.add(sample, counts.then_some(slow), now);
        if self.is_too_soon(now) {
            self.window = self.next_window(now);
        }
        let measure = self.window.close(self.wanted(), self.least_time(), now);
        if let Some(measure) = measure.filter(|measure| measure.time >= self.shortest()) {
            self.judge(measure, now);
            self.window = self.next_window(now);
        } else if self.is_without_end(now) {
            self.give_up(now);
        }
        self.limit()
    }

    /// Somebody waits. Where hardly anybody is answered any more, as when those who were let in wait for something else, a trial
    /// is over, and twice as many are let in under a limit, each second again. Returns how many may be in flight from now on.
    pub fn waits(&mut self, now: Instant) -> u32 {
        let (rate, took, held) = match self.phase {
            Phase::Free { .. } => return self.limit(),
            Phase::Trial { before, .. } | Phase::Round { before, held: None, .. } => {
                (before.rate / 2.0, before.took, None)
            }
            Phase::Round { before, held, .. } => (self.best, before.took, held),
            Phase::Held(held) => (self.best, self.usual.unwrap_or(0.0), Some(held.carried_by())),
        };
        let is_silent = self.silence(now) > SILENCE.max(seconds(took));
        let is_starved = self.window.is_starved((rate * STARVED, took), self.settled(), now);
        match held {
            Some((limit, carried)) if is_starved => {
                self.set_limit(limit * 2.0, carried, Duration::ZERO, now);
                self.window = self.next_window(now);
            }
            None if is_starved || is_silent || self.is_without_end(now) => {
                self.give_up(now);
            }
            _ => {}
        }
        self.limit()
    }

    /// How long nobody was answered. While the machine stands still nobody is seen to wait, and that is no silence of the service.
    fn silence(&mut self, now: Instant) -> Duration {
        let (silence, until) = self.silence;
        let more = until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        self.silence = (silence + more.min(A_MOMENT), Some(now));
        self.silence.0
    }

    /// So many answers were not learned from.
    pub fn missed(&mut self, answers: u32) {
        self.window.missed(answers);
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        match self.phase {
            Phase::Free { .. } => u32::MAX,
            Phase::Trial { limit, .. }
            | Phase::Round { limit, .. }
            | Phase::Held(Held { limit, .. }) => limit as u32,
        }
    }

    /// How sure it is that the service is overloaded.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self.phase {
            Phase::Trial { is_soft: true, .. } => Certainty::Maybe,
            Phase::Trial { is_soft: false, .. } => Certainty::Likely,
            _ => Certainty::Settled,
        }
    }

    /// How long an answer takes that need not wait, once known.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        self.usual.map(Duration::from_secs_f64)
    }

    /// Answers that a window is to have, and how many at most if those differ much.
    fn wanted(&self) -> (u32, u32) {
        match self.phase {
            Phase::Free { .. } => (8, 8),
            Phase::Trial { is_soft, .. } => (if is_soft { 64 } else { 16 }, 256),
            Phase::Round { limit, .. } => ((limit as u32 * 2).clamp(16, 256), 512),
            Phase::Held(Held { limit, .. }) => ((limit as u32 * 2).clamp(64, 512), 512),
        }
    }

    /// How long a window is at least, in seconds: what a service without a limit shows has to be seen soon.
    fn least_time(&self) -> f64 {
        match self.phase {
            Phase::Free { .. } => self.usual.unwrap_or(f64::MAX),
            _ => f64::MAX,
        }
    }

    /// What is answered in a second is counted without gaps where that decides.
    fn next_window(&self, now: Instant) -> Window {
        match self.phase {
            Phase::Free { .. } | Phase::Trial { .. } => Window::default(),
            Phase::Round { .. } | Phase::Held(_) => Window::since(now),
        }
    }

    /// How long a window is at least in any case, in seconds: a round that ends when enough were answered would end
    /// soonest where many came by chance.
    fn shortest(&self) -> f64 {
        match self.phase {
            Phase::Round { held: Some((_, carried)), .. } => carried.least_round(),
            _ => 0.0,
        }
    }

    fn judge(&mut self, measure: Measure, now: Instant) {
        let Some(usual) = self.usual else {
            self.usual = Some(measure.took);
            self.young = Some(now + YOUNG);
            return;
        };
        let is_as_much = |before: Measure| measure.rate >= before.rate * PROVEN;
        match self.phase {
            Phase::Free { .. } => self.watch(usual, measure, now),
            Phase::Trial { before, is_soft, .. } => {
                let is_sooner = measure.took <= before.took * PROVEN;
                // What it was asked less is seen, however roughly the rate before is known.
                let least = if is_soft { f64::midpoint(1.0, TRIAL) } else { AS_MANY };
                if is_sooner && measure.rate >= before.rate * least {
                    self.best = measure.rate;
                    self.round(usual, measure, now);
                } else {
                    self.usual = Some(if is_sooner { usual } else { measure.took });
                    self.give_up(now);
                }
            }
            // Fewer are as many in a second, and sooner: they still waited.
            Phase::Round { before, limit, held: None }
                if measure.took <= usual * PROVEN && is_as_much(before) && limit > FLOOR =>
            {
                self.usual = Some(measure.took);
                self.round(measure.took, measure, now);
            }
            Phase::Round { before, held: None, .. } => self.hold(before, measure, now),
            Phase::Round { held: Some(held), .. } => self.weigh(held, measure, now),
            Phase::Held(held) => self.keep(held, (usual, measure), now),
        }
    }

    /// A free service: what is usual follows, unless all is slow.
    fn watch(&mut self, usual: f64, measure: Measure, now: Instant) {
        let Phase::Free { first, rest } = self.phase else { return };
        let is_slow = measure.all_slow && measure.rate * measure.took > FEW;
        if !is_slow {
            // Slower is believed late: however many answers that are, they may all have waited. The quickest are there first.
            let is_young = self.young.is_some_and(|until| now < until);
            let long = if measure.took < usual || is_young { LONG / 10.0 } else { LONG };
            self.usual = Some(usual + (measure.took - usual) * (measure.time / long).min(0.25));
        }
        let Some((first, since)) = first.filter(|_| is_slow) else {
            let first = is_slow.then_some((measure, now));
            self.phase = Phase::Free { first, rest: rest.saturating_sub(1) };
            return;
        };
        let growth = measure.growth(&first, now.saturating_duration_since(since));
        let may_try = measure.took < SLOW_BY_NATURE && rest == 0;
        if growth >= FAST && rest == 0 && measure.queues(&first) {
            let limit = measure.flight.min(measure.rate * measure.took) * HARD_TRIAL;
            self.set(Phase::Trial { limit, before: measure, is_soft: false }, now);
        } else if growth < FAST && may_try && measure.rate < first.rate * 1.2 {
            // Not more is answered, only later.
            let limit = measure.flight.min(measure.rate * measure.took) * TRIAL;
            self.set(Phase::Trial { limit, before: measure, is_soft: true }, now);
        } else {
            let rest = rest.saturating_sub(1);
            self.phase = Phase::Free { first: Some((first, since)), rest };
        }
    }

    /// After a trial: fewer than the service can work at.
    fn round(&mut self, usual: f64, before: Measure, now: Instant) {
        let limit = (before.rate * usual * LESS).max(FLOOR);
        self.set(Phase::Round { limit, before, held: None }, now);
    }

    /// Whether what is seen is still of those who were there before: of a trial the quickest of those that came since, too.
    fn is_too_soon(&self, now: Instant) -> bool {
        self.settled().is_some_and(|settled| now < settled)
    }

    /// When the phase begins to show something.
    fn settled(&self) -> Option<Instant> {
        let settles = match self.phase {
            Phase::Free { .. } => 0.0,
            Phase::Trial { before, .. } => before.took * 2.0,
            Phase::Round { before, .. } => before.took,
            Phase::Held(_) => self.usual.unwrap_or(0.0),
        };
        self.since.and_then(|since| since.checked_add(seconds(settles)))
    }

    /// Whether a trial takes longer than anybody should wait for what it may show.
    fn is_without_end(&self, now: Instant) -> bool {
        let Phase::Trial { before, is_soft, .. } = self.phase else { return false };
        // One that begins with too many in flight has to wait until they are answered.
        let (from, times) = match self.heard {
            _ if is_soft => (self.since, 4.0),
            None => (self.since, 40.0),
            Some(heard) => (Some(heard), 8.0),
        };
        let longest = seconds(before.took.max(before.time) * times);
        from.is_some_and(|from| now.saturating_duration_since(from) > longest)
    }

    /// A trial has shown nothing.
    fn give_up(&mut self, now: Instant) {
        let rest = self.caution;
        self.caution = (self.caution * 2).min(MOST_CAUTION);
        self.window = Window::default();
        self.set(Phase::free(rest), now);
    }

    fn set(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = Some(now);
        self.heard = None;
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
