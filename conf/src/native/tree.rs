//! The spanned tree of a TOML file.
//!
//! Lexing, grammar and scalars are the `toml_parser` package's; the tree is ours, because a configuration may have hundreds of
//! thousands of small tables: they take a third of the memory and of the time that general-purpose maps take. A text is
//! parsed some thousand tokens at a time for the same reason.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// One value and the bytes it was written in.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) value: Value<'a>,
    start: u32,
    end: u32,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// Without quotes and escapes.
    String(Cow<'a, str>),
    /// The digits with their sign, and the base.
    Integer(Cow<'a, str>, u32),
    /// As it is written.
    Float(Cow<'a, str>),
    Boolean(bool),
    /// No key takes one, so its value is not kept.
    Datetime,
    List(List<'a>),
    Table(Table<'a>),
}

/// The elements of a list.
#[derive(Debug, Default)]
pub(crate) struct List<'a> {
    pub(crate) items: Vec<Item<'a>>,
    /// Whether it is made of `[[headers]]`, so that more may follow.
    pub(super) of_headers: bool,
}

/// The entries of a table in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct Table<'a> {
    pub(crate) entries: Vec<Entry<'a>>,
    /// Where a key stands; kept for large tables alone.
    #[expect(
        clippy::box_collection,
        reason = "most of a great many tables have none: a pointer keeps them small"
    )]
    index: Option<Box<HashMap<Cow<'a, str>, usize>>>,
    pub(super) origin: Origin,
}

/// One key with its value.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) item: Item<'a>,
}

/// A key and the bytes it was written in.
#[derive(Clone, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) text: Cow<'a, str>,
    start: u32,
    end: u32,
}

/// How a table came about: it decides who may add to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// `{ … }`: complete.
    Inline,
    /// `[a.b]`, for `a`: a header may follow, and so may keys.
    #[default]
    Implied,
    /// A header of its own: other headers may add tables to it.
    Header,
    /// `a.b = …`, for `a`: other dotted keys may follow.
    Dotted,
}

/// Bytes of a file as they are kept; files are far smaller than 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl<'a> Item<'a> {
    pub(super) fn new(value: Value<'a>, range: Range<usize>) -> Self {
        Self { value, start: offset(range.start), end: offset(range.end) }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Key<'a> {
    pub(super) fn new(text: Cow<'a, str>, range: Range<usize>) -> Self {
        Self { text, start: offset(range.start), end: offset(range.end) }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Smaller tables are searched entry by entry.
const INDEXED_FROM: usize = 16;

impl<'a> Table<'a> {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    /// Where the entry of `key` stands.
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|entry| entry.key.text == key),
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Item<'a>> {
        self.entries.get(self.position(key)?).map(|entry| &entry.item)
    }

    /// Adds an entry whose key is not there yet, and tells where it stands.
    pub(super) fn push(&mut self, key: Key<'a>, item: Item<'a>) -> usize {
        let position = self.entries.len();
        if let Some(index) = &mut self.index {
            index.insert(key.text.clone(), position);
        }
        // Most tables have one entry or two, and a vector would begin with room for four.
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(self.entries.len().max(1));
        }
        self.entries.push(Entry { key, item });
        if self.entries.len() == INDEXED_FROM {
            let keys = self.entries.iter().map(|entry| entry.key.text.clone());
            self.index = Some(Box::new(keys.zip(0..).collect()));
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tables_find_their_keys_too() {
        let mut table = Table::default();
        for number in 0..3 * INDEXED_FROM {
            let key = Key::new(number.to_string().into(), 0..0);
            assert_eq!(table.push(key, Item::new(Value::Datetime, number..number)), number);
            assert!((0..=number).all(|known| table.position(&known.to_string()) == Some(known)));
            assert_eq!(table.position("x"), None);
        }
        assert_eq!(table.find("40").map(Item::range), Some(40..40));
    }
}
