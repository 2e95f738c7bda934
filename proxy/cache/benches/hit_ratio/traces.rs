//! What is asked for, and how large it is: the same in every run.

use std::rc::Rc;

/// Requests in order, by number of object, and the size of each object.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<u32>,
    pub(crate) sizes: Rc<[u64]>,
}

/// What requests are drawn from.
#[derive(Clone, Copy)]
pub(crate) struct Law {
    /// How many objects are asked for again and again.
    pub(crate) objects: u32,
    /// The nth of them is asked for in proportion to n to the power of minus this.
    pub(crate) skew: f64,
    /// What else there is.
    pub(crate) beside: Beside,
    /// What chance begins with.
    pub(crate) seed: u64,
}

/// What comes beside independent requests by Zipf's law.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Beside {
    Nothing,
    /// So many in a hundred requests are for objects never asked for before or after, in runs, as a crawler asks.
    Scan(u32),
    /// So many in a hundred requests go round and round through a twentieth of the objects, in their order.
    Loop(u32),
    /// So many in a hundred requests are for objects that are asked for four times within some hundred requests, and never before
    /// or after, as news are.
    Burst(u32),
    /// So many times, a quarter of the objects change places with others: what was wanted no longer is.
    Change(u32),
}

impl Trace {
    pub(crate) fn of(name: &'static str, law: Law) -> Self {
        let Law { objects, skew, beside, seed } = law;
        let mut random = Random(seed ^ u64::from(beside.scanned()) ^ skew.to_bits());
        let total = objects as usize * 10;
        let popularity = cumulative(objects, skew);
        let mut names = shuffled(objects, &mut random);
        let mut requests = Vec::with_capacity(total);
        let mut next_scanned = objects;
        let mut looped = 0..0;
        let mut bursts: [(u32, u32); 30] = std::array::from_fn(|place| (objects + place as u32, 4));
        if matches!(beside, Beside::Burst(_)) {
            next_scanned += bursts.len() as u32;
        }
        while requests.len() < total {
            match beside {
                Beside::Scan(share) if random.below(100 * 50) < u64::from(share) => {
                    requests.extend(next_scanned..next_scanned + 50);
                    next_scanned += 50;
                }
                Beside::Loop(share) if random.below(100) < u64::from(share) => {
                    let again = || objects - objects / 20..objects;
                    let next = looped.next().or_else(|| {
                        looped = again();
                        looped.next()
                    });
                    requests.extend(next);
                    continue;
                }
                Beside::Burst(share) if random.below(100) < u64::from(share) => {
                    let burst = random.below(bursts.len() as u64) as usize;
                    let (object, left) = bursts[burst];
                    requests.push(object);
                    bursts[burst] = (object, left - 1);
                    if left == 1 {
                        bursts[burst] = (next_scanned, 4);
                        next_scanned += 1;
                    }
                    continue;
                }
                Beside::Change(times) if requests.len() % (total / times as usize) == 1 => {
                    change(&mut names, &mut random);
                }
                _ => {}
            }
            let drawn = random.unit();
            let place = popularity.partition_point(|sum| *sum < drawn);
            requests.push(names[place.min(names.len() - 1)]);
        }
        let sizes = (0..next_scanned).map(|_| size(&mut random)).collect();
        Self { name, requests, sizes }
    }

    /// The bytes of all objects that are asked for.
    pub(crate) fn bytes(&self) -> u64 {
        let mut seen = vec![false; self.sizes.len()];
        let mut first = |object: &u32| !std::mem::replace(&mut seen[*object as usize], true);
        self.requests
            .iter()
            .filter(|object| first(object))
            .map(|object| self.sizes[*object as usize])
            .sum()
    }
}

/// From 2 KiB to 1 MiB, as many in each doubling.
fn size(random: &mut Random) -> u64 {
    (2048.0 * (random.unit() * 512_f64.ln()).exp()) as u64
}

fn cumulative(objects: u32, skew: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = Vec::with_capacity(objects as usize);
    for place in 1..=objects {
        sum += f64::from(place).powf(-skew);
        sums.push(sum);
    }
    sums.iter_mut().for_each(|value| *value /= sum);
    sums
}

impl Beside {
    fn scanned(self) -> u32 {
        match self {
            Self::Scan(share) => share,
            _ => 0,
        }
    }
}

fn change(names: &mut [u32], random: &mut Random) {
    for _ in 0..names.len() / 8 {
        let place = |random: &mut Random| random.below(names.len() as u64) as usize;
        let (one, other) = (place(random), place(random));
        names.swap(one, other);
    }
}

fn shuffled(objects: u32, random: &mut Random) -> Vec<u32> {
    let mut names: Vec<u32> = (0..objects).collect();
    for place in (1..names.len()).rev() {
        names.swap(place, random.below(place as u64 + 1) as usize);
    }
    names
}

/// `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
