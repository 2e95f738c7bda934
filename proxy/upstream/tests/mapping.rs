//! What each mapping promises, of any shards and any keys.
#![expect(clippy::unwrap_used, reason = "what a test writes itself is right")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use switchback_upstream::shard::{MapError, Mapping, Of, RangeError, Said, Shard, ShardMap, Table};

const MAGLEV: Mapping = Mapping::Maglev { size: 1009 };

fn shards(names: &[String], weights: &[u32]) -> Vec<Shard> {
    names
        .iter()
        .zip(weights.iter().cycle())
        .map(|(name, weight)| Shard::new(name, *weight))
        .collect()
}

fn named(count: usize) -> Vec<Shard> {
    (0..count).map(|number| Shard::new(&format!("s{number}"), 1)).collect()
}

fn ranged(ranges: &[&[&str]]) -> Vec<Shard> {
    let mut shards = named(ranges.len());
    for (shard, ranges) in shards.iter_mut().zip(ranges) {
        shard.ranges = ranges.iter().map(|range| (*range).into()).collect();
    }
    shards
}

fn errors(mapping: &Mapping, shards: &[Shard]) -> Vec<MapError> {
    ShardMap::build(mapping, shards).err().unwrap_or_default()
}

fn told(mapping: &Mapping, shards: &[Shard]) -> Vec<String> {
    errors(mapping, shards).iter().map(ToString::to_string).collect()
}

fn names_of(map: &ShardMap, key: &[u8]) -> Vec<String> {
    map.order(key).map(|shard| map.name(shard).unwrap().to_owned()).collect()
}

/// What has a shard for each key, and an order of others behind it.
fn hashed() -> impl Strategy<Value = Mapping> {
    prop_oneof![
        Just(Mapping::Modulo),
        Just(Mapping::Anchor),
        Just(Mapping::Rendezvous),
        Just(MAGLEV),
        Just(Mapping::Ketama),
    ]
}

