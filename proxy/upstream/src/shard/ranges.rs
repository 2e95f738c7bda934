//! Ranges of keys, which together are all keys.

use super::modulo::number;
use super::{MapError, RangeError, Shard, hash};

/// What of a key lies in a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The key itself, byte by byte: `B` comes before `a`, and `10` before `9`.
    Text,
    /// The number that it is, up to 64 bits. Keys that are none have no shard.
    Numbers,
    /// Its hash. Bounds are the first hexadecimal digits: `8` is the middle, `4..8` the second quarter.
    Hash,
}

/// Where ranges begin, in order, and whose each is.
#[derive(Clone, Debug)]
pub(super) enum Ranges {
    Text(Owned<Box<[u8]>>),
    Numbers(Owned<u64>),
    Hash(Owned<u64>),
}

#[derive(Clone, Debug)]
pub(super) struct Owned<B> {
    starts: Box<[B]>,
    owners: Box<[u32]>,
}

impl Ranges {
    pub(super) fn new(of: Of, shards: &[Shard]) -> Result<Self, Vec<MapError>> {
        Ok(match of {
            Of::Text => Self::Text(owned(shards, |text| Ok(text.as_bytes().into()))?),
            Of::Numbers => Self::Numbers(owned(shards, decimal)?),
            Of::Hash => Self::Hash(owned(shards, digits)?),
        })
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        match self {
            Self::Text(ranges) => ranges.owner(|start| **start <= *key),
            Self::Numbers(ranges) => {
                let number = number(key)?;
                ranges.owner(|start| *start <= number)
            }
            Self::Hash(ranges) => {
                let hash = hash::of_key(key);
                ranges.owner(|start| *start <= hash)
            }
        }
    }
}

impl<B> Owned<B> {
    /// Of the last range that has begun.
    fn owner(&self, has_begun: impl FnMut(&B) -> bool) -> Option<u32> {
        let begun = self.starts.partition_point(has_begun);
        self.owners.get(begun.checked_sub(1)?).copied()
    }
}

fn decimal(text: &str) -> Result<u64, RangeError> {
    if text.is_empty() { Ok(0) } else { number(text.as_bytes()).ok_or(RangeError::Number) }
}

/// The digits, and zeros behind them.
fn digits(text: &str) -> Result<u64, RangeError> {
    if text.is_empty() {
        return Ok(0);
    }
    let missing = u32::try_from(text.len()).ok().and_then(|length| 16_u32.checked_sub(length));
    let number = missing
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .and_then(|missing| Some(u64::from_str_radix(text, 16).ok()? << (4 * missing)));
    number.ok_or(RangeError::Digits)
}

/// A range as it was said, of a shard.
struct Range<'s, B> {
    from: B,
    /// `None`: to the end.
    to: Option<B>,
    shard: usize,
    text: &'s str,
}

impl<B> Range<'_, B> {
    fn bounds(&self) -> (&str, &str) {
        self.text.split_once("..").unwrap_or_default()
    }
}

/// The ranges of all shards, which leave nothing out and have nothing twice. An empty bound is the lowest to `read`.
fn owned<B: Ord>(
    shards: &[Shard],
    read: impl Fn(&str) -> Result<B, RangeError>,
) -> Result<Owned<B>, Vec<MapError>> {
    let mut errors = Vec::new();
    let mut ranges = Vec::new();
    for (shard, own) in shards.iter().enumerate() {
        for (range, text) in own.ranges.iter().enumerate() {
            match bounds(text, &read) {
                Ok((from, to)) => ranges.push(Range { from, to, shard, text }),
                Err(why) => {
                    let text = text.clone();
                    errors.push(MapError::Range { shard, range, text, why });
                }
            }
        }
    }
    if errors.is_empty() {
        ranges.sort_by(|one, other| one.from.cmp(&other.from));
        seams(&ranges, shards, read("").ok(), &mut errors);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let owners = ranges.iter().filter_map(|range| u32::try_from(range.shard).ok()).collect();
    Ok(Owned { starts: ranges.into_iter().map(|range| range.from).collect(), owners })
}

fn bounds<B: Ord>(
    text: &str,
    read: impl Fn(&str) -> Result<B, RangeError>,
) -> Result<(B, Option<B>), RangeError> {
    let (from, to) = text.split_once("..").ok_or(RangeError::Dots)?;
    let from = read(from)?;
    let to = if to.is_empty() { None } else { Some(read(to)?) };
    match &to {
        Some(to) if *to <= from => Err(RangeError::Empty),
        _ => Ok((from, to)),
    }
}

/// Where one range ends and the next begins, of ranges by their beginnings.
fn seams<B: Ord>(
    ranges: &[Range<'_, B>],
    shards: &[Shard],
    lowest: Option<B>,
    errors: &mut Vec<MapError>,
) {
    let mut gap = |shard: usize, from: &str, to: &str| {
        errors.push(MapError::Gap { shard, from: from.into(), to: to.into() });
    };
    let Some(first) = ranges.first() else { return };
    if lowest.is_none_or(|lowest| first.from > lowest) {
        gap(first.shard, "", first.bounds().0);
    }
    // The one that reaches furthest.
    let mut last = first;
    let mut overlaps = Vec::new();
    for range in ranges.get(1..).unwrap_or_default() {
        let reach = last.to.as_ref().map(|to| to.cmp(&range.from));
        match reach {
            None | Some(std::cmp::Ordering::Greater) => overlaps.push((last, range)),
            Some(std::cmp::Ordering::Less) => gap(last.shard, last.bounds().1, range.bounds().0),
            Some(std::cmp::Ordering::Equal) => {}
        }
        if last.to.is_some() && (range.to.is_none() || range.to > last.to) {
            last = range;
        }
    }
    if last.to.is_some() {
        gap(last.shard, last.bounds().1, "");
    }
    errors.extend(overlaps.into_iter().map(|(other, range)| MapError::Overlap {
        shard: range.shard,
        text: range.text.into(),
        other: other.text.into(),
        name: shards.get(other.shard).map(|shard| shard.name.clone()).unwrap_or_default(),
    }));
}
