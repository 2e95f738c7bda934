//! What people start with: a number modulo how many there are.

use super::Shard;

/// nginx's `hash KEY`: fifteen bits of the CRC-32 of the key modulo the sum of the weights.
#[derive(Clone, Debug)]
pub(super) struct Modulo(Parts);

/// Fifteen bits tell no more apart.
pub(super) const MOST_WEIGHT: u64 = 1 << 15;
/// After as many misses nginx goes by turns.
const TRIES: u32 = 20;

impl Modulo {
    pub(super) fn new(shards: &[Shard]) -> Self {
        Self(Parts::new(shards))
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.0.part(u64::from(fifteen_bits(crc32fast::hash(key))))
    }

    pub(super) fn walk<'m>(&'m self, key: &'m [u8]) -> Walk<'m> {
        Walk { parts: &self.0, key, sum: 0, tried: 0 }
    }
}

/// The key itself as a number.
#[derive(Clone, Debug)]
pub(super) struct Remainder(Parts);

impl Remainder {
    pub(super) fn new(shards: &[Shard]) -> Self {
        Self(Parts::new(shards))
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.0.part(number(key)?)
    }
}

/// A whole number in decimal digits, as far as 64 bits go.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    if key.is_empty() {
        return None;
    }
    key.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// nginx's order: the hash of how often it missed and the key, added to what there was; then one after the other.
#[derive(Clone, Debug)]
pub(super) struct Walk<'m> {
    parts: &'m Parts,
    key: &'m [u8],
    sum: u64,
    tried: u32,
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let tried = self.tried;
        self.tried = tried.checked_add(1)?;
        if let Some(left) = tried.checked_sub(TRIES) {
            return (left < self.parts.shards()).then_some(left);
        }
        let mut hasher = crc32fast::Hasher::new();
        if tried > 0 {
            let (digits, from) = decimal(tried);
            hasher.update(digits.get(from..)?);
        }
        hasher.update(self.key);
        self.sum += u64::from(fifteen_bits(hasher.finalize()));
        self.parts.part(self.sum)
    }
}

/// The digits of a number below 100, and where they begin.
fn decimal(number: u32) -> ([u8; 2], usize) {
    let digit = |number: u32| b'0' + u8::try_from(number % 10).unwrap_or_default();
    ([digit(number / 10), digit(number)], usize::from(number < 10))
}

fn fifteen_bits(crc: u32) -> u32 {
    (crc >> 16) & 0x7fff
}

/// Numbers in a circle, of which each shard has as many as it weighs.
#[derive(Clone, Debug)]
struct Parts {
    /// Where the numbers of each shard end.
    ends: Box<[u64]>,
    total: u64,
}

impl Parts {
    fn new(shards: &[Shard]) -> Self {
        let mut total = 0;
        let ends = shards.iter().map(|shard| {
            total += u64::from(shard.weight);
            total
        });
        Self { ends: ends.collect(), total }
    }

    fn part(&self, number: u64) -> Option<u32> {
        let place = number.checked_rem(self.total)?;
        u32::try_from(self.ends.partition_point(|end| *end <= place)).ok()
    }

    fn shards(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }
}