proptest! {
    #[test]
    fn every_key_has_a_shard_and_an_order_of_all(
        mapping in hashed(),
        names in btree_set("[a-z0-9.:]{1,8}", 1..20),
        weights in vec(1_u32..9, 1..6),
        keys in vec(vec(any::<u8>(), 0..12), 20),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let map = ShardMap::build(&mapping, &shards(&names, &weights)).unwrap();
        for key in keys {
            let order: Vec<usize> = map.order(&key).collect();
            prop_assert_eq!(map.shard(&key), order.first().copied());
            prop_assert_eq!(order.iter().collect::<HashSet<_>>().len(), order.len());
            // nginx's modulo may miss one twenty times, and goes by turns then.
            prop_assert_eq!(order.len(), names.len().min(16));
        }
    }

    #[test]
    fn a_shard_that_goes_leaves_its_keys_to_the_next_and_no_others_move(
        mapping in prop_oneof![Just(Mapping::Anchor), Just(Mapping::Rendezvous)],
        names in btree_set("[a-z0-9]{1,8}", 2..15),
        weights in prop_oneof![Just(vec![1]), Just(vec![7]), vec(1_u32..9, 1..6)],
        gone: prop::sample::Index,
        keys in vec("[a-z0-9]{0,8}", 50),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let all = shards(&names, &weights);
        let mut fewer = all.clone();
        let gone = fewer.remove(gone.index(all.len())).name.to_string();
        // Where weights differ no more once it is gone, they are compared in another way: the order must be the same.
        let (before, after) =
            (ShardMap::build(&mapping, &all).unwrap(), ShardMap::build(&mapping, &fewer).unwrap());
        for key in keys {
            let mut order = names_of(&before, key.as_bytes());
            order.retain(|name| *name != gone);
            prop_assert_eq!(names_of(&after, key.as_bytes()), order);
        }
    }

    #[test]
    fn the_order_of_the_list_is_nothing_to_names(
        mapping in prop_oneof![Just(Mapping::Anchor), Just(Mapping::Rendezvous), Just(Mapping::Ketama)],
        names in btree_set("[a-z0-9]{1,8}", 2..12),
        weights in vec(1_u32..9, 1..6),
        keys in vec("[a-z0-9]{0,8}", 20),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let forth = shards(&names, &weights);
        let back: Vec<Shard> = forth.iter().rev().cloned().collect();
        let (forth, back) =
            (ShardMap::build(&mapping, &forth).unwrap(), ShardMap::build(&mapping, &back).unwrap());
        for key in keys {
            prop_assert_eq!(names_of(&forth, key.as_bytes()), names_of(&back, key.as_bytes()));
        }
    }

    #[test]
    fn ranges_have_the_keys_between_their_bounds(
        bounds in btree_set("[a-d]{1,3}", 1..8),
        keys in vec("[a-e]{0,4}", 30),
    ) {
        let bounds: Vec<String> = bounds.into_iter().collect();
        let ends = bounds.iter().map(String::as_str).chain([""]);
        let starts = [""].into_iter().chain(bounds.iter().map(String::as_str));
        let mut shards = named(bounds.len() + 1);
        for (shard, (from, to)) in shards.iter_mut().zip(starts.zip(ends)) {
            shard.ranges.push(format!("{from}..{to}").into());
        }
        shards.reverse();
        let map = ShardMap::build(&Mapping::Ranges(Of::Text), &shards).unwrap();
        for key in keys {
            let range = &shards[map.shard(key.as_bytes()).unwrap()].ranges[0];
            let (from, to) = range.split_once("..").unwrap();
            prop_assert!(from <= &*key && (to.is_empty() || *key < *to), "{} in {}", key, range);
        }
    }

    #[test]
    fn ranges_of_numbers_have_the_numbers_between_their_bounds(
        bounds in btree_set(1_u64.., 1..8),
        keys in vec(any::<u64>(), 30),
    ) {
        let mut shards = named(bounds.len() + 1);
        let ends = bounds.iter().map(ToString::to_string).chain([String::new()]);
        let starts = std::iter::once(0).chain(bounds.iter().copied());
        for (shard, (from, to)) in shards.iter_mut().zip(starts.zip(ends)) {
            shard.ranges.push(format!("{from}..{to}").into());
        }
        let map = ShardMap::build(&Mapping::Ranges(Of::Numbers), &shards).unwrap();
        for key in keys.iter().chain(&bounds) {
            let below = bounds.iter().filter(|bound| *bound <= key).count();
            prop_assert_eq!(map.shard(key.to_string().as_bytes()), Some(below));
        }
    }
}

/// How many of so many keys each shard has.
fn counts(map: &ShardMap, keys: usize) -> Vec<f64> {
    let mut counts = vec![0.0; map.shards()];
    for key in 0..keys {
        counts[map.shard(format!("key-{key}").as_bytes()).unwrap()] += 1.0;
    }
    counts
}

#[test]
fn shards_have_keys_by_their_weights() {
    let weights = [1, 2, 3, 10];
    let names: Vec<String> = weights.iter().map(|weight| format!("s{weight}")).collect();
    let shards = shards(&names, &weights);
    for (mapping, bound) in [
        (Mapping::Modulo, 0.08),
        (Mapping::Anchor, 0.08),
        (Mapping::Rendezvous, 0.08),
        (Mapping::Maglev { size: Mapping::MAGLEV_SIZE }, 0.08),
        // As uneven as its points are.
        (Mapping::Ketama, 0.25),
    ] {
        let counts = counts(&ShardMap::build(&mapping, &shards).unwrap(), 32_000);
        for (count, weight) in counts.iter().zip(weights) {
            let off = count / (2000.0 * f64::from(weight)) - 1.0;
            assert!(off.abs() < bound, "{mapping:?}: {counts:?}");
        }
    }
}

