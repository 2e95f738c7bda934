//! A file that is one table of strings.

use std::sync::Arc;

use super::include::syntax_errors;
use super::node::Node;
use super::parse;
use super::tree::{Item, Value};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Source;

/// In a file with more mistakes nobody reads them all.
const MAX_MISTAKES: usize = 64;

/// A key and its text.
pub(crate) type Entry = (At<Box<str>>, At<Box<str>>);

/// The entries of `source` in written order, and what is wrong with it.
pub(crate) fn read_flat(source: &Arc<Source>) -> (Vec<Entry>, Vec<Diagnostic>) {
    let root = match parse::parse(source.text()) {
        Ok(root) => Item::new(Value::Table(root), 0..0),
        Err(mistakes) => return (Vec::new(), syntax_errors(source, &mistakes)),
    };
    let mut found = Vec::new();
    let mut diagnostics = Vec::new();
    for (key, node) in Node::new(source, &root).entries().into_iter().flatten() {
        match node.value() {
            Value::String(text) => {
                let value = At::new(Box::from(&**text), node.at());
                found.push((At::new(key.text().into(), key.at()), value));
            }
            _ if diagnostics.len() >= MAX_MISTAKES => break,
            _ => {
                let message = format!("expected a string, found {}", node.kind());
                diagnostics.push(Diagnostic::error(Code::WrongType, node.at(), message));
            }
        }
    }
    (found, diagnostics)
}
