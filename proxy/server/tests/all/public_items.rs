//! What an embedder can name, on one page: `tests/public_items.txt`. `SWITCHBACK_BLESS=1` writes it anew.

use std::collections::BTreeSet;
use std::fs;

use crate::command::repository;

/// The names that the library exports, and what can be called on a server before and while it runs.
fn public_items() -> String {
    let source = |name: &str| {
        let folder = repository().join("proxy/server/src");
        fs::read_to_string(folder.join(name)).unwrap()
    };
    let mut items = BTreeSet::new();
    let library = source("lib.rs");
    for export in library.split("\npub use ").skip(1) {
        let export = export.split(';').next().unwrap();
        let names = export.rsplit_once("::").filter(|_| !export.contains('{'));
        let names = names.map_or(export, |(_, name)| name);
        let names = names.split_once('{').map_or(names, |(_, names)| names);
        let names = names.trim_end_matches('}').split(',').map(str::trim);
        items.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let constants = library.split("\npub const ").skip(1);
    items.extend(constants.map(|constant| constant.split(':').next().unwrap().to_owned()));
    for (name, file) in [("Server", "server.rs"), ("Handle", "handle.rs")] {
        let text = source(file);
        let calls = text.split("    pub fn ").skip(1);
        items.extend(calls.map(|call| format!("{name}::{}", call.split('(').next().unwrap())));
    }
    items.into_iter().map(|item| item + "\n").collect()
}

#[test]
fn the_public_items_are_those_on_the_page() {
    let page = repository().join("proxy/server/tests/public_items.txt");
    let items = public_items();
    if std::env::var_os("SWITCHBACK_BLESS").is_some() {
        fs::write(&page, &items).unwrap();
    }
    assert_eq!(items, fs::read_to_string(page).unwrap());
    assert!(items.lines().count() <= 64, "one page: {}", items.lines().count());
}

#[test]
fn every_example_fits_a_screen() {
    let examples = fs::read_dir(repository().join("proxy/server/examples")).unwrap();
    let lengths = examples.map(|entry| {
        let path = entry.unwrap().path();
        (fs::read_to_string(&path).unwrap().lines().count(), path)
    });
    let lengths: Vec<_> = lengths.collect();
    assert!(lengths.len() >= 3);
    for (lines, path) in lengths {
        assert!(lines < 60, "{} has {lines} lines", path.display());
    }
}
