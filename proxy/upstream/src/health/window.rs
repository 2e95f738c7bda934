//! What an endpoint has answered lately.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::{Sign, micros};

/// So many good answers make a pace.
pub(super) const LEAST_PACED: u32 = 30;

/// Two for each doubling of the time: the last begins at half an hour.
const BUCKETS: usize = 64;

/// Answers since it was cleared. Counting is some additions; a count that is lost while it is cleared does no harm.
#[derive(Debug)]
pub(super) struct Window {
    good: AtomicU32,
    bad: AtomicU32,
    /// When it began, by its endpoint's count of moments.
    pub(super) began: AtomicU64,
    /// Good ones since the last pace was taken.
    timed: AtomicU32,
    /// Microseconds of those together.
    time: AtomicU64,
    /// How many of them took how long.
    times: [AtomicU32; BUCKETS],
    last: LastPace,
}

/// The last pace that was taken; 0 is none. Only whoever judges reads and writes it.
#[derive(Debug, Default)]
struct LastPace {
    /// Bits of an `f64`.
    median: AtomicU64,
    /// Likewise.
    mean: AtomicU64,
    /// By its endpoint's count of moments.
    taken: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            good: AtomicU32::new(0),
            bad: AtomicU32::new(0),
            began: AtomicU64::new(0),
            timed: AtomicU32::new(0),
            time: AtomicU64::new(0),
            times: [const { AtomicU32::new(0) }; BUCKETS],
            last: LastPace::default(),
        }
    }
}

/// How long answers took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// In microseconds, to a quarter.
    pub(super) median: f64,
    /// In microseconds.
    pub(super) mean: f64,
}

/// A pace, and whether it was not known before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Paced {
    pub(super) pace: Pace,
    pub(super) is_new: bool,
}

impl Window {
    /// Counts an answer.
    pub(super) fn count(&self, sign: Sign) {
        let Sign::Good(first_byte) = sign else {
            self.bad.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.good.fetch_add(1, Ordering::Relaxed);
        self.timed.fetch_add(1, Ordering::Relaxed);
        self.time.fetch_add(micros(first_byte), Ordering::Relaxed);
        if let Some(bucket) = self.times.get(bucket(first_byte)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Begins again.
    pub(super) fn clear(&self) {
        self.good.store(0, Ordering::Relaxed);
        self.bad.store(0, Ordering::Relaxed);
        self.last.taken.store(0, Ordering::Relaxed);
        self.clear_times();
    }

    fn clear_times(&self) {
        self.timed.store(0, Ordering::Relaxed);
        self.time.store(0, Ordering::Relaxed);
        self.times.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }

    /// The share of good ones, when there were at least so many.
    pub(super) fn success_rate(&self, least: u32) -> Option<f64> {
        let (good, bad) = (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed));
        let all = good.saturating_add(bad);
        (all > 0 && all >= least).then(|| f64::from(good) / f64::from(all))
    }

    /// How long good ones take: the last ones where those are enough, which then begin anew, so that what was long ago weighs
    /// nothing. Else as was found last, if that is no longer ago than `most`.
    pub(super) fn pace(&self, now: u64, most: u64) -> Option<Paced> {
        if let Some(pace) = self.pace_of(LEAST_PACED) {
            self.clear_times();
            self.last.median.store(pace.median.to_bits(), Ordering::Relaxed);
            self.last.mean.store(pace.mean.to_bits(), Ordering::Relaxed);
            self.last.taken.store(now, Ordering::Relaxed);
            return Some(Paced { pace, is_new: true });
        }
        let taken = self.last.taken.load(Ordering::Relaxed);
        let pace = Pace {
            median: f64::from_bits(self.last.median.load(Ordering::Relaxed)),
            mean: f64::from_bits(self.last.mean.load(Ordering::Relaxed)),
        };
        (taken > 0 && now.saturating_sub(taken) <= most).then_some(Paced { pace, is_new: false })
    }

    /// How long good ones took, when there were at least so many.
    fn pace_of(&self, least: u32) -> Option<Pace> {
        let good = self.timed.load(Ordering::Relaxed);
        if good == 0 || good < least {
            return None;
        }
        let mut left = good.div_ceil(2);
        let middle = self.times.iter().position(|bucket| {
            left = left.saturating_sub(bucket.load(Ordering::Relaxed));
            left == 0
        });
        #[expect(clippy::cast_precision_loss, reason = "microseconds: exact to 285 years")]
        let time = self.time.load(Ordering::Relaxed) as f64;
        Some(Pace { median: middle_of(middle?), mean: time / f64::from(good) })
    }
}

/// The bucket of a time: two for each doubling.
fn bucket(time: Duration) -> usize {
    let micros = micros(time).max(1);
    let doublings = micros.ilog2();
    let is_upper = doublings > 0 && micros >> (doublings - 1) & 1 == 1;
    (2 * doublings as usize + usize::from(is_upper)).min(BUCKETS - 1)
}

/// The middle of a bucket, in microseconds.
fn middle_of(bucket: usize) -> f64 {
    let doubling = f64::from(1_u32 << (bucket / 2).min(31));
    if bucket.is_multiple_of(2) { doubling * 1.25 } else { doubling * 1.75 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_and_paces_need_enough_answers() {
        let window = Window::default();
        assert_eq!((window.success_rate(0), window.pace_of(0)), (None, None));
        for _ in 0..3 {
            window.count(Sign::Good(Duration::from_millis(10)));
        }
        window.count(Sign::ServerError);
        assert_eq!(window.success_rate(4), Some(0.75));
        assert_eq!(window.success_rate(5), None);
        let pace = window.pace_of(3).unwrap();
        assert!((pace.mean - 10_000.0).abs() < 1.0, "{pace:?}");
        assert!((pace.median - 10_000.0).abs() < 2_500.0, "{pace:?}");
        assert_eq!(window.pace_of(4), None);
        window.clear();
        assert_eq!(window.success_rate(1), None);
    }

    #[test]
    fn a_pace_is_of_the_last_answers_alone_and_lasts_a_while() {
        let window = Window::default();
        let answer = |millis| {
            (0..LEAST_PACED).for_each(|_| window.count(Sign::Good(Duration::from_millis(millis))));
        };
        answer(10);
        let first = window.pace(1_000, 500).unwrap();
        assert_eq!(window.pace(1_400, 500), Some(Paced { is_new: false, ..first }));
        assert_eq!(window.pace(1_600, 500), None);
        answer(100);
        let second = window.pace(1_700, 500).unwrap();
        assert!(first.is_new && second.is_new);
        assert!((second.pace.mean - 100_000.0).abs() < 1.0, "{second:?}");
        window.clear();
        assert_eq!(window.pace(1_700, 500), None);
    }

    proptest! {
        #[test]
        fn a_bucket_is_a_quarter_off_at_most(micros in 4_u64..2_000_000_000) {
            let middle = middle_of(bucket(Duration::from_micros(micros)));
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let ratio = middle / micros as f64;
            prop_assert!((0.74..1.26).contains(&ratio), "{ratio}");
        }
    }
}
