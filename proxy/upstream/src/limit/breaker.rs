//! A circuit breaker: who fails is not asked for a while, then asked once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// It opens when more than this many of 100 requests of the last ten seconds failed.
    pub percent: u32,
    /// It takes no fewer requests than these to judge.
    pub least: u32,
    /// How long it is open for the first time; each further time in a row is twice as long.
    pub open: Duration,
    /// The longest that it is open.
    pub longest: Duration,
}

/// What a request that a breaker let through says when its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// One of many.
    Usual,
    /// The one request that shows whether the breaker may be closed.
    Probe,
}

/// Whether one endpoint, or all of a service, is asked. Reads and writes atomics alone.
#[derive(Debug, Default)]
pub struct Breaker {
    began: OnceLock<Instant>,
    state: AtomicU64,
    /// Requests and failures by second: a ring of ten.
    slots: [AtomicU64; SLOTS],
}

const SLOTS: usize = 10;

/// State as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    phase: Phase,
    /// Times in a row that it opened.
    trips: u8,
    /// In milliseconds from the beginning: until when it is open, or until when its probe may take.
    until: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    HalfOpen,
}

/// One second of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    all: u64,
    failed: u64,
}

/// A probe that has no outcome by then is given up, and the next request is one.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_TRIPS: u8 = 32;

impl Breaker {
    /// How long it lets nobody through, if so. For whoever looks around before asking.
    #[must_use]
    pub fn closed_for(&self, now: Instant) -> Option<Duration> {
        let state = State::of(self.state.load(Ordering::Acquire));
        let left = state.until.saturating_sub(self.at(now));
        (state.phase != Phase::Closed && left > 0).then(|| match state.phase {
            // Its probe is on its way: nobody knows how long that takes, but it is not all of that.
            Phase::HalfOpen => Duration::from_millis(left.min(1000)),
            Phase::Open | Phase::Closed => Duration::from_millis(left),
        })
    }

    /// Lets a request through, or not. Whoever passes tells [`Breaker::tell`] or [`Breaker::forget`].
    pub fn pass(&self, now: Instant) -> Option<Pass> {
        let word = self.state.load(Ordering::Acquire);
        let state = State::of(word);
        if state.phase == Phase::Closed {
            return Some(Pass::Usual);
        }
        let at = self.at(now);
        if at < state.until {
            return None;
        }
        let until = at.saturating_add(millis(PATIENCE));
        let probing = State { phase: Phase::HalfOpen, until, ..state }.word();
        let is_first =
            self.state.compare_exchange(word, probing, Ordering::AcqRel, Ordering::Acquire).is_ok();
        is_first.then_some(Pass::Probe)
    }

    /// What became of a request. Returns whether the breaker opens by it.
    pub fn tell(&self, pass: Pass, failed: bool, rules: &BreakerRules, now: Instant) -> bool {
        let at = self.at(now);
        let word = self.state.load(Ordering::Acquire);
        let state = State::of(word);
        let next = match (pass, state.phase) {
            (Pass::Probe, Phase::HalfOpen) if failed => state.opened(rules, at),
            (Pass::Probe, Phase::HalfOpen) => {
                self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
                // It forgets how often it opened when it opens no more for a while.
                State { phase: Phase::Closed, trips: state.trips, until: at }
            }
            (_, Phase::Closed) => {
                self.count(at / 1000, failed);
                if !failed || !self.is_too_much(at / 1000, rules) {
                    return false;
                }
                self.slots.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
                let calm = at.saturating_sub(state.until) > millis(rules.longest);
                State { trips: if calm { 0 } else { state.trips }, ..state }.opened(rules, at)
            }
            // It was sent before the breaker opened.
            _ => return false,
        };
        let changed =
            self.state.compare_exchange(word, next.word(), Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok() && next.phase == Phase::Open
    }

    /// A request ended without telling anything of who was asked. If it was the probe, the next one is.
    pub fn forget(&self, pass: Pass) {
        let word = self.state.load(Ordering::Acquire);
        let state = State::of(word);
        if pass == Pass::Probe && state.phase == Phase::HalfOpen {
            let next = State { phase: Phase::Open, until: 0, ..state };
            let _ =
                self.state.compare_exchange(word, next.word(), Ordering::AcqRel, Ordering::Acquire);
        }
    }

    fn at(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(*self.began.get_or_init(|| now)))
    }

    fn count(&self, second: u64, failed: bool) {
        let Some(slot) = self.slots.get(second as usize % SLOTS) else { return };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let known = Slot::of(word);
            let known = if known.second == second & SECONDS {
                known
            } else {
                Slot { second: second & SECONDS, ..Slot::default() }
            };
            let all = (known.all + 1).min(COUNT);
            Some(
                Slot { all, failed: (known.failed + u64::from(failed)).min(COUNT), ..known }.word(),
            )
        });
    }

    fn is_too_much(&self, second: u64, rules: &BreakerRules) -> bool {
        let (mut all, mut failed) = (0, 0);
        for slot in &self.slots {
            let slot = Slot::of(slot.load(Ordering::Relaxed));
            if (second & SECONDS).wrapping_sub(slot.second) & SECONDS < SLOTS as u64 {
                all += slot.all;
                failed += slot.failed;
            }
        }
        all >= u64::from(rules.least) && failed * 100 > all * u64::from(rules.percent)
    }
}

