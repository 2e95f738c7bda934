//! When what was last purged.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::Manner;

/// What a purge bears on, as it is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing: it tells the time.
    Nothing,
    /// Every entry.
    Everything,
    /// Those that belong to what this stands for.
    Name(u128),
    /// Those whose place begins so.
    Prefix(Box<[u8]>),
}

/// When something was last purged in either manner; 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) hard: u64,
    pub(super) soft: u64,
}

/// All that was purged. Bounded: when a table is full, the quarter that was purged longest ago is forgotten, and every entry
/// that has not been looked at since counts as purged with it.
#[derive(Debug, Default)]
pub(super) struct Tables {
    everything: Latest,
    names: HashMap<u128, Latest>,
    prefixes: BTreeMap<Box<[u8]>, Latest>,
}

impl Tables {
    /// Notes a purge.
    pub(super) fn note(&mut self, what: What, manner: Manner, at: u64) {
        let now = match manner {
            Manner::Hard => Latest { hard: at, soft: 0 },
            Manner::Soft => Latest { hard: 0, soft: at },
        };
        match what {
            What::Nothing => {}
            What::Everything => self.everything.add(now),
            What::Name(name) => {
                if self.names.len() >= MOST_NAMES && !self.names.contains_key(&name) {
                    self.forget_names();
                }
                self.names.entry(name).or_default().add(now);
            }
            What::Prefix(prefix) => {
                let prefix: Box<[u8]> =
                    prefix.get(..LONGEST_PREFIX).map_or(prefix.clone(), Box::from);
                if self.prefixes.len() >= MOST_PREFIXES && !self.prefixes.contains_key(&prefix) {
                    self.forget_prefixes();
                }
                self.prefixes.entry(prefix).or_default().add(now);
            }
        }
    }

    /// When anything of this was last purged.
    pub(super) fn latest(&self, names: &[u128], place: &[u8]) -> Latest {
        let mut latest = self.everything;
        if !self.names.is_empty() {
            names
                .iter()
                .filter_map(|name| self.names.get(name))
                .for_each(|noted| latest.add(*noted));
        }
        self.add_prefixes(place, &mut latest);
        latest
    }

    /// All that is noted.
    pub(super) fn all(&self) -> impl Iterator<Item = (What, Manner, u64)> {
        let names = self.names.iter().map(|(name, latest)| (What::Name(*name), *latest));
        let prefixes =
            self.prefixes.iter().map(|(prefix, latest)| (What::Prefix(prefix.clone()), *latest));
        let noted =
            std::iter::once((What::Everything, self.everything)).chain(names).chain(prefixes);
        noted.flat_map(|(what, Latest { hard, soft })| {
            [(what.clone(), Manner::Hard, hard), (what, Manner::Soft, soft)]
                .into_iter()
                .filter(|noted| noted.2 > 0)
        })
    }

    /// From the longest on: whatever is noted for something that `place` begins with lies before it, and what lies between is
    /// stepped over by what it has in common with it.
    fn add_prefixes(&self, place: &[u8], latest: &mut Latest) {
        let mut end = Bound::Included(place);
        let mut left = self.prefixes.range::<[u8], _>((Bound::Unbounded, end)).next_back();
        while let Some((noted, purged)) = left {
            let shared = noted.iter().zip(place).take_while(|(one, other)| one == other).count();
            if shared == noted.len() {
                latest.add(*purged);
                end = Bound::Excluded(place.get(..shared).unwrap_or_default());
            } else {
                end = Bound::Included(place.get(..shared).unwrap_or_default());
            }
            left = self.prefixes.range::<[u8], _>((Bound::Unbounded, end)).next_back();
        }
    }

    fn forget_names(&mut self) {
        let oldest = oldest_quarter(self.names.values());
        let everything = &mut self.everything;
        self.names.retain(|_, latest| latest.is_kept(oldest, everything));
    }

    fn forget_prefixes(&mut self) {
        let oldest = oldest_quarter(self.prefixes.values());
        let everything = &mut self.everything;
        self.prefixes.retain(|_, latest| latest.is_kept(oldest, everything));
    }
}

impl Latest {
    fn add(&mut self, other: Self) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }

    fn last(self) -> u64 {
        self.hard.max(self.soft)
    }

    /// Whether it is later than `oldest`; if not, everything counts as purged then.
    fn is_kept(self, oldest: u64, everything: &mut Self) -> bool {
        let is_kept = self.last() > oldest;
        if !is_kept {
            everything.add(self);
        }
        is_kept
    }
}

/// Up to which time the oldest quarter was purged.
fn oldest_quarter<'l>(noted: impl Iterator<Item = &'l Latest>) -> u64 {
    let mut times: Vec<u64> = noted.map(|latest| latest.last()).collect();
    let quarter = times.len() / 4;
    if times.is_empty() { 0 } else { *times.select_nth_unstable(quarter).1 }
}

/// Pages, tags and groups that are remembered: some 3 MiB.
pub(super) const MOST_NAMES: usize = 65_536;

/// Prefixes and hosts that are remembered: some 2 MiB, and 20 if all are as long as they may be.
pub(super) const MOST_PREFIXES: usize = 16_384;

/// Of a longer one, what begins as this much of it is purged.
pub(super) const LONGEST_PREFIX: usize = 1024;
