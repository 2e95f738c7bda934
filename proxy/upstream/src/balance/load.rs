//! How busy an endpoint is, and how fast it answers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What an endpoint has to do, and how fast it does it. Outlives snapshots.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    /// Packed: see [`Latency`].
    latency: AtomicU64,
    /// The first moment that it was told of; others are counted from it.
    base: OnceLock<Instant>,
    /// From when on it comes to its whole share: milliseconds and one; 0 is long ago.
    began: AtomicU64,
    /// When it was last heard of, or came to have something in flight: milliseconds.
    stirred: AtomicU32,
    chosen: AtomicU64,
    failures: AtomicU64,
}

/// What became of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was no connection: refused, unreachable, or TLS failed.
    ConnectFailed,
    /// There was no connection in time.
    ConnectTimedOut,
    /// The endpoint said that it had not begun.
    Refused,
    /// The connection ended, or what came is not HTTP, before the head of an answer.
    Reset,
    /// There was no head of an answer in time.
    TimedOut,
    /// The head of an answer is here; its body may follow.
    Answered {
        /// The answer's status.
        status: u16,
        /// From when the endpoint had the request.
        first_byte: Duration,
    },
    /// The answer broke off after its head.
    Cut,
    /// A pooled connection that the endpoint had closed meanwhile: says nothing of how it is.
    Stale,
}

impl Outcome {
    /// Whether the endpoint failed: no answer, or one that begins with 5.
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::ConnectFailed
            | Self::ConnectTimedOut
            | Self::Reset
            | Self::TimedOut
            | Self::Cut => true,
            Self::Answered { status, .. } => status >= 500,
            Self::Refused | Self::Stale => false,
        }
    }
}

/// All of its share.
const WARM: u64 = 1 << 32;

/// What a failure counts as at least: whoever fails fast must not look fast.
const FAILURE: Duration = Duration::from_millis(250);

impl Load {
    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long it takes to the first byte, in microseconds: the peak as it fades, by half in two seconds; `None` while it is
    /// not known, or not any more.
    #[must_use]
    pub fn latency(&self, now: Instant) -> Option<u32> {
        let latency = Latency::unpack(self.latency.load(Ordering::Relaxed));
        Some(latency.faded(self.millis(now))).filter(|micros| *micros >= LEAST_MICROS)
    }

    /// It is new, or back: from now on it comes to its whole share, where that takes time. How fast it was is forgotten.
    pub fn begins(&self, now: Instant) {
        self.latency.store(0, Ordering::Relaxed);
        self.began.store(u64::from(self.millis(now)) + 1, Ordering::Relaxed);
    }

    /// How far it has come since then, in 2^32ths: a tenth at the beginning, all of it after `time`.
    pub(crate) fn warmth(&self, time: Duration, now: Instant) -> u64 {
        let Some(began) = self.began.load(Ordering::Relaxed).checked_sub(1) else { return WARM };
        let elapsed = u128::from(u64::from(self.millis(now)).saturating_sub(began));
        let share = (elapsed << 32).checked_div(time.as_millis()).unwrap_or(WARM.into());
        u64::try_from(share).unwrap_or(WARM).clamp(WARM / 10, WARM)
    }

    /// For how long requests have been in flight without any of them telling anything: milliseconds.
    pub(crate) fn silence(&self, now: Instant) -> u32 {
        if self.in_flight() == 0 {
            return 0;
        }
        let silence = self.millis(now).wrapping_sub(self.stirred.load(Ordering::Relaxed));
        // Another thread may have been told of a moment that is a little later.
        if silence < u32::MAX - AHEAD { silence } else { 0 }
    }

    /// How often it was chosen.
    #[must_use]
    pub fn chosen(&self) -> u64 {
        self.chosen.load(Ordering::Relaxed)
    }

