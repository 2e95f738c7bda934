//! Signals, the pid file, and how the process ends.

use std::net::TcpStream;

use switchback_integration::{
    Deadline, Gate, Origin, Proxy, Step, eventually, get, site, switchback,
};

fn slow(gate: &Gate) -> Origin {
    let steps = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
    ];
    Origin::start().serve("/slow", steps)
}

#[test]
fn hup_reloads() {
    let proxy = Proxy::start(&site().respond("/a", "one"));
    std::fs::write(proxy.config_file(), site().respond("/a", "two").to_toml()).unwrap();
    proxy.signal("HUP");
    eventually("the second generation", Deadline::soon(), || {
        (proxy.status()["generation"] == 2).then_some(())
    });
    proxy.get("/a").expect_body("two");
}

#[test]
fn hup_with_a_bad_configuration_reports_and_goes_on() {
    let proxy = Proxy::start(&site().respond("/a", "one"));
    std::fs::write(proxy.config_file(), site().route("/a", "proxy = \"nowhere\"").to_toml())
        .unwrap();
    proxy.signal("HUP");
    proxy.wait_for_stderr("nowhere");
    proxy.get("/a").expect_body("one");
}

fn ends_gracefully(signal: &str) {
    let gate = Gate::new();
    let origin = slow(&gate);
    let mut proxy = Proxy::start(&site().proxy_to(&origin));
    let address = proxy.address("web");
    let mut idle = proxy.client();
    idle.ask(&get("/")).expect_status(200);
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    proxy.signal(signal);
    eventually("nothing new is accepted", Deadline::soon(), || {
        TcpStream::connect(address).is_err().then_some(())
    });
    idle.expect_close();
    gate.pass();
    client.response().expect_status(200).expect_body("slow");
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn quit_finishes_what_runs() {
    ends_gracefully("QUIT");
}

#[test]
fn term_finishes_what_runs() {
    ends_gracefully("TERM");
}

#[test]
fn int_finishes_what_runs() {
    ends_gracefully("INT");
}

#[test]
fn a_request_sent_before_the_signal_is_answered() {
    let mut proxy = Proxy::start(&site().respond("/*", "x"));
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(get("/").to_bytes());
    }
    proxy.signal("TERM");
    for client in &mut clients {
        client.response().expect_status(200).expect_body("x");
    }
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn a_second_term_forces() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let mut proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    proxy.signal("TERM");
    proxy.wait_for_notification("STOPPING=1");
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(3), "{}", proxy.stderr());
}

#[test]
fn a_drain_is_bounded() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let mut proxy = Proxy::start(&site().top("shutdown_timeout = \"300ms\"").proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    proxy.signal("QUIT");
    assert_eq!(proxy.wait(), Some(3), "{}", proxy.stderr());
}

#[test]
fn an_idle_process_ends_at_once() {
    let started = std::time::Instant::now();
    let proxy = Proxy::start(&site().respond("/a", "a"));
    let mut idle = proxy.client();
    idle.ask(&get("/a")).expect_status(200);
    proxy.stop();
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn the_service_manager_is_told() {
    let proxy = Proxy::start(&site().respond("/a", "one"));
    proxy.signal("HUP");
    proxy.wait_for_notification("RELOADING=1");
    proxy.wait_for_notification("READY=1");
    proxy.signal("QUIT");
    proxy.wait_for_notification("STOPPING=1");
}

#[test]
fn the_pid_file_is_there_while_it_runs() {
    let mut proxy = Proxy::start(&site().respond("/a", "a"));
    let path = proxy.folder().join("switchback.pid");
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), proxy.pid().to_string());
    proxy.signal("QUIT");
    proxy.wait();
    assert!(!path.exists());
}

#[test]
fn usr1_opens_the_logs_again() {
    let proxy = Proxy::start(
        &site().toml("").respond("/*", "x").toml("[[log.access]]\nfile = \"access.log\"\n"),
    );
    let (path, rotated) = (proxy.folder().join("access.log"), proxy.folder().join("access.log.1"));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    proxy.get("/first").expect_status(200);
    eventually("the first line", Deadline::soon(), || read(&path).contains("/first").then_some(()));
    std::fs::rename(&path, &rotated).unwrap();
    proxy.signal("USR1");
    eventually("the log is opened again", Deadline::soon(), || path.exists().then_some(()));
    proxy.get("/second").expect_status(200);
    eventually("the second line", Deadline::soon(), || {
        read(&path).contains("/second").then_some(())
    });
    assert!(!read(&rotated).contains("/second"));
}

#[test]
fn called_as_nginx_term_is_fast() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let mut proxy = Proxy::start_called("nginx", &site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(3), "{}", proxy.stderr());
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| switchback(folder.path(), arguments);
    run(&["version"]).expect_code(0).expect_text(env!("CARGO_PKG_VERSION"));
    run(&["-v"]).expect_code(0);
    run(&["no-such-verb"]).expect_code(2);
    run(&["run", "--no-such-flag"]).expect_code(2);
    run(&["run"]).expect_code(2).expect_text("switchback.toml");
    run(&["run", "-c", "none.toml"]).expect_code(1).expect_text("none.toml");
    run(&["check", "-c", "none.toml"]).expect_code(1);
    run(&["status", "--control", "none.sock"]).expect_code(1).expect_text("none.sock");
}

#[test]
fn a_status_of_no_process_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), site().respond("/*", "x").to_toml()).unwrap();
    switchback(folder.path(), &["status", "-c", "c.toml"]).expect_code(1);
    switchback(folder.path(), &["stop", "-c", "c.toml"]).expect_code(1);
}
