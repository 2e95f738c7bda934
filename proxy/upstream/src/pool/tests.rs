use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::*;
use crate::balance::Outcome;
use crate::endpoint::Address;
use crate::shard::Shuffle;

fn endpoint(port: u16) -> Arc<Endpoint> {
    Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into())))
}

fn pool(ports: &[u16], tries: u32) -> Pool {
    by(Balance::RoundRobin, ports, tries)
}

fn by(balance: Balance, ports: &[u16], tries: u32) -> Pool {
    weighted(balance, ports.iter().map(|port| (endpoint(*port), 1)).collect(), tries)
}

fn weighted(balance: Balance, endpoints: Vec<(Arc<Endpoint>, u32)>, tries: u32) -> Pool {
    let members = endpoints.into_iter().map(|(endpoint, weight)| Member::new(endpoint, weight));
    Pool::new(Settings { balance, tries, ..Settings::default() }, members.collect())
}

fn ask(random: u64) -> Ask<'static> {
    Ask::at(Instant::now(), random)
}

const ALL: [Balance; 8] = [
    Balance::P2c,
    Balance::RoundRobin,
    Balance::LeastRequests,
    Balance::LeastTime,
    Balance::Random,
    Balance::IpHash,
    Balance::Hash { is_consistent: false, bound: None, hot: None },
    Balance::Hash { is_consistent: true, bound: Some(125), hot: None },
];

fn keyed(key: &[u8]) -> Ask<'_> {
    Ask { key: Some(key), ..ask(9) }
}

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
fn who_joins_an_attempt_tries_nobody_whom_that_has_tried() {
    let pool = pool(&[1, 1, 1], 3);
    let (mut first, mut second) = (Attempt::default(), Attempt::default());
    let tried = pool.choose(&mut first, &ask(1)).unwrap().endpoint;
    second.join(&first);
    let other = pool.choose(&mut second, &ask(1)).unwrap().endpoint;
    assert_ne!(tried, other);
    first.join(&second);
    first.join(&second);
    assert_eq!(first.made(), 2);
    let third = pool.choose(&mut first, &ask(1)).unwrap().endpoint;
    assert_eq!([tried, other, third].iter().sum::<usize>(), 3);
    assert!(!pool.has_more(&first, Instant::now()));
}

#[test]
fn a_second_address_of_a_name_is_tried_after_every_other_endpoint() {
    let name = Arc::new(Endpoint::new(Address::Name { host: "two".into(), port: 80 }));
    name.resolved(["127.0.0.1:80".parse().unwrap(), "127.0.0.2:80".parse().unwrap()]);
    let pool = weighted(Balance::RoundRobin, vec![(name, 5), (endpoint(9), 1)], 10);
    let mut attempt = Attempt::default();
    let order: Vec<usize> = std::iter::from_fn(|| pool.choose(&mut attempt, &ask(1)).ok())
        .map(|choice| choice.endpoint)
        .collect();
    assert_eq!(order, [0, 1, 0]);
}

#[test]
fn an_unresolved_name_is_passed_over() {
    let name = Arc::new(Endpoint::new(Address::Name { host: "unknown".into(), port: 80 }));
    let pool = weighted(Balance::RoundRobin, vec![(name, 1), (endpoint(9), 1)], 3);
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
        let ask = Ask::at(now, mix(number));
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
        let pool = weighted(balance, vec![(endpoint(1), 1), (endpoint(2), 3)], 3);
        let choose = |number| pool.choose(&mut Attempt::default(), &ask(mix(number)));
        let held: Vec<Choice> = (0..400).filter_map(|number| choose(number).ok()).collect();
        let heavy = pool.endpoints()[1].load().in_flight();
        assert!((295..=305).contains(&heavy), "{balance:?}: {heavy} of {}", held.len());
    }
}

#[test]
fn while_there_is_little_to_do_each_has_its_share_by_weight() {
    for balance in [Balance::P2c, Balance::LeastRequests, Balance::Random, Balance::RoundRobin] {
        let pool = weighted(balance, vec![(endpoint(1), 1), (endpoint(2), 3)], 3);
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
        let pool = weighted(balance, vec![(endpoint(1), 0), (endpoint(2), 1)], 3);
        let mut attempt = Attempt::default();
        assert_eq!(pool.choose(&mut attempt, &ask(3)).unwrap().endpoint, 1);
        assert!(!pool.has_more(&attempt, Instant::now()));
        assert_eq!(pool.choose(&mut attempt, &ask(3)).unwrap_err(), Nobody::NoneLeft);
    }
}

