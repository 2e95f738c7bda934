//! When an endpoint is probed next: sooner where the answer matters.
//!
//! One that is down is asked four times as often at first, so that it is not missed for long when it comes back, and as often as
//! the others when it has been down for long: most that are so stay so.

use std::time::Duration;

/// What is known of an endpoint by its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is up, or nothing is known yet.
    Settled,
    /// It is up, but the last probe failed.
    Doubtful,
    /// It is down, and has been for so long.
    Down(Duration),
    /// It is down, but the last probe passed.
    Rising,
}

/// Probes of one endpoint that are under way at once while it is down: those that hear nothing need not be waited for.
pub const MOST_AT_ONCE: usize = 4;

/// How much sooner the next probe comes after one that says something else than is known, ...
const SOONER: u32 = 4;
/// ... where that is that it is alive.
const AT_ONCE: u32 = 16;
/// How much sooner while it is down, until it has been so for so many times as long as is usual between probes.
const WHILE_DOWN: [(u32, u32); 2] = [(4, 16), (2, 64)];
/// No two probes are nearer, unless that is said.
const LEAST: Duration = Duration::from_millis(20);

/// How long after a probe the next one begins, where usually it does so after `every`. No jitter.
#[must_use]
pub fn until_next(every: Duration, known: Known) -> Duration {
    let part = match known {
        Known::Settled => 1,
        Known::Doubtful => SOONER,
        Known::Rising => AT_ONCE,
        Known::Down(down) => {
            let step = WHILE_DOWN.iter().find(|(_, times)| down < every.saturating_mul(*times));
            step.map_or(1, |(part, _)| *part)
        }
    };
    (every / part).max(LEAST).min(every)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::super::{Health, Thresholds};
    use super::*;

    const EVERY: Duration = Duration::from_secs(1);
    const TAKES: Duration = Duration::from_millis(10);

    /// An outage of an endpoint whose probes hear nothing while it lasts: how many there were, and how soon after it the
    /// endpoint was up.
    fn outage(lasts: Duration) -> (usize, Duration) {
        let (health, start) = (Health::default(), Instant::now());
        let thresholds = Thresholds { rise: 2, fall: 2 };
        health.probed(true, thresholds, start);
        let (mut now, mut probes) = (Duration::ZERO, 0);
        // What is silent is known to be so a second after it was asked; the times of those do not matter.
        while now < lasts {
            probes += 1;
            health.probed(false, thresholds, start + now);
            now += until_next(EVERY, health.known(start + now));
        }
        loop {
            now += TAKES;
            probes += 1;
            if health.probed(true, thresholds, start + now).is_some() {
                return (probes, now - lasts);
            }
            now = now - TAKES + until_next(EVERY, health.known(start + now));
        }
    }

    proptest! {
        #[test]
        fn who_comes_back_soon_is_up_within_a_third_of_the_time_between_probes(millis in 2_500_u64..15_000) {
            let (_, back) = outage(Duration::from_millis(millis));
            prop_assert!(back <= EVERY / 3 + TAKES, "{back:?}");
        }
    }

    #[test]
    fn on_average_it_is_up_within_a_quarter_of_that_time() {
        let all: Duration =
            (0..100).map(|number| outage(Duration::from_millis(5000 + number * 7)).1).sum();
        assert!(all / 100 < EVERY / 4, "{:?}", all / 100);
    }

    #[test]
    fn a_long_outage_costs_hardly_more_probes_than_no_outage() {
        let (probes, back) = outage(Duration::from_secs(3600));
        assert!(probes < 3800, "{probes}");
        assert!(back <= EVERY + EVERY / 8, "{back:?}");
    }

    #[test]
    fn no_probe_is_later_than_said_nor_sooner_than_the_least() {
        for every in [1, 10, 100, 1000, 60_000].map(Duration::from_millis) {
            for known in
                [Known::Settled, Known::Doubtful, Known::Rising, Known::Down(Duration::ZERO)]
            {
                let next = until_next(every, known);
                assert!(next <= every && next >= LEAST.min(every), "{every:?} {known:?}: {next:?}");
            }
        }
    }
}
