//! Second copies of requests whose answer is late: how many there may be, and what is late.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many second copies a service may be sent: a share of the requests that might have one.
///
/// Each of those earns its share of a copy, and each copy takes a whole one. What is saved is bounded, so that a quiet hour does not
/// pay for a storm: when a whole service becomes slow, the copies are the same share of its requests as ever.
#[derive(Debug)]
pub struct Allowance {
    /// Hundredths of a copy.
    saved: AtomicU32,
}

/// A copy, in what is saved.
const WHOLE: u32 = 100;
/// The most copies that are saved up.
const MOST_SAVED: u32 = 10 * WHOLE;

impl Default for Allowance {
    /// With one copy: the first request that is late may have it.
    fn default() -> Self {
        Self { saved: AtomicU32::new(WHOLE) }
    }
}

impl Allowance {
    /// A request that might have a second copy is sent; `percent` of those may have one.
    pub fn earn(&self, percent: u32) {
        self.add(percent);
    }

    /// Whether one more copy may be sent; if so, it is counted.
    pub fn take(&self) -> bool {
        let spend = |saved: u32| saved.checked_sub(WHOLE);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    /// A copy that was counted was not sent after all.
    pub fn give_back(&self) {
        self.add(WHOLE);
    }

    fn add(&self, more: u32) {
        let earn = |saved: u32| {
            let sum = saved.saturating_add(more).min(MOST_SAVED);
            (sum != saved).then_some(sum)
        };
        // Whoever has saved all that it may has nothing to store.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn);
    }
}

/// How long the answers of one service took lately.
///
/// They are counted by steps of an eighth, in two windows that take turns: what is known is of the last one to two thousand answers,
/// or of fewer where fewer came in the last seconds. Learning is a few atomic additions, without lock or allocation. Of two
/// threads that learn while a window is closed, one may be forgotten.
#[derive(Debug)]
pub struct Latencies {
    began: Instant,
    windows: [Window; 2],
    /// How many windows were closed: the even and the odd ones take turns.
    closed: AtomicU32,
    /// When the window in hand was opened, in milliseconds from the beginning.
    opened: AtomicU64,
    is_closing: AtomicBool,
}

#[derive(Debug)]
struct Window {
    steps: [AtomicU32; STEPS],
    count: AtomicU32,
}

/// Answers after which a window is closed, ...
const FULL: u32 = 1024;
/// ... or so many after so long, in milliseconds.
const FEW: u32 = 128;
const LONG: u64 = 10_000;
/// Nothing is told of fewer.
const LEAST: u32 = 20;
/// Steps of an octave, as a power of two.
const FINE: u32 = 3;
/// More than two minutes are two minutes.
const MOST_MICROS: u64 = (1 << 27) - 1;
const STEPS: usize = 200;

impl Latencies {
    /// Of which none is known.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            windows: [Window::new(), Window::new()],
            closed: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
        }
    }

    /// An answer took so long, or at least so long.
    pub fn learn(&self, took: Duration, now: Instant) {
        let closed = self.closed.load(Ordering::Acquire);
        let count = self.window(closed).learn(took);
        let at = self.millis(now);
        let is_old = || at.saturating_sub(self.opened.load(Ordering::Relaxed)) >= LONG;
        if count >= FULL || (count >= FEW && is_old()) {
            self.close(closed, at);
        }
    }

    /// How long `per_mille` thousandths of all answers take at most, an eighth more or less; `None` while too few are known to say.
    #[must_use]
    pub fn quantile(&self, per_mille: u16) -> Option<Duration> {
        let beyond = u32::from(1000_u16.saturating_sub(per_mille)).max(1);
        let count: u32 = self.windows.iter().map(Window::count).sum();
        // Of those beyond it there has to be one.
        if count < LEAST.max(1000 / beyond) {
            return None;
        }
        let rank = (u64::from(count) * u64::from(per_mille)).div_ceil(1000);
        let mut seen = 0;
        let reaches = |step: &usize| {
            seen += self.windows.iter().map(|window| u64::from(window.at(*step))).sum::<u64>();
            seen >= rank
        };
        let step = (0..STEPS).find(reaches).unwrap_or(STEPS - 1);
        Some(Duration::from_micros(end(step)))
    }

    fn window(&self, number: u32) -> &Window {
        let [even, odd] = &self.windows;
        if number.is_multiple_of(2) { even } else { odd }
    }

    /// Has the next window take the place of this one. Whoever comes meanwhile does not wait.
    fn close(&self, number: u32, at: u64) {
        if self.is_closing.swap(true, Ordering::Acquire) {
            return;
        }
        if self.closed.load(Ordering::Relaxed) == number {
            let next = number.wrapping_add(1);
            self.window(next).clear();
            self.opened.store(at, Ordering::Relaxed);
            self.closed.store(next, Ordering::Release);
        }
        self.is_closing.store(false, Ordering::Release);
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Window {
    fn new() -> Self {
        Self { steps: [const { AtomicU32::new(0) }; STEPS], count: AtomicU32::new(0) }
    }

    /// How many there are with this one.
    fn learn(&self, took: Duration) -> u32 {
        if let Some(step) = self.steps.get(step(took)) {
            step.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn at(&self, step: usize) -> u32 {
        self.steps.get(step).map_or(0, |step| step.load(Ordering::Relaxed))
    }

    fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.steps.iter().for_each(|step| step.store(0, Ordering::Relaxed));
    }
}

/// In which step a time is: each octave of microseconds has eight.
fn step(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(MOST_MICROS);
    let octave = u64::BITS - 1 - micros.max(1).leading_zeros();
    let Some(above) = octave.checked_sub(FINE) else { return micros as usize };
    (u64::from(above + 1) << FINE) as usize + ((micros >> above) & ((1 << FINE) - 1)) as usize
}

/// Where a step ends, in microseconds.
fn end(step: usize) -> u64 {
    let (octave, part) = (step as u64 >> FINE, step as u64 & ((1 << FINE) - 1));
    match octave.checked_sub(1) {
        None => part + 1,
        Some(above) => ((1 << FINE) + part + 1) << above,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    fn learned(times: &[u64]) -> Latencies {
        let now = Instant::now();
        let latencies = Latencies::new(now);
        times.iter().for_each(|time| latencies.learn(micros(*time), now));
        latencies
    }

    proptest! {
        #[test]
        fn no_more_copies_are_allowed_than_the_share_and_what_was_saved(
            percent in 0_u32..=100,
            asks in proptest::collection::vec(any::<bool>(), 0..2000),
        ) {
            let allowance = Allowance::default();
            let (mut sent, mut taken) = (0, 0);
            for asks in asks {
                allowance.earn(percent);
                sent += 1;
                taken += u32::from(asks && allowance.take());
                prop_assert!(taken * WHOLE <= sent * percent + WHOLE);
            }
            let saved = (0..100).filter(|_| allowance.take()).count();
            prop_assert!(saved as u32 * WHOLE <= MOST_SAVED);
        }

        #[test]
        fn a_time_is_within_its_step_and_steps_are_narrow(time in 0..=MOST_MICROS) {
            let step = step(micros(time));
            prop_assert!(step < STEPS);
            let begin = step.checked_sub(1).map_or(0, end);
            prop_assert!((begin..end(step)).contains(&time), "{begin} {time} {}", end(step));
            prop_assert!(end(step) - begin <= 1 + begin / 8);
        }

        #[test]
        fn a_quantile_is_the_true_one_an_eighth_more_or_less(
            mut times in proptest::collection::vec(0..MOST_MICROS, 100..1000),
            per_mille in 500_u16..=990,
        ) {
            let found = learned(&times).quantile(per_mille).unwrap().as_micros() as u64;
            times.sort_unstable();
            let rank = (times.len() * usize::from(per_mille)).div_ceil(1000);
            let exact = times[rank - 1];
            prop_assert!(found > exact && found <= exact + exact / 8 + 1, "{found} {exact}");
        }

        #[test]
        fn a_higher_quantile_is_no_shorter(times in proptest::collection::vec(any::<u64>(), 100..300)) {
            let latencies = learned(&times);
            let found: Vec<_> = (500..=990).map(|q| latencies.quantile(q).unwrap()).collect();
            prop_assert!(found.is_sorted());
        }
    }

    #[test]
    fn one_copy_is_allowed_from_the_beginning_and_then_its_share() {
        let allowance = Allowance::default();
        assert!(allowance.take() && !allowance.take());
        let taken = (0..1000).filter(|_| {
            allowance.earn(5);
            allowance.take()
        });
        assert_eq!(taken.count(), 50);
    }

    #[test]
    fn what_was_not_sent_is_allowed_again_and_a_share_of_nothing_is_nothing() {
        let allowance = Allowance::default();
        assert!(allowance.take());
        allowance.give_back();
        assert!(allowance.take());
        (0..1000).for_each(|_| allowance.earn(0));
        assert!(!allowance.take());
    }

    #[test]
    fn nothing_is_told_of_few_answers() {
        let told = |count: usize, per_mille| learned(&vec![1000; count]).quantile(per_mille);
        assert_eq!(told(19, 950), None);
        assert!(told(20, 950).is_some());
        assert_eq!((told(20, 990), told(99, 990)), (None, None));
        assert!(told(100, 990).is_some());
        assert!(told(1000, 999).is_some() && told(999, 999).is_none());
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let now = Instant::now();
        let latencies = Latencies::new(now);
        (0..5000).for_each(|_| latencies.learn(Duration::from_secs(1), now));
        assert!(latencies.quantile(950).unwrap() >= Duration::from_secs(1));
        (0..2 * FULL).for_each(|_| latencies.learn(micros(1000), now));
        assert!(latencies.quantile(999).unwrap() <= micros(1125));
        // Few come, and each ten seconds are a window.
        for seconds in [20, 40] {
            let later = now + Duration::from_secs(seconds);
            (0..FEW).for_each(|_| latencies.learn(micros(100), later));
        }
        assert!(latencies.quantile(999).is_none());
        assert!(latencies.quantile(990).unwrap() <= micros(113));
    }

    #[test]
    fn threads_that_learn_at_once_lose_hardly_anything() {
        let now = Instant::now();
        let latencies = Latencies::new(now);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..250).for_each(|_| latencies.learn(micros(500), now)));
            }
        });
        let known: u32 = latencies.windows.iter().map(Window::count).sum();
        assert_eq!(known, 1000);
        assert!(latencies.quantile(990).unwrap() <= micros(563));
    }
}
