//! Whether an endpoint may be asked: what its answers, and probes, have shown.
//!
//! [`Health`] is what is known of one endpoint, [`Guard`] what a pool makes of it. No clock and no dice of their own: moments and
//! random numbers come in.

mod guard;
mod outliers;
mod pace;
mod probed;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod window;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use guard::{Ejected, Guard, Now};
pub use outliers::{Cause, Outliers};
pub use pace::{Known, MOST_AT_ONCE, until_next};
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
    /// Since when probes find it dead; 0 while they do not.
    down: AtomicU64,
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
            down: AtomicU64::new(0),
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
    /// that it was ejected again. One that probes found dead, and then alive, does so at once: it was away for a reason of its own.
    pub fn probed(&self, has_passed: bool, thresholds: Thresholds, now: Instant) -> Option<Turn> {
        let turn = self.probed.told(has_passed, thresholds);
        let moment = self.moment(now);
        match turn {
            Some(Turn::Falls) => self.down.store(moment, Ordering::Relaxed),
            Some(Turn::Rises) => self.down.store(0, Ordering::Relaxed),
            _ => {}
        }
        let is_ejected = moment < self.until.load(Ordering::Acquire);
        if !has_passed || !is_ejected || self.probed.is_down() {
            return turn;
        }
        let doubled = self.ejections().saturating_sub(1).min(10);
        let enough = thresholds.rise.saturating_mul(1 << doubled);
        if turn != Some(Turn::Rises) && self.probed.passes() < enough {
            return turn;
        }
        self.until.store(moment, Ordering::Release);
        turn.or(Some(Turn::Returns))
    }

    /// What is known of it by probes.
    #[must_use]
    pub fn known(&self, now: Instant) -> Known {
        match (self.probed.is_down(), self.probed.is_in_doubt()) {
            (false, false) => Known::Settled,
            (false, true) => Known::Doubtful,
            (true, true) => Known::Rising,
            (true, false) => {
                let down = self.down.load(Ordering::Relaxed);
                Known::Down(Duration::from_millis(self.moment(now).saturating_sub(down)))
            }
        }
    }

    /// What probes found is forgotten: there are none any more.
    pub fn forget_probes(&self) {
        self.probed.forget();
        self.down.store(0, Ordering::Relaxed);
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
