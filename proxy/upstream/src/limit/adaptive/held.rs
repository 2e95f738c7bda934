//! A limit in force, which follows what the service answers.
//!
//! Every few seconds, while the limit is reached, the service is asked for a part of it, for a moment. If fewer are answered by as
//! much, the limit is what keeps it from doing more, and rises; if as many are, the limit is too high, and falls; in between it is
//! right. The more what is answered differs by itself, the longer that is looked at, and the less it takes to let more in: on a
//! machine that stands still now and then nobody knows, and who does not know does not limit. What was answered once is not given
//! away: where less is, the limit rises until it is again, or until more brings nothing.

use std::time::{Duration, Instant};

use super::super::window::Measure;
use super::{Adaptive, CAUTION, FLOOR, LESS, Phase, seconds};

/// A limit in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) limit: f64,
    next_round: Instant,
    /// When it was last half used, and reached.
    used: (Instant, Instant),
    carried: Carried,
    /// What was answered in a second under a lower one, if it was raised because that was less than the best.
    lifted: Option<f64>,
}

/// What a limit has let through while it was reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    answers: f64,
    /// In seconds.
    time: f64,
    /// Squares of what was answered in a second, each for as long as that was looked at.
    squares: f64,
    /// The spread before that, which fades.
    spread: f64,
}

impl Held {
    /// The limit, and what it has let through.
    pub(super) fn carried_by(&self) -> (f64, Carried) {
        (self.limit, self.carried)
    }
}

impl Carried {
    /// Nothing yet, after this.
    fn after(before: Self) -> Self {
        Self { spread: before.spread() * FADES, ..Self::default() }
    }

    fn add(&mut self, measure: &Measure) {
        self.answers += measure.rate * measure.time;
        self.time += measure.time;
        self.squares += measure.rate * measure.rate * measure.time;
    }

    /// Answers in a second.
    fn rate(&self) -> f64 {
        self.answers / self.time.max(f64::MIN_POSITIVE)
    }

    /// By how much these differ, as a part of them.
    fn spread(&self) -> f64 {
        let rate = self.rate().max(f64::MIN_POSITIVE);
        let mean_square = self.squares / self.time.max(f64::MIN_POSITIVE);
        (mean_square / (rate * rate) - 1.0).max(0.0).sqrt().max(self.spread)
    }

    /// How long a round lasts at least, in seconds: the longer, the less is to be seen at once.
    pub(super) fn least_round(&self) -> f64 {
        (self.spread() * LOOKS).clamp(0.2, 1.0)
    }
}

/// Latency over the usual one that a limit aims at.
const AIM: f64 = 1.25;
/// Latency with a limit against that with a part of it where nobody waits for others, ...
const NO_WAIT: f64 = 1.05;
/// ... and what a limit grows to there.
const GROWN: f64 = 1.25;
/// What is answered in a round, against what is with the whole limit, where that is as it should be ...
const STEADY: f64 = 0.92;
/// ... and how much is added to that of the spread of what is answered, ...
const DOUBT: f64 = 0.5;
/// ... at most to this.
const MOST_STEADY: f64 = 1.0;
/// What a limit may become of itself in one step.
const SHRINKS: f64 = 0.88;
const GROWS: f64 = 1.3;
/// After a step like this the next round follows when the limit has lasted so many times as long as a round.
const GROWS_ON: f64 = 1.05;
const SOON: f64 = 3.0;
/// How many times as long as a round has to be looked at before, for it to be a reason for less.
const SURE: f64 = 5.0;
/// What is answered is known after so long, in seconds.
const ENOUGH: f64 = 1.0;
/// Less than this of what was answered before is too little.
const NEARLY: f64 = 0.93;
/// What is answered with more against that with less, where more brings anything.
const GAIN: f64 = 1.05;
/// What is left of the spread under one limit under the next.
const FADES: f64 = 0.8;
/// How long a round is, in seconds, for a spread of one.
const LOOKS: f64 = 4.0;
const BETWEEN_ROUNDS: f64 = 5.0;
/// A round is a small part of the time.
const ROUNDS_APART: f64 = 10.0;
/// A limit that is not half used for so long is lifted, ...
const IDLE: Duration = Duration::from_secs(2);
/// ... and one that is not reached.
const UNREACHED: Duration = Duration::from_secs(10);

