//! One that fails too often is left alone for a while.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use switchback_plugin::Hook;

/// When a plugin is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many requests within a minute at which it fails open it, if they are at least half of those that it is asked about: a client that
    /// can make a plugin fail must not turn it off for the others. Hooks do not count one by one: who fails at each request and gets along
    /// with each response is of no use. 0: never.
    pub failures: u32,
    /// How long nobody is asked, before one request tries whether it is better.
    pub rest: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, rest: Duration::from_secs(10) }
    }
}

/// In nanoseconds.
const MINUTE: u64 = 60_000_000_000;
/// Nobody tries as long as a call does not come back: it would cost another thread.
const HELD: u64 = u64::MAX;
/// From the begin of time on, somebody may try.
const NOW: u64 = 1;

/// A breaker as it stands. Times are nanoseconds of one clock.
#[derive(Debug)]
pub(crate) struct Standing {
    rule: Breaker,
    /// 0: closed. Else when a request may be let through, to try.
    until: AtomicU64,
    /// Calls that do not come back, and those that did not rest long enough since. Changed by the watchdog alone.
    holds: AtomicU32,
    /// The hook whose failure opened it.
    opener: AtomicU32,
    /// Whether requests are counted: only of those that failed before.
    counts: AtomicBool,
    minute: Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    began: u64,
    failures: u32,
    requests: u64,
}

impl Standing {
    pub(crate) fn new(rule: Breaker) -> Self {
        Self {
            rule,
            until: AtomicU64::new(0),
            holds: AtomicU32::new(0),
            opener: AtomicU32::new(0),
            counts: AtomicBool::new(false),
            minute: Mutex::default(),
        }
    }

