//! Who may import whom: the table of the architecture page, read against the manifests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

/// A package may import only from lower rows.
const ROWS: [(&str, usize); 23] = [
    ("switchback-value", 0),
    ("switchback-representation", 0),
    ("switchback-plugin", 0),
    ("switchback-plugin-macros", 0),
    ("switchback-plugin-abi", 0),
    ("switchback-conf", 1),
    ("switchback-files", 1),
    ("switchback-images", 1),
    ("switchback-route", 1),
    ("switchback-upstream", 1),
    ("switchback-cache", 1),
    ("switchback-variant", 1),
    ("switchback-plugin-host", 1),
    ("switchback-engine", 2),
    ("switchback-admin", 3),
    ("switchback-plugin-builtin", 3),
    ("switchback-plugin-wasm", 3),
    ("switchback", 4),
    // A plugin that programs of tests have linked in.
    ("switchback-example-conformance", 4),
    ("switchback-integration", 5),
    // Examples of plugins and the fuzz targets stand beside the product, not in it.
    ("switchback-example-tier", 5),
    ("switchback-example-touch", 5),
    ("switchback-fuzz", 5),
];

/// Everything that may lie at the root, beside dotfiles.
const ROOT: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "Makefile",
    "README.md",
    "conf",
    "docker",
    "integration",
    "plugins",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn manifest(folder: &Path) -> Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Name and the names of everything imported, for tests and builds too, of each member.
fn packages() -> Vec<(String, Vec<String>)> {
    let members = manifest(&root())["workspace"]["members"].as_array().unwrap().clone();
    members.iter().map(|member| package(&root().join(member.as_str().unwrap()))).collect()
}

fn package(folder: &Path) -> (String, Vec<String>) {
    let manifest = manifest(folder);
    let name = manifest["package"]["name"].as_str().unwrap().to_owned();
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut imports: Vec<String> = Vec::new();
    let targets =
        manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(Value::Table(manifest.clone())).chain(targets.cloned());
    for place in places {
        let found = tables.iter().filter_map(|table| place.get(table)?.as_table().cloned());
        imports.extend(found.flat_map(|table| {
            table.iter().map(|(key, value)| imported(key, value)).collect::<Vec<_>>()
        }));
    }
    (name, imports)
}

/// The package behind a dependency, which may have been given another name.
fn imported(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

fn row(name: &str) -> Option<usize> {
    ROWS.iter().find(|(known, _)| *known == name).map(|&(_, row)| row)
}

#[test]
fn packages_import_only_from_lower_rows() {
    let mut wrong = Vec::new();
    for (name, imports) in packages() {
        let Some(own) = row(&name) else {
            wrong.push(format!("{name} has no row"));
            continue;
        };
        // Macros must be a package of their own, and so must what C is told; they are parts of the one they are made for.
        let parts = [format!("{name}-macros"), format!("{name}-abi")];
        let ours = |import: &&String| import.starts_with("switchback") && !parts.contains(import);
        for import in imports.iter().filter(ours) {
            match row(import) {
                Some(other) if other < own => {}
                _ => wrong
                    .push(format!("{name} (row {own}) imports {import} (row {:?})", row(import))),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pingora_is_named_by_the_engine_alone() {
    for (name, imports) in packages() {
        let pingora = imports.iter().filter(|import| import.starts_with("pingora"));
        let may = |import: &str| match name.as_str() {
            "switchback-engine" => true,
            "switchback-upstream" => import == "pingora-ketama",
            _ => false,
        };
        let wrong: Vec<_> = pingora.filter(|import| !may(import)).collect();
        assert!(wrong.is_empty(), "{name} imports {wrong:?}");
    }
}

#[test]
fn configuration_needs_neither_pingora_nor_tokio() {
    for leaf in ["switchback-value", "switchback-conf", "switchback-files", "switchback-route"] {
        let (_, imports) = packages().into_iter().find(|(name, _)| name == leaf).unwrap();
        let heavy =
            |import: &&String| ["tokio", "hyper", "axum", "rustls"].contains(&import.as_str());
        assert!(!imports.iter().any(|import| heavy(&import)), "{leaf}: {imports:?}");
    }
}

#[test]
fn dependencies_take_their_versions_from_the_workspace() {
    let pinned = manifest(&root())["workspace"]["dependencies"].as_table().unwrap().clone();
    for (name, value) in &pinned {
        let version = value.as_str().or_else(|| value.get("version").and_then(Value::as_str));
        assert!(
            version.is_none_or(|version| version.starts_with('=')),
            "{name} is not pinned: {version:?}"
        );
    }
    for (package, imports) in packages() {
        for import in imports {
            assert!(pinned.contains_key(&import), "{package} names its own version of {import}");
        }
    }
}

#[test]
fn the_root_holds_what_the_architecture_page_names() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output();
    let Ok(listed) = listed else { return };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let entries = listed.lines().filter_map(|path| path.split('/').next());
    let wrong: Vec<_> = entries.filter(|entry| !allowed(entry)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn allowed(entry: &str) -> bool {
    entry.starts_with('.') || entry == "proxy" || ROOT.contains(&entry)
}
