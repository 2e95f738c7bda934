//! `switchback serve` as far as it needs no traffic: the configuration it makes.

use std::fs;

use switchback_conf::{ProcessEnvironment, load_text};

use crate::command::Folder;

fn printed(folder: &Folder, arguments: &[&str]) -> String {
    let arguments = [&["serve", "--print-config"], arguments].concat();
    let toml = folder.run(&arguments).expect_code(0).stdout;
    let outcome = load_text("printed.toml", &toml, &ProcessEnvironment);
    assert!(outcome.diagnostics.is_empty(), "{}\n{toml}", outcome.report());
    toml
}

#[test]
fn a_directory_becomes_a_whole_path() {
    let folder = Folder::empty();
    let whole = folder.path().canonicalize().unwrap();
    let toml = printed(&folder, &["."]);
    assert!(toml.contains(&format!("files = {whole:?}\n")), "{toml}");
    assert!(toml.contains("address = \":8080\""), "{toml}");
}

#[test]
fn options_become_keys() {
    let folder = Folder::empty();
    let toml = printed(
        &folder,
        &[".", "--browse", "--spa", "--encode", "--access-log", "--listen", ":9090"],
    );
    for part in [
        "encode = \"on\"\n",
        "autoindex = \"html\"",
        "try = [\"$uri\", \"$uri/\", \"/index.html\"]",
        "file = \"stdout\"",
        "address = \":9090\"",
    ] {
        assert!(toml.contains(part), "no {part} in\n{toml}");
    }
}

#[test]
fn a_strange_name_stands_for_itself() {
    let folder = Folder::empty();
    fs::create_dir(folder.path().join("a$uri{b}")).unwrap();
    assert!(printed(&folder, &["a$uri{b}"]).contains("/a$$uri{{b}}\""));
}

#[test]
fn what_is_no_directory_is_a_usage_error() {
    let folder = Folder::with("file", "");
    folder.run(&["serve", "nowhere"]).expect_code(2).expect_stderr("nowhere: No such file");
    folder.run(&["serve", "file"]).expect_code(2).expect_stderr("file: not a directory");
    folder.run(&["serve"]).expect_code(2).expect_stderr("<DIR>");
}