    /// How many tries were failures.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Learns from a try.
    pub fn told(&self, outcome: Outcome, now: Instant) {
        self.stirred.store(self.millis(now), Ordering::Relaxed);
        let first_byte = match outcome {
            Outcome::Answered { first_byte, .. } => first_byte,
            _ => Duration::ZERO,
        };
        if outcome.is_failure() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.took(first_byte.max(FAILURE), now);
        } else if matches!(outcome, Outcome::Answered { .. }) {
            self.took(first_byte, now);
        }
    }

    /// Learns that an answer that is not waited for any more would have taken longer than this. No failure: it may just have been late.
    pub fn waited(&self, time: Duration, now: Instant) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let millis = self.millis(now);
        let learn = |packed| {
            let is_news = micros > Latency::unpack(packed).faded(millis);
            is_news.then(|| Latency { micros, at: millis }.pack())
        };
        // Where it is known to be slower, that holds.
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, learn);
    }

    /// Counts one request more, unless there are `most` of them.
    pub(crate) fn enter(&self, most: u32, now: Instant) -> bool {
        let before = if most == u32::MAX {
            Ok(self.in_flight.fetch_add(1, Ordering::Relaxed))
        } else {
            let one_more = |count: u32| (count < most).then_some(count + 1);
            self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
        };
        let Ok(before) = before else { return false };
        if before == 0 {
            self.stirred.store(self.millis(now), Ordering::Relaxed);
        }
        self.chosen.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Counts one request less.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn took(&self, time: Duration, now: Instant) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let millis = self.millis(now);
        let learn = |packed| Some(Latency::unpack(packed).with(micros, millis).pack());
        // It always has something to store.
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, learn);
    }

    /// Since the first moment that it was told of. Wraps after 49 days, which comes to one wrong guess.
    fn millis(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(*self.base.get_or_init(|| now));
        (since.as_millis() & u128::from(u32::MAX)) as u32
    }
}

/// Below this nothing is known.
const LEAST_MICROS: u32 = 20;
/// In which a latency fades by half.
const HALF_LIFE: u32 = 2_000;
/// How much later a moment may be that another thread was told of.
const AHEAD: u32 = 600_000;

/// A latency and when it was learnt, in one atomic number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Latency {
    micros: u32,
    at: u32,
}

impl Latency {
    fn unpack(packed: u64) -> Self {
        Self { micros: (packed >> 32) as u32, at: (packed & u64::from(u32::MAX)) as u32 }
    }

    fn pack(self) -> u64 {
        u64::from(self.micros) << 32 | u64::from(self.at)
    }

    /// A slower answer counts in full at once, a faster one by how long ago the last one was.
    fn with(self, micros: u32, at: u32) -> Self {
        let faded = self.faded(at);
        if micros >= self.micros {
            return Self { micros, at };
        }
        // What the old one has lost by fading is the new one's share.
        let lost = self.micros - faded;
        if lost == 0 {
            // The next one is told of a longer time, or small latencies would never fade.
            return self;
        }
        let share = u64::from(lost) * u64::from(micros) / u64::from(self.micros);
        Self { micros: faded.saturating_add(u32::try_from(share).unwrap_or(u32::MAX)), at }
    }

