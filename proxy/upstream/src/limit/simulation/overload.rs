//! Services that are asked for more than they can do.

use super::*;

#[test]
fn at_five_times_its_capacity_a_service_does_what_it_can_without_a_set_limit() {
    let scene = Scene {
        rate: |now| if now < 2000 * MS { 500.0 } else { 5000.0 },
        until: 20_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    let calm = world.percentile(99, Duration::ZERO, 2000 * MS);
    let (from, to) = (4000 * MS, 19_000 * MS);
    let (goodput, p99) = (world.goodput(from, to), world.percentile(99, from, to));
    assert!(goodput >= 950.0, "{goodput}");
    assert!(p99 <= calm * 2, "{p99:?} against {calm:?}");
}

#[test]
fn without_a_limit_the_same_service_answers_far_too_late() {
    let scene = Scene {
        ceiling: Ceiling::Off,
        rate: |now| if now < 2000 * MS { 500.0 } else { 5000.0 },
        until: 5000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    assert!(world.line.len() > 10_000, "{}", world.line.len());
}

#[test]
fn overload_from_the_first_moment_is_found_out_too() {
    let world = World::run(Scene { rate: |_| 5000.0, ..Scene::usual() });
    let (from, to) = (4000 * MS, 9000 * MS);
    let (goodput, p99) = (world.goodput(from, to), world.percentile(99, from, to));
    assert!(goodput >= 950.0, "{goodput}");
    assert!(p99 <= 60 * MS, "{p99:?}");
}

#[test]
fn capacity_that_halves_under_overload_is_found_again() {
    let scene = Scene {
        // As long for each: half as many in a second.
        service: |now, chance| about(if now < 10_000 * MS { 20 * MS } else { 40 * MS }, chance),
        rate: |_| 3000.0,
        until: 30_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    let (from, to) = (14_000 * MS, 28_000 * MS);
    assert!(world.goodput(from, to) >= 475.0, "{}", world.goodput(from, to));
    assert!(world.percentile(99, from, to) <= 120 * MS, "{:?}", world.percentile(99, from, to));
}

#[test]
fn after_overload_the_limit_is_lifted() {
    let scene = Scene {
        rate: |now| if now < 5000 * MS { 5000.0 } else { 200.0 },
        until: 20_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    assert_eq!(world.gate.limit(Ceiling::Adaptive), None);
    let late = World::count(&world.shed, 6000 * MS, 20_000 * MS);
    assert_eq!(late, 0.0);
}

#[test]
fn a_service_that_fails_for_ten_seconds_is_not_stormed_and_recovers_at_once() {
    let failing: fn(Duration) -> bool = |now| !(5000 * MS..15_000 * MS).contains(&now);
    let scene =
        Scene { rate: |_| 700.0, works: failing, retries: 2, until: 30_000 * MS, ..Scene::usual() };
    let world = World::run(scene);
    let (from, to) = (5000 * MS, 15_000 * MS);
    let came: Vec<Duration> = world.requests.iter().map(|request| request.came).collect();
    let load = World::count(&world.tries, from, to) / World::count(&came, from, to);
    assert!(load <= 1.205, "{load}");
    assert!(load > 1.15, "the budget is used: {load}");
    for half_second in 30..58 {
        let (from, to) = (500 * MS * half_second, 500 * MS * (half_second + 1));
        let share = world.goodput(from, to) / (World::count(&came, from, to) * 2.0);
        assert!(share >= 0.99, "{share} from {from:?}");
    }
}

/// Goodput, against what the service can do, and the p99 against the one in calm, from so long after it begins to be asked for so
/// many times what it can.
fn five_seconds(scene: Scene, each: Duration, after: Duration) -> (f64, f64) {
    let begins = 4000 * MS;
    let world = World::run(Scene { until: begins + after + 6000 * MS, ..scene });
    let capacity = scene.tokens as f64 / each.as_secs_f64();
    let calm = world.percentile(99, Duration::ZERO, begins - 500 * MS);
    let (from, to) = (begins + after, begins + after + 5000 * MS);
    let crowded = world.percentile(99, from, to);
    (world.goodput(from, to) / capacity, crowded.as_secs_f64() / calm.as_secs_f64())
}

#[test]
fn where_few_are_answered_overload_is_found_before_seconds_of_work_wait_in_the_service() {
    for seed in SEEDS {
        let scene = Scene {
            tokens: 10,
            service: |_, chance| about(50 * MS, chance),
            rate: |now| if now < 4000 * MS { 100.0 } else { 1000.0 },
            seed,
            ..Scene::usual()
        };
        let (goodput, p99) = five_seconds(scene, 50 * MS, 2500 * MS);
        assert!(goodput >= 0.95, "{goodput} with {seed}");
        assert!(p99 <= 2.0, "{p99} times with {seed}");
    }
}

#[test]
fn what_is_usual_does_not_drift_where_a_little_too_much_comes() {
    for seed in SEEDS {
        let scene = Scene {
            tokens: 100,
            service: |_, chance| about(10 * MS, chance),
            rate: |now| if now < 4000 * MS { 5000.0 } else { 13_000.0 },
            seed,
            ..Scene::usual()
        };
        let (goodput, p99) = five_seconds(scene, 10 * MS, 1000 * MS);
        assert!(goodput >= 0.95, "{goodput} with {seed}");
        assert!(p99 <= 2.0, "{p99} times with {seed}");
    }
}

#[test]
fn a_trial_shows_something_though_twenty_times_too_much_comes_meanwhile() {
    for seed in SEEDS {
        let scene = Scene {
            tokens: 20,
            service: |_, chance| about(20 * MS, chance),
            rate: |now| if now < 4000 * MS { 100.0 } else { 20_000.0 },
            seed,
            ..Scene::usual()
        };
        let (goodput, p99) = five_seconds(scene, 20 * MS, 4000 * MS);
        assert!(goodput >= 0.95, "{goodput} with {seed}");
        assert!(p99 <= 2.0, "{p99} times with {seed}");
    }
}

#[test]
fn the_noise_of_a_few_answers_does_not_hide_that_requests_queue() {
    let mut sum = 0.0;
    for seed in 1..=100_u64 {
        let scene = Scene {
            tokens: 10,
            service: |_, chance| about(50 * MS, chance),
            rate: |now| if now < 4000 * MS { 100.0 } else { 1000.0 },
            seed: seed.wrapping_mul(SEEDS[0]),
            ..Scene::usual()
        };
        let (goodput, p99) = five_seconds(scene, 50 * MS, 4000 * MS);
        assert!(goodput >= 0.9, "{goodput} with {seed}");
        assert!(p99 <= 2.0, "{p99} times with {seed}");
        sum += goodput;
    }
    assert!(sum >= 97.0, "{sum}");
}
