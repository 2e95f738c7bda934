//! What an operator may ask of a running process.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use switchback_integration::{Deadline, Proxy, eventually, site};

fn start() -> Proxy {
    Proxy::start(&site().respond("/a", "a"))
}

#[test]
fn it_is_for_its_owner_alone() {
    let proxy = start();
    let mode =
        std::fs::metadata(proxy.folder().join("switchback.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn it_says_who_it_is_and_how_it_stands() {
    let proxy = start();
    let version = proxy.control("GET", "/version", None).expect_status(200).json();
    assert_eq!(version["name"], "switchback");
    proxy.get("/a").expect_status(200);
    let status = proxy.status();
    assert_eq!(status["pid"], proxy.pid());
    assert_eq!(status["generation"], 1);
    assert_eq!(status["state"], "serving");
    assert_eq!(status["workers"], 2);
    assert!(status["uptime_seconds"].is_number(), "{status}");
    // A request is counted when its log line is written, which may be after its answer was read.
    eventually("the request is counted", Deadline::soon(), || {
        (proxy.status()["requests"].as_u64()? >= 1).then_some(())
    });
    assert_eq!(status["listeners"][0]["name"], "web");
}

#[test]
fn a_check_finds_without_acting() {
    let proxy = start();
    std::fs::write(proxy.config_file(), site().respond("/b", "b").to_toml()).unwrap();
    let verdict = proxy.control("POST", "/check", None).expect_status(200).json();
    assert_eq!((&verdict["accepted"], &verdict["generation"]), (&json!(true), &json!(1)));
    proxy.get("/b").expect_status(404);
    std::fs::write(proxy.config_file(), "what = 1\n").unwrap();
    let verdict = proxy.control("POST", "/check", None).expect_status(422).json();
    assert_eq!(verdict["accepted"], json!(false));
    proxy.get("/a").expect_body("a");
}

#[test]
fn it_counts_in_the_text_format_with_bounded_labels() {
    let proxy = start();
    for number in 0..50 {
        proxy.get(&format!("/never-seen-{number}"));
    }
    let metrics = proxy.control("GET", "/metrics", None).expect_status(200).text();
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE ")), "{metrics}");
    assert!(!metrics.contains("never-seen"), "labels are not bounded:\n{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        assert!(value.is_some(), "no sample: {line}");
    }
}

#[test]
fn what_it_does_not_know_it_says_in_json() {
    let proxy = start();
    assert!(proxy.control("GET", "/nothing", None).expect_status(404).json()["error"].is_string());
    assert!(proxy.control("GET", "/reload", None).expect_status(405).json()["error"].is_string());
}

#[test]
fn a_stop_asked_for_is_a_clean_end() {
    for mode in ["graceful", "fast"] {
        let mut proxy = start();
        proxy.control("POST", "/stop", Some(&json!({ "mode": mode }))).expect_status(202);
        let code = proxy.wait();
        assert!(code == Some(0) || mode == "fast" && code == Some(3), "{mode}: {code:?}");
        assert!(!proxy.folder().join("switchback.sock").exists(), "the socket was left behind");
    }
}

#[test]
fn the_command_line_speaks_to_it() {
    let proxy = start();
    let status = proxy.run(&["status", "-c", "switchback.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&status.expect_code(0).stdout).unwrap();
    assert_eq!(json["pid"], proxy.pid());
    proxy.run(&["status", "--control", "switchback.sock"]).expect_code(0).expect_text("web");
    std::fs::write(proxy.config_file(), site().respond("/b", "b").to_toml()).unwrap();
    proxy.run(&["reload", "-c", "switchback.toml"]).expect_code(0);
    proxy.get("/b").expect_body("b");
    std::fs::write(proxy.config_file(), site().route("/b", "proxy = \"none\"").to_toml()).unwrap();
    proxy.run(&["reload", "-c", "switchback.toml"]).expect_code(1).expect_text("none");
    proxy.get("/b").expect_body("b");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let mut proxy = start();
    let config =
        site().top(format!("pid_file = \"{}\"", proxy.folder().join("switchback.pid").display()));
    let refusal = Proxy::try_start(&config.clone().respond("/a", "second"))
        .err()
        .expect("a live one is there");
    assert_eq!(refusal.code, Some(1), "{}", refusal.stderr);
    proxy.get("/a").expect_body("a");
    proxy.signal("KILL");
    proxy.wait();
    assert!(proxy.folder().join("switchback.sock").exists(), "a kill leaves the socket");
    Proxy::start(&config.respond("/a", "second")).stop();
}