impl Adaptive {
    /// A round after a trial has shown what is usual.
    pub(super) fn hold(&mut self, before: Measure, measure: Measure, now: Instant) {
        self.usual = Some(measure.took);
        self.caution = CAUTION;
        let limit = before.rate.max(measure.rate) * measure.took * AIM;
        self.set_limit(limit, Carried::default(), seconds(measure.time * SOON), now);
    }

    /// A round has shown how many are answered with a part of the limit. Were it too low, they would be fewer by as much; were it
    /// too high, not at all. That latency is said by nothing but this: on a machine that has much else to do, all is late.
    pub(super) fn weigh(
        &mut self,
        (held, carried): (f64, Carried),
        measure: Measure,
        now: Instant,
    ) {
        self.usual = Some(measure.took);
        let part = measure.rate / carried.rate().max(f64::MIN_POSITIVE);
        let steady = (STEADY + carried.spread() * DOUBT).min(MOST_STEADY);
        // What was looked at for a moment is no reason for less.
        let is_known = carried.time >= measure.time * SURE;
        let step = (steady / part).clamp(if is_known { SHRINKS } else { 1.0 }, GROWS);
        self.best = carried.rate().max(f64::midpoint(self.best, carried.rate()));
        let usually = (measure.time * ROUNDS_APART).max(BETWEEN_ROUNDS);
        let pause = if step > GROWS_ON { measure.time * SOON } else { usually };
        self.set_limit(held * step, Carried::after(carried), seconds(pause), now);
    }

    pub(super) fn set_limit(
        &mut self,
        limit: f64,
        carried: Carried,
        pause: Duration,
        now: Instant,
    ) {
        let held = Held {
            limit: limit.max(FLOOR),
            next_round: now + pause,
            used: (now, now),
            carried,
            lifted: None,
        };
        self.set(Phase::Held(held), now);
    }

    /// A limit stays until a round shows that it should be another, or it is not needed any more.
    pub(super) fn keep(&mut self, mut held: Held, (usual, measure): (f64, Measure), now: Instant) {
        let is_reached = measure.peak + 1.0 >= held.limit;
        if measure.peak * 2.0 >= held.limit {
            held.used.0 = now;
        }
        if is_reached {
            held.used.1 = now;
            held.carried.add(&measure);
        }
        let is_over = |since, time| now.saturating_duration_since(since) >= time;
        if is_over(held.used.0, IDLE) || is_over(held.used.1, UNREACHED) {
            self.set(Phase::free(0), now);
        } else if is_reached && measure.took < usual * NO_WAIT {
            // Nobody waits for others there.
            let pause = held.next_round.saturating_duration_since(now);
            self.set_limit(held.limit * GROWN, Carried::after(held.carried), pause, now);
        } else if is_reached && held.carried.time >= ENOUGH && self.is_less(&held) {
            let rate = held.carried.rate();
            let pause = held.next_round.saturating_duration_since(now);
            self.set_limit(held.limit * GROWS, Carried::after(held.carried), pause, now);
            if let Phase::Held(held) = &mut self.phase {
                held.lifted = Some(rate);
            }
        } else if is_reached && now >= held.next_round {
            let limit = (held.limit * LESS).max(FLOOR);
            let held = Some((held.limit, held.carried));
            self.set(Phase::Round { limit, before: measure, held }, now);
        } else {
            self.phase = Phase::Held(held);
        }
    }

    /// Whether less is answered than under another limit, and a higher one may bring it back.
    fn is_less(&mut self, held: &Held) -> bool {
        let rate = held.carried.rate();
        if held.lifted.is_some_and(|lower| rate < lower * GAIN) {
            // There is no more to be had.
            self.best = rate;
        }
        rate < self.best * NEARLY
    }
}
