//! `switchback check`: everything that is wrong, once, with its place.

use crate::command::{Folder, GOOD, repository};

/// Three mistakes in three places.
const BAD: &str = r#"wrokers = 2

[[listeners]]
address = "localhost:80"

[[sites]]

[[sites.routes]]
proxy = "api"

[upstreams.app]
endpoints = ["localhost:3000"]
"#;

#[test]
fn a_good_file_is_said_to_be_good_and_counted() {
    let folder = Folder::with("good.toml", GOOD);
    folder.run(&["check", "-c", "good.toml"]).expect_code(0).expect_stdout(
        "good.toml: the configuration is good: 1 listener, 1 site, 1 route, 0 upstreams",
    );
}

#[test]
fn t_is_check() {
    let folder = Folder::with("good.toml", GOOD);
    let said = folder.run(&["check", "-c", "good.toml"]).stdout;
    assert_eq!(folder.run(&["-t", "-c", "good.toml"]).expect_code(0).stdout, said);
    folder.write("bad.toml", BAD);
    folder.run(&["-t", "-c", "bad.toml"]).expect_code(1);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let folder = Folder::with("bad.toml", BAD);
    folder
        .run(&["check", "-c", "bad.toml"])
        .expect_code(1)
        .expect_stderr("--> bad.toml:1:1")
        .expect_stderr("workers")
        .expect_stderr("--> bad.toml:4:11")
        .expect_stderr("127.0.0.1:80")
        .expect_stderr("--> bad.toml:9:9")
        .expect_stderr("`app`")
        .expect_stderr("3 errors");
}

#[test]
fn json_carries_the_same_findings() {
    let folder = Folder::with("bad.toml", BAD);
    let found = folder.run(&["check", "-c", "bad.toml", "--json"]).expect_code(1);
    let json: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(json["accepted"], false);
    let lines: Vec<_> =
        json["diagnostics"].as_array().unwrap().iter().map(|found| &found["line"]).collect();
    assert_eq!(lines, [1, 4, 9]);
    folder.write("good.toml", GOOD);
    let good = folder.run(&["check", "-c", "good.toml", "--json"]).expect_code(0);
    assert_eq!(good.stdout, "{\"accepted\":true,\"diagnostics\":[]}\n");
}

#[test]
fn a_file_that_is_missing_is_named() {
    Folder::empty().run(&["check", "-c", "none.toml"]).expect_code(1).expect_stderr("none.toml");
}

#[test]
fn the_demo_is_good_and_laid_out() {
    let folder = Folder::empty();
    let demo = repository().join("conf/switchback.toml");
    folder.run(&["check", "-c", demo.to_str().unwrap()]).expect_code(0);
    folder.run(&["fmt", "--check", demo.to_str().unwrap()]).expect_code(0);
}
