//! A table that says of each key by itself which shard has it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;

use super::{MapError, Said};

/// Keys with the names of their shards, as a file says them.
///
/// A line is a key, blanks and the name of a shard, which may end with a semicolon: `alice u3`. A key with blanks, one that
/// begins with `#` or `"`, and the empty one stand in double quotes, in which `\"` and `\\` are a quote and a backslash. Empty
/// lines and those that begin with `#` are passed over.
///
/// A file that was written by half is not taken for a whole one. Its last line ends with a newline, or it is not all there; and it
/// has at least one entry. Where the first line is `#begin`, the last one is `#end`, or `#end` and the number of entries: then
/// a file that ends between two lines is found, too. Who writes another file and renames it needs none of this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    key: Box<[u8]>,
    shard: Box<str>,
    number: u32,
}

/// What is wrong with a table, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {mistake}")]
pub struct TableError {
    /// The first line is 1.
    pub line: u32,
    /// What is wrong.
    pub mistake: TableMistake,
}

/// What is wrong with a line of a table, or with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TableMistake {
    /// One word.
    #[error("expected the name of a shard behind the key")]
    NoShard,
    /// Three words.
    #[error("expected nothing behind the name of a shard")]
    More,
    /// A quote without its other.
    #[error("this quote is never closed")]
    Quote,
    /// Another byte behind a backslash.
    #[error("a backslash stands before a quote or another backslash")]
    Backslash,
    /// A name is a text.
    #[error("the name of a shard is not UTF-8")]
    Name,
    /// Two lines of one key that say different things.
    #[error("line {0} says another shard of this key")]
    Twice(u32),
    /// The last line has no end.
    #[error("the last line does not end with a newline: the file is not written to its end")]
    CutLine,
    /// Begun and not ended.
    #[error(
        "the first line is `#begin` and the last is not `#end`: the file is not written to its end"
    )]
    NoEnd,
    /// Ended too early.
    #[error("the file has {found} entries and says that they are {said}")]
    Count {
        /// How many it says.
        said: u64,
        /// How many there are.
        found: u64,
    },
    /// What stands behind `#end` is no number.
    #[error("`#end` is followed by the number of entries, or by nothing")]
    End,
    /// A file that was opened and not written.
    #[error("there is no entry")]
    Empty,
}

/// In a table with more mistakes nobody reads them all.
const MOST_MISTAKES: usize = 64;

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to a bound.
    pub fn parse(file: &[u8]) -> Result<Self, Vec<TableError>> {
        let mut reader = Reader::default();
        reader.read(file);
        reader.end(file);
        if reader.errors.is_empty() {
            Ok(Self { entries: reader.entries })
        } else {
            Err(reader.errors)
        }
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none, as only one has that was never read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its keys, each with the name of its shard and the number of its line, as they were written.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &str, u32)> {
        self.entries.iter().map(|line| (&*line.key, &*line.shard, line.number))
    }
}

#[derive(Default)]
struct Reader {
    entries: Vec<Line>,
    /// Where the lines of keys are among the entries.
    known: HashMap<Box<[u8]>, usize>,
    errors: Vec<TableError>,
    /// How many lines are entries.
    found: u64,
    /// The number of the line that is read.
    line: u32,
    begun: bool,
    ended: Option<Ended>,
}

/// A line `#end`.
struct Ended {
    line: u32,
    said: Option<u64>,
}

