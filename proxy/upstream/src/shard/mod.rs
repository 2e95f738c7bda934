//! Which shard has a key: [`ShardMap`], made once of a [`Mapping`] and the shards, and asked without the heap and without locks.
//!
//! A map is a function of what it was made of and of nothing else: not of what was there before it, of the machine, or of the
//! order of events. So all proxies of a fleet, and one that starts anew, have the same keys at the same shards. Where nothing
//! else is said, it is not even one of the order of the shards.

mod error;
mod hash;
mod key;
mod maglev;
mod modulo;
mod ranges;
mod rendezvous;
mod ring;
mod shuffle;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::{MapError, RangeError, Said};
pub use key::{KeyForm, KeyPart, Normal};
pub use ranges::Of;
pub use shuffle::{Members, Shuffle, ShuffleError};
pub use table::{Table, TableError, TableMistake};

use maglev::Maglev;
use modulo::{Modulo, Remainder};
use ranges::Ranges;
use rendezvous::Rendezvous;
use ring::Ring;
use table::Entries;

/// How keys come to shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// nginx's `hash KEY`, key by key: a hash modulo the sum of the weights, by the order of the shards. One shard more or less
    /// moves nearly all keys.
    Modulo,
    /// The key is a number, and this modulo the sum of the weights decides: `id % 3`. Other keys have no shard.
    Remainder,
    /// As few keys move as can: those of a shard that goes, to all others alike, and to one that comes its part of each other's.
    Anchor,
    /// The same, at a cost that grows with the number of shards.
    Rendezvous,
    /// A table of so many places, a prime number. The quickest; a change moves some keys more than must be.
    Maglev {
        /// How many places.
        size: u32,
    },
    /// nginx's `hash KEY consistent`, key by key. A shard's name is the address as nginx would read it.
    Ketama,
    /// Each shard has ranges of keys, which together are all keys.
    Ranges(Of),
    /// Each key has a line in a table.
    Table {
        /// Keys with the names of their shards.
        table: Arc<Table>,
        /// The shard of keys that have no line; these have none without it.
        default: Option<Box<str>>,
    },
}

impl Mapping {
    /// As many places as the authors of Maglev took for some hundred shards.
    pub const MAGLEV_SIZE: u32 = 65_537;
}

/// One of several parts that keys are spread over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// What makes it itself: a shard keeps its keys while it has this name.
    pub name: Box<str>,
    /// Its share of the keys, beside those of others. 1 where nothing else is said.
    pub weight: u32,
    /// `from..to` each, for [`Mapping::Ranges`]: `to` is not part of it, and either may be left out.
    pub ranges: Vec<Box<str>>,
}

impl Shard {
    /// A shard of this weight, without ranges.
    #[must_use]
    pub fn new(name: &str, weight: u32) -> Self {
        Self { name: name.into(), weight, ranges: Vec::new() }
    }
}

/// Which shard has a key.
#[derive(Clone, Debug)]
pub struct ShardMap {
    names: Box<[Box<str>]>,
    chart: Chart,
    /// Keys that are elsewhere than the chart says.
    pins: HashMap<Box<[u8]>, u32>,
}

#[derive(Clone, Debug)]
enum Chart {
    Modulo(Modulo),
    Remainder(Remainder),
    Rendezvous(Rendezvous),
    Maglev(Maglev),
    Ring(Ring),
    Ranges(Ranges),
    Table(Entries),
}

/// More shards than anybody has.
const MOST_SHARDS: usize = 16_384;

/// Whose a place or a point is. Half of a word: the tables of them are read at random, and more of them is near.
type Owner = u16;

impl ShardMap {
    /// The map of these shards, which are told by their places in the list from then on.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn build(mapping: &Mapping, shards: &[Shard]) -> Result<Self, Vec<MapError>> {
        let mut errors = Vec::new();
        check(mapping, shards, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let names = shards.iter().map(|shard| shard.name.clone()).collect();
        let chart = Chart::build(mapping, shards)?;
        chart.check(shards)?;
        Ok(Self { names, chart, pins: HashMap::new() })
    }

