//! Pools that fail in some way, request by request, with a seed: who goes, how soon, and what it costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Cause, Ejected, Guard, Now, Outliers, Sign};
use crate::endpoint::{Address, Endpoint};

/// xorshift: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn is(&mut self, of_a_thousand: u32) -> bool {
        self.roll() % 1000 < of_a_thousand
    }
}

struct Run {
    endpoints: Vec<Arc<Endpoint>>,
    guard: Guard,
    start: Instant,
    ejected: Vec<(Duration, Ejected)>,
    asked: Vec<u32>,
}

const A_SECOND: Duration = Duration::from_secs(1);

/// `seconds` of 1,000 requests each, round robin over 10 endpoints that answer as `answers` says.
fn run(
    seed: u64,
    seconds: u32,
    mut answers: impl FnMut(usize, Duration, &mut Dice) -> Sign,
) -> Run {
    let endpoint = |port| Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into())));
    let mut run = Run {
        endpoints: (1..=10).map(endpoint).collect(),
        guard: Guard { outliers: Some(Outliers::default()), panic: 50 },
        start: Instant::now(),
        ejected: Vec::new(),
        asked: vec![0; 10],
    };
    let mut dice = Dice(seed | 1);
    let mut turn = 0;
    for request in 0..seconds * 1000 {
        let elapsed = Duration::from_millis(request.into());
        let now = Now { at: run.start + elapsed, dice: dice.roll() };
        let next = (turn..turn + 10).map(|index| index % 10);
        let mut admitted = next.filter(|index| run.guard.admits(&run.endpoints, *index, now.at));
        let chosen = admitted.next().unwrap();
        turn = chosen + 1;
        run.asked[chosen] += 1;
        let sign = answers(chosen, elapsed, &mut dice);
        let ejected = run.guard.told(&run.endpoints, (&run.endpoints[chosen], sign), now);
        run.ejected.extend(ejected.map(|one| (elapsed, one)));
        if request % 1000 == 999 {
            let judged = run.guard.judge(&run.endpoints, now);
            run.ejected.extend(judged.into_iter().map(|one| (elapsed, one)));
        }
    }
    run
}

/// About 10 ms, half to double.
fn usual(dice: &mut Dice) -> Sign {
    Sign::Good(Duration::from_micros(u64::from(5_000 + dice.roll() % 15_000)))
}

const SEEDS: std::ops::Range<u64> = 1..40;

#[test]
fn a_pool_that_is_well_loses_nobody() {
    for seed in SEEDS {
        let run = run(seed, 30, |_, _, dice| match dice.is(2) {
            true => Sign::GatewayError,
            false => usual(dice),
        });
        assert!(run.ejected.is_empty(), "seed {seed}: {:?}", run.ejected);
    }
}

#[test]
fn one_that_answers_nothing_but_errors_goes_at_once_and_costs_little_when_it_returns() {
    for seed in SEEDS {
        let run = run(seed, 100, |endpoint, _, dice| match endpoint {
            3 => Sign::GatewayError,
            _ => usual(dice),
        });
        let (after, first) = run.ejected[0];
        assert_eq!((first.endpoint, first.cause), (3, Cause::Errors), "seed {seed}");
        assert!(after < Duration::from_millis(100), "seed {seed}: {after:?}");
        assert!(run.ejected.iter().all(|(_, one)| one.endpoint == 3), "seed {seed}");
        // Five at first, one for each return.
        assert!(run.asked[3] <= 8, "seed {seed}: {}", run.asked[3]);
    }
}

#[test]
fn one_that_fails_every_third_time_goes_for_its_success_rate() {
    for seed in SEEDS {
        let run = run(seed, 30, |endpoint, _, dice| match endpoint == 3 && dice.is(300) {
            true => Sign::ServerError,
            false => usual(dice),
        });
        let (after, first) = run.ejected[0];
        assert_eq!((first.endpoint, first.cause), (3, Cause::SuccessRate), "seed {seed}");
        assert!(after <= 3 * A_SECOND, "seed {seed}: {after:?}");
        assert!(run.ejected.iter().all(|(_, one)| one.endpoint == 3), "seed {seed}");
    }
}

#[test]
fn one_ten_times_slower_goes_for_its_latency_and_again_when_it_still_is() {
    for seed in SEEDS {
        let run = run(seed, 60, |endpoint, _, dice| match (endpoint, usual(dice)) {
            (3, Sign::Good(time)) => Sign::Good(time * 10),
            (_, sign) => sign,
        });
        let (after, first) = run.ejected[0];
        assert_eq!((first.endpoint, first.cause), (3, Cause::Latency), "seed {seed}");
        assert!(after <= A_SECOND, "seed {seed}: {after:?}");
        assert_eq!(run.ejected.len(), 2, "seed {seed}: {:?}", run.ejected);
        assert!(run.asked[3] < 120, "seed {seed}: {}", run.asked[3]);
    }
}

#[test]
fn one_that_becomes_slow_goes_as_soon_however_long_it_was_fast() {
    for seed in SEEDS {
        // In the middle of a window.
        let well = Duration::from_millis(25_500);
        let run = run(seed, 40, |endpoint, elapsed, dice| match (endpoint, usual(dice)) {
            (3, Sign::Good(time)) if elapsed >= well => Sign::Good(time * 10),
            (_, sign) => sign,
        });
        let (after, first) = run.ejected[0];
        assert_eq!((first.endpoint, first.cause), (3, Cause::Latency), "seed {seed}");
        assert!(after <= well + A_SECOND * 2, "seed {seed}: {after:?}");
    }
}

#[test]
fn one_that_recovers_has_all_its_requests_again() {
    for seed in SEEDS {
        let broken = Duration::from_secs(10);
        let mut at_the_end = 0;
        let run = run(seed, 60, |endpoint, elapsed, dice| {
            at_the_end += u32::from(endpoint == 3 && elapsed > Duration::from_secs(50));
            match endpoint == 3 && elapsed < broken {
                true => Sign::GatewayError,
                false => usual(dice),
            }
        });
        assert_eq!(run.ejected.len(), 1, "seed {seed}: {:?}", run.ejected);
        assert!((990..=1010).contains(&at_the_end), "seed {seed}: {at_the_end}");
    }
}

#[test]
fn a_pool_that_is_broken_as_a_whole_keeps_being_used() {
    for seed in SEEDS {
        let run = run(seed, 30, |_, _, dice| match dice.is(900) {
            true => Sign::GatewayError,
            false => usual(dice),
        });
        let at_once = run.ejected.iter().filter(|(after, _)| *after < A_SECOND).count();
        assert_eq!(at_once, 5, "seed {seed}");
        assert!(run.asked.iter().filter(|asked| **asked > 1_000).count() >= 5, "seed {seed}");
    }
}

#[test]
fn answers_of_two_kinds_are_no_reason() {
    for seed in SEEDS {
        let run = run(seed, 30, |_, _, dice| match (dice.is(450), usual(dice)) {
            (true, Sign::Good(time)) => Sign::Good(time * 50),
            (_, sign) => sign,
        });
        assert!(run.ejected.is_empty(), "seed {seed}: {:?}", run.ejected);
    }
}
