//! Words of actions, and what came of them as text.

use switchback_plugin::{Outcome, Refused, Value};

/// `_` is empty, `~` is a space.
pub(crate) fn word(word: &str) -> String {
    if word == "_" { String::new() } else { word.replace('~', " ") }
}

/// What was found, byte for byte.
pub(crate) fn found(value: Option<Value<'_>>) -> String {
    value.map_or("nothing".to_owned(), |value| format!("`{}`", value.escape_ascii()))
}

/// Whether it was done.
pub(crate) fn done(result: Result<(), Refused>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(refused) => format!("{refused:?}"),
    }
}

/// What came of an operation. Headers are in the order in which they came.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}
