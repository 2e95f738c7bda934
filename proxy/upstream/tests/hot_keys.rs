//! Keys asked for by Zipf's law, simulated: no endpoint has much more to do than the others, and few keys are at several.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_upstream::{
    Address, Ask, Attempt, Balance, Endpoint, InFlight, Member, Outcome, Pool, Settings,
};

const ENDPOINTS: u16 = 20;
const KEYS: u32 = 100_000;
/// Mean seconds that a request takes, and how many arrive in that time: twenty for each endpoint.
const SERVICE: f64 = 0.05;
const IN_FLIGHT: f64 = 400.0;
/// Until all endpoints are at work, and until the end.
const WARM: f64 = 2.0;
const END: f64 = 12.0;

/// What came of a simulation.
#[derive(Debug, Default)]
struct Seen {
    /// The busiest endpoint against the mean of all, at each arrival.
    ratios: Vec<f64>,
    /// Where each key was.
    places: HashMap<usize, HashSet<usize>>,
}

impl Seen {
    fn max_by_mean(&self) -> f64 {
        self.ratios.iter().sum::<f64>() / self.ratios.len() as f64
    }

    fn endpoints_per_key(&self) -> f64 {
        let pairs: usize = self.places.values().map(HashSet::len).sum();
        pairs as f64 / self.places.len() as f64
    }
}

/// A seeded sequence.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn pool(balance: Balance) -> Pool {
    let member = |port: u16| {
        let address = SocketAddr::from(([10, 0, 0, 1], port));
        Member::new(Arc::new(Endpoint::new(Address::Ip(address))), 1)
    };
    let settings = Settings { balance, tries: 3, ..Settings::default() };
    Pool::new(settings, (1..=ENDPOINTS).map(member).collect())
}

/// Requests in flight, by when they end.
#[derive(Default)]
struct Running {
    ends: BinaryHeap<Reverse<(Duration, u64)>>,
    held: HashMap<u64, (InFlight, Duration)>,
}

impl Running {
    fn begin(&mut self, number: u64, in_flight: InFlight, (at, took): (Duration, Duration)) {
        self.ends.push(Reverse((at + took, number)));
        self.held.insert(number, (in_flight, took));
    }

    fn end_until(&mut self, start: Instant, at: Duration) {
        while let Some(Reverse((end, number))) =
            self.ends.peek().copied().filter(|one| one.0.0 <= at)
        {
            self.ends.pop();
            let Some((in_flight, first_byte)) = self.held.remove(&number) else { return };
            let outcome = Outcome::Answered { status: 200, first_byte };
            in_flight.endpoint().load().told(outcome, start + end);
        }
    }
}

/// Poisson arrivals for keys by Zipf's law with this exponent, each taking a time of its own.
fn simulate(balance: Balance, exponent: f64, seed: u64) -> Seen {
    let (pool, chance, start) = (pool(balance), &mut Chance(seed), Instant::now());
    let mut total = 0.0;
    let weight = |rank: u32| f64::from(rank).powf(-exponent);
    let ends: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            total += weight(rank);
            total
        })
        .collect();
    let (mut running, mut seen) = (Running::default(), Seen::default());
    let (mut now, mut merged) = (0.0, 0.0);
    for number in 0.. {
        now += chance.exponential(SERVICE / IN_FLIGHT);
        if now > END {
            break;
        }
        let at = Duration::from_secs_f64(now);
        running.end_until(start, at);
        if now - merged >= 0.1 {
            merged = now;
            pool.merge_hot_keys();
        }
        let drawn = chance.unit() * total;
        let key = ends.partition_point(|end| *end <= drawn);
        let name = format!("/item/{key}");
        let moment = Ask::at(start + at, chance.bits());
        let ask = Ask { key: Some(name.as_bytes()), is_safe: true, ..moment };
        let Ok(choice) = pool.choose(&mut Attempt::default(), &ask) else { return Seen::default() };
        let took = Duration::from_secs_f64(chance.exponential(SERVICE));
        running.begin(number, choice.in_flight, (at, took));
        if now > WARM {
            seen.places.entry(key).or_default().insert(choice.endpoint);
            let loads = pool.endpoints().iter().map(|one| f64::from(one.load().in_flight()));
            let most = loads.clone().fold(0.0, f64::max);
            seen.ratios.push(most * f64::from(ENDPOINTS) / loads.sum::<f64>());
        }
    }
    seen
}

fn hash(bound: Option<u32>, hot: Option<u32>) -> Balance {
    Balance::Hash { is_consistent: true, bound, hot }
}

#[test]
fn hot_keys_are_spread_and_cold_ones_stay_at_home() {
    for seed in [1, 2, 3] {
        let seen = simulate(hash(Some(125), Some(16)), 1.3, seed);
        let (ratio, copies) = (seen.max_by_mean(), seen.endpoints_per_key());
        assert!(ratio <= 1.30, "{ratio}");
        assert!(copies <= 1.15, "{copies}");
    }
}

#[test]
fn without_that_the_endpoint_of_the_hottest_key_has_several_times_its_share() {
    let seen = simulate(hash(None, None), 1.3, 1);
    assert!(seen.max_by_mean() > 4.0, "{}", seen.max_by_mean());
    assert!((seen.endpoints_per_key() - 1.0).abs() < f64::EPSILON);
}
