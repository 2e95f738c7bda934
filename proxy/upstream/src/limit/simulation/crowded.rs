//! Machines that are short of time: all is later than it should be, whatever the limit, and a limit must not make it worse.

use super::*;

const fn share(each: u64, away: u64, there: u64) -> Share {
    Share {
        each: Duration::from_micros(each),
        away: Duration::from_millis(away),
        there: Duration::from_millis(there),
    }
}

/// What the proxy has of its machine, and what the service has.
const MACHINES: [(Share, Share); 5] = [
    (share(300, 0, 0), share(0, 0, 0)),
    (share(700, 0, 0), share(100, 0, 0)),
    (share(200, 20, 40), share(0, 0, 0)),
    (share(200, 0, 0), share(100, 20, 40)),
    (share(200, 20, 40), share(100, 20, 40)),
];

/// The same where they are away for longer than the service takes for an answer.
const STANDING: [(Share, Share); 3] = [
    (share(200, 100, 200), share(100, 100, 200)),
    (share(100, 300, 700), share(100, 50, 50)),
    (share(300, 50, 100), share(500, 50, 200)),
];

/// Ten at once, 50 ms each: 200 in a second, and five times as many come.
fn overloaded(ceiling: Ceiling, (proxy, host): (Share, Share), seed: u64) -> World {
    World::run(Scene {
        tokens: 10,
        service: |_, chance| about(50 * MS, chance),
        rate: |now| if now < 4000 * MS { 100.0 } else { 1000.0 },
        until: 30_000 * MS,
        ceiling,
        proxy,
        host,
        seed,
        ..Scene::usual()
    })
}

/// Of what is answered without a limit, the part that is with one that is found, and the p99 of the answers, with each seed.
fn beside_no_limit(machine: (Share, Share)) -> Vec<(f64, Duration)> {
    let (from, to) = (8000 * MS, 28_000 * MS);
    let play = |number: u64| {
        let seed = number.wrapping_mul(SEEDS[0]);
        let most = overloaded(Ceiling::Off, machine, seed).answered(from, to);
        let world = overloaded(Ceiling::Adaptive, machine, seed);
        (world.answered(from, to) / most, world.percentile(99, from, to))
    };
    (1..=8).map(play).collect()
}

fn mean(shares: &[(f64, Duration)]) -> f64 {
    shares.iter().map(|(share, _)| share).sum::<f64>() / shares.len() as f64
}

#[test]
fn where_the_proxy_has_much_else_to_do_as_much_is_done_as_without_a_limit() {
    for machine in MACHINES {
        let shares = beside_no_limit(machine);
        assert!(mean(&shares) >= 0.97, "{machine:?}: {shares:?}");
        for (share, p99) in shares {
            assert!(share >= 0.94 && p99 <= 300 * MS, "{machine:?}: {share}, {p99:?}");
        }
    }
}

#[test]
fn a_machine_that_stands_still_for_longer_than_answers_take_still_does_nearly_as_much() {
    for machine in STANDING {
        let shares = beside_no_limit(machine);
        assert!(mean(&shares) >= 0.92, "{machine:?}: {shares:?}");
        for (share, _) in shares {
            assert!(share >= 0.7, "{machine:?}: {share}");
        }
    }
}

#[test]
fn those_who_wait_for_events_do_not_take_the_places_of_others() {
    for seed in SEEDS {
        let play = |ceiling| {
            World::run(Scene {
                tokens: 10,
                service: |_, chance| about(50 * MS, chance),
                rate: |now| if now < 4000 * MS { 100.0 } else { 1000.0 },
                polls: 0.05,
                until: 40_000 * MS,
                ceiling,
                seed,
                ..Scene::usual()
            })
        };
        let (from, to) = (10_000 * MS, 40_000 * MS);
        let share =
            play(Ceiling::Adaptive).answered(from, to) / play(Ceiling::Off).answered(from, to);
        assert!(share >= 0.85, "{share} with {seed}");
    }
}
