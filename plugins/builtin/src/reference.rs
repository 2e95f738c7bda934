//! The reference of all plugins in the README of this package, written from the schemas of their options.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::modules;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- Written by the test `the_readme_has_every_option`. -->\n";

/// The README as it must be. `SWITCHBACK_BLESS=1` writes it.
#[test]
fn the_readme_has_every_option() {
    let written = std::fs::read_to_string(README).unwrap();
    let (by_hand, _) =
        written.split_once(BEGIN).expect("the line that says where the reference begins");
    let wanted = format!("{by_hand}{BEGIN}{}", reference());
    if std::env::var_os("SWITCHBACK_BLESS").is_some() {
        std::fs::write(README, wanted).unwrap();
        return;
    }
    assert!(
        written == wanted,
        "SWITCHBACK_BLESS=1 cargo test -p switchback-plugin-builtin writes {README}"
    );
}

fn reference() -> String {
    let schemas: Vec<(String, Value)> = modules()
        .iter()
        .map(|module| {
            let schema = module.schema().expect("a schema");
            (module.name().to_owned(), serde_json::from_str(&schema).expect("JSON"))
        })
        .collect();
    let mut text = String::from("\n| plugin | what it does |\n| --- | --- |\n");
    for (name, schema) in &schemas {
        let what = line(schema);
        let first = what.split_inclusive(". ").next().unwrap_or(&what).trim();
        writeln!(text, "| [`{name}`](#{name}) | {first} |").unwrap();
    }
    for (name, schema) in &schemas {
        write!(text, "\n## {name}\n\n{}\n", line(schema)).unwrap();
        table(&mut text, schema, schema);
        for (part, definition) in definitions(schema) {
            if definition.get("properties").is_some() {
                write!(text, "\n**{part}**: {}\n", line(definition)).unwrap();
                table(&mut text, definition, schema);
            }
        }
    }
    text
}

fn definitions(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("$defs").and_then(Value::as_object).into_iter().flatten()
}

fn table(text: &mut String, schema: &Value, whole: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if properties.is_empty() {
        return;
    }
    text.push_str(
        "\n| option | what is written there | default | meaning |\n| --- | --- | --- | --- |\n",
    );
    let required = schema.get("required").and_then(Value::as_array);
    for (name, property) in properties {
        let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
        let default = match property.get("default") {
            _ if is_required => "(must be said)".to_owned(),
            Some(Value::Null) | None => String::new(),
            Some(value) => format!("`{value}`"),
        };
        let kind = cell(&kind(property, whole));
        writeln!(text, "| `{name}` | {kind} | {} | {} |", cell(&default), line(property)).unwrap();
    }
}

/// What may be written there, for people.
fn kind(property: &Value, whole: &Value) -> String {
    let map = Map::new();
    let property = property.as_object().unwrap_or(&map);
    for several in ["anyOf", "oneOf"] {
        if let Some(kinds) = property.get(several).and_then(Value::as_array) {
            let kinds: Vec<String> = kinds
                .iter()
                .filter(|one| one["type"] != "null")
                .map(|one| kind(one, whole))
                .collect();
            return kinds.join(", ");
        }
    }
    if let Some(target) = property.get("$ref").and_then(Value::as_str) {
        let name = target.rsplit('/').next().unwrap_or(target);
        let mut all = definitions(whole);
        return match all.find(|(own, _)| *own == name) {
            Some((_, words)) if words.get("properties").is_none() => kind(words, whole),
            _ => name.to_owned(),
        };
    }
    if let Some(word) = property.get("const") {
        return format!("`{word}`");
    }
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    let name = match property.get("type") {
        Some(Value::Array(kinds)) => {
            kinds.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null"))
        }
        Some(kind) => kind.as_str(),
        None => None,
    };
    match name {
        Some("array") => format!(
            "list of {}",
            property.get("items").map(|items| kind(items, whole)).unwrap_or_default()
        ),
        Some("object") => match property.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("table of {}", kind(values, whole)),
            _ => "table".to_owned(),
        },
        Some("string") => {
            property.get("format").and_then(Value::as_str).unwrap_or("text").to_owned()
        }
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        _ => String::new(),
    }
}

fn line(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    cell(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// In a table, `|` ends a cell, in code as well.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
