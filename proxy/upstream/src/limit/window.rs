//! What a few answers in a row tell of a service.

use std::time::{Duration, Instant};

use super::adaptive::Sample;

/// Answers in a row, as sums: nothing is kept of each.
#[derive(Debug, Default)]
pub(super) struct Window {
    began: Option<Instant>,
    /// Whether it began with an answer, and not at a moment that has nothing to do with any.
    by_answer: bool,
    answers: u32,
    peak: u32,
    /// Of those that count: how many, and how many were not slow.
    counted: u32,
    quick: u32,
    /// Sums of latencies, of their squares, and of what was in flight.
    took: f64,
    took_took: f64,
    flight: f64,
}

/// What a window showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Mean, in seconds.
    pub(super) took: f64,
    /// Answers in a second.
    pub(super) rate: f64,
    /// In flight when they were sent: the mean, ...
    pub(super) flight: f64,
    /// ... and the most.
    pub(super) peak: f64,
    /// Whether nearly all were slow.
    pub(super) all_slow: bool,
    /// How long it was looked at, in seconds.
    pub(super) time: f64,
}

/// Of so many answers one may be quick though requests queue: what a service refuses at once, say.
const ODD: u32 = 8;
/// The mean is known when its error is less than this part of it.
const ERROR: f64 = 0.1;
/// After so long, so many answers have to do.
const LONG: Duration = Duration::from_secs(1);
const LEAST: u32 = 16;
/// By how much more has to be in flight to tell what it brings.
const MORE: f64 = 1.3;

impl Window {
    /// Begins now, whenever the first answer comes.
    pub(super) fn since(now: Instant) -> Self {
        Self { began: Some(now), ..Self::default() }
    }

    /// So many answers came of which nothing else is known.
    pub(super) fn missed(&mut self, answers: u32) {
        self.answers += answers;
    }

    /// Whether fewer came than so many in a second, in a second and the time of a few answers; of an empty window `since` is the
    /// beginning.
    pub(super) fn is_starved(
        &self,
        (rate, took): (f64, f64),
        since: Option<Instant>,
        now: Instant,
    ) -> bool {
        let Some(began) = self.began.or(since) else { return false };
        let time = now.saturating_duration_since(began).as_secs_f64();
        time >= LONG.as_secs_f64().max(took * 4.0) && f64::from(self.answers) < rate * time
    }

    /// One more; `slow` is from where on latency is so, where its own counts.
    pub(super) fn add(&mut self, sample: Sample, slow: Option<f64>, now: Instant) {
        if self.began.is_none() {
            (self.began, self.by_answer) = (Some(now), true);
        }
        self.answers += 1;
        self.peak = self.peak.max(sample.in_flight);
        let Some(slow) = slow else { return };
        let (took, flight) = (sample.took.as_secs_f64(), f64::from(sample.in_flight));
        self.counted += 1;
        self.quick += u32::from(took < slow);
        self.took += took;
        self.took_took += took * took;
        self.flight += flight;
    }

    /// What it shows, when it has enough answers over at least the time of one, or `least_time`: as many as are `wanted`, or if
    /// they differ much as many more as it takes, to the `most`.
    pub(super) fn close(
        &self,
        (wanted, most): (u32, u32),
        least_time: f64,
        now: Instant,
    ) -> Option<Measure> {
        let time = now.saturating_duration_since(self.began?);
        let is_long = time >= LONG && self.counted >= wanted.min(LEAST);
        if self.counted < wanted && !is_long {
            return None;
        }
        let counted = f64::from(self.counted);
        let took = self.took / counted;
        let variance = (self.took_took / counted - took * took).max(0.0);
        let is_known = variance <= counted * (took * ERROR) * (took * ERROR);
        let is_enough = is_known || is_long || self.counted >= most;
        if took <= 0.0
            || time < Duration::from_secs_f64(took.min(1.0).min(least_time))
            || !is_enough
        {
            return None;
        }
        let time = time.as_secs_f64();
        let rate = f64::from(self.answers.saturating_sub(self.by_answer.into())) / time;
        let all_slow = self.quick * ODD <= self.counted;
        let (flight, peak) = (self.flight / counted, f64::from(self.peak));
        Some(Measure { took, rate, flight, peak, all_slow, time })
    }
}

impl Measure {
    /// How many more came than were answered since `first`, `time` ago, against those that were.
    pub(super) fn growth(&self, first: &Self, time: Duration) -> f64 {
        (self.flight - first.flight) / (self.rate * time.as_secs_f64()).max(1.0)
    }

    /// Whether each took longer than at `first` by what those before it need that were not there then.
    pub(super) fn queues(&self, first: &Self) -> bool {
        let each = (self.took - first.took) / (self.flight - first.flight);
        self.flight >= first.flight * MORE && (0.5..2.0).contains(&(each * self.rate))
    }
}
