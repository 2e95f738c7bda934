//! How many connections are taken.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use switchback_integration::{Client, Config, Deadline, Proxy, config, eventually, get};

fn limited(top: &str, listener: &str) -> Config {
    config().top(top).web(listener).site("").respond("/*", "x")
}

/// Whether a connection from here is taken.
fn is_taken(proxy: &Proxy) -> bool {
    let Ok(mut stream) = TcpStream::connect(proxy.address("web")) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn metric(proxy: &Proxy, reason: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).text();
    let name = format!("switchback_refused_connections_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&*name));
    line.and_then(|count| count.parse().ok()).expect("the reason is counted")
}

fn keeps_two_and_refuses_the_third(config: &Config, reason: &str) {
    let proxy = Proxy::start(config);
    let mut held = [proxy.client(), proxy.client()];
    for client in &mut held {
        client.ask(&get("/")).expect_status(200);
    }
    assert!(!is_taken(&proxy));
    assert!(metric(&proxy, reason) >= 1);
    // The counts outlive a reload.
    proxy.reload(config).expect_accepted();
    assert!(!is_taken(&proxy));
    for client in &mut held {
        client.ask(&get("/")).expect_status(200);
    }
    drop(held);
    eventually("there is room again", Deadline::soon(), || is_taken(&proxy).then_some(()));
}

#[test]
fn a_listener_takes_so_many() {
    keeps_two_and_refuses_the_third(&limited("", "connections = { total = 2 }"), "total");
}

#[test]
fn a_listener_takes_so_many_of_one_client() {
    keeps_two_and_refuses_the_third(&limited("", "connections = { per_client = 2 }"), "client");
}

#[test]
fn the_process_takes_so_many() {
    keeps_two_and_refuses_the_third(&limited("connections = { total = 2 }", ""), "total");
}

#[test]
fn the_process_takes_so_many_of_one_client() {
    keeps_two_and_refuses_the_third(&limited("connections = { per_client = 2 }", ""), "client");
}

#[test]
fn a_limit_may_be_raised_by_a_reload() {
    let proxy = Proxy::start(&limited("", "connections = { total = 1 }"));
    let mut held = proxy.client();
    held.ask(&get("/")).expect_status(200);
    assert!(!is_taken(&proxy));
    proxy.reload(&limited("", "connections = { total = 2 }")).expect_accepted();
    assert!(is_taken(&proxy));
}

#[test]
fn accepts_are_paced_and_none_is_lost() {
    let proxy = Proxy::start(&limited("", "connections = { rate = \"100/s\" }"));
    let address: SocketAddr = proxy.address("web");
    let began = Instant::now();
    let clients: Vec<Client> = (0..60).map(|_| Client::tcp(address)).collect();
    for mut client in clients {
        client.ask(&get("/")).expect_body("x");
    }
    // A tenth of a second's worth comes at once, and each of two workers may be one ahead.
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}
