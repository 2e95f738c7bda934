//! Which file is taken, and what happens when there is none.

use crate::command::{Folder, GOOD};

#[test]
fn none_is_a_usage_error_that_names_the_places() {
    for command in ["run", "check", "reload", "stop", "status", "fmt"] {
        Folder::empty()
            .run(&[command])
            .expect_code(2)
            .expect_stderr("./switchback.toml")
            .expect_stderr("/etc/switchback/switchback.toml")
            .expect_stderr("-c FILE");
    }
}

#[test]
fn the_one_in_the_current_folder_is_taken() {
    Folder::with("switchback.toml", GOOD)
        .run(&["check"])
        .expect_code(0)
        .expect_stdout("switchback.toml");
}

#[test]
fn the_one_that_is_named_comes_first() {
    let folder = Folder::with("switchback.toml", GOOD);
    folder.write("other.toml", "what = 1");
    folder.run(&["check", "-c", "other.toml"]).expect_code(1).expect_stderr("other.toml:1:1");
}

#[test]
fn what_is_no_command_is_a_usage_error() {
    let folder = Folder::empty();
    folder.run(&[]).expect_code(2).expect_stderr("Usage");
    folder.run(&["serve"]).expect_code(2);
    folder.run(&["run", "--quickly"]).expect_code(2);
    folder.run(&["-c", "switchback.toml"]).expect_code(2).expect_stderr("-t");
}

#[test]
fn versions_and_help_are_no_errors() {
    let folder = Folder::empty();
    let version = concat!("switchback ", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["-v"], ["--version"], ["-V"]] {
        folder.run(&arguments).expect_code(0).expect_stdout(version);
    }
    folder.run(&["--help"]).expect_code(0).expect_stdout("Exit codes");
}
