//! What the process says about itself.

use std::fs;
use std::os::unix::net::UnixDatagram;

use serde_json::Value;
use switchback_integration::{Config, Deadline, Origin, Proxy, Step, eventually, site};
use tempfile::TempDir;

fn said(log: &str) -> Config {
    site()
        .respond("/x", "x")
        .route("/broken", "proxy = \"app\"")
        .endpoints("app", &["unix:/nonexistent.sock"], "")
        .toml(format_args!("[log]\n{log}\n"))
}

fn line_with(proxy: &Proxy, file: &str, part: &str) -> String {
    eventually(&format!("a line with {part}"), Deadline::soon(), || {
        let text = fs::read_to_string(proxy.folder().join(file)).ok()?;
        text.lines().find(|line| line.contains(part)).map(str::to_owned)
    })
}

#[test]
fn messages_are_json_when_asked_for_and_name_their_request() {
    let proxy = Proxy::start(&said("file = \"error.log\"\nformat = \"json\""));
    let page = proxy.get("/broken").expect_status(502).text();
    let id = page.trim().rsplit(' ').next().unwrap().to_owned();
    let line = line_with(&proxy, "error.log", "\"http.response.status_code\":502");
    let read: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&read["http.request.id"], &read["log.level"]), (&id.into(), &"warn".into()));
    assert!(read["message"].as_str().unwrap().starts_with("upstream: "), "{line}");
    assert!(read["@timestamp"].is_string() && read["log.logger"].is_string(), "{line}");
    let text = fs::read_to_string(proxy.folder().join("error.log")).unwrap();
    for line in text.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn a_line_of_the_machinery_below_names_the_request_too() {
    let origin = Origin::start().serve(
        "/x",
        [Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Next],
    );
    let proxy = Proxy::start(&site().proxy_to(&origin).toml("[log]\nlevel = \"debug\"\n"));
    proxy.get("/x").expect_status(200);
    proxy.wait_for_stderr("pingora");
    let named = |line: &str| line.contains("pingora_proxy") && line.contains("request=\"");
    eventually("a line of the library with an id", Deadline::soon(), || {
        proxy.stderr().lines().any(named).then_some(())
    });
}

#[test]
fn level_format_and_place_follow_a_reload() {
    let proxy = Proxy::start(&said("file = \"error.log\"\nlevel = \"error\""));
    proxy.get("/none").expect_status(404);
    proxy
        .reload(&said("file = \"other.log\"\nlevel = \"info\"\nformat = \"json\""))
        .expect_accepted();
    proxy.get("/none").expect_status(404);
    let line = line_with(&proxy, "other.log", "no route for");
    serde_json::from_str::<Value>(&line).unwrap();
    let before = fs::read_to_string(proxy.folder().join("error.log")).unwrap();
    assert!(!before.contains("no route for"), "{before}");
    proxy.reload(&said("file = \"other.log\"\nlevel = \"info\"")).expect_accepted();
    assert!(!line_with(&proxy, "other.log", "generation=3").starts_with('{'));
}

#[test]
fn usr1_opens_the_error_log_again() {
    let proxy = Proxy::start(&said("file = \"error.log\"\nlevel = \"info\""));
    line_with(&proxy, "error.log", "serving");
    let path = proxy.folder().join("error.log");
    fs::rename(&path, proxy.folder().join("error.log.1")).unwrap();
    proxy.signal("USR1");
    eventually("a new file", Deadline::soon(), || path.exists().then_some(()));
    proxy.get("/none").expect_status(404);
    line_with(&proxy, "error.log", "no route for");
}

#[test]
fn the_last_words_are_written() {
    let mut proxy = Proxy::start(&said("file = \"error.log\""));
    proxy.signal("QUIT");
    proxy.wait();
    let text = fs::read_to_string(proxy.folder().join("error.log")).unwrap();
    assert!(text.trim_end().ends_with("stopped"), "{text}");
}

#[test]
fn messages_go_to_a_syslog_by_their_own_severity() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.sock");
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let proxy = Proxy::start(&said(&format!(
        "file = \"syslog:unix:{}\"\nsyslog = {{ facility = \"daemon\", tag = \"sb\" }}",
        path.display()
    )));
    proxy.get("/broken").expect_status(502);
    let mut datagram = [0; 4096];
    loop {
        let length = syslog.recv(&mut datagram).unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        // Daemon is 3: 8 * 3 + 6 for information, + 4 for warnings.
        if text.contains("upstream: ") {
            assert!(text.starts_with("<28>") && text.contains(" sb: "), "{text}");
            return;
        }
        assert!(text.starts_with("<30>"), "{text}");
    }
}
