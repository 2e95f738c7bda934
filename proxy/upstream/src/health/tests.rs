//! What one endpoint's health is made of, step by step.

use super::*;

const RISE_2: Thresholds = Thresholds { rise: 2, fall: 3 };

fn settings() -> Outliers {
    Outliers::default()
}

fn at(at: Instant) -> Now {
    // In the middle: no jitter.
    Now { at, dice: u32::MAX / 2 }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn five_gateway_errors_in_a_row_are_a_cause_and_four_are_not() {
    let (health, now) = (Health::default(), Instant::now());
    for _ in 0..4 {
        assert_eq!(health.told(Sign::GatewayError, &settings(), now), None);
    }
    assert_eq!(health.told(Sign::Good(seconds(0)), &settings(), now), None);
    for _ in 0..4 {
        assert_eq!(health.told(Sign::GatewayError, &settings(), now), None);
    }
    assert_eq!(health.told(Sign::GatewayError, &settings(), now), Some(Cause::Errors));
}

#[test]
fn ejections_grow_return_by_and_by_and_are_forgiven() {
    let (health, start) = (Health::default(), Instant::now());
    let first = health.eject(Cause::Errors, &settings(), at(start)).unwrap();
    assert!(first.abs_diff(seconds(30)) < seconds(1), "{first:?}");
    assert_eq!(health.eject(Cause::Errors, &settings(), at(start)), None);
    assert_eq!(health.standing(start + seconds(20)), Standing::Ejected);
    assert!(!health.is_available(start + seconds(20)));

    // Ten seconds of return, in three steps.
    let shares = [31, 35, 38].map(|after| {
        let now = start + seconds(after);
        assert_eq!(health.standing(now), Standing::Returning);
        (0..64).filter(|_| health.is_available(now)).count()
    });
    assert_eq!(shares, [8, 16, 32]);
    assert_eq!(health.standing(start + seconds(41)), Standing::Ready);

    // One error is enough while it returns, and it is away for twice as long.
    let now = start + seconds(31);
    assert_eq!(health.told(Sign::GatewayError, &settings(), now), Some(Cause::Errors));
    let second = health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    assert!(second.abs_diff(seconds(60)) < seconds(1), "{second:?}");

    // After much good time, as if it was the first.
    let later = now + seconds(600);
    let third = health.eject(Cause::Errors, &settings(), at(later)).unwrap();
    assert!(third.abs_diff(seconds(30)) < seconds(1), "{third:?}");
}

#[test]
fn an_ejection_is_never_longer_than_the_longest() {
    let (health, mut now) = (Health::default(), Instant::now());
    let mut length = Duration::ZERO;
    for _ in 0..20 {
        length = health.eject(Cause::Errors, &settings(), at(now)).unwrap();
        now += length;
    }
    assert!(length.abs_diff(seconds(300)) < seconds(1), "{length:?}");
}

#[test]
fn jitter_is_a_tenth_at_most() {
    assert_eq!(jittered(seconds(10), 0), seconds(9));
    assert_eq!(jittered(seconds(10), u32::MAX), seconds(11));
}

#[test]
fn passing_probes_end_an_ejection_sooner_but_each_time_more_of_them() {
    let (health, now) = (Health::default(), Instant::now());
    assert_eq!(health.probed(true, RISE_2, now), None);
    health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    assert_eq!(health.probed(true, RISE_2, now), None);
    assert_eq!(health.probed(true, RISE_2, now), Some(Turn::Returns));
    assert_eq!(health.standing(now), Standing::Returning);
    let now = now + seconds(1);
    health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    let turns: Vec<_> = (0..4).map(|_| health.probed(true, RISE_2, now)).collect();
    assert_eq!(turns, [None, None, None, Some(Turn::Returns)]);
}

#[test]
fn what_probes_find_alive_is_not_away_for_what_it_answered_before() {
    let (health, now) = (Health::default(), Instant::now());
    health.probed(true, RISE_2, now);
    health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    for _ in 0..3 {
        health.probed(false, RISE_2, now);
    }
    assert_eq!(health.standing(now), Standing::Down);
    let turns = [(); 2].map(|()| health.probed(true, RISE_2, now));
    assert_eq!(turns, [None, Some(Turn::Rises)]);
    assert_eq!(health.standing(now), Standing::Returning);
}

#[test]
fn what_probes_find_dead_is_not_available_until_they_find_it_alive() {
    let (health, now) = (Health::default(), Instant::now());
    assert_eq!(health.probed(false, RISE_2, now), Some(Turn::Falls));
    assert_eq!(health.standing(now), Standing::Down);
    assert!(!health.is_available(now));
    assert_eq!(health.probed(true, RISE_2, now), None);
    assert_eq!(health.probed(true, RISE_2, now), Some(Turn::Rises));
    assert!(health.is_available(now));
    health.probed(false, RISE_2, now);
    health.probed(false, RISE_2, now);
    assert_eq!(health.probed(false, RISE_2, now), Some(Turn::Falls));
    health.forget_probes();
    assert!(health.is_available(now));
}

#[test]
fn what_was_slow_goes_again_when_it_still_is() {
    let (health, start) = (Health::default(), Instant::now());
    health.too_slow.store(50_000, Ordering::Relaxed);
    health.eject(Cause::Latency, &settings(), at(start)).unwrap();
    let now = start + seconds(31);
    let slow = Sign::Good(Duration::from_millis(100));
    let causes: Vec<_> = (0..3).map(|_| health.told(slow, &settings(), now)).collect();
    assert_eq!(causes, [None, None, Some(Cause::Latency)]);
}

#[test]
fn what_was_dead_and_lives_is_asked_at_once_however_often_it_was_ejected() {
    let (health, now) = (Health::default(), Instant::now());
    health.probed(true, RISE_2, now);
    health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    let now = now + seconds(31);
    health.eject(Cause::Errors, &settings(), at(now)).unwrap();
    for _ in 0..3 {
        health.probed(false, RISE_2, now);
    }
    let turns = [(); 2].map(|()| health.probed(true, RISE_2, now));
    assert_eq!(turns, [None, Some(Turn::Rises)]);
    assert_eq!(health.standing(now), Standing::Returning);
}

#[test]
fn what_is_known_of_probes_says_since_when() {
    let (health, start) = (Health::default(), Instant::now());
    assert_eq!(health.known(start), Known::Settled);
    health.probed(true, RISE_2, start);
    health.probed(false, RISE_2, start);
    assert_eq!(health.known(start), Known::Doubtful);
    for _ in 0..2 {
        health.probed(false, RISE_2, start);
    }
    assert_eq!(health.known(start + seconds(5)), Known::Down(seconds(5)));
    health.probed(true, RISE_2, start + seconds(6));
    assert_eq!(health.known(start + seconds(6)), Known::Rising);
    health.probed(false, RISE_2, start + seconds(6));
    assert_eq!(health.known(start + seconds(7)), Known::Down(seconds(7)));
    health.probed(true, RISE_2, start + seconds(7));
    health.probed(true, RISE_2, start + seconds(7));
    assert_eq!(health.known(start + seconds(8)), Known::Settled);
}
