//! One value of the tree, with the file it stands in.

use std::path::Path;
use std::sync::Arc;

use super::tree::{self, Item, Value};
use crate::diagnostic::Location;
use crate::source::Source;

/// One value of one file.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    source: &'a Arc<Source>,
    item: &'a Item<'a>,
}

impl<'a> Node<'a> {
    pub(crate) fn new(source: &'a Arc<Source>, item: &'a Item<'a>) -> Self {
        Self { source, item }
    }

    pub(crate) fn value(self) -> &'a Value<'a> {
        &self.item.value
    }

    /// Of a table with a header of its own, the header.
    pub(crate) fn at(self) -> Location {
        Location::new(self.source, self.item.range())
    }

    /// The directory that relative paths start from.
    pub(crate) fn directory(self) -> &'a Path {
        self.source.name().parent().unwrap_or(Path::new(""))
    }

    /// The keys and values of a table in the order they were written; `None` when it is none.
    pub(crate) fn entries(self) -> Option<impl ExactSizeIterator<Item = (Key<'a>, Self)>> {
        let Value::Table(table) = self.value() else { return None };
        let entry = move |entry: &'a tree::Entry<'a>| {
            (
                Key { source: self.source, key: &entry.key },
                Self { source: self.source, item: &entry.item },
            )
        };
        Some(table.entries.iter().map(entry))
    }

    /// The elements of a list; `None` when it is none.
    pub(crate) fn elements(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        let Value::List(list) = self.value() else { return None };
        Some(list.items.iter().map(move |item| Self { source: self.source, item }))
    }

    /// The text below `key`, if this is a table that has one.
    pub(crate) fn text_of(self, key: &str) -> Option<&'a str> {
        match self.value() {
            Value::Table(table) => match &table.find(key)?.value {
                Value::String(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// What it is, for a person.
    pub(crate) fn kind(self) -> &'static str {
        match self.value() {
            Value::String(_) => "a string",
            Value::Integer(..) => "an integer",
            Value::Float(_) => "a floating-point number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// One key of a table.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    source: &'a Arc<Source>,
    key: &'a tree::Key<'a>,
}

impl<'a> Key<'a> {
    pub(crate) fn text(self) -> &'a str {
        &self.key.text
    }

    pub(crate) fn at(self) -> Location {
        Location::new(self.source, self.key.range())
    }
}
