//! What is asked for, and how large it is: the same in every run.

use std::rc::Rc;

/// Requests in order, by number of object, and the size of each object.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) requests: Vec<u32>,
    pub(crate) sizes: Rc<[u64]>,
}

impl Trace {
    /// Independent requests for `objects` of which the nth is asked for in proportion to n to the power of minus `skew`; `scanned`
    /// in a hundred requests are for objects never asked for before or after, in runs, as a crawler asks.
    pub(crate) fn zipf(name: &'static str, objects: u32, skew: f64, scanned: u32) -> Self {
        let mut random = Random(0x5EED ^ u64::from(scanned) ^ skew.to_bits());
        let total = objects as usize * 10;
        let popularity = cumulative(objects, skew);
        let names = shuffled(objects, &mut random);
        let mut requests = Vec::with_capacity(total);
        let mut next_scanned = objects;
        while requests.len() < total {
            if scanned > 0 && random.below(100 * 50) < u64::from(scanned) {
                requests.extend(next_scanned..next_scanned + 50);
                next_scanned += 50;
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
