use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::*;
use crate::balance::Outcome;
use crate::endpoint::Address;

fn endpoint(port: u16) -> Arc<Endpoint> {
    Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into())))
}

fn pool(ports: &[u16], tries: u32) -> Pool {
    by(Balance::RoundRobin, ports, tries)
}

fn by(balance: Balance, ports: &[u16], tries: u32) -> Pool {
    Pool::new(balance, ports.iter().map(|port| (endpoint(*port), 1)).collect(), tries)
}

fn ask(random: u64) -> Ask<'static> {
    Ask::at(Instant::now(), random)
}

const ALL: [Balance; 6] = [
    Balance::P2c,
    Balance::RoundRobin,
    Balance::LeastRequests,
    Balance::LeastTime,
    Balance::Random,
    Balance::IpHash,
];

#[test]
fn a_request_tries_each_endpoint_once() {
    ALL.into_iter().for_each(tries_each_endpoint_once);
}

fn tries_each_endpoint_once(balance: Balance) {
    let pool = by(balance, &[1, 2, 3], 10);
    let mut attempt = Attempt::default();
    let mut seen = HashSet::new();
    while let Ok(choice) = pool.choose(&mut attempt, &ask(1)) {
        assert!(pool.has_more(&attempt, Instant::now()) || seen.len() == 2);
        assert!(seen.insert(choice.endpoint));
    }
    assert_eq!(seen.len(), 3);
    assert_eq!(attempt.made(), 3);
    assert!(!pool.has_more(&attempt, Instant::now()));
}

#[test]
fn tries_are_bounded() {
    let pool = pool(&[1, 2, 3], 2);
    let mut attempt = Attempt::default();
    assert!(pool.choose(&mut attempt, &ask(1)).is_ok());
    assert!(pool.has_more(&attempt, Instant::now()));
    assert!(pool.choose(&mut attempt, &ask(1)).is_ok());
    assert!(!pool.has_more(&attempt, Instant::now()));
    assert_eq!(pool.choose(&mut attempt, &ask(1)).unwrap_err(), Nobody::TriesUsed);
}

#[test]
fn a_choice_that_was_taken_back_may_be_given_again() {
    let pool = pool(&[1], 1);
    let mut attempt = Attempt::default();
    attempt.take_back();
    let choice = pool.choose(&mut attempt, &ask(1));
    assert!(choice.is_ok());
    attempt.take_back();
    assert!(pool.has_more(&attempt, Instant::now()));
    let again = pool.choose(&mut attempt, &ask(1));
    assert_eq!(again.unwrap().target, choice.unwrap().target);
}

#[test]
fn a_second_address_of_a_name_is_tried_after_every_other_endpoint() {
    let name = Arc::new(Endpoint::new(Address::Name { host: "two".into(), port: 80 }));
    name.resolved(["127.0.0.1:80".parse().unwrap(), "127.0.0.2:80".parse().unwrap()]);
    let pool = Pool::new(Balance::RoundRobin, vec![(name, 5), (endpoint(9), 1)], 10);
    let mut attempt = Attempt::default();
    let order: Vec<usize> = std::iter::from_fn(|| pool.choose(&mut attempt, &ask(1)).ok())
        .map(|choice| choice.endpoint)
        .collect();
    assert_eq!(order, [0, 1, 0]);
}

#[test]
fn an_unresolved_name_is_passed_over() {
    let name = Arc::new(Endpoint::new(Address::Name { host: "unknown".into(), port: 80 }));
    let pool = Pool::new(Balance::RoundRobin, vec![(name, 1), (endpoint(9), 1)], 3);
    let mut attempt = Attempt::default();
    assert_eq!(pool.choose(&mut attempt, &ask(1)).map(|choice| choice.endpoint).ok(), Some(1));
    assert_eq!(pool.choose(&mut attempt, &ask(1)).unwrap_err(), Nobody::NoneLeft);
    assert_eq!(pool.endpoints().len(), 2);
}