impl State {
    fn of(word: u64) -> Self {
        let phase = match word >> 62 {
            0 => Phase::Closed,
            1 => Phase::Open,
            _ => Phase::HalfOpen,
        };
        let trips = u8::try_from((word >> 56) & 0x3f).unwrap_or(MOST_TRIPS);
        Self { phase, trips, until: word & TIME }
    }

    fn word(self) -> u64 {
        (self.phase as u64) << 62 | u64::from(self.trips) << 56 | (self.until & TIME)
    }

    fn opened(self, rules: &BreakerRules, at: u64) -> Self {
        let factor = 1_u32.checked_shl(u32::from(self.trips)).unwrap_or(u32::MAX);
        let time = rules.open.saturating_mul(factor).min(rules.longest);
        let trips = (self.trips + 1).min(MOST_TRIPS);
        Self { phase: Phase::Open, trips, until: at.saturating_add(millis(time)) }
    }
}

const TIME: u64 = (1 << 56) - 1;
const COUNT: u64 = (1 << 22) - 1;
const SECONDS: u64 = (1 << 20) - 1;

impl Slot {
    fn of(word: u64) -> Self {
        Self { second: word >> 44, all: (word >> 22) & COUNT, failed: word & COUNT }
    }

    fn word(self) -> u64 {
        self.second << 44 | self.all << 22 | self.failed
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules {
        percent: 50,
        least: 20,
        open: Duration::from_secs(1),
        longest: Duration::from_secs(30),
    };

    fn after(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    /// Opens a closed breaker at `now`.
    fn trip(breaker: &Breaker, now: Instant) {
        let opened = (0..20).any(|_| breaker.tell(Pass::Usual, true, &RULES, now));
        assert!(opened, "{breaker:?}");
    }

    #[test]
    fn it_takes_more_than_half_of_twenty_requests_to_open() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..10 {
            breaker.tell(Pass::Usual, false, &RULES, now);
        }
        let opened: Vec<bool> =
            (0..11).map(|_| breaker.tell(Pass::Usual, true, &RULES, now)).collect();
        assert_eq!(opened.iter().position(|opened| *opened), Some(10));
        assert_eq!(breaker.pass(now), None);
        assert_eq!(breaker.closed_for(after(now, 400)), Some(Duration::from_millis(600)));
    }

    #[test]
    fn failures_older_than_ten_seconds_do_not_count() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..19 {
            breaker.tell(Pass::Usual, true, &RULES, now);
        }
        assert!(!breaker.tell(Pass::Usual, true, &RULES, after(now, 10_000)));
        assert_eq!(breaker.pass(after(now, 10_000)), Some(Pass::Usual));
    }

    #[test]
    fn one_request_alone_probes_and_closes_it() {
        let now = Instant::now();
        let breaker = Breaker::default();
        trip(&breaker, now);
        assert_eq!(breaker.pass(after(now, 999)), None);
        let then = after(now, 1000);
        assert_eq!(breaker.pass(then), Some(Pass::Probe));
        assert_eq!(breaker.pass(then), None);
        // Late word of others changes nothing.
        assert!(!breaker.tell(Pass::Usual, true, &RULES, then));
        assert!(!breaker.tell(Pass::Probe, false, &RULES, then));
        assert_eq!(breaker.pass(then), Some(Pass::Usual));
        assert_eq!(breaker.closed_for(then), None);
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_the_longest() {
        let mut now = Instant::now();
        let breaker = Breaker::default();
        trip(&breaker, now);
        let mut times = Vec::new();
        for _ in 0..7 {
            let time = breaker.closed_for(now).unwrap();
            times.push(time.as_secs());
            now += time;
            assert_eq!(breaker.pass(now), Some(Pass::Probe));
            assert!(breaker.tell(Pass::Probe, true, &RULES, now));
        }
        assert_eq!(times, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_probe_that_tells_nothing_makes_room_for_the_next() {
        let now = Instant::now();
        let breaker = Breaker::default();
        trip(&breaker, now);
        let then = after(now, 1500);
        assert_eq!(breaker.pass(then), Some(Pass::Probe));
        breaker.forget(Pass::Probe);
        assert_eq!(breaker.pass(then), Some(Pass::Probe));
        assert_eq!(breaker.pass(after(then, 59_999)), None);
        assert_eq!(
            breaker.pass(after(then, 60_000)),
            Some(Pass::Probe),
            "the lost one is given up"
        );
    }

    #[test]
    fn how_often_it_opened_is_forgotten_after_a_calm_time() {
        let now = Instant::now();
        let breaker = Breaker::default();
        trip(&breaker, now);
        let mut then = after(now, 1000);
        assert_eq!(breaker.pass(then), Some(Pass::Probe));
        breaker.tell(Pass::Probe, false, &RULES, then);
        trip(&breaker, then);
        assert_eq!(breaker.closed_for(then), Some(Duration::from_secs(2)));
        then = after(then, 2000);
        assert_eq!(breaker.pass(then), Some(Pass::Probe));
        breaker.tell(Pass::Probe, false, &RULES, then);
        then = after(then, 31_000);
        trip(&breaker, then);
        assert_eq!(breaker.closed_for(then), Some(Duration::from_secs(1)));
    }
}
