//! Lists and tables of settings, and settings with their place.

use std::collections::HashMap;
use std::hash::Hash;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;
use serde::ser::{SerializeMap as _, SerializeSeq as _};

use super::decode::{Decoder, KeyText, Setting, Written};
use super::node::{Key, Node};
use super::tree::Value;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{OneOrMany, Table};

impl<T: Setting> Setting for At<T> {
    const INDEPENDENT: bool = T::INDEPENDENT;

    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(Self::new(T::decode(node, decoder)?, node.at()))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.write(serializer)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Setting> Setting for Option<T> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        T::decode(node, decoder).map(Some)
    }

    /// `None` is never written: it is the absence of its key.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.write(serializer),
            None => serializer.serialize_none(),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const NAMES: bool = T::INDEPENDENT;

    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        Self::decode_all(&[node], decoder)
    }

    /// What several files say is strung together.
    fn decode_all(nodes: &[Node<'_>], decoder: &mut Decoder<'_>) -> Option<Self> {
        let mut list = Self::new();
        let mut all_right = true;
        for node in nodes {
            let Some(elements) = node.elements() else {
                let hint = "a list stands in brackets, `[…]`, even when it has one element";
                return decoder.wrong_type_but(*node, "a list", hint);
            };
            list.reserve_exact(elements.len());
            for element in elements {
                match T::decode(element, decoder) {
                    Some(value) => list.push(value),
                    None => all_right &= decoder.leave_out::<T>(element.text_of("name")).is_some(),
                }
            }
        }
        all_right.then_some(list)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter().try_for_each(|element| list.serialize_element(&Written(element)))?;
        list.end()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": T::schema(generator) })
    }
}

impl<T: Setting> Setting for OneOrMany<T> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::List(_) => Vec::decode(node, decoder).map(Self),
            _ => T::decode(node, decoder).map(|one| Self(vec![one])),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => one.write(serializer),
            _ => self.0.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [T::schema(generator), Vec::<T>::schema(generator)] })
    }
}

impl<K: KeyText + Hash + Eq, V: Setting> Setting for Table<K, V> {
    const NAMES: bool = V::INDEPENDENT;

    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        Self::decode_all(&[node], decoder)
    }

    /// What several files say is put together, but no key may be said twice.
    fn decode_all(nodes: &[Node<'_>], decoder: &mut Decoder<'_>) -> Option<Self> {
        let mut entries = Vec::new();
        for node in nodes {
            let Some(of_file) = node.entries() else {
                return decoder.wrong_type(*node, "a table");
            };
            entries.extend(of_file);
        }
        let mut table = Vec::with_capacity(entries.len());
        let mut all_right = true;
        for (key, node) in entries {
            let decoded = (decode_key(key, decoder), V::decode(node, decoder));
            match decoded {
                (Some(key), Some(value)) => table.push((key, value)),
                _ => all_right &= decoder.leave_out::<V>(Some(key.text())).is_some(),
            }
        }
        all_right &= each_key_once(&table, decoder) || V::INDEPENDENT;
        all_right.then_some(Self::from_entries(table))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.entries()
            .try_for_each(|(key, value)| map.serialize_entry(&key.to_key(), &Written(value)))?;
        map.end()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": V::schema(generator) })
    }
}

fn decode_key<K: KeyText>(key: Key<'_>, decoder: &mut Decoder<'_>) -> Option<At<K>> {
    match K::from_key(key.text()) {
        Ok(value) => Some(At::new(value, key.at())),
        Err(problem) => {
            decoder.bad_value(key.at(), problem);
            None
        }
    }
}

/// Two keys may be written differently and mean the same, as `X-A` and `x-a`; or stand in two files.
fn each_key_once<K: KeyText + Hash + Eq, V>(
    table: &[(At<K>, V)],
    decoder: &mut Decoder<'_>,
) -> bool {
    if table.len() < 2 {
        return true;
    }
    let mut seen: HashMap<&K, &At<K>> = HashMap::with_capacity(table.len());
    let mut all_once = true;
    for (key, _) in table {
        if let Some(first) = seen.insert(&key.value, key) {
            let message = format!("`{}` is given twice", key.to_key());
            let diagnostic = Diagnostic::error(Code::Duplicate, key.at.clone(), message);
            decoder.report(diagnostic.hint(format!("first given at {}", first.at)));
            all_once = false;
        }
    }
    all_once
}
