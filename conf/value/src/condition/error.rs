//! What can be wrong with the text of a condition, and what to write instead.

use std::ops::Range;

use crate::template::{TemplateError, TemplateErrorKind};

/// How deep parentheses and exclamation marks may nest: a bound for the stack, far beyond what anybody can read.
pub(super) const MAX_DEPTH: usize = 32;
/// What may stand where a test begins.
pub(super) const TEST: &str = "a condition";
/// What may stand behind an operator.
pub(super) const STRING: &str = "a text in quotes";

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ConditionError {
    /// The bytes of the text that are wrong; empty at its end when something is missing there.
    pub at: Range<usize>,
    /// What is wrong with them.
    pub kind: ConditionErrorKind,
}

impl ConditionError {
    /// What to write instead, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match &self.kind {
            ConditionErrorKind::Value(kind) => kind.hint(),
            ConditionErrorKind::Unexpected { expected, found } => {
                other_spelling(expected, found).map(str::to_owned)
            }
            ConditionErrorKind::Network { .. } => {
                Some("networks are written `10.0.0.0/8` or `2001:db8::/32`".to_owned())
            }
            ConditionErrorKind::OnlyText { .. } => {
                Some("only `$remote_addr` can be looked for in networks".to_owned())
            }
            ConditionErrorKind::Regex { .. } | ConditionErrorKind::Method { .. } => None,
            ConditionErrorKind::UnclosedString => {
                Some("a quote within a string is written `\\\"`".to_owned())
            }
            ConditionErrorKind::TooDeep => Some(format!("at most {MAX_DEPTH} levels")),
        }
    }
}

/// What can be wrong with a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionErrorKind {
    /// A variable or template in it is wrong.
    #[error(transparent)]
    Value(#[from] TemplateErrorKind),
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What should stand here.
        expected: &'static str,
        /// What stands here.
        found: Box<str>,
    },
    /// A string without its second quote.
    #[error("this string is never closed")]
    UnclosedString,
    /// Not a regex.
    #[error("not a regular expression: {reason}")]
    Regex {
        /// The reason, in one line.
        reason: Box<str>,
    },
    /// An entry of `$remote_addr in [..]` that is neither address nor network.
    #[error("`{text}` is neither an address nor a network")]
    Network {
        /// The entry.
        text: Box<str>,
    },
    /// A network in a list that is compared as text.
    #[error("`{text}` is a network, but `{variable}` is compared as text")]
    OnlyText {
        /// The entry.
        text: Box<str>,
        /// The left side as it is written.
        variable: Box<str>,
    },
    /// An entry of `$request_method in [..]` that is not a method.
    #[error("`{text}` is not a method")]
    Method {
        /// The entry.
        text: Box<str>,
    },
    /// Nested beyond reason.
    #[error("nested too deep")]
    TooDeep,
}

impl From<TemplateError> for ConditionError {
    fn from(error: TemplateError) -> Self {
        Self { at: error.at, kind: ConditionErrorKind::Value(error.kind) }
    }
}

/// What to write instead of what was found, for signs and words of other languages.
fn other_spelling(expected: &str, found: &str) -> Option<&'static str> {
    match found {
        "`=`" | "`===`" => Some("equality is written `==`"),
        "`and`" | "`&`" => Some("`and` is written `&&`"),
        "`or`" | "`|`" => Some("`or` is written `||`"),
        "`not`" => Some("`not` is written `!`"),
        _ if expected == TEST => Some("a condition begins with a variable, such as `$host`"),
        _ => None,
    }
}