/// How many of `asked` requests each endpoint had, when each is over after `ends(endpoint, &outcome)`.
fn shares(pool: &Pool, asked: u64, took: impl Fn(usize) -> Duration) -> Vec<u64> {
    let start = Instant::now();
    for number in 0..asked {
        let now = start + Duration::from_millis(number);
        let ask = Ask::at(now, crate::balance::mix(number));
        let choice = pool.choose(&mut Attempt::default(), &ask).unwrap();
        let outcome = Outcome::Answered { status: 200, first_byte: took(choice.endpoint) };
        choice.in_flight.endpoint().load().told(outcome, now);
    }
    pool.endpoints().iter().map(|endpoint| endpoint.load().chosen()).collect()
}

#[test]
fn what_is_in_flight_ends_with_its_guard() {
    for balance in ALL {
        let pool = by(balance, &[1, 2], 3);
        let in_flight = || pool.endpoints().iter().map(|one| one.load().in_flight()).sum::<u32>();
        let held: Vec<Choice> =
            (0..10).filter_map(|n| pool.choose(&mut Attempt::default(), &ask(n)).ok()).collect();
        assert_eq!(in_flight(), 10);
        drop(held);
        assert_eq!(in_flight(), 0);
    }
}

#[test]
fn whoever_has_less_to_do_is_chosen() {
    for balance in [Balance::P2c, Balance::LeastRequests, Balance::LeastTime] {
        let pool = by(balance, &[1, 2], 3);
        let busy: Vec<InFlight> = (0..5).map(|_| pool.in_flight(0)).collect();
        for number in 0..5 {
            let choice = pool.choose(&mut Attempt::default(), &ask(number)).unwrap();
            assert_eq!(choice.endpoint, 1, "{balance:?}");
        }
        drop(busy);
    }
}

#[test]
fn requests_in_flight_are_as_the_weights() {
    for balance in [Balance::P2c, Balance::LeastRequests, Balance::LeastTime] {
        let pool = Pool::new(balance, vec![(endpoint(1), 1), (endpoint(2), 3)], 3);
        let choose =
            |number| pool.choose(&mut Attempt::default(), &ask(crate::balance::mix(number)));
        let held: Vec<Choice> = (0..400).filter_map(|number| choose(number).ok()).collect();
        let heavy = pool.endpoints()[1].load().in_flight();
        assert!((295..=305).contains(&heavy), "{balance:?}: {heavy} of {}", held.len());
    }
}

#[test]
fn while_there_is_little_to_do_each_has_its_share_by_weight() {
    for balance in [Balance::P2c, Balance::LeastRequests, Balance::Random, Balance::RoundRobin] {
        let pool = Pool::new(balance, vec![(endpoint(1), 1), (endpoint(2), 3)], 3);
        // One is somewhat faster, which makes no difference to these.
        let shares = shares(&pool, 4_000, |index| Duration::from_millis(10 + 4 * index as u64));
        assert!((2_900..=3_100).contains(&shares[1]), "{balance:?}: {shares:?}");
    }
}

#[test]
fn whoever_is_ten_times_slower_has_hardly_anything() {
    for balance in [Balance::P2c, Balance::LeastTime] {
        let ports: Vec<u16> = (1..=10).collect();
        let pool = by(balance, &ports, 3);
        let slow = |index| Duration::from_millis(if index == 4 { 100 } else { 10 });
        let shares = shares(&pool, 20_000, slow);
        // Each time that its latency has faded: once in some seconds, of twenty.
        assert!(shares[4] <= 20, "{balance:?}: {shares:?}");
        if balance == Balance::P2c {
            assert!(
                shares.iter().enumerate().all(|(index, share)| index == 4 || *share > 1_800),
                "{shares:?}"
            );
        }
    }
}

#[test]
fn a_name_that_loses_weight_is_chosen_no_more() {
    for balance in ALL {
        let pool = Pool::new(balance, vec![(endpoint(1), 0), (endpoint(2), 1)], 3);
        let mut attempt = Attempt::default();
        assert_eq!(pool.choose(&mut attempt, &ask(3)).unwrap().endpoint, 1);
        assert!(!pool.has_more(&attempt, Instant::now()));
        assert_eq!(pool.choose(&mut attempt, &ask(3)).unwrap_err(), Nobody::NoneLeft);
    }
}
