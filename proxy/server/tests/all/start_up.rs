//! What keeps a process from starting, before any address is bound.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;

use crate::command::{Folder, GOOD};

fn configured(top: &str) -> Folder {
    Folder::with("switchback.toml", &format!("{top}\n{GOOD}"))
}

#[test]
fn a_bad_configuration_is_one_report() {
    let folder = Folder::with("switchback.toml", "what = 1\nlisteners = 2\npid_file = \"run.pid\"");
    folder
        .run(&["run"])
        .expect_code(1)
        .expect_stderr("switchback.toml:1:1")
        .expect_stderr("errors");
    assert!(!folder.path().join("run.pid").exists());
}

#[test]
fn a_pid_file_in_use_is_refused_with_its_holder() {
    let folder = configured("pid_file = \"run.pid\"");
    folder.write("run.pid", "4711\n");
    let held = File::open(folder.path().join("run.pid")).unwrap();
    held.lock().unwrap();
    folder.run(&["run"]).expect_code(1).expect_stderr("run.pid: held by running process 4711");
    assert_eq!(folder.read("run.pid"), "4711\n", "the holder's file stays");
}

#[test]
fn a_control_socket_in_use_is_refused() {
    let folder = configured("control.socket = \"run.sock\"");
    let _living = UnixListener::bind(folder.path().join("run.sock")).unwrap();
    folder.run(&["run"]).expect_code(1).expect_stderr("run.sock: a running process answers there");
}

#[test]
fn a_control_socket_that_is_a_file_is_not_overwritten() {
    let folder = configured("control.socket = \"notes.txt\"");
    folder.write("notes.txt", "keep me");
    folder.run(&["run"]).expect_code(1).expect_stderr("notes.txt: that is not a socket");
    assert_eq!(folder.read("notes.txt"), "keep me");
}

#[test]
fn an_error_log_that_cannot_be_opened_is_named() {
    let folder = configured("log.file = \"none/error.log\"");
    folder.run(&["run"]).expect_code(1).expect_stderr("none/error.log");
}

#[test]
fn a_refused_start_leaves_nothing_behind() {
    let folder = configured("pid_file = \"run.pid\"");
    fs::create_dir(folder.path().join("run.sock")).unwrap();
    folder.run(&["run"]).expect_code(1).expect_stderr("run.sock");
    assert!(!folder.path().join("run.pid").exists());
}

#[test]
fn the_demo_says_where_it_can_be_started() {
    Folder::empty()
        .run(&["demo"])
        .expect_code(1)
        .expect_stderr("conf/switchback.toml")
        .expect_stderr("repository");
}
