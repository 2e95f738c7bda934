//! The end of serving, as connections meet it: each is let go at a moment of its own, so that the clients of a busy process do
//! not all come back at once, and so that one which is about to ask is answered.

use std::time::{Duration, Instant};

/// When a drain began, and over how long idle connections are closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    began: Instant,
    spread: Duration,
}

/// What was sent before the drain may not have been seen yet.
const LAST_CALL: Duration = Duration::from_millis(50);
/// A connection that has asked nothing yet was opened in order to ask; and one whose answer has said, before the drain, that
/// another request may follow is about to bring it, from wherever it is in the world.
pub(crate) const EXPECTED: Duration = Duration::from_secs(1);

impl Window {
    /// It begins now.
    pub(crate) fn new(spread: Duration) -> Self {
        Self { began: Instant::now(), spread }
    }

    /// How long connection `number`, which waits since `now`, may wait for a request; for its first one, if that is so.
    pub(crate) fn patience(self, number: u64, is_first: bool, now: Instant) -> Duration {
        let (turn, least) = if is_first {
            (self.spread, EXPECTED)
        } else {
            (share(number, self.spread), LAST_CALL)
        };
        (self.began + turn).saturating_duration_since(now).max(least)
    }
}

/// The part of `spread` that is the turn of connection `number`: numbers that follow each other lie far apart.
pub(crate) fn share(number: u64, spread: Duration) -> Duration {
    // The golden ratio's multiples, modulo one, in units of 2^-32.
    let turn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let nanoseconds = (spread.as_nanos() * u128::from(turn)) >> 32;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_evenly_over_the_window() {
        let window = Duration::from_secs(10);
        let mut seconds = [0_u32; 10];
        for number in 1..=1000 {
            let turn = share(number, window);
            assert!(turn < window);
            seconds[turn.as_secs() as usize] += 1;
        }
        assert!(seconds.iter().all(|turns| (95..=105).contains(turns)), "{seconds:?}");
        assert_eq!(share(7, Duration::ZERO), Duration::ZERO);
        assert!(share(u64::MAX, Duration::MAX) <= Duration::MAX);
    }

    #[test]
    fn neighbours_do_not_go_together() {
        let window = Duration::from_secs(8);
        let apart =
            (1..100).map(|number| share(number, window).abs_diff(share(number + 1, window)));
        assert!(apart.min().unwrap() > Duration::from_secs(2));
    }

    #[test]
    fn a_first_request_is_waited_for_to_the_end_of_the_window() {
        let window = Window::new(Duration::from_secs(10));
        let (now, late) = (window.began, window.began + Duration::from_secs(20));
        assert_eq!(window.patience(1, true, now), Duration::from_secs(10));
        assert_eq!(window.patience(1, false, now), share(1, Duration::from_secs(10)));
        assert_eq!(window.patience(1, true, late), EXPECTED);
        assert_eq!(window.patience(1, false, late), LAST_CALL);
    }
}