#[test]
fn a_heavier_shard_takes_keys_and_loses_none() {
    let names: Vec<String> = (0..8).map(|number| format!("s{number}")).collect();
    let before = ShardMap::build(&Mapping::Anchor, &shards(&names, &[2])).unwrap();
    let mut heavier = shards(&names, &[2]);
    heavier[3].weight = 3;
    let after = ShardMap::build(&Mapping::Anchor, &heavier).unwrap();
    let mut moved = 0;
    for number in 0..16_000 {
        let key = format!("key-{number}");
        let (was, is) = (before.shard(key.as_bytes()), after.shard(key.as_bytes()));
        assert!(was == is || is == Some(3), "{key}");
        moved += usize::from(was != is);
    }
    // From 2 of 16 parts to 3 of 17.
    assert!((700..930).contains(&moved), "{moved}");
}

#[test]
fn the_keys_of_a_dead_shard_go_to_all_others_alike() {
    for mapping in [Mapping::Anchor, Mapping::Rendezvous, Mapping::Maglev { size: 65_537 }] {
        let map = ShardMap::build(&mapping, &named(20)).unwrap();
        let mut second: HashMap<usize, usize> = HashMap::new();
        let mut dead = 0;
        for number in 0..40_000 {
            let key = format!("key-{number}");
            let mut order = map.order(key.as_bytes());
            if order.next() == Some(7) {
                dead += 1;
                *second.entry(order.next().unwrap()).or_default() += 1;
            }
        }
        let fair = dead / 19;
        assert_eq!(second.len(), 19);
        assert!(second.values().all(|count| *count < fair * 14 / 10), "{mapping:?}: {second:?}");
    }
}

#[test]
fn maglev_moves_few_keys_more_than_must_be() {
    let mapping = Mapping::Maglev { size: Mapping::MAGLEV_SIZE };
    let (all, mut fewer) = (named(50), named(50));
    fewer.remove(20);
    let before = ShardMap::build(&mapping, &all).unwrap();
    let after = ShardMap::build(&mapping, &fewer).unwrap();
    let keys: Vec<String> = (0..20_000).map(|number| format!("key-{number}")).collect();
    let moved = keys.iter().filter(|key| {
        let (was, is) =
            (before.shard(key.as_bytes()).unwrap(), after.shard(key.as_bytes()).unwrap());
        before.name(was) != after.name(is)
    });
    // 400 must.
    let moved = moved.count();
    assert!((340..640).contains(&moved), "{moved}");
}

#[test]
fn maps_stay_what_they_are() {
    let keys = ["alice", "bob", "carol", "17", ""];
    let found = |mapping| {
        let map = ShardMap::build(&mapping, &named(10)).unwrap();
        keys.map(|key| map.shard(key.as_bytes()).unwrap())
    };
    assert_eq!(found(Mapping::Anchor), found(Mapping::Rendezvous));
    let all = [Mapping::Anchor, MAGLEV, Mapping::Ketama, Mapping::Modulo].map(found);
    let wanted = [[8, 6, 6, 1, 5], [7, 6, 3, 4, 7], [2, 1, 6, 8, 5], [6, 5, 8, 5, 0]];
    assert_eq!(all, wanted);
}

#[test]
fn a_remainder_is_one_of_numbers() {
    let map = ShardMap::build(&Mapping::Remainder, &named(3)).unwrap();
    let shard = |key: &str| map.shard(key.as_bytes());
    assert_eq!(["0", "4", "007", "18446744073709551615"].map(shard), [0, 1, 1, 0].map(Some));
    assert_eq!(["", "4a", "-1", "18446744073709551616"].map(shard), [None; 4]);
    assert_eq!(names_of(&map, b"4"), ["s1"]);
}

#[test]
fn ranges_of_hashes_are_quarters_of_all_keys() {
    let shards = ranged(&[&["..4"], &["4..8", "c.."], &["8..C"]]);
    let map = ShardMap::build(&Mapping::Ranges(Of::Hash), &shards).unwrap();
    let counts = counts(&map, 4000);
    assert!((counts[0] - 1000.0).abs() < 120.0 && (counts[1] - 2000.0).abs() < 130.0);
    assert_eq!(names_of(&map, b"key-1").len(), 1);
}

