//! Tables that may be written as `"on"`.

use std::ops::Deref;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use crate::native::{Decoder, Node, Problem, Setting, Value};

/// A table all of whose keys have defaults: with those, it may be written as `"on"`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OrOn<T>(pub T);

const EXPECTED: &str = "\"on\", \"off\" or a table";

impl<T> Deref for OrOn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Setting + Default + PartialEq> Setting for OrOn<T> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => T::decode(node, decoder).map(Self),
            Value::String(text) if text == "on" => Some(Self::default()),
            Value::String(text) => {
                let problem = Problem::new(format!("`{text}` is neither on nor off"));
                decoder.bad_value(node.at(), problem.hint(EXPECTED));
                None
            }
            Value::Boolean(is_on) => {
                let hint = if *is_on { "write \"on\"" } else { "write \"off\"" };
                decoder.wrong_type_but(node, EXPECTED, hint)
            }
            _ => decoder.wrong_type(node, EXPECTED),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::default() {
            return serializer.serialize_str("on");
        }
        self.0.write(serializer)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "on" }, T::schema(generator)] })
    }
}
