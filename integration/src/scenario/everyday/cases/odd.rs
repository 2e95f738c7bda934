//! Odd ways of asking any site: methods, versions, hosts.

use super::super::case::Cases;
use crate::message::{post, request};

/// Methods that mean nothing to a file.
pub(super) fn methods(cases: &mut Cases, path: &str) {
    let bodyless =
        ["HEAD", "OPTIONS", "DELETE", "TRACE", "PROPFIND", "MKCOL", "LOCK", "FOO", "M-SEARCH"];
    for method in bodyless {
        cases.ask(method, path, &[]);
    }
    for method in ["PUT", "PATCH", "PROPPATCH"] {
        cases.send(method, request(method, path).body("some text"));
    }
    cases.send("POST", post(path, "some text"));
    cases.send("POST", post(path, "some text").chunked(4));
    cases.send("POST", post(path, ""));
    cases.send("GET", request("GET", path).body("a body"));
}

/// Other versions of the protocol than 1.1.
pub(super) fn versions(cases: &mut Cases, path: &str, host: &str) {
    cases.text("GET", &format!("GET {path} HTTP/1.0"));
    cases.text("GET", &format!("GET {path} HTTP/1.0\nHost: {host}"));
    cases.text("HEAD", &format!("HEAD {path} HTTP/1.0\nHost: {host}"));
    cases.text("GET", &format!("GET {path} HTTP/1.0\nHost: {host}\nConnection: keep-alive"));
    cases.text("GET", &format!("GET {path} HTTP/1.0\nHost: {host}\nRange: bytes=0-1"));
    cases.text("GET", &format!("GET {path} HTTP/1.2\nHost: {host}"));
    cases.text("GET", &format!("GET {path} HTTP/3.0\nHost: {host}"));
    cases.text("GET", &format!("GET {path} http/1.1\nHost: {host}"));
    cases.text("GET", &format!("GET {path} HTTP/1\nHost: {host}"));
    cases.text("GET", &format!("GET {path} HTTP/1.1 \nHost: {host}"));
    cases.text("GET", &format!("GET  {path} HTTP/1.1\nHost: {host}"));
}

/// Hosts ordinary and odd.
pub(super) fn hosts(cases: &mut Cases, path: &str, host: &str) {
    let upper = host.to_ascii_uppercase();
    let odd = [
        host,
        &upper,
        &format!("{host}:8080"),
        &format!("{host}:"),
        &format!("{host}."),
        &format!("{host}:abc"),
        &format!("{host}:99999"),
        &format!("user@{host}"),
        &format!("{host}/x"),
        "unknown.example",
        "127.0.0.1",
        "[::1]",
        "[::1]:8080",
        "localhost",
        "a b",
        "a..b",
        ".",
        "-",
        "under_score.example",
        "",
    ];
    for value in odd {
        cases.text("GET", &format!("GET {path} HTTP/1.1\nHost: {value}"));
    }
    cases.text("GET", &format!("GET {path} HTTP/1.1"));
    cases.text("GET", &format!("GET {path} HTTP/1.1\nHost: {host}\nHost: {host}"));
    cases.text("GET", &format!("GET {path} HTTP/1.1\nhost: {host}"));
    for target in [
        format!("http://{host}{path}"),
        format!("http://{host}:8080{path}?a=b"),
        format!("HTTP://{upper}{path}"),
        format!("http://{host}"),
        format!("http://{host}?a=b"),
        format!("ftp://{host}{path}"),
        format!("http://user@{host}{path}"),
        "*".to_owned(),
        path.trim_start_matches('/').to_owned(),
    ] {
        cases.text("GET", &format!("GET {target} HTTP/1.1\nHost: {host}"));
    }
    cases.text("GET", &format!("GET http://{host}{path} HTTP/1.1\nHost: unknown.example"));
    cases.text("OPTIONS", &format!("OPTIONS * HTTP/1.1\nHost: {host}"));
}