#[test]
fn pins_come_before_overrides_and_these_before_the_mapping() {
    let map = || ShardMap::build(&Mapping::Anchor, &named(10)).unwrap();
    let shard_of = |name: &str| name.strip_prefix('s').unwrap().parse::<usize>().unwrap();
    let elsewhere = |key: &str| (map().shard(key.as_bytes()).unwrap() + 1) % 10;
    let [alice, bob] = ["alice", "bob"].map(elsewhere);
    let table = Table::parse(format!("alice s{alice}\nbob s{alice}\n").as_bytes()).unwrap();
    let bobs = format!("s{bob}");
    let pins = [(&b"bob"[..], &*bobs)];
    for map in [
        map().override_by(&table).unwrap().pin(pins).unwrap(),
        map().pin(pins).unwrap().override_by(&table).unwrap(),
    ] {
        assert_eq!((map.shard(b"alice"), map.shard(b"bob")), (Some(alice), Some(bob)));
        let order = names_of(&map, b"bob");
        assert_eq!((shard_of(&order[0]), order.len()), (bob, 10));
    }
    assert_eq!(map().shard(b"carol"), map().override_by(&table).unwrap().shard(b"carol"));
}

#[test]
fn a_table_decides_alone_but_for_its_default() {
    let table = Arc::new(Table::parse(b"alice s1\n").unwrap());
    let mapping = |default: Option<&str>| Mapping::Table {
        table: table.clone(),
        default: default.map(Into::into),
    };
    let map = ShardMap::build(&mapping(None), &named(3)).unwrap();
    assert_eq!((map.shard(b"alice"), map.shard(b"bob")), (Some(1), None));
    assert_eq!(
        (names_of(&map, b"alice"), names_of(&map, b"bob").len()),
        (vec!["s1".to_owned()], 0)
    );
    let map = ShardMap::build(&mapping(Some("s2")), &named(3)).unwrap();
    assert_eq!((map.shard(b"alice"), map.shard(b"bob")), (Some(1), Some(2)));
    let unknown = |said| MapError::UnknownShard { name: "s1".into(), said };
    assert_eq!(errors(&mapping(None), &named(1)), [unknown(Said::Line(1))]);
    let other = MapError::UnknownShard { name: "s9".into(), said: Said::Default };
    assert_eq!(errors(&mapping(Some("s9")), &named(2)), [other]);
}

#[test]
fn what_names_no_shard_is_told() {
    let map = || ShardMap::build(&Mapping::Anchor, &named(2)).unwrap();
    let said = Said::Pin(b"a".as_slice().into());
    let unknown = vec![MapError::UnknownShard { name: "s2".into(), said }];
    assert_eq!(map().pin([(&b"a"[..], "s2"), (b"b", "s1")]).err(), Some(unknown));
    let table = Table::parse(b"a s1\n\nb s3\n").unwrap();
    let said = Said::Line(3);
    let unknown = vec![MapError::UnknownShard { name: "s3".into(), said }];
    assert_eq!(map().override_by(&table).err(), Some(unknown));
}

#[test]
fn shards_that_are_none_are_all_told_at_once() {
    let mut wrong = named(2);
    wrong[0].weight = 0;
    wrong.push(Shard::new("s1", 1));
    wrong.push(Shard::new("", 1));
    wrong[1].ranges = vec!["a..".into()];
    assert_eq!(
        told(&Mapping::Anchor, &wrong),
        [
            "the weight of shard `s0` is 0",
            "shard `s1` has ranges, and the mapping is by another thing",
            "the name `s1` is taken by an earlier shard",
            "a shard has no name",
        ]
    );
    assert_eq!(told(&Mapping::Anchor, &[]), ["there is no shard"]);
    let many = vec![Shard::new("a", 1); 16_385];
    assert_eq!(told(&Mapping::Anchor, &many), ["16385 shards are more than 16384"]);
}