#[test]
fn a_key_stays_where_it_is_and_moves_only_when_its_endpoint_goes() {
    let hash = Balance::Hash { is_consistent: true, bound: None, hot: None };
    let (all, fewer) = (by(hash, &[1, 2, 3, 4, 5], 3), by(hash, &[1, 2, 4, 5], 3));
    for number in 0..500 {
        let key = format!("/{number}");
        let target = |pool: &Pool| {
            pool.choose(&mut Attempt::default(), &keyed(key.as_bytes())).unwrap().target
        };
        let own = target(&all);
        assert_eq!(target(&all), own);
        if own.to_string() != "127.0.0.1:3" {
            assert_eq!(target(&fewer), own);
        }
    }
}

#[test]
fn no_endpoint_has_more_in_flight_than_its_bound() {
    let hash = Balance::Hash { is_consistent: true, bound: Some(125), hot: None };
    let pool = by(hash, &[1, 2, 3, 4, 5], 3);
    // All for one key, which its endpoint alone would have.
    let held: Vec<Choice> =
        (0..100).map(|_| pool.choose(&mut Attempt::default(), &keyed(b"one")).unwrap()).collect();
    let mut loads: Vec<u32> = pool.endpoints().iter().map(|one| one.load().in_flight()).collect();
    loads.sort_unstable();
    assert_eq!(loads, [0, 25, 25, 25, 25], "{}", held.len());
}

/// A pool of endpoints with what each says beside its port.
fn of(settings: Settings, said: &[&dyn Fn(&mut Member)]) -> Pool {
    let member = |(port, say): (u16, &&dyn Fn(&mut Member))| {
        let mut member = Member::new(endpoint(port), 1);
        say(&mut member);
        member
    };
    Pool::new(settings, (1..).zip(said).map(member).collect())
}

fn settings(balance: Balance) -> Settings {
    Settings { balance, tries: 16, ..Settings::default() }
}

#[test]
fn a_backup_is_chosen_when_no_other_can_be() {
    for balance in ALL {
        let backup = |member: &mut Member| member.tier = 2;
        let full_at_one = |member: &mut Member| member.most = 1;
        let pool = of(settings(balance), &[&backup, &full_at_one, &full_at_one]);
        let mut held: Vec<Choice> = Vec::new();
        for number in 0..5 {
            held.push(pool.choose(&mut Attempt::default(), &ask(number)).unwrap());
        }
        let mut chosen: Vec<usize> = held.iter().map(|choice| choice.endpoint).collect();
        chosen[..2].sort_unstable();
        assert_eq!(chosen, [1, 2, 0, 0, 0], "{balance:?}");
        held.remove(0);
        assert_ne!(pool.choose(&mut Attempt::default(), &ask(7)).unwrap().endpoint, 0);
        // A request that has failed at both may go there, too.
        drop(held);
        let mut attempt = Attempt::default();
        let tries = (0..3).map(|_| pool.choose(&mut attempt, &ask(8)).unwrap().endpoint);
        assert_eq!(tries.last(), Some(0));
    }
}

#[test]
fn when_all_are_full_nobody_is_chosen() {
    for balance in ALL {
        let most = |member: &mut Member| member.most = 2;
        let pool = of(settings(balance), &[&most, &most]);
        let mut held: Vec<Choice> = (0..4)
            .map(|number| pool.choose(&mut Attempt::default(), &ask(number)).unwrap())
            .collect();
        let full = pool.choose(&mut Attempt::default(), &ask(5));
        assert_eq!(full.unwrap_err(), Nobody::Full, "{balance:?}");
        held.pop();
        assert!(pool.choose(&mut Attempt::default(), &ask(6)).is_ok());
    }
}

#[test]
fn whoever_is_drained_has_nothing_new() {
    for balance in ALL {
        let drained = |member: &mut Member| member.is_draining = true;
        let pool = of(settings(balance), &[&drained, &|_| ()]);
        for number in 0..20 {
            let mut attempt = Attempt::default();
            assert_eq!(pool.choose(&mut attempt, &ask(number)).unwrap().endpoint, 1);
            assert!(!pool.has_more(&attempt, Instant::now()));
        }
    }
}

