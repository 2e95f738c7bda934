//! Whether an endpoint may be asked: what its answers, and probes, have shown.
//!
//! [`Health`] is what is known of one endpoint, [`Guard`] what a pool makes of it. No clock and no dice of their own: moments and
//! random numbers come in.

mod guard;
mod outliers;
mod probed;
#[cfg(test)]
mod simulation;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use guard::{Ejected, Guard, Now};
pub use outliers::{Cause, Outliers};
pub use probed::{Thresholds, Turn};

use crate::balance::Outcome;
use probed::Probed;
use window::Window;

/// What is known of one endpoint's health. Outlives snapshots with its endpoint.
#[derive(Debug)]
pub struct Health {
    /// Moments are kept as milliseconds since then.
    epoch: Instant,
    /// Until when it is ejected; 0 when it never was.
    until: AtomicU64,
    /// How long its return takes after that.
    returning: AtomicU64,
    /// How many ejections are not forgiven yet.
    ejections: AtomicU32,
    /// Choices asked for while it returns.
    asks: AtomicU32,
    /// Gateway errors in a row.
    errors: AtomicU32,
    /// Where it was ejected for being slow: microseconds that are too many when it returns. 0 is no such limit.
    too_slow: AtomicU64,
    /// Answers in a row that took longer than that.
    slow: AtomicU32,
    window: Window,
    probed: Probed,
}

/// What one try told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// An answer whose first byte came after this time.
    Good(Duration),
    /// An answer of the endpoint's own that is an error: it counts against its success rate.
    ServerError,
    /// No connection, a connection that broke before the answer, a time-out, or 502, 503 or 504.
    GatewayError,
}

impl Sign {
    /// What an outcome tells of an endpoint's health; `None` is nothing.
    #[must_use]
    pub fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Answered { status: 502..=504, .. }
            | Outcome::ConnectFailed
            | Outcome::ConnectTimedOut
            | Outcome::Reset
            | Outcome::TimedOut => Some(Self::GatewayError),
            Outcome::Answered { status: 500.., .. } | Outcome::Cut => Some(Self::ServerError),
            Outcome::Answered { first_byte, .. } => Some(Self::Good(first_byte)),
            Outcome::Refused | Outcome::Stale => None,
        }
    }
}

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may be asked.
    Ready,
    /// It was ejected and gets a growing share of its requests.
    Returning,
    /// It is not asked, for what it answered.
    Ejected,
    /// It is not asked, for what probes found.
    Down,
}

/// Shares while returning: an eighth, a quarter, a half.
const STEPS: u32 = 3;
/// So many slow answers in a row while returning are enough.
const SLOW_TRIALS: u32 = 3;

impl Default for Health {
    fn default() -> Self {
        Self {
            // Only a mark to count from: moments come from whoever asks.
            epoch: Instant::now(),
            until: AtomicU64::new(0),
            returning: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            asks: AtomicU32::new(0),
            errors: AtomicU32::new(0),
            too_slow: AtomicU64::new(0),
            slow: AtomicU32::new(0),
            window: Window::default(),
            probed: Probed::default(),
        }
    }
}

