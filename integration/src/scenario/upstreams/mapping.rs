//! How even mappings are, what a shard more or less moves, and what they cost.

use std::hint::black_box;
use std::time::{Duration, Instant};

use switchback_upstream::shard::{Mapping, Shard, ShardMap};

/// What was found of one mapping.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Keys of the shard that has most, beside those of the middle.
    pub max_over_mean: f64,
    /// When a shard in the middle goes.
    pub removed: Moved,
    /// When one comes behind the last.
    pub added: Moved,
    /// To build the map anew, the lowest of several tries.
    pub rebuild: Duration,
    /// Nanoseconds to find the shard of a key: the lowest of many tries with a thousand keys each.
    pub lookup: f64,
}

/// How many keys have another shard than before, in hundredths of all.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// As many as have.
    pub all: f64,
    /// Of these, those that moved between shards that both were and are there.
    pub needless: f64,
    /// As many as must: those of the shard that went, or the part of the one that came.
    pub ideal: f64,
}

/// Plays this mapping over so many shards with so many keys.
///
/// # Panics
/// When such shards make no such map.
#[must_use]
pub fn mapping_figures(mapping: &Mapping, shards: usize, keys: usize) -> Figures {
    let names: Vec<String> = (0..=shards).map(|number| format!("shard-{number:03}")).collect();
    let (now, newcomer) = (&names[..shards], &names[shards]);
    let gone = &names[shards / 2];
    let keys = Keys::new(keys);
    let map = build(mapping, now);
    let before = keys.shards(&map);
    let fewer: Vec<String> = now.iter().filter(|name| *name != gone).cloned().collect();
    Figures {
        max_over_mean: evenness(&before, shards),
        removed: moved((&map, &before), &keys, &build(mapping, &fewer), gone),
        added: moved((&map, &before), &keys, &build(mapping, &names), newcomer),
        rebuild: lowest(|| drop(black_box(build(mapping, now)))),
        lookup: lookup(&map, &keys),
    }
}

/// Distinct keys, one behind the other.
struct Keys {
    text: Vec<u8>,
    count: usize,
}

const WIDTH: usize = 12;

impl Keys {
    fn new(count: usize) -> Self {
        let text = (0..count).flat_map(|number| format!("user{number:08}").into_bytes()).collect();
        Self { text, count }
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.text.chunks_exact(WIDTH)
    }

    /// The shard of each.
    fn shards(&self, map: &ShardMap) -> Vec<usize> {
        self.each().map(|key| map.shard(key).expect("every key has a shard")).collect()
    }
}

/// Shards of these names. Where the mapping is by ranges, each has its part of all hashes.
fn build(mapping: &Mapping, names: &[String]) -> ShardMap {
    let mut shards: Vec<Shard> = names.iter().map(|name| Shard::new(name, 1)).collect();
    if matches!(mapping, Mapping::Ranges(_)) {
        let bound = |place: usize| match place {
            place if place == 0 || place == names.len() => String::new(),
            place => format!("{:016x}", (((place as u128) << 64) / names.len() as u128) as u64),
        };
        for (place, shard) in shards.iter_mut().enumerate() {
            shard.ranges = vec![format!("{}..{}", bound(place), bound(place + 1)).into()];
        }
    }
    ShardMap::build(mapping, &shards).expect("shards that differ")
}

fn evenness(shards_of_keys: &[usize], shards: usize) -> f64 {
    let mut counts = vec![0_usize; shards];
    shards_of_keys.iter().for_each(|shard| counts[*shard] += 1);
    let most = counts.iter().max().copied().unwrap_or_default();
    most as f64 / (shards_of_keys.len() as f64 / shards as f64)
}

/// What moves to this map, which differs from the one before by the shard of this name.
fn moved(
    (map, before): (&ShardMap, &[usize]),
    keys: &Keys,
    after: &ShardMap,
    differs: &str,
) -> Moved {
    let (mut all, mut needless, mut of_differing) = (0, 0, 0);
    for (was, is) in before.iter().zip(keys.shards(after)) {
        let (was, is) = (map.name(*was), after.name(is));
        let is_of_differing = was == Some(differs) || is == Some(differs);
        all += usize::from(was != is);
        of_differing += usize::from(is_of_differing);
        needless += usize::from(was != is && !is_of_differing);
    }
    let hundredths = |count: usize| 100.0 * count as f64 / keys.count as f64;
    Moved { all: hundredths(all), needless: hundredths(needless), ideal: hundredths(of_differing) }
}

const TRIES: usize = 7;

fn lowest(work: impl Fn()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..TRIES).map(once).min().unwrap_or_default()
}

fn lookup(map: &ShardMap, keys: &Keys) -> f64 {
    let few = keys.text.chunks(WIDTH * BATCH).map(|batch| {
        let start = Instant::now();
        for key in batch.chunks_exact(WIDTH) {
            black_box(map.shard(black_box(key)));
        }
        start.elapsed().as_nanos() as f64 / (batch.len() / WIDTH) as f64
    });
    few.fold(f64::INFINITY, f64::min)
}

/// Keys that are looked up between two looks at the clock: so few that often nothing else runs meanwhile.
const BATCH: usize = 1000;
