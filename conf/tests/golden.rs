//! What is said about wrong configurations, word by word. `SWITCHBACK_BLESS=1` writes the expected reports anew.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use switchback_conf::load_file;

/// As it is shown: relative to the package, where tests run.
const FOLDER: &str = "tests/golden";

fn environment() -> BTreeMap<String, String> {
    let variables = [("PORT", "8080"), ("SECRET", "a$b{c}")];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn cases() -> Vec<PathBuf> {
    let files = Path::new(FOLDER).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    cases.sort();
    cases
}

#[test]
fn every_mistake_is_told_as_expected() {
    let bless = std::env::var_os("SWITCHBACK_BLESS").is_some();
    let mut different = Vec::new();
    for case in cases() {
        let report = load_file(&case, &environment()).report();
        let expected = case.with_extension("report");
        if bless {
            std::fs::write(&expected, &report).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            different.push(format!("{}:\n{report}", case.display()));
        }
    }
    assert!(different.is_empty(), "{}\nSWITCHBACK_BLESS=1 accepts these", different.join("\n"));
}

#[test]
fn what_is_said_does_not_change_from_one_reading_to_the_next() {
    for case in cases() {
        let first = load_file(&case, &environment());
        assert_eq!(first.report(), load_file(&case, &environment()).report(), "{}", case.display());
        assert_eq!(first.value.is_none(), first.has_errors());
    }
}
