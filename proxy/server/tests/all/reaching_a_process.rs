//! `reload`, `stop` and `status` when nobody answers, or not as they should.

use std::os::unix::net::UnixListener;

use crate::command::{Folder, GOOD};

fn configured(top: &str) -> Folder {
    Folder::with("switchback.toml", &format!("{top}\n{GOOD}"))
}

#[test]
fn nobody_there_is_said_with_the_socket() {
    let folder = configured("pid_file = \"run.pid\"");
    for command in ["reload", "stop", "reopen", "status"] {
        folder
            .run(&[command])
            .expect_code(1)
            .expect_stderr("nothing runs at control socket run.sock");
    }
    folder.run(&["status", "--control", "other.sock"]).expect_code(1).expect_stderr("other.sock");
}

#[test]
fn a_configuration_that_names_no_socket_has_one_all_the_same() {
    let silent = configured("");
    silent.run(&["status"]).expect_code(1).expect_stderr("nothing runs at control socket /");
    silent.run(&["status"]).expect_stderr("switchback-");
}

#[test]
fn a_socket_that_is_off_is_not_looked_for() {
    let off = configured("[control]\nsocket = \"off\"");
    off.run(&["status"]).expect_code(1).expect_stderr("`control.socket` is \"off\"");
}

#[test]
fn the_process_is_found_although_the_file_is_broken_now() {
    let folder = configured("pid_file = \"run.pid\"\nwrokers = 2");
    folder.run(&["stop"]).expect_code(1).expect_stderr("nothing runs at control socket run.sock");
}

#[test]
fn a_file_that_is_no_toml_leads_nowhere_and_says_so() {
    let folder = Folder::with("switchback.toml", "pid_file = [[[");
    folder
        .run(&["stop"])
        .expect_code(1)
        .expect_stderr("switchback.toml:1")
        .expect_stderr("--control SOCKET");
}

#[test]
fn a_socket_and_a_file_cannot_both_be_named() {
    configured("").run(&["stop", "-c", "switchback.toml", "--control", "a.sock"]).expect_code(2);
}

#[test]
fn somebody_who_hangs_up_is_not_taken_for_an_answer() {
    let folder = Folder::empty();
    let listener = UnixListener::bind(folder.path().join("a.sock")).unwrap();
    let hangs_up = std::thread::spawn(move || drop(listener.accept().unwrap()));
    folder
        .run(&["status", "--control", "a.sock"])
        .expect_code(1)
        .expect_stderr("control socket a.sock");
    hangs_up.join().unwrap();
}
