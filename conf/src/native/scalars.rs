//! Settings of one value: truths, numbers and paths.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::decode::{Decoder, Problem, Setting};
use super::node::Node;
use super::tree::Value;
use crate::diagnostic::{Code, Diagnostic};

impl Setting for bool {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Boolean(value) => Some(*value),
            _ => decoder.wrong_type(node, "true or false"),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(*self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// The whole number of `node` within `range`.
pub(crate) fn integer(
    node: Node<'_>,
    range: RangeInclusive<i64>,
    decoder: &mut Decoder<'_>,
) -> Option<i64> {
    let Value::Integer(digits, radix) = node.value() else {
        return decoder.wrong_type(node, "an integer");
    };
    let value = i64::from_str_radix(digits, *radix).ok().filter(|value| range.contains(value));
    if value.is_none() {
        let message = format!("{digits} is not between {} and {}", range.start(), range.end());
        decoder.report(Diagnostic::error(Code::OutOfRange, node.at(), message));
    }
    value
}

impl Setting for i32 {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let value = integer(node, Self::MIN.into()..=Self::MAX.into(), decoder)?;
        Self::try_from(value).ok()
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(*self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": Self::MIN, "maximum": Self::MAX })
    }
}

impl Setting for PathBuf {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, "a path")?;
        if text.is_empty() {
            decoder.bad_value(node.at(), Problem::new("a path must not be empty"));
            return None;
        }
        Some(node.directory().join(&*text))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string_lossy())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path" })
    }
}
