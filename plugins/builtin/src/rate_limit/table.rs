//! The numbers of keys, in room that never grows.

use std::sync::OnceLock;

use parking_lot::Mutex;

/// A number per key. There is room for so many; when a place is needed, the key that owes least gives way: it loses least, and one that
/// is being refused stays.
pub(super) struct Table {
    /// Made when the first key comes to one: a limit that nobody meets takes no room.
    segments: Box<[OnceLock<Box<Segment>>]>,
    /// How many of a key's upper bits name its bucket, in all segments.
    bits: u32,
}

const PLACES: usize = 8;

/// Buckets of one segment, as a power of two.
const SEGMENT_BITS: u32 = 6;

type Segment = [Mutex<Bucket>; 1 << SEGMENT_BITS];

#[derive(Clone, Copy, Default)]
struct Place {
    key: u64,
    /// 0 where nobody is.
    until: u64,
}

type Bucket = [Place; PLACES];

/// What a key's coming meant for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seated {
    /// Nothing.
    Free,
    /// One that still owed something was forgotten.
    Evicted,
}

impl Table {
    /// With room for at least `keys`. Twice the places, so that buckets seldom fill before the table does.
    pub(super) fn new(keys: usize) -> Self {
        let buckets = keys.saturating_mul(2).div_ceil(PLACES).next_power_of_two();
        let bits = buckets.trailing_zeros().max(SEGMENT_BITS);
        let segments = (0..1_usize << (bits - SEGMENT_BITS)).map(|_| OnceLock::new()).collect();
        Self { segments, bits }
    }

    /// Calls `change` with the number of `key` while nobody else can.
    pub(super) fn with<T>(
        &self,
        key: u64,
        now: u64,
        change: impl FnOnce(&mut u64) -> T,
    ) -> (T, Seated) {
        let mut bucket = self.bucket(key).lock();
        let (place, seated) = seat(&mut bucket, key, now);
        (change(&mut place.until), seated)
    }

    fn bucket(&self, key: u64) -> &Mutex<Bucket> {
        let index = usize::try_from(key >> (u64::BITS - self.bits)).unwrap_or(0);
        let within = index & ((1 << SEGMENT_BITS) - 1);
        #[expect(clippy::indexing_slicing, reason = "there are as many as the bits have numbers")]
        let segment = self.segments[index >> SEGMENT_BITS]
            .get_or_init(|| Box::new(std::array::from_fn(|_| Mutex::default())));
        #[expect(clippy::indexing_slicing, reason = "there are as many as the bits have numbers")]
        &segment[within]
    }
}

fn seat(bucket: &mut Bucket, key: u64, now: u64) -> (&mut Place, Seated) {
    let known = bucket.iter().position(|place| place.key == key && place.until > 0);
    let least =
        || (0..PLACES).min_by_key(|index| bucket.get(*index).map_or(0, |place| place.until));
    let index = known.or_else(least).unwrap_or(0);
    #[expect(clippy::indexing_slicing, reason = "both are indices of it")]
    let place = &mut bucket[index];
    if known.is_some() {
        return (place, Seated::Free);
    }
    let seated = if place.until > now { Seated::Evicted } else { Seated::Free };
    *place = Place { key, until: 0 };
    (place, seated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_numbers_apart() {
        let table = Table::new(1_000);
        for key in 0..1_000_u64 {
            // As hashes are: spread over all bits.
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(
                table.with(key, 1, |until| std::mem::replace(until, key | 1)),
                (0, Seated::Free)
            );
        }
        for key in 0..1_000_u64 {
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(table.with(key, 1, |until| *until), (key | 1, Seated::Free));
        }
    }

    #[test]
    fn who_owes_least_gives_way_and_who_owes_nothing_is_not_missed() {
        let table = Table::new(1);
        for key in 1..=8 {
            table.with(key, 0, |until| *until = 100 * key);
        }
        assert_eq!(table.with(9, 50, |until| *until = 900), ((), Seated::Evicted));
        assert_eq!(table.with(8, 50, |until| *until), (800, Seated::Free), "still there");
        assert_eq!(table.with(10, 250, |until| *until = 1), ((), Seated::Free), "200 was over");
    }

    #[test]
    fn there_is_room_for_one_and_for_many_and_none_is_taken_before() {
        for keys in [1, 4, 5, 1_000, 100_000] {
            let table = Table::new(keys);
            assert!(table.segments.len() * (PLACES << SEGMENT_BITS) >= keys);
            assert!(table.segments.iter().all(|segment| segment.get().is_none()));
            for key in [0, 1, u64::MAX, 1 << 63] {
                table.with(key, 0, |_| ());
            }
        }
    }
}
