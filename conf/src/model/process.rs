//! The process and how it is reached.

use std::path::PathBuf;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::text::{Count, OrOff};
use crate::at::At;
use crate::native::{Decoder, Node, Problem, Setting, Value};

model! {
    /// How the command line reaches the running process: `switchback reload`, `stop`, `status`.
    pub struct Control: Default {
        /// The Unix socket, readable by its owner alone, or `"off"`. Without it: beside `pid_file`, with `.sock` at its end;
        /// without either, both are where `switchback run` keeps such things (`/run/switchback` for root).
        pub socket: Option<At<OrOff<PathBuf>>> = None,
    }
}

/// How many threads serve requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One per core.
    #[default]
    Auto,
    /// So many.
    Count(Count<1, 1024>),
}

impl Setting for Workers {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::String(text) if text == "auto" => Some(Self::Auto),
            Value::Integer(..) => Count::decode(node, decoder).map(Self::Count),
            Value::String(text) => {
                let problem = Problem::new(format!("`{text}` is no number of threads"));
                decoder.bad_value(node.at(), problem.hint("write a number, or \"auto\""));
                None
            }
            _ => decoder.wrong_type(node, "\"auto\" or a number"),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => count.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "const": "auto" }, Count::<1, 1024>::schema(generator)] })
    }
}
