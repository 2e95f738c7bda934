//! One that fails too often is left alone for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// When a plugin is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many failures within a minute open it, if they are at least half of the calls: a client that can make a plugin fail must not turn
    /// it off for the others. 0: never.
    pub failures: u32,
    /// How long nobody is asked, before one call tries whether it is better.
    pub rest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, rest: Duration::from_secs(10) }
    }
}

/// In nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// A breaker as it stands. Times are nanoseconds of one clock.
#[derive(Debug)]
pub(crate) struct Standing {
    rule: Breaker,
    /// 0: closed. Else when a call may be let through, to try.
    until: AtomicU64,
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    began: u64,
    failures: u32,
    calls: u64,
}

impl Standing {
    pub(crate) fn new(rule: Breaker) -> Self {
        Self { rule, until: AtomicU64::new(0), minute: Mutex::default() }
    }

    /// Whether nothing stands in a call's way.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.until.load(Ordering::Relaxed) == 0
    }

    /// Whether a call may be made though it is open: one at a time, which never keeps the next one out for longer than a rest.
    #[cold]
    pub(crate) fn admits(&self, now: u64) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == 0
            || now >= until
                && self
                    .until
                    .compare_exchange(until, self.rested(now), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    /// A call ended well. Whether that closes it.
    #[cold]
    pub(crate) fn succeeded(&self) -> bool {
        *self.minute.lock() = Minute::default();
        self.until.swap(0, Ordering::Relaxed) != 0
    }

    /// A call failed; `calls` is how many there were, ever, with this one. Whether that opens it.
    #[cold]
    pub(crate) fn failed(&self, now: u64, calls: u64) -> bool {
        if self.rule.failures == 0 {
            return false;
        }
        if !self.is_closed() {
            self.until.store(self.rested(now), Ordering::Relaxed);
            return false;
        }
        let mut minute = self.minute.lock();
        if minute.failures == 0 || now.saturating_sub(minute.began) >= MINUTE {
            *minute = Minute { began: now, failures: 0, calls: calls.saturating_sub(1) };
        }
        minute.failures += 1;
        let calls = calls.saturating_sub(minute.calls);
        if minute.failures < self.rule.failures || u64::from(minute.failures) * 2 < calls {
            return false;
        }
        self.until.swap(self.rested(now), Ordering::Relaxed) == 0
    }

    fn rested(&self, now: u64) -> u64 {
        let rest = u64::try_from(self.rule.rest.as_nanos()).unwrap_or(u64::MAX);
        now.saturating_add(rest).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn standing(failures: u32) -> Standing {
        Standing::new(Breaker { failures, rest: Duration::from_secs(10) })
    }

    #[test]
    fn failures_within_a_minute_open_it() {
        let breaker = standing(3);
        assert!(!breaker.failed(0, 1));
        assert!(!breaker.failed(SECOND, 2));
        assert!(breaker.is_closed());
        assert!(breaker.failed(2 * SECOND, 3));
        assert!(!breaker.is_closed());
    }

    #[test]
    fn failures_of_an_earlier_minute_do_not_count() {
        let breaker = standing(2);
        assert!(!breaker.failed(0, 1));
        assert!(!breaker.failed(60 * SECOND, 2));
        assert!(breaker.failed(61 * SECOND, 3));
    }

    #[test]
    fn a_few_failures_among_many_calls_do_not_open_it() {
        let breaker = standing(3);
        assert!(!breaker.failed(0, 1));
        assert!(!breaker.failed(0, 2));
        assert!(!breaker.failed(0, 7));
        assert!(breaker.is_closed());
        assert!(breaker.failed(0, 8));
    }

    #[test]
    fn none_is_never_opened() {
        let breaker = standing(0);
        for call in 1..1000 {
            assert!(!breaker.failed(0, call));
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn one_call_tries_after_the_rest_and_closes_it_or_waits_again() {
        let breaker = standing(1);
        assert!(breaker.failed(SECOND, 1));
        assert!(!breaker.admits(10 * SECOND));
        assert!(breaker.admits(11 * SECOND));
        assert!(!breaker.admits(11 * SECOND), "a second one must not try beside the first");
        assert!(!breaker.failed(12 * SECOND, 2));
        assert!(!breaker.admits(21 * SECOND));
        assert!(breaker.admits(22 * SECOND));
        assert!(breaker.succeeded());
        assert!(breaker.is_closed());
        assert!(breaker.admits(22 * SECOND));
    }

    #[test]
    fn a_try_that_nobody_heard_of_again_makes_room_for_the_next() {
        let breaker = standing(1);
        assert!(breaker.failed(0, 1));
        assert!(breaker.admits(10 * SECOND));
        assert!(breaker.admits(20 * SECOND));
    }
}
