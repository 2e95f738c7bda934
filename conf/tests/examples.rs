//! The examples that come with the package are right, and laid out as `switchback fmt` does.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use switchback_conf::{Code, Outcome, format, load_file, plan, read_file, read_text};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    // Below it stand files that examples name.
    files.retain(|path| path.is_file());
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn assert_clean<T>(outcome: &Outcome<T>, path: &Path) {
    // The directories that examples serve are those of a server.
    let mut found = outcome.diagnostics.iter();
    let is_clean = found.all(|diagnostic| diagnostic.code == Code::NoDirectory);
    assert!(is_clean, "{}:\n{}", path.display(), outcome.report());
    assert!(outcome.value.is_some());
}

#[test]
fn every_example_is_read_and_planned_without_findings() {
    for path in examples() {
        let config = read_file(&path, &BTreeMap::new());
        assert_clean(&config, &path);
        assert_clean(&plan(config.value.as_ref().unwrap()), &path);
        assert_clean(&load_file(&path, &BTreeMap::new()), &path);
    }
}

#[test]
fn the_demo_is_read_and_planned_without_findings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("switchback.toml");
    assert_clean(&load_file(&path, &BTreeMap::new()), &path);
}

#[test]
fn every_example_is_the_same_after_writing_it() {
    for path in examples() {
        let config = read_file(&path, &BTreeMap::new()).value.unwrap();
        let written = config.to_toml();
        let again = read_text(&path.to_string_lossy(), &written, &BTreeMap::new());
        assert_clean(&again, &path);
        assert_eq!(again.value.unwrap(), config, "{written}");
    }
}

#[test]
fn every_example_is_laid_out_as_usual() {
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(format(&text).unwrap(), text, "{}", path.display());
    }
}
