//! The page of reference and the schema are those of the types.

#![cfg(test)]

use std::path::Path;

use serde_json::Value;
use switchback_conf::{reference, schema};

#[test]
fn the_readme_is_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    if std::env::var_os("SWITCHBACK_BLESS").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let readme = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(readme == reference(), "SWITCHBACK_BLESS=1 writes {} anew", path.display());
}

#[test]
fn every_key_of_the_schema_is_explained() {
    fn check(name: &str, value: &Value) {
        for (key, property) in
            value.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let doc = property.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(doc.ends_with('.') && doc.len() > 10, "{name}.{key}: {doc:?}");
        }
    }
    let schema = schema();
    check("Config", &schema);
    let tables = schema["$defs"].as_object().unwrap();
    assert!(tables.len() >= 15, "{}", tables.len());
    tables.iter().for_each(|(name, table)| check(name, table));
}

#[test]
fn the_schema_tells_defaults_bounds_and_required_keys() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["shutdown_timeout"]["default"], "30s");
    let listener = &schema["$defs"]["Listener"];
    assert_eq!(listener["required"], serde_json::json!(["address"]));
    assert_eq!(schema["$defs"]["Limits"]["properties"]["target"]["default"], "8KiB");
    let weight = &schema["$defs"]["Endpoint"]["properties"]["weight"];
    assert_eq!((&weight["minimum"], &weight["maximum"]), (&0.into(), &1000.into()));
    assert_eq!(schema["$defs"]["Site"]["properties"]["encoded_slash"]["enum"][1], "decode");
}

/// What may be written as `"on"` is told to be `"on"`, `"off"` or a table: so it may be each of these.
#[test]
fn whatever_is_switched_on_is_switched_off() {
    fn count(value: &Value, may_be_off: bool, found: &mut usize) {
        let words = |word: &str| -> bool {
            let any = value.get("anyOf").and_then(Value::as_array);
            any.is_some_and(|any| any.iter().any(|one| one["const"] == word))
        };
        let may_be_off = may_be_off || words("off");
        if words("on") {
            assert!(may_be_off, "{value}");
            *found += 1;
        }
        match value {
            Value::Object(all) => {
                let below = |key: &str| may_be_off && key == "anyOf";
                all.iter().for_each(|(key, value)| count(value, below(key), found));
            }
            Value::Array(all) => all.iter().for_each(|value| count(value, may_be_off, found)),
            _ => {}
        }
    }
    let mut found = 0;
    count(&schema(), false, &mut found);
    assert!(found >= 6, "{found}");
}