#[test]
fn whoever_is_new_has_a_tenth_of_its_share_and_then_more() {
    for balance in [Balance::P2c, Balance::RoundRobin, Balance::Random, Balance::LeastRequests] {
        let slow_start = Duration::from_secs(10);
        let pool = of(Settings { slow_start, ..settings(balance) }, &[&|_| (), &|_| ()]);
        let start = Instant::now();
        pool.endpoints()[1].load().begins(start);
        let mut shares = Vec::new();
        for second in [0, 5, 10] {
            let now = start + Duration::from_secs(second);
            let chosen = (0..4_000).filter(|number| {
                let ask = Ask::at(now, mix(*number));
                pool.choose(&mut Attempt::default(), &ask).unwrap().endpoint == 1
            });
            shares.push(chosen.count() as u64);
        }
        let half = shares[2];
        assert!((1_800..2_200).contains(&half), "{balance:?}: {shares:?}");
        assert!(
            shares[0] < half / 6 && shares[1] < half * 2 / 3 && shares[1] > half / 3,
            "{balance:?}: {shares:?}"
        );
    }
}

#[test]
fn whoever_stays_with_an_endpoint_has_it_while_it_can_be_had() {
    for balance in ALL {
        let drained = |member: &mut Member| member.is_draining = true;
        let light = |member: &mut Member| (member.weight, member.most) = (0, 1);
        let pool = of(settings(balance), &[&drained, &light, &|_| ()]);
        for stuck in [0, 1, 2] {
            let ask = Ask { stuck: Some(stuck), ..ask(5) };
            let mut attempt = Attempt::default();
            assert_eq!(pool.choose(&mut attempt, &ask).unwrap().endpoint, stuck, "{balance:?}");
            // When that came to nothing, somebody else has it.
            let next = pool.choose(&mut attempt, &ask).map(|choice| choice.endpoint);
            assert_eq!(next, if stuck == 2 { Err(Nobody::NoneLeft) } else { Ok(2) });
        }
        let ask = Ask { stuck: Some(1), ..ask(5) };
        let _full = pool.choose(&mut Attempt::default(), &ask).unwrap();
        assert_eq!(pool.choose(&mut Attempt::default(), &ask).unwrap().endpoint, 2);
        let nobody = Ask { stuck: Some(7), ..ask };
        assert_eq!(pool.choose(&mut Attempt::default(), &nobody).unwrap().endpoint, 2);
    }
}

#[test]
fn whoever_was_given_a_backup_goes_back_once_somebody_else_has_room() {
    for balance in ALL {
        let (small, backup) = (
            |member: &mut Member| member.most = 1,
            |member: &mut Member| {
                member.tier = Member::BACKUPS;
            },
        );
        let drained = |member: &mut Member| (member.is_draining, member.tier) = (true, 1);
        let pool = of(settings(balance), &[&small, &drained, &backup, &backup]);
        let ask = Ask { stuck: Some(3), ..ask(5) };
        let choose = || pool.choose(&mut Attempt::default(), &ask).unwrap();
        let back = choose();
        assert_eq!(back.endpoint, 0, "{balance:?}");
        assert_eq!(choose().endpoint, 3, "the others have no room");
        drop(back);
        assert_eq!(choose().endpoint, 0, "{balance:?}");
    }
}

#[test]
fn who_has_an_open_breaker_is_passed_over_until_one_request_probes() {
    use crate::limit::{BreakerRules, Pass};
    let second = std::time::Duration::from_secs(1);
    let rules = BreakerRules { percent: 50, least: 1, open: second, longest: second };
    let pool = pool(&[1, 2], 3).with_breakers();
    let now = std::time::Instant::now();
    let broken = &pool.endpoints()[0];
    assert!(broken.breaker().tell(Pass::Usual, true, &rules, now));
    for _ in 0..4 {
        let choice = pool.choose(&mut Attempt::default(), &Ask::at(now, 7)).unwrap();
        assert_eq!(choice.endpoint, 1);
    }
    assert_eq!(pool.closed_for(None, now), None, "another is well");
    assert!(pool.endpoints()[1].breaker().tell(Pass::Usual, true, &rules, now));
    assert_eq!(pool.closed_for(None, now), Some(second));
    assert!(pool.choose(&mut Attempt::default(), &Ask::at(now, 7)).is_err());
    let then = now + second;
    let probes: Vec<Choice> =
        std::iter::from_fn(|| pool.choose(&mut Attempt::default(), &Ask::at(then, 7)).ok())
            .collect();
    assert_eq!(probes.len(), 2, "one for each endpoint");
    drop(probes);
    assert!(pool.choose(&mut Attempt::default(), &Ask::at(then, 7)).is_ok(), "they told nothing");
}