    /// By half in each half-life, and evenly in between.
    fn faded(self, now: u32) -> u32 {
        // Another thread may have been told of a moment that is a little later.
        let elapsed = Some(now.wrapping_sub(self.at)).filter(|elapsed| *elapsed < u32::MAX - AHEAD);
        let elapsed = elapsed.unwrap_or(0);
        let halved = self.micros.checked_shr(elapsed / HALF_LIFE).unwrap_or(0);
        let within = u64::from(halved) * u64::from(elapsed % HALF_LIFE) / u64::from(2 * HALF_LIFE);
        halved - u32::try_from(within).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(millis: u64) -> Outcome {
        Outcome::Answered { status: 200, first_byte: Duration::from_millis(millis) }
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_by_half_in_two_seconds() {
        let (load, start) = (Load::default(), Instant::now());
        assert_eq!(load.latency(start), None);
        load.told(answered(1), start);
        load.told(answered(100), start);
        assert_eq!(load.latency(start), Some(100_000));
        assert_eq!(load.latency(start + Duration::from_secs(1)), Some(75_000));
        assert_eq!(load.latency(start + Duration::from_secs(2)), Some(50_000));
        assert_eq!(load.latency(start + Duration::from_secs(4)), Some(25_000));
        assert_eq!(load.latency(start + Duration::from_secs(60)), None);
    }

    #[test]
    fn faster_answers_bring_it_down_to_what_they_take() {
        let (load, start) = (Load::default(), Instant::now());
        load.told(answered(100), start);
        for step in 1..=2_000 {
            load.told(answered(10), start + Duration::from_millis(step * 10));
        }
        let now = start + Duration::from_secs(20);
        let latency = load.latency(now).unwrap();
        assert!((9_500..=10_500).contains(&latency), "{latency}");
    }

    #[test]
    fn small_latencies_fade_although_they_are_told_of_all_the_time() {
        let (load, start) = (Load::default(), Instant::now());
        let quick =
            |micros| Outcome::Answered { status: 200, first_byte: Duration::from_micros(micros) };
        load.told(quick(400), start);
        for step in 1..=20_000 {
            load.told(quick(100), start + Duration::from_micros(step * 1_000));
        }
        let latency = load.latency(start + Duration::from_secs(20)).unwrap();
        assert!((90..=110).contains(&latency), "{latency}");
    }

    #[test]
    fn an_answer_that_was_not_waited_for_takes_at_least_as_long_as_it_was() {
        let (load, start) = (Load::default(), Instant::now());
        load.told(answered(100), start);
        load.waited(Duration::from_millis(50), start);
        assert_eq!(load.latency(start), Some(100_000));
        load.waited(Duration::from_millis(200), start);
        assert_eq!(load.latency(start), Some(200_000));
        let later = start + Duration::from_secs(2);
        load.waited(Duration::from_millis(150), later);
        assert_eq!((load.latency(later), load.failures()), (Some(150_000), 0));
    }

    #[test]
    fn whoever_fails_fast_does_not_look_fast() {
        let failed = Outcome::Answered { status: 500, first_byte: Duration::from_micros(100) };
        for outcome in [Outcome::ConnectFailed, Outcome::Reset, Outcome::TimedOut, failed] {
            let (load, start) = (Load::default(), Instant::now());
            load.told(outcome, start);
            assert_eq!(load.latency(start), Some(250_000), "{outcome:?}");
            assert_eq!(load.failures(), 1);
        }
        for outcome in [Outcome::Stale, Outcome::Refused] {
            let (load, start) = (Load::default(), Instant::now());
            load.told(outcome, start);
            assert_eq!((load.latency(start), load.failures()), (None, 0), "{outcome:?}");
        }
    }

    #[test]
    fn times_that_go_backwards_or_are_huge_do_no_harm() {
        let (load, start) = (Load::default(), Instant::now());
        let later = start + Duration::from_secs(10);
        load.told(answered(10), later);
        load.told(answered(u64::MAX / 2), start);
        assert_eq!(load.latency(start), Some(u32::MAX));
        assert_eq!(load.latency(later + Duration::from_secs(86_400 * 30)), None);
    }

    #[test]
    fn whoever_is_new_comes_to_its_share_in_time() {
        let (load, start, time) = (Load::default(), Instant::now(), Duration::from_secs(10));
        load.told(answered(500), start);
        let percent = |seconds| {
            (load.warmth(time, start + Duration::from_secs(seconds)) * 100 + WARM / 2) / WARM
        };
        assert_eq!(percent(0), 100);
        load.begins(start);
        assert_eq!(load.latency(start), None);
        assert_eq!([0, 1, 5, 9, 10, 1_000].map(percent), [10, 10, 50, 90, 100, 100]);
        assert_eq!(load.warmth(Duration::ZERO, start), WARM);
    }

    #[test]
    fn no_more_than_are_allowed_are_let_in() {
        let (load, now) = (Load::default(), Instant::now());
        assert!(load.enter(2, now) && load.enter(2, now));
        assert!(!load.enter(2, now));
        assert!(load.enter(u32::MAX, now));
        load.leave();
        load.leave();
        assert!(load.enter(2, now));
        assert_eq!((load.in_flight(), load.chosen()), (2, 4));
    }

    #[test]
    fn silence_is_since_an_answer_or_since_there_is_something_to_answer() {
        let (load, start) = (Load::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        load.told(answered(1), start);
        assert_eq!(load.silence(after(500)), 0);
        load.enter(u32::MAX, after(500));
        load.enter(u32::MAX, after(600));
        assert_eq!([500, 700].map(|now| load.silence(after(now))), [0, 200]);
        load.told(answered(1), after(800));
        load.leave();
        assert_eq!([800, 900, 0].map(|now| load.silence(after(now))), [0, 100, 0]);
    }
}
