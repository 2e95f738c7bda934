//! How many requests may be sent again: a share of those that are sent once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRules {
    /// Retries for 100 requests, and for 100 requests in flight at once.
    pub percent: u32,
    /// Retries at once that are allowed however few requests there are.
    pub least: u32,
}

/// The retries of one service.
///
/// Each request earns its share of a retry, and each retry takes a whole one, so that a service that fails altogether is asked
/// hardly more than one that works. What is saved is bounded by the requests in flight: quiet hours do not pay for a storm.
#[derive(Debug)]
pub struct RetryBudget {
    began: Instant,
    /// Hundredths of a retry.
    saved: AtomicU64,
    /// When the last one was taken, in milliseconds from the beginning.
    last: AtomicU64,
}

/// A retry, in what is saved.
const WHOLE: u64 = 100;
/// In this time the least that is allowed comes back by itself, where nothing else is retried.
const RETURN: Duration = Duration::from_secs(10);

impl RetryBudget {
    /// With the least that `rules` allow.
    #[must_use]
    pub fn new(rules: BudgetRules, now: Instant) -> Self {
        let saved = AtomicU64::new(u64::from(rules.least) * WHOLE);
        Self { began: now, saved, last: AtomicU64::new(0) }
    }

    /// A request is sent for the first time, the last of `in_flight`.
    pub fn earn(&self, rules: BudgetRules, in_flight: u32) {
        let most = u64::from(rules.least) * WHOLE;
        let most = most.max(u64::from(rules.percent) * u64::from(in_flight));
        let saved = self.saved.load(Ordering::Relaxed);
        if saved != most {
            // Of two that earn at once one may earn nothing: a retry less, never one more.
            let more = (saved + u64::from(rules.percent)).min(most);
            let _ = self.saved.compare_exchange(saved, more, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether one more request may be sent again; if so, it is counted.
    pub fn take(&self, rules: BudgetRules, now: Instant) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let at = millis(now.saturating_duration_since(self.began));
        let spend = |saved: u64| saved.checked_sub(WHOLE);
        if self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            self.last.store(at, Ordering::Relaxed);
            return true;
        }
        let last = self.last.load(Ordering::Relaxed);
        let Some(pause) = millis(RETURN).checked_div(u64::from(rules.least)) else { return false };
        at.saturating_sub(last) >= pause
            && self.last.compare_exchange(last, at, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BudgetRules = BudgetRules { percent: 20, least: 3 };

    fn taken(budget: &RetryBudget, now: Instant) -> usize {
        (0..1000).take_while(|_| budget.take(RULES, now)).count()
    }

    #[test]
    fn a_few_retries_are_there_from_the_beginning_and_come_back() {
        let now = Instant::now();
        let budget = RetryBudget::new(RULES, now);
        assert_eq!(taken(&budget, now), 3);
        assert_eq!(taken(&budget, now + Duration::from_secs(3)), 0);
        assert_eq!(taken(&budget, now + Duration::from_secs(4)), 1);
        assert_eq!(taken(&budget, now + Duration::from_secs(8)), 1);
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_sent_again() {
        let now = Instant::now();
        let budget = RetryBudget::new(RULES, now);
        let sent: usize = (0..1000)
            .map(|_| {
                budget.earn(RULES, 50);
                usize::from(budget.take(RULES, now))
            })
            .sum();
        assert_eq!(sent, 203);
    }

    #[test]
    fn a_quiet_hour_saves_up_no_more_than_a_fifth_of_those_in_flight() {
        let now = Instant::now();
        let budget = RetryBudget::new(RULES, now);
        (0..100_000).for_each(|_| budget.earn(RULES, 40));
        assert_eq!(taken(&budget, now), 8);
    }

    #[test]
    fn a_budget_of_nothing_allows_nothing() {
        let none = BudgetRules { percent: 0, least: 0 };
        let now = Instant::now();
        let budget = RetryBudget::new(none, now);
        budget.earn(none, 1000);
        assert!(!budget.take(none, now + Duration::from_secs(3600)));
    }
}
