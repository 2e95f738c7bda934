//! Finding the shard of a key takes nothing from the heap, nor does the order in which it tries others.
#![expect(clippy::unwrap_used, reason = "what a test writes itself is right")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use switchback_upstream::limit::{Allowance, Ceiling, Gate, Latencies, Sample};
use switchback_upstream::shard::{
    KeyForm, KeyPart, Mapping, Normal, Of, Shard, ShardMap, Shuffle, Table,
};

fn maps() -> Vec<ShardMap> {
    let table = Table::parse(b"user-1 s3\nuser-2 s4\n").unwrap();
    let table = Mapping::Table { table: Arc::new(table), default: Some("s1".into()) };
    let size = 1009;
    let mut mappings: Vec<(Mapping, u32)> = vec![(table, 0)];
    for step in [0, 1] {
        for mapping in [
            Mapping::Modulo,
            Mapping::Remainder,
            Mapping::Anchor,
            Mapping::Rendezvous,
            Mapping::Maglev { size },
            Mapping::Ketama,
            Mapping::Ranges(Of::Text),
            Mapping::Ranges(Of::Numbers),
            Mapping::Ranges(Of::Hash),
        ] {
            mappings.push((mapping, step));
        }
    }
    mappings.iter().map(|(mapping, step)| map(mapping, *step)).collect()
}

/// Forty shards, each heavier by `step` than the one before.
fn map(mapping: &Mapping, step: u32) -> ShardMap {
    let is_by_ranges = matches!(mapping, Mapping::Ranges(_));
    let shard = |number: u32| {
        let mut shard = Shard::new(&format!("s{number}"), 1 + number * step);
        let bound = |number: u32| match number {
            0 | 40 => String::new(),
            number => (number + 10).to_string(),
        };
        if is_by_ranges {
            shard.ranges.push(format!("{}..{}", bound(number), bound(number + 1)).into());
        }
        shard
    };
    let shards: Vec<Shard> = (0..40).map(shard).collect();
    ShardMap::build(mapping, &shards).unwrap().pin([(&b"pinned"[..], "s7")]).unwrap()
}

#[test]
fn no_mapping_allocates_for_a_key() {
    let long = "k".repeat(2000);
    for map in maps() {
        for key in ["user-1", "31", "pinned", "", &long] {
            let found = measure(|| {
                black_box(map.shard(key.as_bytes()));
                black_box(map.order(key.as_bytes()).count());
            });
            assert_eq!(found.count_total, 0, "{key} in {map:?}");
        }
    }
}

#[test]
fn a_gate_with_room_lets_in_and_learns_without_the_heap() {
    let gate: Gate<()> = Gate::default();
    let now = Instant::now();
    let found = measure(|| {
        for millis in 0..1000 {
            let in_flight = gate.enter(Ceiling::Adaptive).unwrap();
            let sample = Sample { took: Duration::from_millis(5), in_flight };
            gate.learn(sample, now + Duration::from_millis(millis));
            gate.leave();
            black_box(gate.next(Ceiling::Adaptive, now, drop));
        }
    });
    assert_eq!(found.count_total, 0);
}

#[test]
fn a_tenants_few_are_found_without_the_heap() {
    let names: Vec<String> = (0..100).map(|number| format!("endpoint-{number}")).collect();
    let shuffle = Shuffle::new(names.iter().map(String::as_str), 4).unwrap();
    let found = measure(|| {
        black_box(shuffle.members(b"tenant"));
    });
    assert_eq!(found.count_total, 0);
}

#[test]
fn a_key_is_written_into_the_room_it_is_given() {
    let parts = [KeyPart::Value, KeyPart::Literal("/"), KeyPart::Value];
    let form = KeyForm::new(Normal { decode: true, lowercase: true }, parts);
    let mut key = Vec::with_capacity(64);
    let found = measure(|| form.append(b"A%2fb%zz/", &mut key));
    assert_eq!((found.count_total, &*key), (0, &b"a%2Fb%25zz%2F"[..]));
}

#[test]
fn endpoints_are_chosen_without_the_heap() {
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    use switchback_upstream::{
        Address, Ask, Attempt, Balance, Endpoint, Member, Outcome, Pool, Settings,
    };

    let hash = |is_consistent, bound, hot| Balance::Hash { is_consistent, bound, hot };
    for balance in [
        Balance::P2c,
        Balance::RoundRobin,
        Balance::LeastRequests,
        Balance::LeastTime,
        Balance::Random,
        Balance::IpHash,
        hash(false, None, None),
        hash(true, Some(125), Some(16)),
    ] {
        let member = |port: u16| {
            let address = SocketAddr::from(([10, 0, 0, 1], port));
            Member::new(Arc::new(Endpoint::new(Address::Ip(address))), port.into())
        };
        let settings = Settings { balance, tries: 3, ..Settings::default() };
        let pool = Pool::new(settings, (1..9).map(member).collect());
        let now = Instant::now();
        let choose = |random: u64| {
            let ask = Ask { key: Some(b"/hot"), is_safe: true, ..Ask::at(now, random) };
            let choice = pool.choose(&mut Attempt::default(), &ask).ok();
            let first_byte = Duration::from_millis(random % 7);
            let outcome = Outcome::Answered { status: 200, first_byte };
            choice.iter().for_each(|one| one.in_flight.endpoint().load().told(outcome, now));
        };
        // What is made once for each thread is made by then, and the key is hot.
        (0..1_000).for_each(choose);
        pool.merge_hot_keys();
        let counted = measure(|| (0..100).for_each(choose));
        assert_eq!(counted.count_total, 0, "{balance:?}");
    }
}

#[test]
fn what_is_late_is_learnt_and_told_without_the_heap() {
    let now = Instant::now();
    let (allowance, latencies) = (Allowance::default(), Latencies::new(now));
    let found = measure(|| {
        for number in 0..5_000 {
            latencies.learn(Duration::from_micros(number), now);
            allowance.earn(10);
            black_box((latencies.quantile(950), allowance.take()));
        }
    });
    assert_eq!(found.count_total, 0);
}
