//! How many requests at once a service can do, found by watching it: a gradient of latencies, long against short.
//!
//! A service is free, without any limit, until its latency rises to more than [`ENGAGE`] times what it usually is while it
//! answers no more requests than before: then requests may queue in it. To be sure, it is asked a little less, as a trial. If its
//! latency does not fall by that, the service is slower by nature, and free again. If it does, waiting was the reason: for one
//! round the service has fewer requests than it can work at, which shows how long an answer takes without waiting, and from then
//! on about as many as it can work at, and a quarter more. The round is repeated every few seconds, so that what is usual never
//! drifts with the load.

use std::time::{Duration, Instant};

/// A request that a service answered.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How long the head of its answer took.
    pub took: Duration,
    /// How many were in flight when it came, with this one.
    pub in_flight: u32,
}

/// The limit of one service, as it is learned.
#[derive(Debug)]
pub struct Adaptive {
    phase: Phase,
    /// How long an answer takes that need not wait, in seconds.
    usual: Option<f64>,
    window: Window,
    /// Only requests sent since then tell of the limit in force.
    since: Option<Instant>,
    /// Rounds without a trial, once one has shown nothing; doubles each time.
    caution: u32,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No limit.
    Free {
        /// Rounds in a row that took too long.
        slow: u32,
        /// Answers in a second in the round before.
        rate: f64,
        /// Rounds to come without a trial.
        rest: u32,
    },
    /// A little less, to see whether latency falls by it.
    Trial { limit: f64, before: Measure },
    /// So few that nobody waits, to see what is usual.
    Round { limit: f64, before: Measure },
    /// A limit.
    Held { limit: f64, next_round: Instant, idle_since: Option<Instant> },
}

/// What a window showed.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// Mean, in seconds.
    took: f64,
    /// Answers in a second.
    rate: f64,
    /// The most at once.
    peak: f64,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    answers: u32,
    counted: u32,
    sum: f64,
    peak: u32,
}

/// No limit is lower.
const FLOOR: f64 = 4.0;
/// What is not above the floor by as much again is left alone.
const FEW: f64 = 2.0 * FLOOR;
/// Latency over the usual one at which a free service is tried.
const ENGAGE: f64 = 2.0;
/// Latency over the usual one that a limit aims at.
const AIM: f64 = 1.25;
/// What a round asks of what the service can do.
const LESS: f64 = 0.75;
/// What a trial asks of what is in flight.
const TRIAL: f64 = 0.7;
/// It shows that waiting was the reason when latency falls to this part.
const PROVEN: f64 = 0.85;
/// A service whose answers take longer by nature is never limited.
const SLOW_BY_NATURE: f64 = 1.0;
/// Answers over which what is usual is averaged.
const LONG: f64 = 600.0;
const BETWEEN_ROUNDS: Duration = Duration::from_secs(5);
/// A limit that is not half used for so long is lifted.
const IDLE: Duration = Duration::from_secs(2);
const CAUTION: u32 = 8;
const MOST_CAUTION: u32 = 4096;

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            phase: Phase::Free { slow: 0, rate: f64::MAX, rest: 0 },
            usual: None,
            window: Window::default(),
            since: None,
            caution: CAUTION,
        }
    }
}

impl Adaptive {
    /// Learns from an answer; returns how many may be in flight from now on.
    pub fn learn(&mut self, sample: Sample, now: Instant) -> u32 {
        let counts = self
            .since
            .is_none_or(|since| now.checked_sub(sample.took).is_none_or(|sent| sent >= since));
        self.window.add(sample, counts, now);
        if let Some(measure) = self.window.close(self.wanted(sample.in_flight), now) {
            self.window = Window::default();
            self.judge(measure, now);
        }
        self.limit()
    }

    /// How many may be in flight.
    #[must_use]
    pub fn limit(&self) -> u32 {
        match self.phase {
            Phase::Free { .. } => u32::MAX,
            Phase::Trial { limit, .. } | Phase::Round { limit, .. } | Phase::Held { limit, .. } => {
                limit as u32
            }
        }
    }

