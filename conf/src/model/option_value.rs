//! Options whose meaning only a plugin knows: values as they were written, each with its place.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;
use serde_json::Value as Json;

use super::table::Table;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::native::{Decoder, Node, Setting, Value, Written};

/// The options of a plugin.
pub type Options = Table<Box<str>, At<OptionValue>>;

/// One option, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// `true` or `false`
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text, with environment variables replaced.
    Text(Box<str>),
    /// A list.
    List(Vec<At<Self>>),
    /// A table.
    Table(Options),
}

impl From<&str> for OptionValue {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl OptionValue {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Boolean(value) => Json::from(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Text(text) => Json::from(&**text),
            Self::List(items) => items.iter().map(|item| item.to_json()).collect(),
            Self::Table(table) => table.to_json(),
        }
    }
}

impl Options {
    /// As a JSON object.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::Object(self.iter().map(|(key, value)| (key.to_string(), value.to_json())).collect())
    }

    /// These, where `others` have none of the same name; and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let own = self.entries().filter(|(key, _)| others.find(&key.value).is_none());
        let all = own.chain(others.entries());
        Self::from_entries(all.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Where the option that `path` names was written, as in `rules[1].rate` or `rules.1.rate`; or as much of the path as there is.
    /// `None` when there is nothing of it.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<Location> {
        let mut steps = path.split(['.', '[', ']']).filter(|step| !matches!(*step, "" | "?"));
        let (mut at, mut value) = self.option(steps.next()?)?;
        for step in steps {
            let below = match &value.value {
                OptionValue::Table(table) => table.option(step),
                OptionValue::List(items) => {
                    let index: Option<usize> = step.parse().ok();
                    index.and_then(|index| items.get(index)).map(|item| (item.at.clone(), item))
                }
                _ => None,
            };
            let Some(below) = below else { break };
            (at, value) = below;
        }
        Some(at)
    }

    /// An option with the place of its key and its value together.
    fn option(&self, name: &str) -> Option<(Location, &At<OptionValue>)> {
        let (key, value) = self.entries().find(|(key, _)| &*key.value == name)?;
        Some((key.at.through(&value.at), value))
    }
}

impl Setting for OptionValue {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Boolean(value) => Some(Self::Boolean(*value)),
            Value::String(_) => Some(Self::Text(decoder.text(node, "a value")?.into())),
            Value::List(_) => Vec::decode(node, decoder).map(Self::List),
            Value::Table(_) => Table::decode(node, decoder).map(Self::Table),
            Value::Integer(digits, radix) => match i64::from_str_radix(digits, *radix) {
                Ok(number) => Some(Self::Integer(number)),
                Err(_) => out_of_range(node, digits, decoder),
            },
            Value::Float(digits) => {
                match digits.parse().ok().filter(|number: &f64| number.is_finite()) {
                    Some(number) => Some(Self::Float(number)),
                    None => out_of_range(node, digits, decoder),
                }
            }
            Value::Datetime => {
                decoder.wrong_type_but(node, "a value that JSON has", "a time is written in quotes")
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items.iter().map(Written)),
            Self::Table(table) => table.write(serializer),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

fn out_of_range<T>(node: Node<'_>, digits: &str, decoder: &mut Decoder<'_>) -> Option<T> {
    let message = format!("{digits} is not a number of 64 bits");
    decoder.report(Diagnostic::error(Code::OutOfRange, node.at(), message));
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::model::Options;
    use crate::read_text;

    const TEXT: &str = r#"[plugins.a.options]
rate = "5/s"
rules = [{ path = "/a" }, { path = "/b", deep = { x = 1.5 } }]
"key.with" = [true, -7]
"#;

    fn options(text: &str) -> Options {
        let config = read_text("a.toml", text, &BTreeMap::new()).value.unwrap();
        config.plugins.iter().next().unwrap().1.options.value.clone()
    }

    #[test]
    fn options_are_json_and_keep_their_places() {
        let options = options(TEXT);
        let json = r#"{"key.with":[true,-7],"rate":"5/s","rules":[{"path":"/a"},{"deep":{"x":1.5},"path":"/b"}]}"#;
        let expected: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(options.to_json(), expected);
        let at = |path: &str| options.locate(path).map(|at| at.to_string());
        assert_eq!(at("rate").as_deref(), Some("a.toml:2:1"));
        for path in ["rules[1].deep.x", "rules.1.deep.x", "rules[1].deep.?.x"] {
            assert_eq!(at(path).as_deref(), Some("a.toml:3:51"), "{path}");
        }
        assert_eq!(at("rules[1].gone").as_deref(), Some("a.toml:3:27"));
        assert_eq!((at("gone"), at("")), (None, None));
    }

    #[test]
    fn options_of_a_filter_take_the_place_of_those_of_the_same_name() {
        let own = options("plugins.a.options = { rate = 1, keep = { a = 1 } }");
        let others = options("plugins.b.options = { rate = 2, more = [] }");
        let both = own.with(&others).to_json().to_string();
        assert_eq!(both, r#"{"keep":{"a":1},"rate":2,"more":[]}"#);
    }
}
