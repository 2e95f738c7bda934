//! Options of plugins: JSON texts that are read strictly, with the place of what is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::setup::BuildError;

/// Options of a JSON object; an empty text is one without keys. Keys that the type does not know are refused, whether it says so or not.
///
/// # Errors
///
/// What is wrong, and where: as in `rules[1].rate`.
pub fn read<T: DeserializeOwned + JsonSchema>(json: &str) -> Result<T, BuildError> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    if !json.trim_start().starts_with('{') {
        // A struct could be read of a list, too, by the order of its fields.
        return Err(BuildError::new("", "options are an object"));
    }
    let mut unknown = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| {
        unknown.get_or_insert_with(|| place(&path));
    });
    let value = read.map_err(|error: serde_json::Error| {
        let path = track.path().to_string();
        // What it cannot name, it writes as `?`: a key that is no string, or no key yet.
        let path = path.trim_end_matches(['?', '.']);
        BuildError::new(path, without_place(&error.to_string()))
    })?;
    deserializer
        .end()
        .map_err(|error| BuildError::new("", without_place(&error.to_string()).to_owned()))?;
    match unknown {
        Some(key) => Err(unknown_key::<T>(key)),
        None => Ok(value),
    }
}

/// As `serde_path_to_error` writes it.
fn place(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => {
            let mut place = place(parent);
            // Writing to a String cannot fail.
            let _ = write!(place, "[{index}]");
            place
        }
        Path::Map { parent, key } => match place(parent) {
            place if place.is_empty() => key.clone(),
            place => format!("{place}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => place(parent),
    }
}

fn unknown_key<T: JsonSchema>(path: String) -> BuildError {
    let schema = schemars::schema_for!(T);
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    let is_nested = path.contains(['.', '[']);
    let error = BuildError::new(path, "unknown option");
    match properties {
        Some(known) if !is_nested && !known.is_empty() => {
            let known: Vec<_> = known.keys().map(|key| format!("`{key}`")).collect();
            error.with_help(format!("known are {}", known.join(", ")))
        }
        _ => error,
    }
}

/// The place within the JSON text is that of no file an operator knows.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

/// Options with everything that options may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Sample {
    name: String,
    limit: Option<Limit>,
    rules: Vec<Rule>,
    by_host: BTreeMap<String, Rule>,
    mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Limit {
    rate: u32,
    burst: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Rule {
    path: String,
    limit: Option<Limit>,
    deny: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    #[default]
    Soft,
    Hard,
}

/// What the fuzzer runs: options that are accepted are the same when they are written down and read again, and a mistake has a place that
/// begins in the text.
///
/// # Panics
///
/// When that is not so.
pub fn check_options(json: &[u8]) {
    let Ok(json) = std::str::from_utf8(json) else { return };
    match read::<Sample>(json) {
        Ok(sample) => {
            let written = serde_json::to_string(&sample).unwrap_or_default();
            assert_eq!(read::<Sample>(&written), Ok(sample));
        }
        Err(error) => {
            assert!(!error.message.is_empty() && !error.message.contains(" at line "), "{error:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn said(json: &str) -> String {
        read::<Sample>(json).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (json, wanted) in [
            ("", ""),
            ("{}", ""),
            (r#"{"rules": [{"path": "/", "deny": true}]}"#, ""),
            ("[]", "options are an object"),
            ("null", "options are an object"),
            ("{} {}", "trailing characters"),
            ("{", "EOF while parsing an object"),
            (
                r#"{"nam": "a"}"#,
                "nam: unknown option (known are `name`, `limit`, `rules`, `by_host`, `mode`)",
            ),
            (r#"{"limit": {"rate": 1, "brust": 2}}"#, "limit.brust: unknown option"),
            (
                r#"{"rules": [{"path": "/", "deny": true}, {"path": "/", "deny": true, "x": 1}]}"#,
                "rules[1].x: unknown option",
            ),
            (
                r#"{"by_host": {"a": {"path": "/", "deny": "yes"}}}"#,
                "by_host.a.deny: invalid type: string \"yes\", expected a boolean",
            ),
            (r#"{"limit": {}}"#, "limit: missing field `rate`"),
            (r#"{"limit": {"rate": -1}}"#, "limit.rate: invalid value: integer `-1`, expected u32"),
            (r#"{"mode": "sof"}"#, "mode: unknown variant `sof`, expected `soft` or `hard`"),
            (r#"{"name": "a", "name": "b"}"#, "duplicate field `name`"),
        ] {
            assert_eq!(said(json), wanted, "{json}");
        }
    }

    fn limit() -> impl Strategy<Value = Limit> {
        (any::<u32>(), any::<Option<u32>>()).prop_map(|(rate, burst)| Limit { rate, burst })
    }

    fn rule() -> impl Strategy<Value = Rule> {
        (".{0,8}", prop::option::of(limit()), any::<bool>()).prop_map(|(path, limit, deny)| Rule {
            path,
            limit,
            deny,
        })
    }

    fn sample() -> impl Strategy<Value = Sample> {
        (
            ".{0,8}",
            prop::option::of(limit()),
            prop::collection::vec(rule(), 0..4),
            prop::collection::btree_map("[a-z]{1,4}", rule(), 0..4),
            prop::bool::ANY.prop_map(|hard| if hard { Mode::Hard } else { Mode::Soft }),
        )
            .prop_map(|(name, limit, rules, by_host, mode)| Sample {
                name,
                limit,
                rules,
                by_host,
                mode,
            })
    }

    fn joined(place: &str, key: &str) -> String {
        if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
    }

    /// Objects that are read as structs, with their places.
    fn objects<'v>(value: &'v mut Value, place: &str, found: &mut Vec<(String, &'v mut Value)>) {
        let join = |key: &str| joined(place, key);
        if place == "by_host" {
            // Its keys are anybody's.
            let fields = value.as_object_mut().into_iter().flatten();
            return fields.for_each(|(key, value)| objects(value, &join(key), found));
        }
        match value {
            Value::Object(_) => found.push((place.to_owned(), value)),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    objects(item, &format!("{place}[{index}]"), found);
                }
            }
            _ => {}
        }
    }

    /// One of the objects, however deep.
    fn spoil(value: &mut Value, path: &[usize], place: &str, key: &str, with: &Value) -> String {
        let join = |key: &str| joined(place, key);
        if let [next, rest @ ..] = path
            && let Value::Object(fields) = value
        {
            let mut inner = Vec::new();
            for (key, value) in fields.iter_mut() {
                objects(value, &join(key), &mut inner);
            }
            if !inner.is_empty() {
                let chosen = next % inner.len();
                let (place, value) = inner.swap_remove(chosen);
                return spoil(value, rest, &place, key, with);
            }
        }
        value[key] = with.clone();
        join(key)
    }

    proptest! {
        #[test]
        fn what_is_right_is_read_as_it_was_written(sample in sample()) {
            let written = serde_json::to_string(&sample).unwrap();
            prop_assert_eq!(read::<Sample>(&written), Ok(sample));
        }

        #[test]
        fn a_key_too_many_is_found_wherever_it_is(
            sample in sample(),
            path in prop::collection::vec(any::<usize>(), 0..3),
        ) {
            let mut value = serde_json::to_value(&sample).unwrap();
            let place = spoil(&mut value, &path, "", "surplus", &json!({"a": [1]}));
            let error = read::<Sample>(&value.to_string()).unwrap_err();
            prop_assert_eq!((error.path, error.message), (place, "unknown option".to_owned()));
        }

        #[test]
        fn a_value_of_the_wrong_kind_is_found_wherever_it_is(
            sample in sample(),
            path in prop::collection::vec(any::<usize>(), 0..3),
        ) {
            let mut value = serde_json::to_value(&sample).unwrap();
            let place = spoil(&mut value, &path, "", "limit", &json!(["no", "limit"]));
            // A limit has no limit of its own.
            let is_limit = place.ends_with("limit.limit");
            let error = read::<Sample>(&value.to_string()).unwrap_err();
            prop_assert!(error.path.starts_with(&place), "{error:?} {place}");
            prop_assert_eq!(error.message == "unknown option", is_limit);
        }

        #[test]
        fn nothing_at_all_makes_it_fall_over(text in ".{0,40}") {
            check_options(text.as_bytes());
            check_options(format!("{{\"name\":{text}}}").as_bytes());
        }
    }
}