    /// Whether it is settled that the service is overloaded, or that it is not: on trial, nobody is sent away for having waited.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self.phase, Phase::Trial { .. })
    }

    /// How long an answer takes that need not wait, once known.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        self.usual.map(Duration::from_secs_f64)
    }

    /// Answers that a window is to have.
    fn wanted(&self, in_flight: u32) -> u32 {
        match self.phase {
            Phase::Free { .. } => in_flight.clamp(16, 64),
            Phase::Trial { .. } => 64,
            Phase::Round { limit, .. } => (limit as u32 * 2).clamp(16, 256),
            Phase::Held { limit, .. } => (limit as u32 * 2).clamp(64, 512),
        }
    }

    fn judge(&mut self, measure: Measure, now: Instant) {
        let Some(usual) = self.usual else {
            self.usual = Some(measure.took);
            return;
        };
        match self.phase {
            Phase::Free { slow, rate, rest } => {
                self.watch((slow, rate, rest), usual, measure, now);
            }
            Phase::Trial { before, .. } if measure.took <= before.took * PROVEN => {
                self.round(usual, before, now);
            }
            Phase::Trial { .. } => {
                self.usual = Some(measure.took);
                let rest = self.caution;
                self.caution = (self.caution * 2).min(MOST_CAUTION);
                self.set(Phase::Free { slow: 0, rate: f64::MAX, rest }, now);
            }
            Phase::Round { before, .. } => self.hold(before, measure, now),
            Phase::Held { limit, next_round, idle_since } => {
                let idle_since = match measure.peak * 2.0 < limit {
                    true => Some(idle_since.unwrap_or(now)),
                    false => None,
                };
                let is_idle = |since| now.saturating_duration_since(since) >= IDLE;
                if idle_since.is_some_and(is_idle) {
                    self.set(Phase::Free { slow: 0, rate: f64::MAX, rest: 0 }, now);
                } else if now >= next_round || measure.took > usual * AIM * AIM {
                    self.round(usual, measure, now);
                } else {
                    let limit = adjusted(limit, usual, measure);
                    self.phase = Phase::Held { limit, next_round, idle_since };
                }
            }
        }
    }

    /// A free service: what is usual follows, unless it is tried.
    fn watch(
        &mut self,
        (slow, rate, rest): (u32, f64, u32),
        usual: f64,
        measure: Measure,
        now: Instant,
    ) {
        let in_flight = measure.rate * measure.took;
        let is_slow = measure.took > usual * ENGAGE && in_flight > FEW;
        let may_try = usual < SLOW_BY_NATURE && rest == 0;
        if !is_slow || !may_try {
            // Faster is believed at once, slower in time.
            let weight = if measure.took < usual { 0.25 } else { measure.counted_of(LONG) };
            self.usual = Some(usual + (measure.took - usual) * weight);
            let rest = rest.saturating_sub(1);
            self.phase = Phase::Free { slow: 0, rate: measure.rate, rest };
        } else if slow > 0 && measure.rate < rate * 1.2 {
            // Not more is answered, only later.
            self.set(Phase::Trial { limit: in_flight * TRIAL, before: measure }, now);
        } else {
            self.phase = Phase::Free { slow: slow + 1, rate: measure.rate, rest };
        }
    }

    fn round(&mut self, usual: f64, before: Measure, now: Instant) {
        let limit = (before.rate * usual * LESS).max(FLOOR);
        self.set(Phase::Round { limit, before }, now);
    }

    /// A round has shown what is usual.
    fn hold(&mut self, before: Measure, measure: Measure, now: Instant) {
        self.usual = Some(measure.took);
        self.caution = CAUTION;
        let limit = (before.rate.max(measure.rate) * measure.took * AIM).max(FLOOR);
        self.set(Phase::Held { limit, next_round: now + BETWEEN_ROUNDS, idle_since: None }, now);
    }

    fn set(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = Some(now);
    }
}

/// A limit a step nearer to the latency that it aims at; it grows only where it is used.
fn adjusted(limit: f64, usual: f64, measure: Measure) -> f64 {
    let gradient = (usual * AIM / measure.took).clamp(0.5, 1.0);
    let is_used = measure.peak + 1.0 >= limit;
    if gradient < 1.0 {
        (limit * f64::midpoint(1.0, gradient)).max(FLOOR)
    } else if is_used && measure.took < usual * f64::midpoint(1.0, AIM) {
        limit * AIM
    } else if is_used {
        limit + 1.0
    } else {
        limit
    }
}

impl Measure {
    /// The weight of its answers among so many.
    fn counted_of(&self, all: f64) -> f64 {
        ((self.rate * self.took).max(16.0) / all).min(0.25)
    }
}

impl Window {
    fn add(&mut self, sample: Sample, counts: bool, now: Instant) {
        self.began.get_or_insert(now);
        self.answers += 1;
        self.peak = self.peak.max(sample.in_flight);
        if counts {
            self.counted += 1;
            self.sum += sample.took.as_secs_f64();
        }
    }

    /// What it shows, when it has enough answers over at least the time of one.
    fn close(&self, wanted: u32, now: Instant) -> Option<Measure> {
        if self.counted < wanted {
            return None;
        }
        let time = now.saturating_duration_since(self.began?).as_secs_f64();
        let took = self.sum / f64::from(self.counted);
        if took <= 0.0 || time < took.min(1.0) {
            return None;
        }
        let rate = f64::from(self.answers.saturating_sub(1)) / time;
        Some(Measure { took, rate, peak: f64::from(self.peak) })
    }
}