impl Health {
    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        if self.probed.is_down() {
            return Standing::Down;
        }
        let until = self.until.load(Ordering::Acquire);
        if until == 0 {
            return Standing::Ready;
        }
        let now = self.moment(now);
        if now < until {
            Standing::Ejected
        } else if now < until.saturating_add(self.returning.load(Ordering::Acquire)) {
            Standing::Returning
        } else {
            Standing::Ready
        }
    }

    /// Whether it may be asked now. While it returns, it is so for a share of those who ask: an eighth, then a quarter, then a half.
    #[must_use]
    pub fn is_available(&self, now: Instant) -> bool {
        match self.standing(now) {
            Standing::Ready => true,
            Standing::Returning => {
                let one_of = 1_u32 << (STEPS - self.step(now).min(STEPS));
                self.asks.fetch_add(1, Ordering::Relaxed).is_multiple_of(one_of)
            }
            Standing::Ejected | Standing::Down => false,
        }
    }

    /// How many steps of its return are done.
    fn step(&self, now: Instant) -> u32 {
        let elapsed = self.moment(now).saturating_sub(self.until.load(Ordering::Acquire));
        let whole = self.returning.load(Ordering::Acquire).max(1);
        u32::try_from(elapsed.saturating_mul(u64::from(STEPS)) / whole).unwrap_or(STEPS)
    }

    /// Gateway errors in a row.
    #[must_use]
    pub fn errors_in_a_row(&self) -> u32 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How many ejections are not forgiven yet.
    #[must_use]
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// What a probe has found; `Some` when that changes how it stands.
    ///
    /// An ejected endpoint begins to return when probes pass in a row: `rise` of them the first time, twice as many each time
    /// that it was ejected again.
    pub fn probed(&self, has_passed: bool, thresholds: Thresholds, now: Instant) -> Option<Turn> {
        let turn = self.probed.told(has_passed, thresholds);
        let moment = self.moment(now);
        let is_ejected = moment < self.until.load(Ordering::Acquire);
        if !has_passed || !is_ejected || self.probed.is_down() {
            return turn;
        }
        let doubled = self.ejections().saturating_sub(1).min(10);
        if self.probed.passes() < thresholds.rise.saturating_mul(1 << doubled) {
            return turn;
        }
        self.until.store(moment, Ordering::Release);
        turn.or(Some(Turn::Returns))
    }

    /// Whether the last probe said something else than is known, so that the next ones will tell which it is.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.probed.is_in_doubt()
    }

    /// What probes found is forgotten: there are none any more.
    pub fn forget_probes(&self) {
        self.probed.forget();
    }

    /// Notes what a try told. `Some` is a reason to eject it, if its pool can do without.
    fn told(&self, sign: Sign, settings: &Outliers, now: Instant) -> Option<Cause> {
        let standing = self.standing(now);
        if standing == Standing::Ejected {
            // Asked before that, or in a panic: it is known already.
            return None;
        }
        self.window.count(sign);
        match sign {
            Sign::GatewayError => {
                let row = self.errors.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                let enough = if standing == Standing::Returning { 1 } else { settings.errors };
                (settings.errors > 0 && row >= enough).then_some(Cause::Errors)
            }
            Sign::ServerError => {
                self.errors.store(0, Ordering::Relaxed);
                None
            }
            Sign::Good(first_byte) => {
                self.errors.store(0, Ordering::Relaxed);
                self.is_slow_again(first_byte, standing).then_some(Cause::Latency)
            }
        }
    }

    fn is_slow_again(&self, first_byte: Duration, standing: Standing) -> bool {
        let limit = self.too_slow.load(Ordering::Relaxed);
        if limit == 0 || standing != Standing::Returning {
            return false;
        }
        if micros(first_byte) < limit {
            self.slow.store(0, Ordering::Relaxed);
            return false;
        }
        self.slow.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= SLOW_TRIALS
    }

    /// Ejects it for a time that grows with each ejection that is not forgiven; `None` when somebody else just has.
    fn eject(&self, cause: Cause, settings: &Outliers, now: Now) -> Option<Duration> {
        let until = self.until.load(Ordering::Acquire);
        let moment = self.moment(now.at);
        if moment < until {
            return None;
        }
        let base = settings.base.max(Duration::from_millis(1));
        let good = u128::from(moment.saturating_sub(until)) / base.as_millis().max(1);
        let forgiven = u32::try_from(good).unwrap_or(u32::MAX);
        let count = self.ejections().saturating_sub(forgiven).saturating_add(1);
        let length = jittered(base.saturating_mul(count).min(settings.longest), now.dice);
        let next = moment.saturating_add(millis(length));
        self.until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).ok()?;
        self.returning.store(millis(base / 3), Ordering::Release);
        self.ejections.store(count, Ordering::Relaxed);
        for counter in [&self.asks, &self.errors, &self.slow] {
            counter.store(0, Ordering::Relaxed);
        }
        if cause != Cause::Latency {
            self.too_slow.store(0, Ordering::Relaxed);
        }
        self.probed.begin_again();
        self.window.clear();
        Some(length)
    }

    fn moment(&self, now: Instant) -> u64 {
        // Never 0: that is for what never was.
        millis(now.saturating_duration_since(self.epoch)).saturating_add(1)
    }
}

