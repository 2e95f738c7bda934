//! `switchback proxy` as far as it needs no traffic: the configuration it makes.

use switchback_conf::{ProcessEnvironment, load_text};

use crate::command::Folder;

fn printed(arguments: &[&str]) -> String {
    let arguments = [&["proxy", "--print-config"], arguments].concat();
    Folder::empty().run(&arguments).expect_code(0).stdout
}

#[track_caller]
fn expect_good(toml: &str) {
    let outcome = load_text("printed.toml", toml, &ProcessEnvironment);
    assert!(outcome.value.is_some(), "{}\n{toml}", outcome.report());
}

#[test]
fn what_it_prints_can_be_served() {
    for arguments in [
        vec![":8080", "--to", "localhost:3000"],
        vec!["127.0.0.1:8080", "--to", ":3000", "--h2c"],
        vec!["localhost:8080", "--to", "https://app.example", "--tls-self-signed"],
        vec!["unix:/tmp/a.sock", "--to", "unix:/tmp/b.sock", "--workers", "3"],
        vec!["[::1]:8080", "--to", "[::1]:3000", "--access-log", "access.log"],
        vec![":8080", "--to", ":3000", "--cache", "1MiB", "--encode"],
    ] {
        expect_good(&printed(&arguments));
    }
}

#[test]
fn options_become_keys() {
    let toml = printed(&[":8080", "--to", "localhost:3000", "--workers", "2", "--access-log", "-"]);
    for line in [
        "workers = 2",
        "file = \"stdout\"",
        "address = \":8080\"",
        "endpoints = [\"localhost:3000\"]",
    ] {
        assert!(toml.lines().any(|written| written == line), "no {line} in\n{toml}");
    }
    assert!(!toml.contains("tls"), "{toml}");
}

#[test]
fn answers_are_encoded_where_that_is_said() {
    assert!(!printed(&[":8080", "--to", ":3000"]).contains("encode"));
    assert!(printed(&[":8080", "--to", ":3000", "--encode"]).contains("encode = \"on\"\n"));
}

#[test]
fn a_certificate_bears_the_address_it_is_served_on() {
    let toml = printed(&["127.0.0.9:8443", "--to", ":3000", "--tls-self-signed"]);
    assert!(
        toml.contains(r#"self_signed = ["localhost", "127.0.0.1", "::1", "127.0.0.9"]"#),
        "{toml}"
    );
}

#[test]
fn what_it_does_not_understand_is_a_usage_error() {
    let folder = Folder::empty();
    folder.run(&["proxy", ":8080"]).expect_code(2).expect_stderr("--to");
    folder
        .run(&["proxy", "8080", "--to", ":3000"])
        .expect_code(2)
        .expect_stderr("`8080` is not an address");
    folder
        .run(&["proxy", ":8080", "--to", "ftp://x"])
        .expect_code(2)
        .expect_stderr("`ftp://x` is not an address");
    folder
        .run(&["proxy", ":8080", "--to", "http://x/v1"])
        .expect_code(2)
        .expect_stderr("has a path");
    folder.run(&["proxy", ":8080", "--to", ":3000", "--workers", "0"]).expect_code(2);
    folder.run(&["proxy", ":8080", "--to", ":3000", "--h2c", "--tls-self-signed"]).expect_code(2);
}