/// Has a probe find the endpoint at `index` dead.
fn kill(pool: &Pool, index: usize, now: Instant) {
    let once = crate::health::Thresholds { rise: 1, fall: 1 };
    assert!(pool.endpoints()[index].health().probed(false, once, now).is_some());
}

#[test]
fn who_is_not_well_is_passed_over_by_every_policy() {
    for balance in ALL {
        let pool = by(balance, &[1, 2, 3, 4], 10);
        let now = Instant::now();
        kill(&pool, 2, now);
        for number in 0..200 {
            let ask = Ask { key: Some(b"k"), stuck: Some(2), ..Ask::at(now, number) };
            let choice = pool.choose(&mut Attempt::default(), &ask).unwrap();
            assert_ne!(choice.endpoint, 2, "{balance:?}");
        }
        let mut attempt = Attempt::default();
        for _ in 0..3 {
            assert!(pool.has_more(&attempt, now), "{balance:?}");
            assert!(pool.choose(&mut attempt, &Ask::at(now, 5)).is_ok(), "{balance:?}");
        }
        assert!(!pool.has_more(&attempt, now), "{balance:?}");
        let left = pool.choose(&mut attempt, &Ask::at(now, 5));
        assert_eq!(left.unwrap_err(), Nobody::NoneLeft, "{balance:?}");
    }
}

#[test]
fn all_are_asked_in_a_panic_and_backups_come_before_that() {
    let (backup, plain) = (|member: &mut Member| member.tier = 2, |_: &mut Member| {});
    let idle = |member: &mut Member| (member.tier, member.is_draining) = (2, true);
    let (settings, now) = (settings(Balance::P2c), Instant::now());
    let chosen = |pool: &Pool| -> HashSet<usize> {
        let choose = |number| pool.choose(&mut Attempt::default(), &Ask::at(now, number));
        (0..100).map(|number| choose(number).unwrap().endpoint).collect()
    };
    let pool = of(settings, &[&plain, &plain, &plain, &backup]);
    kill(&pool, 0, now);
    kill(&pool, 1, now);
    assert_eq!(chosen(&pool), HashSet::from([2]), "the backup can stand in");
    kill(&pool, 2, now);
    assert_eq!(chosen(&pool), HashSet::from([3]));
    kill(&pool, 3, now);
    assert_eq!(chosen(&pool), HashSet::from([0, 1, 2]), "nobody is well");
    // A backup that is to become idle is none.
    let pool = of(settings, &[&plain, &plain, &idle]);
    kill(&pool, 0, now);
    kill(&pool, 1, now);
    assert_eq!(chosen(&pool), HashSet::from([0, 1]));
    let never = Guard { panic: 0, ..Default::default() };
    let pool = of(settings, &[&plain, &plain]).guarded(never);
    kill(&pool, 0, now);
    kill(&pool, 1, now);
    let nobody = pool.choose(&mut Attempt::default(), &Ask::at(now, 1)).unwrap_err();
    assert_eq!(nobody, Nobody::NoneLeft);
}

#[test]
fn a_client_that_has_a_few_of_all_is_in_a_panic_for_those_alone() {
    let pool = by(Balance::P2c, &[1, 2, 3, 4, 5, 6], 1);
    let names: Vec<String> = (1..=6).map(|port| format!("127.0.0.1:{port}")).collect();
    let shuffle = Shuffle::new(names.iter().map(|name| &**name), 2).unwrap();
    let now = Instant::now();
    let own = shuffle.members(b"tenant");
    let others = (0..6).filter(|index| !own.contains(*index));
    let asked = |among| -> HashSet<usize> {
        let ask = |number| Ask { among: Some(among), ..Ask::at(now, number) };
        let choose = |number| pool.choose(&mut Attempt::default(), &ask(number));
        (0..100).filter_map(|number| choose(number).ok()).map(|choice| choice.endpoint).collect()
    };
    let all: HashSet<usize> = own.as_slice().iter().map(|place| *place as usize).collect();
    // Of all, most are dead; of the client's own, nobody: the others' state is nothing to it.
    others.for_each(|index| kill(&pool, index, now));
    assert_eq!(asked(own), all);
    let (dead, alive) = (own.as_slice()[0] as usize, own.as_slice()[1] as usize);
    kill(&pool, dead, now);
    assert_eq!(asked(own), HashSet::from([alive]), "half of its own is no panic");
    kill(&pool, alive, now);
    assert_eq!(asked(own), all, "rather those who seem dead than nobody");
    let healthy = by(Balance::P2c, &[1, 2, 3, 4, 5, 6], 1);
    all.iter().for_each(|index| kill(&healthy, *index, now));
    let ask = Ask { among: Some(own), ..Ask::at(now, 1) };
    let chosen = healthy.choose(&mut Attempt::default(), &ask).unwrap().endpoint;
    assert!(all.contains(&chosen), "its own are all dead, though most of the pool is well");
}

