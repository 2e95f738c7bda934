//! What is answered instead of an error.

use std::borrow::Cow;

use http::StatusCode;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::table::Table;
use super::text::{Name, OrText, Short, TemplateText};
use crate::at::At;
use crate::native::{Decoder, KeyText, Node, Problem, Setting, Value, integer};
use crate::plan::ErrorKey;

/// `{ 404 = "route", 5xx = "/path" }`.
pub type Errors = Table<ErrorKey, At<OrText<ErrorAnswer>>>;

model! {
    /// What is answered instead. Where only `route` is written, it alone will do: `404 = "not-found"`.
    pub struct ErrorAnswer {
        /// The name of a route of the same site, or a path such as `"/404.html"`: then that is looked for instead, as a GET
        /// without a body. A path is a template.
        pub route: At<ErrorTarget>,
        /// The status of the answer: 200 to 599, or 0 for what the other route says. Without it the status of the error.
        pub status: Option<ErrorStatus> = None,
    }
}

impl Short for ErrorAnswer {
    type Key = ErrorTarget;

    fn from_key(route: At<ErrorTarget>) -> Self {
        Self { route, status: None }
    }

    fn as_key(&self) -> Option<&ErrorTarget> {
        self.status.is_none().then_some(&self.route.value)
    }
}

/// Who answers instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorTarget {
    /// A route of the same site.
    Route(Name),
    /// What begins with `/`: another request for this path and query.
    Path(TemplateText),
}

impl Setting for ErrorTarget {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::String(text) if text.starts_with('/') => {
                TemplateText::decode(node, decoder).map(Self::Path)
            }
            Value::String(_) => Name::decode(node, decoder).map(Self::Route),
            _ => decoder.wrong_type(node, "the name of a route, a path or a table"),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Route(name) => serializer.serialize_str(name),
            Self::Path(path) => path.write(serializer),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The status of an answer that stands in for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStatus {
    /// `0`: its own.
    Own,
    /// This one.
    Is(StatusCode),
}

impl Setting for ErrorStatus {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let number = u16::try_from(integer(node, 0..=599, decoder)?).ok()?;
        match (number, StatusCode::from_u16(number)) {
            (0, _) => Some(Self::Own),
            (200..=203 | 206..=303 | 305..=599, Ok(status)) => Some(Self::Is(status)),
            _ => {
                let problem =
                    Problem::new(format!("an answer with the status {number} has no body"));
                decoder.bad_value(node.at(), problem.hint("0 is the status of the answer itself"));
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(match self {
            Self::Own => 0,
            Self::Is(status) => status.as_u16(),
        })
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 599 })
    }
}

impl KeyText for ErrorKey {
    fn from_key(text: &str) -> Result<Self, Problem> {
        match text {
            "4xx" => Ok(Self::Class(4)),
            "5xx" => Ok(Self::Class(5)),
            _ => match <StatusCode as KeyText>::from_key(text) {
                Ok(status) => Ok(Self::Status(status)),
                Err(problem) => Err(problem.hint("a class is written \"4xx\" or \"5xx\"")),
            },
        }
    }

    fn to_key(&self) -> Cow<'_, str> {
        match self {
            Self::Status(status) => Cow::Owned(status.as_str().to_owned()),
            Self::Class(class) => Cow::Owned(format!("{class}xx")),
        }
    }
}