    /// Whether nothing stands in a call's way.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.until.load(Ordering::Relaxed) == 0
    }

    /// Whether nothing stands in a call's way, and nothing has to be counted.
    #[inline]
    pub(crate) fn is_untroubled(&self) -> bool {
        self.is_closed() && !self.is_counting()
    }

    /// Whether requests are to be counted.
    #[inline]
    pub(crate) fn is_counting(&self) -> bool {
        self.counts.load(Ordering::Relaxed)
    }

    /// Has requests be counted from now on. Whether they were not.
    pub(crate) fn count(&self) -> bool {
        !self.counts.swap(true, Ordering::Relaxed)
    }

    /// Whether somebody waits for a call that does not come back.
    pub(crate) fn is_held(&self) -> bool {
        self.until.load(Ordering::Relaxed) == HELD
    }

    /// Whether a failure there opened it.
    pub(crate) fn was_opened_at(&self, hook: Hook) -> bool {
        self.opener.load(Ordering::Relaxed) == hook as u32
    }

    /// Whether a request may try though it is open: one at a time, which never keeps the next one out for longer than a rest.
    #[cold]
    pub(crate) fn admits(&self, now: u64) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until == 0
            || until != HELD
                && now >= until
                && self
                    .until
                    .compare_exchange(until, self.rested(now), Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    /// A request that tried went well. Whether that closes it.
    #[cold]
    pub(crate) fn succeeded(&self) -> bool {
        *self.minute.lock() = Minute::default();
        self.change(|until| (until != HELD).then_some(0)).is_some_and(|before| before != 0)
    }

    /// A request failed, at that hook and for the first time; `requests` is how many there were, ever, with this one. Whether that opens it.
    #[cold]
    pub(crate) fn failed(&self, now: u64, requests: u64, hook: Hook) -> bool {
        if self.rule.failures == 0 {
            return false;
        }
        if !self.is_closed() {
            self.change(|until| (until != HELD).then_some(self.rested(now)));
            return false;
        }
        let mut minute = self.minute.lock();
        if minute.failures == 0 || now.saturating_sub(minute.began) >= MINUTE {
            *minute = Minute { began: now, failures: 0, requests: requests.saturating_sub(1) };
        }
        minute.failures += 1;
        let requests = requests.saturating_sub(minute.requests);
        if minute.failures < self.rule.failures || u64::from(minute.failures) * 2 < requests {
            return false;
        }
        self.opener.store(hook as u32, Ordering::Relaxed);
        self.change(|until| (until == 0).then_some(self.rested(now))).is_some()
    }

    /// A call does not come back. Whether that opens it.
    pub(crate) fn hold(&self, hook: Hook) -> bool {
        if self.rule.failures == 0 {
            return false;
        }
        self.holds.fetch_add(1, Ordering::Relaxed);
        self.opener.store(hook as u32, Ordering::Relaxed);
        self.until.swap(HELD, Ordering::Relaxed) == 0
    }

    /// It has come back, and rested. Somebody may try, if it was the last one.
    pub(crate) fn release(&self) {
        let before = self.holds.load(Ordering::Relaxed);
        self.holds.store(before.saturating_sub(1), Ordering::Relaxed);
        if before == 1 {
            self.change(|until| (until == HELD).then_some(NOW));
        }
    }

    /// Has `until` be what `change` says. Returns what it was, if that says anything.
    fn change(&self, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        self.until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).ok()
    }

    fn rested(&self, now: u64) -> u64 {
        let rest = u64::try_from(self.rule.rest.as_nanos()).unwrap_or(u64::MAX);
        now.saturating_add(rest).clamp(NOW, HELD - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const AT: Hook = Hook::Request;

    fn standing(failures: u32) -> Standing {
        Standing::new(Breaker { failures, rest: Duration::from_secs(10) })
    }

    #[test]
    fn failures_within_a_minute_open_it() {
        let breaker = standing(3);
        assert!(!breaker.failed(0, 1, AT));
        assert!(!breaker.failed(SECOND, 2, AT));
        assert!(breaker.is_closed());
        assert!(breaker.failed(2 * SECOND, 3, AT));
        assert!(!breaker.is_closed());
    }

    #[test]
    fn failures_of_an_earlier_minute_do_not_count() {
        let breaker = standing(2);
        assert!(!breaker.failed(0, 1, AT));
        assert!(!breaker.failed(60 * SECOND, 2, AT));
        assert!(breaker.failed(61 * SECOND, 3, AT));
    }

    #[test]
    fn a_few_failures_among_many_requests_do_not_open_it() {
        let breaker = standing(3);
        assert!(!breaker.failed(0, 1, AT));
        assert!(!breaker.failed(0, 2, AT));
        assert!(!breaker.failed(0, 7, AT));
        assert!(breaker.is_closed());
        assert!(breaker.failed(0, 8, AT));
    }

    #[test]
    fn none_is_never_opened() {
        let breaker = standing(0);
        for request in 1..1000 {
            assert!(!breaker.failed(0, request, AT));
        }
        assert!(!breaker.hold(AT));
        assert!(breaker.is_closed());
    }

    #[test]
    fn one_request_tries_after_the_rest_and_closes_it_or_waits_again() {
        let breaker = standing(1);
        assert!(breaker.failed(SECOND, 1, AT));
        assert!(!breaker.admits(10 * SECOND));
        assert!(breaker.admits(11 * SECOND));
        assert!(!breaker.admits(11 * SECOND), "a second one must not try beside the first");
        assert!(!breaker.failed(12 * SECOND, 2, AT));
        assert!(!breaker.admits(21 * SECOND));
        assert!(breaker.admits(22 * SECOND));
        assert!(breaker.succeeded());
        assert!(breaker.is_closed());
        assert!(breaker.admits(22 * SECOND));
    }

    #[test]
    fn a_try_that_nobody_heard_of_again_makes_room_for_the_next() {
        let breaker = standing(1);
        assert!(breaker.failed(0, 1, AT));
        assert!(breaker.admits(10 * SECOND));
        assert!(breaker.admits(20 * SECOND));
    }

    #[test]
    fn nobody_tries_before_all_calls_that_did_not_come_back_did() {
        let breaker = standing(3);
        assert!(breaker.hold(AT));
        assert!(!breaker.hold(Hook::Log), "it is open already");
        assert!(breaker.was_opened_at(Hook::Log));
        assert!(!breaker.admits(1000 * SECOND));
        assert!(!breaker.failed(1000 * SECOND, 1, AT));
        assert!(!breaker.succeeded(), "who was asked before does not close it");
        breaker.release();
        assert!(breaker.is_held());
        breaker.release();
        assert!(!breaker.is_held() && !breaker.is_closed());
        assert!(breaker.admits(1000 * SECOND));
        assert!(!breaker.admits(1000 * SECOND));
        assert!(breaker.succeeded());
    }
}