    /// The same map with single keys elsewhere, by the names of their shards. A later pin of a key is the one that counts.
    ///
    /// # Errors
    /// A name is none of a shard.
    pub fn pin<'p>(
        mut self,
        pins: impl IntoIterator<Item = (&'p [u8], &'p str)>,
    ) -> Result<Self, Vec<MapError>> {
        let mut errors = Vec::new();
        for (key, name) in pins {
            match place(&self.names, name) {
                Some(shard) => {
                    self.pins.insert(key.into(), shard);
                }
                None => errors.push(MapError::UnknownShard {
                    name: name.into(),
                    said: Said::Pin(key.into()),
                }),
            }
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The same map with the keys of a table elsewhere, but for those that are pinned.
    ///
    /// # Errors
    /// A name is none of a shard.
    pub fn override_by(mut self, table: &Table) -> Result<Self, Vec<MapError>> {
        let entries = Entries::new(table, None, &self.names)?;
        let pins = std::mem::replace(&mut self.pins, entries.into_map());
        self.pins.extend(pins);
        Ok(self)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.names.len()
    }

    /// The name of a shard.
    #[must_use]
    pub fn name(&self, shard: usize) -> Option<&str> {
        self.names.get(shard).map(|name| &**name)
    }

    /// The shard of `key`; `None` where the mapping has none for it: a key that is no number, or that a table lacks.
    #[must_use]
    pub fn shard(&self, key: &[u8]) -> Option<usize> {
        self.pinned(key).or_else(|| self.chart.shard(key)).map(|shard| shard as usize)
    }

    /// The shard of `key`, and then the others in the order in which this key tries them: each once, at most 16.
    ///
    /// The keys of one shard have their second places everywhere, so that all others share the load of one that is dead. Of ranges,
    /// tables and remainders there is no second place: no other shard has the key.
    #[must_use]
    pub fn order<'m>(&'m self, key: &'m [u8]) -> Order<'m> {
        Order { pinned: self.pinned(key), walk: self.chart.walk(key), given: Given::default() }
    }

    fn pinned(&self, key: &[u8]) -> Option<u32> {
        if self.pins.is_empty() { None } else { self.pins.get(key).copied() }
    }
}

impl Chart {
    fn build(mapping: &Mapping, shards: &[Shard]) -> Result<Self, Vec<MapError>> {
        Ok(match mapping {
            Mapping::Modulo => Self::Modulo(Modulo::new(shards)),
            Mapping::Remainder => Self::Remainder(Remainder::new(shards)),
            Mapping::Anchor | Mapping::Rendezvous => Self::Rendezvous(Rendezvous::new(shards)),
            Mapping::Maglev { size } => Self::Maglev(Maglev::new(shards, *size)),
            Mapping::Ketama => Self::Ring(Ring::new(shards)),
            Mapping::Ranges(of) => Self::Ranges(Ranges::new(*of, shards)?),
            Mapping::Table { table, default } => {
                let names: Vec<_> = shards.iter().map(|shard| shard.name.clone()).collect();
                Self::Table(Entries::new(table, default.as_deref(), &names)?)
            }
        })
    }

    /// Each shard has a place, where places are taken by turns or by chance.
    fn check(&self, shards: &[Shard]) -> Result<(), Vec<MapError>> {
        let owners = match self {
            Self::Maglev(maglev) => maglev.owners(),
            Self::Ring(ring) => ring.owners(),
            _ => return Ok(()),
        };
        let mut has_place = vec![false; shards.len()];
        for owner in owners {
            if let Some(has_place) = has_place.get_mut(usize::from(*owner)) {
                *has_place = true;
            }
        }
        let errors: Vec<MapError> = (0..)
            .zip(shards.iter().zip(has_place))
            .filter(|(_, (_, has_place))| !has_place)
            .map(|(shard, (own, _))| MapError::NoPlace { shard, name: own.name.clone() })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn shard(&self, key: &[u8]) -> Option<u32> {
        match self {
            Self::Modulo(modulo) => modulo.shard(key),
            Self::Remainder(remainder) => remainder.shard(key),
            Self::Rendezvous(rendezvous) => rendezvous.shard(key),
            Self::Maglev(maglev) => maglev.shard(key),
            Self::Ring(ring) => ring.shard(key),
            Self::Ranges(ranges) => ranges.shard(key),
            Self::Table(entries) => entries.shard(key),
        }
    }

    fn walk<'m>(&'m self, key: &'m [u8]) -> Walk<'m> {
        match self {
            Self::Modulo(modulo) => Walk::Modulo(modulo.walk(key)),
            Self::Rendezvous(rendezvous) => Walk::Rendezvous(rendezvous.walk(key)),
            Self::Maglev(maglev) => Walk::Around(maglev.walk(key)),
            Self::Ring(ring) => Walk::Around(ring.walk(key)),
            Self::Remainder(_) | Self::Ranges(_) | Self::Table(_) => Walk::Only(self.shard(key)),
        }
    }
}

/// The shards of a key, the best first.
#[derive(Clone, Debug)]
pub struct Order<'m> {
    pinned: Option<u32>,
    walk: Walk<'m>,
    given: Given,
}

/// Shards in the order of a key. One may come more than once.
#[derive(Clone, Debug)]
enum Walk<'m> {
    Only(Option<u32>),
    Modulo(modulo::Walk<'m>),
    Rendezvous(rendezvous::Walk<'m>),
    Around(Around<'m>),
}

impl Iterator for Order<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let next = match self.pinned.take() {
            Some(pinned) => pinned,
            None => self.walk.by_ref().find(|shard| self.given.is_new(*shard))?,
        };
        self.given.push(next)?;
        Some(next as usize)
    }
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Only(shard) => shard.take(),
            Self::Modulo(walk) => walk.next(),
            Self::Rendezvous(walk) => walk.next(),
            Self::Around(walk) => walk.next(),
        }
    }
}