impl Reader {
    fn read(&mut self, file: &[u8]) {
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            self.line = self.line.saturating_add(1);
            let text = line.trim_ascii();
            match text.strip_prefix(b"#") {
                Some(comment) => self.comment(comment),
                None if text.is_empty() => {}
                None => {
                    if let Err(mistake) = self.entry(text) {
                        self.mistake(mistake);
                    }
                }
            }
        }
    }

    fn comment(&mut self, comment: &[u8]) {
        if comment == b"begin" && self.line == 1 {
            self.begun = true;
        } else if let Some(said) = behind_end(comment).filter(|_| self.begun) {
            let number = super::modulo::number(said);
            if number.is_none() && !said.is_empty() {
                self.mistake(TableMistake::End);
            }
            self.ended = Some(Ended { line: self.line, said: number });
        }
    }

    fn entry(&mut self, line: &[u8]) -> Result<(), TableMistake> {
        let (key, rest) = key(line)?;
        let name = rest.strip_suffix(b";").unwrap_or(rest).trim_ascii();
        if name.is_empty() {
            return Err(TableMistake::NoShard);
        }
        if name.iter().any(u8::is_ascii_whitespace) {
            return Err(TableMistake::More);
        }
        self.found += 1;
        let shard: Box<str> = std::str::from_utf8(name).map_err(|_| TableMistake::Name)?.into();
        match self.known.entry(key) {
            Entry::Vacant(vacant) => {
                let key = vacant.key().clone();
                vacant.insert(self.entries.len());
                self.entries.push(Line { key, shard, number: self.line });
                Ok(())
            }
            Entry::Occupied(occupied) => match self.entries.get(*occupied.get()) {
                Some(earlier) if earlier.shard != shard => Err(TableMistake::Twice(earlier.number)),
                _ => Ok(()),
            },
        }
    }

    fn end(&mut self, file: &[u8]) {
        let found = self.found;
        if file.last().is_some_and(|last| *last != b'\n') {
            self.mistake(TableMistake::CutLine);
        } else if self.begun {
            match &self.ended {
                Some(Ended { line, said }) if *line == self.line => {
                    if let Some(said) = said.filter(|said| *said != found) {
                        self.mistake(TableMistake::Count { said, found });
                    }
                }
                _ => self.mistake(TableMistake::NoEnd),
            }
        }
        if self.errors.is_empty() && self.entries.is_empty() {
            self.mistake(TableMistake::Empty);
        }
    }

    fn mistake(&mut self, mistake: TableMistake) {
        if self.errors.len() < MOST_MISTAKES {
            self.errors.push(TableError { line: self.line.max(1), mistake });
        }
    }
}

/// What a comment `#end` says behind it.
fn behind_end(comment: &[u8]) -> Option<&[u8]> {
    let behind = comment.strip_prefix(b"end")?;
    behind.first().is_none_or(u8::is_ascii_whitespace).then(|| behind.trim_ascii())
}

/// The key at the beginning of a line, and what stands behind it.
fn key(line: &[u8]) -> Result<(Box<[u8]>, &[u8]), TableMistake> {
    let Some(mut rest) = line.strip_prefix(b"\"") else {
        let end = line.iter().position(u8::is_ascii_whitespace).ok_or(TableMistake::NoShard)?;
        let (key, rest) = line.split_at(end);
        return Ok((key.into(), rest));
    };
    let mut key = Vec::new();
    loop {
        rest = match rest {
            [] => return Err(TableMistake::Quote),
            [b'"', behind @ ..] if behind.first().is_none_or(u8::is_ascii_whitespace) => {
                return Ok((key.into(), behind));
            }
            [b'"', ..] => return Err(TableMistake::NoShard),
            [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                key.push(*escaped);
                behind
            }
            [b'\\', ..] => return Err(TableMistake::Backslash),
            [byte, behind @ ..] => {
                key.push(*byte);
                behind
            }
        };
    }
}

/// A table as it is looked up: keys, and the places of their shards.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    shards: HashMap<Box<[u8]>, u32>,
    default: Option<u32>,
}

impl Entries {
    pub(super) fn new(
        table: &Table,
        default: Option<&str>,
        names: &[Box<str>],
    ) -> Result<Self, Vec<MapError>> {
        let mut errors = Vec::new();
        let places: HashMap<&str, u32> = names.iter().map(|name| &**name).zip(0..).collect();
        let mut shard = |name: &str, said: Said| {
            let place = places.get(name).copied();
            if place.is_none() && errors.len() < MOST_MISTAKES {
                errors.push(MapError::UnknownShard { name: name.into(), said });
            }
            place
        };
        let default = default.and_then(|name| shard(name, Said::Default));
        let shards = table
            .entries
            .iter()
            .filter_map(|line| {
                Some((line.key.clone(), shard(&line.shard, Said::Line(line.number))?))
            })
            .collect();
        if errors.is_empty() { Ok(Self { shards, default }) } else { Err(errors) }
    }

    pub(super) fn shard(&self, key: &[u8]) -> Option<u32> {
        self.shards.get(key).copied().or(self.default)
    }

    pub(super) fn into_map(self) -> HashMap<Box<[u8]>, u32> {
        self.shards
    }
}