#[test]
fn a_client_that_has_a_few_of_all_has_no_more_tries_than_those_give() {
    let pool = by(Balance::P2c, &[1, 2, 3, 4, 5, 6], 10);
    let names: Vec<String> = (1..=6).map(|port| format!("127.0.0.1:{port}")).collect();
    let shuffle = Shuffle::new(names.iter().map(|name| &**name), 2).unwrap();
    let (now, own) = (Instant::now(), shuffle.members(b"tenant"));
    let ask = Ask { among: Some(own), ..Ask::at(now, 1) };
    let mut attempt = Attempt::default();
    let first = pool.choose(&mut attempt, &ask).unwrap();
    assert!(pool.has_more(&attempt, now));
    let mut copy = Attempt::default();
    copy.join(&attempt);
    assert!(pool.has_more(&copy, now));
    let second = pool.choose(&mut attempt, &ask).unwrap();
    assert!(own.contains(first.endpoint) && own.contains(second.endpoint));
    assert!(!pool.has_more(&attempt, now), "the other four are nothing to it");
    copy.join(&attempt);
    assert!(!pool.has_more(&copy, now), "nor to a copy of the request");
    let nobody = pool.choose(&mut attempt, &ask).unwrap_err();
    assert_eq!(nobody, Nobody::NoneLeft);
    // One of its own is dead: those that are well are others'.
    kill(&pool, second.endpoint, now);
    let mut attempt = Attempt::default();
    assert_eq!(pool.choose(&mut attempt, &ask).unwrap().endpoint, first.endpoint);
    assert!(!pool.has_more(&attempt, now));
}

#[test]
fn a_client_that_has_a_few_of_all_is_told_when_those_are_full_or_broken() {
    use crate::limit::{BreakerRules, Pass};
    let most = |member: &mut Member| member.most = 1;
    let pool = of(settings(Balance::P2c), &[&most, &most, &most, &most]).with_breakers();
    let shuffle = Shuffle::new(["1", "2", "3", "4"], 2).unwrap();
    let (now, own) = (Instant::now(), shuffle.members(b"tenant"));
    let ask = Ask { among: Some(own), ..Ask::at(now, 1) };
    let held: Vec<Choice> =
        (0..2).map(|_| pool.choose(&mut Attempt::default(), &ask).unwrap()).collect();
    let full = pool.choose(&mut Attempt::default(), &ask).unwrap_err();
    assert_eq!(full, Nobody::Full);
    drop(held);
    let second = Duration::from_secs(1);
    let rules = BreakerRules { percent: 50, least: 1, open: second, longest: second };
    for place in own.as_slice() {
        let endpoint = &pool.endpoints()[*place as usize];
        assert!(endpoint.breaker().tell(Pass::Usual, true, &rules, now));
    }
    assert_eq!(pool.closed_for(Some(&own), now), Some(second));
    assert_eq!(pool.closed_for(None, now), None, "others are well");
}

#[test]
fn of_two_that_are_as_busy_the_one_that_is_silent_longer_is_not_asked() {
    for balance in [Balance::P2c, Balance::LeastRequests, Balance::LeastTime] {
        let pool = by(balance, &[1, 2], 1);
        let start = Instant::now();
        let at = |millis, random| Ask::at(start + Duration::from_millis(millis), mix(random));
        let first = pool.choose(&mut Attempt::default(), &at(0, 1)).unwrap();
        let other = pool.choose(&mut Attempt::default(), &at(5, 2)).unwrap();
        assert_ne!(first.endpoint, other.endpoint);
        for random in 0..50 {
            let third = pool.choose(&mut Attempt::default(), &at(300, random)).unwrap();
            assert_eq!(third.endpoint, other.endpoint, "{balance:?}");
        }
    }
}
