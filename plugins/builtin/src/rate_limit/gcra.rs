//! The generic cell rate algorithm: one number per key, no timers, exact.
//!
//! Every request is worth `1 / rate` of time. A key's number is the time at which all it was let do will have been worth its time; it may
//! lie `burst` requests ahead of now. This is a bucket of `burst` tokens that is refilled steadily, in a single number.

use std::time::Duration;

use crate::units::Rate;

/// A rate, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gcra {
    /// Nanoseconds that one request is worth.
    cost: u64,
    /// Nanoseconds that a key's number may lie ahead of now: a full burst.
    ahead: u64,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may pass.
    Passes(Quota),
    /// It may not, and would at the earliest after that time.
    Refused {
        /// How long to wait.
        retry_after: Duration,
        /// How the key stands.
        quota: Quota,
    },
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// How many more may come now.
    pub(super) remaining: u64,
    /// How long until a full burst may come again.
    pub(super) reset: Duration,
}

impl Gcra {
    /// Of a rate and a burst of at least 1; `None` beyond a request per nanosecond, or a burst that takes more than a year to refill.
    pub(super) fn new(rate: Rate, burst: u64) -> Option<Self> {
        let period = u64::try_from(rate.period.as_nanos()).ok()?;
        let cost = period / rate.count;
        let ahead = cost.checked_mul(burst)?;
        let year = 366 * 86_400 * 1_000_000_000;
        (cost > 0 && burst > 0 && ahead <= year).then_some(Self { cost, ahead })
    }

    /// How many may come at once.
    pub(super) fn burst(&self) -> u64 {
        self.ahead / self.cost
    }

    /// How long it takes until a full burst may come again after one.
    pub(super) fn window(&self) -> Duration {
        Duration::from_nanos(self.ahead)
    }

    /// Decides at `now` (nanoseconds since 1970) on a request of the key whose number is `until`, and charges it if it passes.
    ///
    /// A number further ahead than any that is written is one from before the clock was set back, or from before the rate was raised: it
    /// counts as a spent burst, so that the key has its rate again at once, and not after the time by which the clock was set back.
    pub(super) fn decide(&self, until: &mut u64, now: u64) -> Decision {
        let spent = now.saturating_add(self.ahead);
        let before = (*until).clamp(now, spent);
        let after = before.saturating_add(self.cost);
        if after > spent {
            let retry_after = Duration::from_nanos(after - spent);
            *until = before;
            return Decision::Refused { retry_after, quota: self.quota(before, now) };
        }
        *until = after;
        Decision::Passes(self.quota(after, now))
    }

    /// Takes back the charge for one request.
    pub(super) fn refund(&self, until: &mut u64) {
        *until = until.saturating_sub(self.cost);
    }

    fn quota(&self, until: u64, now: u64) -> Quota {
        let owed = until - now;
        Quota {
            remaining: self.ahead.saturating_sub(owed) / self.cost,
            reset: Duration::from_nanos(owed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gcra(rate: &str, burst: u64) -> Gcra {
        Gcra::new(rate.parse().unwrap(), burst).unwrap()
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let gcra = gcra("2/s", 3);
        let (mut until, now) = (0, 1_000 * SECOND);
        for remaining in [2, 1, 0] {
            let Decision::Passes(quota) = gcra.decide(&mut until, now) else { panic!() };
            assert_eq!(quota.remaining, remaining);
        }
        let refused = gcra.decide(&mut until, now);
        let quota = Quota { remaining: 0, reset: Duration::from_millis(1_500) };
        assert_eq!(refused, Decision::Refused { retry_after: Duration::from_millis(500), quota });
        assert!(matches!(gcra.decide(&mut until, now + SECOND / 2 - 1), Decision::Refused { .. }));
        assert!(matches!(gcra.decide(&mut until, now + SECOND / 2), Decision::Passes(_)));
        assert!(matches!(gcra.decide(&mut until, now + SECOND / 2), Decision::Refused { .. }));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lock_anybody_out() {
        let gcra = gcra("1/s", 1);
        let mut until = 10_000 * SECOND;
        assert!(matches!(gcra.decide(&mut until, 5_000 * SECOND), Decision::Refused { .. }));
        assert!(matches!(gcra.decide(&mut until, 5_001 * SECOND), Decision::Passes(_)));
    }

    #[test]
    fn what_cannot_be_counted_in_nanoseconds_is_refused() {
        assert_eq!(Gcra::new("2000000000/s".parse().unwrap(), 1), None);
        assert_eq!(Gcra::new("1/365d".parse().unwrap(), 2), None);
        assert_eq!(Gcra::new("1/s".parse().unwrap(), 0), None);
        assert_eq!(Gcra::new("1/s".parse().unwrap(), u64::MAX), None);
    }

    /// A bucket of tokens, counted in nanoseconds: what the algorithm must not be told apart from.
    struct Bucket {
        level: u64,
        at: u64,
    }

    proptest! {
        #[test]
        fn it_is_a_bucket_of_tokens(
            count in 1_u64..1_000,
            seconds in 1_u64..100,
            burst in 1_u64..50,
            steps in prop::collection::vec(0_u64..5 * SECOND, 1..200),
        ) {
            let rate = Rate { count, period: Duration::from_secs(seconds) };
            let gcra = Gcra::new(rate, burst).unwrap();
            let (mut until, mut now) = (0, 1_000 * SECOND);
            let mut bucket = Bucket { level: gcra.ahead, at: now };
            for step in steps {
                now += step;
                bucket.level = gcra.ahead.min(bucket.level + (now - bucket.at));
                bucket.at = now;
                let passes = bucket.level >= gcra.cost;
                if passes {
                    bucket.level -= gcra.cost;
                }
                match gcra.decide(&mut until, now) {
                    Decision::Passes(quota) => {
                        prop_assert!(passes);
                        prop_assert_eq!(quota.remaining, bucket.level / gcra.cost);
                    }
                    Decision::Refused { retry_after, .. } => {
                        prop_assert!(!passes);
                        let wait = Duration::from_nanos(gcra.cost - bucket.level);
                        prop_assert_eq!(retry_after, wait);
                    }
                }
            }
        }
    }
}