#[test]
fn tables_and_rings_are_bounded() {
    let heavy = |weight| vec![Shard::new("a", weight), Shard::new("b", 1)];
    assert_eq!(
        told(&Mapping::Modulo, &heavy(32_768)),
        ["the weights come to 32769, more than 32768"]
    );
    assert_eq!(told(&Mapping::Modulo, &heavy(32_767)), [""; 0]);
    assert_eq!(
        told(&Mapping::Ketama, &heavy(10_000)),
        ["the weights come to 10001, more than 10000"]
    );
    assert_eq!(told(&Mapping::Anchor, &heavy(u32::MAX)), [""; 0]);
    let size = |size| told(&Mapping::Maglev { size }, &named(5));
    let wanted =
        |size| vec![format!("a table of {size} places: it takes a prime number from 5 to 5000011")];
    for wrong in [0, 1, 3, 4, 65_536, 5_000_012, 5_000_023] {
        assert_eq!(size(wrong), wanted(wrong));
    }
    assert_eq!(size(5), [""; 0]);
    let none = "no key comes to shard `b`: beside the others it weighs too little, or its name is one of theirs to this mapping";
    assert_eq!(told(&MAGLEV, &heavy(5000)), [none]);
    assert_eq!(told(&Mapping::Ketama, &[Shard::new("unix:b", 1), Shard::new("b", 1)]), [none]);
}

#[test]
fn ranges_leave_nothing_out_and_have_nothing_twice() {
    let text = |ranges: &[&[&str]]| told(&Mapping::Ranges(Of::Text), &ranged(ranges));
    assert_eq!(text(&[&["..n"], &["n.."]]), [""; 0]);
    assert_eq!(text(&[&[".."]]), [""; 0]);
    assert_eq!(text(&[&["..m"], &["n.."]]), ["no range has the keys `m..n`"]);
    assert_eq!(text(&[&["a.."]]), ["no range has the keys `..a`"]);
    assert_eq!(text(&[&["..n"]]), ["no range has the keys `n..`"]);
    assert_eq!(text(&[&["..n"], &[]]), ["shard `s1` has no range"]);
    let overlap = ["the range `m..` overlaps with `..n` of shard `s0`"];
    assert_eq!(text(&[&["..n"], &["m.."]]), overlap);
    // What lies within another overlaps with it, and so does what comes behind it.
    assert_eq!(
        text(&[&["..z"], &["b..c"], &["d.."]]),
        [
            "the range `b..c` overlaps with `..z` of shard `s0`",
            "the range `d..` overlaps with `..z` of shard `s0`",
        ]
    );
    assert_eq!(text(&[&[".."], &["b.."]]).len(), 1);
    let same = ["the range `..b` overlaps with `..b` of shard `s0`"];
    assert_eq!(text(&[&["..b"], &["..b"], &["b.."]]), same);
}

#[test]
fn what_is_no_range_is_told() {
    let why = |of, range: &str| match &errors(&Mapping::Ranges(of), &ranged(&[&[range]]))[..] {
        [MapError::Range { shard: 0, range: 0, why, .. }] => Some(*why),
        _ => None,
    };
    assert_eq!(why(Of::Text, "a-b"), Some(RangeError::Dots));
    assert_eq!(why(Of::Text, "b..a"), Some(RangeError::Empty));
    assert_eq!(why(Of::Text, "a..a"), Some(RangeError::Empty));
    assert_eq!(why(Of::Numbers, "..x"), Some(RangeError::Number));
    assert_eq!(why(Of::Numbers, "5..05"), Some(RangeError::Empty));
    assert_eq!(why(Of::Hash, "..g"), Some(RangeError::Digits));
    assert_eq!(why(Of::Hash, "..+1"), Some(RangeError::Digits));
    assert_eq!(why(Of::Hash, "12345678123456781.."), Some(RangeError::Digits));
    assert_eq!(why(Of::Hash, "1234567812345678.."), None);
    assert_eq!(why(Of::Hash, "8..80"), Some(RangeError::Empty));
}
