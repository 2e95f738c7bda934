//! The one definition of a table of the configuration.

/// Defines a table: a struct with its documentation, the decoder that knows its keys, the defaults, the writer that leaves
/// defaults out, and the JSON Schema.
///
/// A field without a default must be written; `as "key"` names a key that is not a good name for a field. With `: Default`
/// every field has a default and the struct has one too. Fields behind `..` are no keys; they do not count in comparisons.
macro_rules! model {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident : Default {
            $(
                $(#[doc = $field_doc:literal])*
                pub $field:ident $(as $key:literal)? : $type:ty = $default:expr,
            )*
            $(..
                $(#[doc = $beside_doc:literal])*
                pub $beside:ident : $beside_type:ty,
            )?
        }
    ) => {
        $crate::model::define::model! {
            $(#[doc = $doc])*
            pub struct $name {
                $($(#[doc = $field_doc])* pub $field $(as $key)? : $type = $default,)*
                $(.. $(#[doc = $beside_doc])* pub $beside : $beside_type,)?
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($beside: Default::default(),)? }
            }
        }
    };

    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                pub $field:ident $(as $key:literal)? : $type:ty $(= $default:expr)?,
            )*
            $(..
                $(#[doc = $beside_doc:literal])*
                pub $beside:ident : $beside_type:ty,
            )?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $field_doc])* pub $field: $type,)*
            $($(#[doc = $beside_doc])* pub $beside: $beside_type,)?
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                true $(&& self.$field == other.$field)*
            }
        }

        impl $crate::native::Setting for $name {
            const INDEPENDENT: bool = true;

            fn decode(
                node: $crate::native::Node<'_>,
                decoder: &mut $crate::native::Decoder<'_>,
            ) -> Option<Self> {
                Self::decode_all(&[node], decoder)
            }

            /// What several files say is put together, key by key.
            fn decode_all(
                nodes: &[$crate::native::Node<'_>],
                decoder: &mut $crate::native::Decoder<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($crate::model::define::key!($field $($key)?)),*];
                $(let mut $field = $crate::native::Found::default();)*
                for node in nodes {
                    let Some(entries) = node.entries() else {
                        return decoder.wrong_type(*node, "a table");
                    };
                    for (key, value) in entries {
                        $(if key.text() == $crate::model::define::key!($field $($key)?) {
                            $field.add(value);
                            continue;
                        })*
                        decoder.unknown_key(key, KEYS);
                    }
                }
                decoder.enter();
                $(let $field: Option<$type> = $crate::model::define::field!(
                    decoder, $field, $crate::model::define::key!($field $($key)?), nodes $(, $default)?
                );)*
                decoder.leave();
                Some(Self { $($field: $field?,)* $($beside: Default::default(),)? })
            }

            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $(if $crate::model::define::differs!(self.$field $(, $default)?) {
                    let key = $crate::model::define::key!($field $($key)?);
                    map.serialize_entry(key, &$crate::native::Written(&self.$field))?;
                })*
                map.end()
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::native::Setting::write(self, serializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut table = $crate::model::define::TableSchema::new(&[$($doc),*]);
                $(
                    let schema = <$type as $crate::native::Setting>::schema(generator);
                    let default = $crate::model::define::default_of!($type $(, $default)?);
                    let key = $crate::model::define::key!($field $($key)?);
                    table.add(key, &[$($field_doc),*], schema, default);
                )*
                table.finish()
            }
        }
    };
}

/// The key of a field.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// The value of a field, from what was found of it.
macro_rules! field {
    ($decoder:ident, $found:ident, $key:expr, $tables:ident, $default:expr) => {
        $decoder.optional(&$found, || $default)
    };
    ($decoder:ident, $found:ident, $key:expr, $tables:ident) => {
        $decoder.required(&$found, $key, $tables)
    };
}

/// Whether a field has to be written.
macro_rules! differs {
    ($own:expr, $default:expr) => {
        $own != $default
    };
    ($own:expr) => {
        true
    };
}

/// The default of a field for its schema.
macro_rules! default_of {
    ($type:ty, $default:expr) => {{
        let default: $type = $default;
        $crate::model::define::Presence::optional(&default)
    }};
    ($type:ty) => {
        $crate::model::define::Presence::Required
    };
}

pub(crate) use {default_of, differs, field, key, model};

use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::native::{Setting, Written};

/// Whether a key must be written, and what holds otherwise.
pub(crate) enum Presence {
    Required,
    /// `Null` where the default is that there is none.
    Optional(Value),
}

impl Presence {
    pub(crate) fn optional<T: Setting>(default: &T) -> Self {
        Self::Optional(serde_json::to_value(Written(default)).unwrap_or_default())
    }
}

/// The schema of one table, key by key.
pub(crate) struct TableSchema {
    description: String,
    properties: Map<String, Value>,
    required: Vec<&'static str>,
}

impl TableSchema {
    pub(crate) fn new(doc: &[&str]) -> Self {
        Self { description: text(doc), properties: Map::new(), required: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        key: &'static str,
        doc: &[&str],
        mut schema: Schema,
        presence: Presence,
    ) {
        schema.insert("description".to_owned(), text(doc).into());
        match presence {
            Presence::Required => self.required.push(key),
            Presence::Optional(Value::Null) => {}
            Presence::Optional(default) => {
                schema.insert("default".to_owned(), default);
            }
        }
        self.properties.insert(key.to_owned(), schema.to_value());
    }

    pub(crate) fn finish(self) -> Schema {
        let Self { description, properties, required } = self;
        let mut schema = schemars::json_schema!({
            "type": "object",
            "description": description,
            "properties": properties,
            "additionalProperties": false,
        });
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        schema
    }
}

/// The lines of a documentation comment as one text.
fn text(doc: &[&str]) -> String {
    let lines: Vec<_> = doc.iter().map(|line| line.trim()).collect();
    lines.join("\n")
}
