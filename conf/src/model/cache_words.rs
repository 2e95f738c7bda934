//! The small words in which caching is told.

use std::borrow::Cow;

use http::StatusCode;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use crate::at::At;
use crate::native::{Decoder, FromText, KeyText, Node, Problem, Setting, Value};

/// Which responses a lifetime is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TtlKey {
    /// Those with this status.
    Status(StatusCode),
    /// Those with any other.
    Any,
}

impl KeyText for TtlKey {
    fn from_key(text: &str) -> Result<Self, Problem> {
        match text {
            "any" => Ok(Self::Any),
            _ => match <StatusCode as KeyText>::from_key(text) {
                Ok(status) => Ok(Self::Status(status)),
                Err(problem) => Err(problem.hint("all others are written \"any\"")),
            },
        }
    }

    fn to_key(&self) -> Cow<'_, str> {
        match self {
            Self::Status(status) => Cow::Owned(status.as_str().to_owned()),
            Self::Any => Cow::Borrowed("any"),
        }
    }
}

/// A part of the time since `Last-Modified`, in hundredths: `"10%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic(u8);

impl Heuristic {
    /// What RFC 9111 suggests.
    pub const TENTH: Self = Self(10);

    /// So many hundredths, 1 to 100.
    #[must_use]
    pub fn percent(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// The hundredths.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl FromText for Heuristic {
    const EXPECTED: &'static str = "a percentage such as \"10%\", or \"off\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        number.and_then(Self::percent).ok_or_else(|| {
            Problem::new(format!("`{text}` is not {}", Self::EXPECTED)).hint("1% to 100%")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}%", self.0))
    }
}

/// What a stale response may stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleOn {
    /// No usable answer.
    Error,
    /// None in time.
    Timeout,
    /// An answer with this status.
    Status(StatusCode),
}

impl StaleOn {
    /// Trouble that is not the client's (RFC 5861, section 4).
    pub(super) fn by_default() -> Vec<At<Self>> {
        let statuses = [
            StatusCode::INTERNAL_SERVER_ERROR,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        let statuses = statuses.into_iter().map(Self::Status);
        [Self::Error, Self::Timeout].into_iter().chain(statuses).map(At::from).collect()
    }

    fn of_status(number: &str) -> Option<Self> {
        let status = number.parse().ok().and_then(|number| StatusCode::from_u16(number).ok())?;
        matches!(status.as_u16(), 403 | 404 | 429 | 500..=599).then_some(Self::Status(status))
    }
}

impl FromText for StaleOn {
    const EXPECTED: &'static str = "what a stale response may stand in for";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let meant = match text {
            "error" => Some(Self::Error),
            "timeout" => Some(Self::Timeout),
            _ => Self::of_status(text),
        };
        meant.ok_or_else(|| {
            Problem::new(format!("`{text}` is not {}", Self::EXPECTED))
                .hint("\"error\", \"timeout\", or one of 403, 404, 429 and 500 to 599, in quotes")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Error => Cow::Borrowed("error"),
            Self::Timeout => Cow::Borrowed("timeout"),
            Self::Status(status) => Cow::Owned(status.as_str().to_owned()),
        }
    }
}

/// What of a query belongs to a key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyQuery {
    /// All of it, as it is.
    All,
    /// Nothing.
    None,
    /// Some of its arguments.
    Some(KeyArguments),
}

model! {
    /// Arguments of a query, by name; a `*` at the end stands for anything. Exactly one of both.
    pub struct KeyArguments: Default {
        /// These alone.
        pub only: Vec<At<Box<str>>> = Vec::new(),
        /// All but these.
        pub except: Vec<At<Box<str>>> = Vec::new(),
    }
}

impl Setting for KeyQuery {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => KeyArguments::decode(node, decoder).map(Self::Some),
            Value::String(text) if text == "all" => Some(Self::All),
            Value::String(text) if text == "none" => Some(Self::None),
            _ => {
                let problem = Problem::new("this is not a choice of arguments");
                let hint = r#""all", "none", { only = ["page"] } or { except = ["utm_*"] }"#;
                decoder.bad_value(node.at(), problem.hint(hint));
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::None => serializer.serialize_str("none"),
            Self::Some(arguments) => arguments.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let words = json_schema!({ "enum": ["all", "none"] });
        json_schema!({ "anyOf": [words, KeyArguments::schema(generator)] })
    }
}
