//! `switchback respond` as far as it needs no traffic: the configuration it makes.

use switchback_conf::{ProcessEnvironment, load_text};

use crate::command::Folder;

fn printed(arguments: &[&str]) -> String {
    let arguments = [&["respond", "--print-config"], arguments].concat();
    Folder::empty().run(&arguments).expect_code(0).stdout
}

#[track_caller]
fn expect_lines(toml: &str, lines: &[&str]) {
    let outcome = load_text("printed.toml", toml, &ProcessEnvironment);
    assert!(outcome.value.is_some(), "{}\n{toml}", outcome.report());
    for line in lines {
        assert!(toml.lines().any(|written| written == *line), "no {line} in\n{toml}");
    }
}

#[test]
fn without_options_it_answers_nothing_with_200_on_8080() {
    let toml = printed(&[]);
    expect_lines(&toml, &["address = \":8080\""]);
    assert!(!toml.contains("status") && !toml.contains("access"), "{toml}");
}

#[test]
fn options_become_keys() {
    let toml = printed(&[
        "--status",
        "503",
        "--body",
        "back soon, $remote_addr\n",
        "--header",
        "Retry-After: 60",
        "--header=X-Note: a: b",
        "--listen",
        "localhost:9090",
        "--workers=2",
        "--access-log",
    ]);
    expect_lines(&toml, &["address = \"127.0.0.1:9090\"", "workers = 2", "file = \"stdout\""]);
    for part in
        ["status = 503", "retry-after = \"60\"", "x-note = \"a: b\"", "back soon, $remote_addr\\n"]
    {
        assert!(toml.contains(part), "no {part} in\n{toml}");
    }
    expect_lines(&printed(&["--access-log", "a.log"]), &["file = \"a.log\""]);
}

#[test]
fn what_it_does_not_understand_is_a_usage_error() {
    let folder = Folder::empty();
    let refuse = |arguments: &[&str], reason: &str| {
        let arguments = [&["respond"], arguments].concat();
        folder.run(&arguments).expect_code(2).expect_stderr(reason);
    };
    refuse(&["--status", "99"], "99");
    refuse(&["--header", "nothing"], "`nothing` is not a header");
    refuse(&["--header", "X-A: 1", "--header", "x-a: 2"], "header `x-a` is said twice");
    refuse(&["--listen", "8080"], "`8080` is not an address");
}

#[test]
fn a_body_that_is_no_template_is_shown() {
    let folder = Folder::empty();
    let arguments = ["respond", "--listen", "127.0.0.1:0", "--body", "$nothing"];
    folder.run(&arguments).expect_code(1).expect_stderr("nothing");
}
