//! Services that only look as if they were asked for too much, and those of which nobody may be sent away.

use super::*;

#[test]
fn a_service_within_its_capacity_is_never_limited() {
    for rate in [5.0, 100.0, 500.0, 800.0] {
        let rates: fn(Duration) -> f64 = match rate {
            5.0 => |_| 5.0,
            100.0 => |_| 100.0,
            500.0 => |_| 500.0,
            _ => |_| 800.0,
        };
        let world = World::run(Scene { rate: rates, until: 60_000 * MS, ..Scene::usual() });
        assert_eq!(world.shed.len(), 0, "{rate}: {:?}", world.gate);
        assert_eq!(world.gate.limit(Ceiling::Adaptive), None, "{rate}: {:?}", world.gate);
    }
}

#[test]
fn a_service_that_is_slow_by_nature_or_becomes_so_is_not_throttled() {
    let slow =
        Scene { tokens: 100_000, service: |_, chance| about(3000 * MS, chance), ..Scene::usual() };
    let world = World::run(Scene { until: 30_000 * MS, ..slow });
    assert_eq!(world.shed.len(), 0);
    assert!(world.gate.in_flight() > 1000, "{}", world.gate.in_flight());
    // Ten times slower from one moment to the next, and not because of those who wait.
    let becomes = Scene {
        service: |now, chance| about(if now < 5000 * MS { 20 * MS } else { 200 * MS }, chance),
        ..slow
    };
    let world = World::run(Scene { until: 30_000 * MS, ..becomes });
    let all = world.requests.len();
    assert!(world.shed.len() * 1000 < all, "{} of {all}", world.shed.len());
    assert_eq!(world.gate.limit(Ceiling::Adaptive), None);
}

/// Those who are sent away, of a thousand, and the limit at the end, with each seed and at each rate.
fn of_thousand(scene: Scene, rates: &[fn(Duration) -> f64]) -> Vec<(f64, Option<u32>)> {
    let scenes = rates.iter().flat_map(|rate| SEEDS.map(|seed| (*rate, seed)));
    let run = |(rate, seed)| World::run(Scene { tokens: 100_000, rate, seed, ..scene });
    let worlds = scenes.map(run).map(|world| {
        let shed = world.shed.len() as f64 * 1000.0 / world.requests.len() as f64;
        (shed, world.gate.limit(Ceiling::Adaptive))
    });
    worlds.collect()
}

const RATES: [fn(Duration) -> f64; 3] = [|_| 2.0, |_| 20.0, |_| 500.0];

#[test]
fn quick_and_slow_answers_of_one_service_are_not_taken_for_waiting() {
    let services: [fn(Duration, f64) -> Duration; 6] = [
        |_, chance| if chance < 0.01 { 2000 * MS } else { MS },
        |_, chance| if chance < 0.10 { 2000 * MS } else { MS },
        |_, chance| if chance < 0.50 { 2000 * MS } else { MS },
        |_, chance| if chance < 0.90 { 2000 * MS } else { MS },
        |_, chance| (50 * MS).mul_f64(-(1.0 - chance).ln()),
        |_, chance| (2 * MS).mul_f64((1.0 - chance).powf(-0.9)),
    ];
    for (number, service) in services.into_iter().enumerate() {
        let scene = Scene { service, until: 30_000 * MS, ..Scene::usual() };
        for (shed, limit) in of_thousand(scene, &RATES) {
            assert_eq!((shed, limit), (0.0, None), "service {number}");
        }
    }
}

#[test]
fn a_service_that_stands_still_now_and_then_is_not_limited() {
    let scene = Scene {
        service: |now, chance| {
            let time = about(10 * MS, chance);
            let stands = Duration::from_secs(now.as_secs() / 3 * 3 + 3);
            if now + time > stands - 300 * MS { stands - now + time } else { time }
        },
        until: 30_000 * MS,
        ..Scene::usual()
    };
    for (shed, limit) in of_thousand(scene, &RATES) {
        assert_eq!((shed, limit), (0.0, None));
    }
}

#[test]
fn who_polls_for_long_and_is_answered_with_all_others_at_once_is_not_sent_away() {
    let scene = Scene {
        crowd: 500,
        service: |now, chance| {
            Duration::from_secs(now.as_secs() / 5 * 5 + 5) - now + about(MS, chance)
        },
        until: 30_000 * MS,
        ..Scene::usual()
    };
    for (shed, limit) in of_thousand(scene, &RATES[..1]) {
        assert_eq!((shed, limit), (0.0, None));
    }
}

#[test]
fn a_surge_that_a_service_can_do_is_let_through() {
    let surges: [fn(Duration) -> f64; 2] = [
        |now| if now.as_millis() % 2000 < 100 { 5000.0 } else { 20.0 },
        |now| if now.as_secs() < 10 { 20.0 } else { 2000.0 },
    ];
    let scene =
        Scene { service: |_, chance| about(50 * MS, chance), until: 20_000 * MS, ..Scene::usual() };
    for (shed, limit) in of_thousand(scene, &surges) {
        assert_eq!((shed, limit), (0.0, None));
    }
}

#[test]
fn a_service_that_becomes_slower_by_nature_slowly_or_again_and_again_loses_few() {
    let services: [fn(Duration, f64) -> Duration; 3] = [
        |now, chance| {
            let since = now.saturating_sub(5000 * MS).min(20_000 * MS);
            about(20 * MS + since.mul_f64(0.02), chance)
        },
        |now, chance| {
            let since = now.saturating_sub(5000 * MS).min(2000 * MS);
            about(20 * MS + since.mul_f64(0.2), chance)
        },
        |now, chance| {
            let is_slow = (now.as_secs() / 5) % 2 == 1;
            about(if is_slow { 200 * MS } else { 20 * MS }, chance)
        },
    ];
    for (number, service) in services.into_iter().enumerate() {
        let scene = Scene { service, until: 40_000 * MS, ..Scene::usual() };
        for (shed, limit) in of_thousand(scene, &RATES) {
            assert!(shed <= 20.0, "service {number}: {shed}, {limit:?}");
        }
    }
}

#[test]
fn clients_who_come_again_when_they_are_answered_wait_and_are_not_sent_away() {
    let services: [fn(Duration, f64) -> Duration; 2] =
        [|_, chance| about(MS, chance), |_, chance| about(20 * MS, chance)];
    for (crowd, tokens) in [(16, 2), (64, 2), (64, 8), (200, 8), (500, 32)] {
        for service in services {
            let scene = Scene { crowd, tokens, service, until: 15_000 * MS, ..Scene::usual() };
            let world = World::run(scene);
            let capacity = tokens as f64 / service(Duration::ZERO, 0.5).as_secs_f64();
            let goodput = world.goodput(5000 * MS, 13_000 * MS) / capacity;
            assert_eq!(world.shed.len(), 0, "{crowd} at {tokens}: {:?}", world.gate);
            assert!(goodput >= 0.95, "{crowd} at {tokens}: {goodput}");
        }
    }
}