/// A tenth more or less.
fn jittered(length: Duration, dice: u32) -> Duration {
    let tenth = length / 10;
    length.saturating_sub(tenth) + (tenth * 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RISE_2: Thresholds = Thresholds { rise: 2, fall: 3 };

    fn settings() -> Outliers {
        Outliers::default()
    }

    fn at(at: Instant) -> Now {
        // In the middle: no jitter.
        Now { at, dice: u32::MAX / 2 }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn five_gateway_errors_in_a_row_are_a_cause_and_four_are_not() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(health.told(Sign::GatewayError, &settings(), now), None);
        }
        assert_eq!(health.told(Sign::Good(seconds(0)), &settings(), now), None);
        for _ in 0..4 {
            assert_eq!(health.told(Sign::GatewayError, &settings(), now), None);
        }
        assert_eq!(health.told(Sign::GatewayError, &settings(), now), Some(Cause::Errors));
    }

    #[test]
    fn ejections_grow_return_by_and_by_and_are_forgiven() {
        let (health, start) = (Health::default(), Instant::now());
        let first = health.eject(Cause::Errors, &settings(), at(start)).unwrap();
        assert!(first.abs_diff(seconds(30)) < seconds(1), "{first:?}");
        assert_eq!(health.eject(Cause::Errors, &settings(), at(start)), None);
        assert_eq!(health.standing(start + seconds(20)), Standing::Ejected);
        assert!(!health.is_available(start + seconds(20)));

        // Ten seconds of return, in three steps.
        let shares = [31, 35, 38].map(|after| {
            let now = start + seconds(after);
            assert_eq!(health.standing(now), Standing::Returning);
            (0..64).filter(|_| health.is_available(now)).count()
        });
        assert_eq!(shares, [8, 16, 32]);
        assert_eq!(health.standing(start + seconds(41)), Standing::Ready);

        // One error is enough while it returns, and it is away for twice as long.
        let now = start + seconds(31);
        assert_eq!(health.told(Sign::GatewayError, &settings(), now), Some(Cause::Errors));
        let second = health.eject(Cause::Errors, &settings(), at(now)).unwrap();
        assert!(second.abs_diff(seconds(60)) < seconds(1), "{second:?}");

        // After much good time, as if it was the first.
        let later = now + seconds(600);
        let third = health.eject(Cause::Errors, &settings(), at(later)).unwrap();
        assert!(third.abs_diff(seconds(30)) < seconds(1), "{third:?}");
    }

    #[test]
    fn an_ejection_is_never_longer_than_the_longest() {
        let (health, mut now) = (Health::default(), Instant::now());
        let mut length = Duration::ZERO;
        for _ in 0..20 {
            length = health.eject(Cause::Errors, &settings(), at(now)).unwrap();
            now += length;
        }
        assert!(length.abs_diff(seconds(300)) < seconds(1), "{length:?}");
    }

    #[test]
    fn jitter_is_a_tenth_at_most() {
        assert_eq!(jittered(seconds(10), 0), seconds(9));
        assert_eq!(jittered(seconds(10), u32::MAX), seconds(11));
    }

    #[test]
    fn passing_probes_end_an_ejection_sooner_but_each_time_more_of_them() {
        let (health, now) = (Health::default(), Instant::now());
        assert_eq!(health.probed(true, RISE_2, now), None);
        health.eject(Cause::Errors, &settings(), at(now)).unwrap();
        assert_eq!(health.probed(true, RISE_2, now), None);
        assert_eq!(health.probed(true, RISE_2, now), Some(Turn::Returns));
        assert_eq!(health.standing(now), Standing::Returning);
        let now = now + seconds(1);
        health.eject(Cause::Errors, &settings(), at(now)).unwrap();
        let turns: Vec<_> = (0..4).map(|_| health.probed(true, RISE_2, now)).collect();
        assert_eq!(turns, [None, None, None, Some(Turn::Returns)]);
    }

    #[test]
    fn what_probes_find_alive_is_not_away_for_what_it_answered_before() {
        let (health, now) = (Health::default(), Instant::now());
        health.probed(true, RISE_2, now);
        health.eject(Cause::Errors, &settings(), at(now)).unwrap();
        for _ in 0..3 {
            health.probed(false, RISE_2, now);
        }
        assert_eq!(health.standing(now), Standing::Down);
        let turns = [(); 2].map(|()| health.probed(true, RISE_2, now));
        assert_eq!(turns, [None, Some(Turn::Rises)]);
        assert_eq!(health.standing(now), Standing::Returning);
    }

    #[test]
    fn what_probes_find_dead_is_not_available_until_they_find_it_alive() {
        let (health, now) = (Health::default(), Instant::now());
        assert_eq!(health.probed(false, RISE_2, now), Some(Turn::Falls));
        assert_eq!(health.standing(now), Standing::Down);
        assert!(!health.is_available(now));
        assert_eq!(health.probed(true, RISE_2, now), None);
        assert_eq!(health.probed(true, RISE_2, now), Some(Turn::Rises));
        assert!(health.is_available(now));
        health.probed(false, RISE_2, now);
        health.probed(false, RISE_2, now);
        assert_eq!(health.probed(false, RISE_2, now), Some(Turn::Falls));
        health.forget_probes();
        assert!(health.is_available(now));
    }

    #[test]
    fn what_was_slow_goes_again_when_it_still_is() {
        let (health, start) = (Health::default(), Instant::now());
        health.too_slow.store(50_000, Ordering::Relaxed);
        health.eject(Cause::Latency, &settings(), at(start)).unwrap();
        let now = start + seconds(31);
        let slow = Sign::Good(Duration::from_millis(100));
        let causes: Vec<_> = (0..3).map(|_| health.told(slow, &settings(), now)).collect();
        assert_eq!(causes, [None, None, Some(Cause::Latency)]);
    }
}
