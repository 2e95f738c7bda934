//! Earlier versions against which later ones are encoded.

use switchback_value::PathGlob;

use super::define::model;
use super::text::{OrOff, OrText, Short};
use crate::at::At;
use crate::units::{Size, Timeout};

/// `dictionary = "/assets/app.*.js"`, `dictionary = { match = "/assets/app.*.js" }` or `dictionary = "off"`.
pub type DictionaryOrOff = OrOff<OrText<Dictionary>>;

model! {
    /// Encodes answers against earlier versions that a client has, so that little more is sent than what has changed (RFC 9842).
    /// Browsers do so over HTTPS alone. Where only `match` is written, it alone will do: `dictionary = "/assets/app.*.js"`.
    pub struct Dictionary {
        /// The paths that are versions of one thing; each `*` stands for anything. An answer from such a path, when it is stored,
        /// becomes the dictionary for all of them. Paths are compared as clients write them.
        pub pattern as "match": At<PathGlob>,
        /// How long a version is kept to encode against, since it was sent last.
        pub max_age: Timeout = Timeout::days(30),
        /// A name that clients send back with the dictionary they have.
        pub id: Option<At<Box<str>>> = None,
    }
}

impl Short for Dictionary {
    type Key = PathGlob;

    fn from_key(pattern: At<PathGlob>) -> Self {
        Self { pattern, max_age: Timeout::days(30), id: None }
    }

    fn as_key(&self) -> Option<&PathGlob> {
        (*self == Self::from_key(self.pattern.clone())).then_some(&self.pattern.value)
    }
}

model! {
    /// What is kept to encode against, of all routes together.
    pub struct Dictionaries: Default {
        /// How many bytes it may have. What is used least goes first.
        pub memory: At<Size> = Size::mib(32).into(),
    }
}
