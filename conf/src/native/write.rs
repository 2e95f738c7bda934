//! A configuration as TOML: only what differs from the defaults, nouns as tables of their own, the rest on one line each.

use serde_json::{Map, Value};

use crate::model::Config;

impl Config {
    /// The configuration as a native file. Reading it gives an equal configuration.
    ///
    /// Includes and environment variables are not in it: their content is.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Ok(Value::Object(root)) = serde_json::to_value(self) else { return String::new() };
        let mut out = String::new();
        write_table(&mut out, "", &root);
        out
    }
}

/// Tables with a header of their own, by the path of names that leads to them; a star is any name.
const WITH_HEADER: [&[&str]; 7] = [
    &["control"],
    &["forwarding"],
    &["log"],
    &["log", "access"],
    &["listeners"],
    &["sites"],
    &["sites", "routes"],
];

fn has_header(path: &str) -> bool {
    let names: Vec<_> = path.split('.').collect();
    WITH_HEADER.contains(&&*names) || names.first() == Some(&"upstreams")
}

/// Everything below the header `path`, which is written already: values first, as TOML demands.
fn write_table(out: &mut String, path: &str, table: &Map<String, Value>) {
    let path_of =
        |key: &str| if path.is_empty() { bare(key) } else { format!("{path}.{}", bare(key)) };
    let is_upstream = path.starts_with("upstreams.");
    let (below, values): (Vec<_>, Vec<_>) = table
        .iter()
        .partition(|(key, value)| !is_upstream && has_header(&path_of(key)) && is_tables(value));
    for (key, value) in values {
        out.push_str(&format!("{} = ", bare(key)));
        write_value(out, value);
        out.push('\n');
    }
    for (key, value) in below {
        write_below(out, &path_of(key), value);
    }
}

fn is_tables(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(elements) => !elements.is_empty() && elements.iter().all(Value::is_object),
        _ => false,
    }
}

fn write_below(out: &mut String, path: &str, value: &Value) {
    let header = |out: &mut String, header: String, table: &Map<String, Value>| {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&header);
        write_table(out, path, table);
    };
    match value {
        Value::Object(tables) if path == "upstreams" => {
            for (name, upstream) in tables {
                write_below(out, &format!("{path}.{}", bare(name)), upstream);
            }
        }
        Value::Object(table) => header(out, format!("[{path}]\n"), table),
        Value::Array(tables) => {
            for table in tables.iter().filter_map(Value::as_object) {
                header(out, format!("[[{path}]]\n"), table);
            }
        }
        _ => {}
    }
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => quote(out, text),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_value(out, element);
            }
            out.push(']');
        }
        Value::Object(table) if table.is_empty() => out.push_str("{}"),
        Value::Object(table) => {
            for (index, (key, value)) in table.iter().enumerate() {
                out.push_str(if index == 0 { "{ " } else { ", " });
                out.push_str(&format!("{} = ", bare(key)));
                write_value(out, value);
            }
            out.push_str(" }");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// A key, in quotes where it needs them.
fn bare(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !key.is_empty() && key.bytes().all(is_bare) {
        return key.to_owned();
    }
    let mut quoted = String::new();
    quote(&mut quoted, key);
    quoted
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if character.is_control() => {
                out.push_str(&format!("\\u{:04X}", u32::from(character)))
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}
