//! `switchback fmt` and `switchback schema`.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::command::{Folder, GOOD, binary};

const UNTIDY: &str = "# why\n[[listeners]]\naddress=\"127.0.0.1:0\"   # here\n";

#[test]
fn a_file_is_printed_in_the_usual_layout() {
    let folder = Folder::with("a.toml", UNTIDY);
    let printed = folder.run(&["fmt", "a.toml"]).expect_code(0).stdout;
    assert!(printed.contains("address = \"127.0.0.1:0\" # here\n"), "{printed}");
    assert_eq!(folder.read("a.toml"), UNTIDY, "printing changes nothing");
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = Folder::with("a.toml", UNTIDY);
    let from_file = folder.run(&["fmt", "a.toml"]).stdout;
    assert_eq!(folder.run_with_input(&["fmt", "-"], UNTIDY).expect_code(0).stdout, from_file);
}

#[test]
fn check_exits_with_1_when_the_layout_differs() {
    let folder = Folder::with("a.toml", UNTIDY);
    folder.run(&["fmt", "--check", "a.toml"]).expect_code(1).expect_stderr("a.toml:");
    folder.run(&["fmt", "-w", "a.toml"]).expect_code(0);
    folder.run(&["fmt", "--check", "a.toml"]).expect_code(0);
}

#[test]
fn writing_keeps_permissions_and_links() {
    let folder = Folder::with("real.toml", UNTIDY);
    let real = folder.path().join("real.toml");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.toml", folder.path().join("link.toml")).unwrap();
    folder.run(&["fmt", "-w", "link.toml"]).expect_code(0);
    assert!(folder.path().join("link.toml").is_symlink());
    assert_ne!(folder.read("real.toml"), UNTIDY);
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
}

#[test]
fn what_is_no_toml_is_left_alone_and_shown() {
    let folder = Folder::with("a.toml", "a = [1,\n");
    folder.run(&["fmt", "-w", "a.toml"]).expect_code(1).expect_stderr("a.toml:");
    assert_eq!(folder.read("a.toml"), "a = [1,\n");
}

#[test]
fn the_schema_knows_the_keys() {
    let schema = Folder::empty().run(&["schema"]).expect_code(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["listeners"].is_object());
}

#[test]
fn a_reader_who_has_had_enough_is_no_failure() {
    let folder = Folder::with("switchback.toml", GOOD);
    let mut child = Command::new(binary())
        .arg("schema")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