/// Once around a ring of shards.
#[derive(Clone, Debug)]
struct Around<'m> {
    ring: &'m [Owner],
    next: usize,
    left: usize,
}

impl<'m> Around<'m> {
    /// From the place `start` on, which may be one behind the last.
    fn new(ring: &'m [Owner], start: usize) -> Self {
        Self { ring, next: start, left: ring.len() }
    }
}

impl Iterator for Around<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let shard = self.ring.get(self.next).or_else(|| self.ring.first())?;
        self.next = if self.next < self.ring.len() { self.next + 1 } else { 1 };
        Some(u32::from(*shard))
    }
}

/// What an order has given. On the stack: as many as a request may try.
#[derive(Clone, Debug, Default)]
struct Given {
    shards: [u32; MOST_TRIES],
    count: usize,
}

const MOST_TRIES: usize = 16;

impl Given {
    fn is_new(&self, shard: u32) -> bool {
        !self.shards.iter().take(self.count).any(|given| *given == shard)
    }

    /// `None` when it is full.
    fn push(&mut self, shard: u32) -> Option<()> {
        *self.shards.get_mut(self.count)? = shard;
        self.count += 1;
        Some(())
    }
}

/// The place of the shard of this name.
fn place(names: &[Box<str>], name: &str) -> Option<u32> {
    names.iter().position(|own| **own == *name).and_then(|place| u32::try_from(place).ok())
}

/// What no mapping takes, and what this one does not.
fn check(mapping: &Mapping, shards: &[Shard], errors: &mut Vec<MapError>) {
    if shards.is_empty() {
        return errors.push(MapError::NoShards);
    }
    if shards.len() > MOST_SHARDS {
        return errors.push(MapError::TooManyShards { count: shards.len(), most: MOST_SHARDS });
    }
    let mut names = HashMap::new();
    for (shard, Shard { name, weight, ranges }) in shards.iter().enumerate() {
        if name.is_empty() {
            errors.push(MapError::NoName { shard });
        } else if let Some(earlier) = names.insert(name, shard) {
            errors.push(MapError::NameTaken { shard, earlier, name: name.clone() });
        }
        if *weight == 0 {
            errors.push(MapError::NoWeight { shard, name: name.clone() });
        }
        match (matches!(mapping, Mapping::Ranges(_)), ranges.is_empty()) {
            (true, true) => errors.push(MapError::NoRange { shard, name: name.clone() }),
            (false, false) => errors.push(MapError::NeedlessRange { shard, name: name.clone() }),
            _ => {}
        }
    }
    check_weights(mapping, shards, errors);
}

fn check_weights(mapping: &Mapping, shards: &[Shard], errors: &mut Vec<MapError>) {
    let total: u64 = shards.iter().map(|shard| u64::from(shard.weight)).sum();
    let most = match mapping {
        Mapping::Modulo => modulo::MOST_WEIGHT,
        Mapping::Ketama => ring::MOST_WEIGHT,
        _ => u64::MAX,
    };
    if total > most {
        errors.push(MapError::TooMuchWeight { total, most });
    }
    if let Mapping::Maglev { size } = mapping
        && !maglev::is_size(*size, shards.len())
    {
        let (least, most) = (shards.len() as u64, maglev::MOST_SIZE);
        errors.push(MapError::TableSize { size: *size, least, most });
    }
}
