//! What cannot be a map of shards.

use thiserror::Error;

/// Why shards and a mapping make no map. Shards are told by their place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapError {
    /// Nothing to map to.
    #[error("there is no shard")]
    NoShards,
    /// More than a number of 32 bits can tell apart, or more than anybody has.
    #[error("{count} shards are more than {most}")]
    TooManyShards {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A name is what keeps a shard's keys its own.
    #[error("a shard has no name")]
    NoName {
        /// Which.
        shard: usize,
    },
    /// Two shards that nobody could tell apart.
    #[error("the name `{name}` is taken by an earlier shard")]
    NameTaken {
        /// The later one.
        shard: usize,
        /// The earlier one.
        earlier: usize,
        /// Their name.
        name: Box<str>,
    },
    /// It would have no key.
    #[error("the weight of shard `{name}` is 0")]
    NoWeight {
        /// Which.
        shard: usize,
        /// Its name.
        name: Box<str>,
    },
    /// The table would be too large, or the hash too short for it.
    #[error("the weights come to {total}, more than {most}")]
    TooMuchWeight {
        /// All weights.
        total: u64,
        /// What they may come to.
        most: u64,
    },
    /// A table of Maglev has a prime number of places, at least one for each weight.
    #[error("a table of {size} places: it takes a prime number from {least} to {most}")]
    TableSize {
        /// What was asked for.
        size: u32,
        /// As many as the weights come to.
        least: u64,
        /// How many there may be.
        most: u32,
    },
    /// A text that is no range.
    #[error("`{text}` is no range: {why}")]
    Range {
        /// Whose.
        shard: usize,
        /// Its place among the ranges of the shard.
        range: usize,
        /// What stands there.
        text: Box<str>,
        /// What it lacks.
        why: RangeError,
    },
    /// It would have no key.
    #[error("shard `{name}` has no range")]
    NoRange {
        /// Which.
        shard: usize,
        /// Its name.
        name: Box<str>,
    },
    /// Ranges that nothing asks.
    #[error("shard `{name}` has ranges, and the mapping is by another thing")]
    NeedlessRange {
        /// Which.
        shard: usize,
        /// Its name.
        name: Box<str>,
    },
    /// Keys that two ranges have.
    #[error("the range `{text}` overlaps with `{other}` of shard `{name}`")]
    Overlap {
        /// Whose.
        shard: usize,
        /// The range that begins later.
        text: Box<str>,
        /// The one that has not ended there.
        other: Box<str>,
        /// Whose that is.
        name: Box<str>,
    },
    /// Keys that no range has.
    #[error("no range has the keys `{from}..{to}`")]
    Gap {
        /// Whose range ends before it, or begins after it where it is the lowest.
        shard: usize,
        /// The first of them; empty when they are the lowest.
        from: Box<str>,
        /// The first key that has a range again; empty when none has.
        to: Box<str>,
    },
    /// A shard by a name that none has.
    #[error("there is no shard `{name}`")]
    UnknownShard {
        /// The name.
        name: Box<str>,
        /// Who says it.
        said: Said,
    },
}

/// Where a shard was named.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// By the pin of this key.
    Pin(Box<[u8]>),
    /// In this line of a table.
    Line(u32),
    /// As the default of a table.
    Default,
}

/// What a text lacks to be a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RangeError {
    /// No two dots.
    #[error("it is written `from..to`, either of which may be left out")]
    Dots,
    /// A bound of another kind.
    #[error("its bounds are whole numbers from 0 to 18446744073709551615")]
    Number,
    /// A bound of another kind.
    #[error("its bounds are the first hexadecimal digits of a hash, 16 at most")]
    Digits,
    /// Nothing lies between its bounds.
    #[error("its end, which is not part of it, does not come after its beginning")]
    Empty,
}
