//! Every wait has an end.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use switchback_integration::{Client, Origin, Proxy, Step, WireError, config, get, post, site};

/// An address of loopback where nobody listens.
fn closed() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_refused_connection_is_tried_at_the_next_endpoint_at_once() {
    let origin = Origin::start();
    let endpoints = [closed(), origin.endpoint().to_string()];
    let proxy =
        Proxy::start(&site().route("/*", "proxy = \"app\"").endpoints("app", &endpoints, ""));
    let started = Instant::now();
    for number in 0..10 {
        proxy.ask(&post(&format!("/{number}"), "body")).expect_status(200);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let received = origin.requests("*");
    assert_eq!(received.len(), 10);
    assert!(received.iter().all(|request| request.body == b"body"));
}

#[test]
fn where_every_endpoint_refuses_the_gateway_is_bad_and_the_log_says_why() {
    let endpoints = [closed(), closed()];
    let proxy =
        Proxy::start(&site().route("/*", "proxy = \"app\"").endpoints("app", &endpoints, ""));
    proxy.get("/").expect_status(502);
    proxy.wait_for_stderr("app");
}

#[test]
fn an_upstream_that_says_nothing_times_out() {
    let origin = Origin::start().serve("*", [Step::ReadBody, Step::Stall]);
    let config = site().route("/*", "proxy = \"app\"").upstream(
        "app",
        &[&origin],
        "timeouts = { read = \"200ms\" }",
    );
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(504);
    proxy.wait_for_stderr("app");
    assert_eq!(origin.requests("*").len(), 1, "a request that was sent is not sent again");
}

#[test]
fn an_upstream_that_stops_inside_a_body_is_cut_off() {
    let stops = [
        Step::ReadBody,
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!"),
        Step::Stall,
    ];
    let origin = Origin::start().serve("*", stops);
    let config = site().route("/*", "proxy = \"app\"").upstream(
        "app",
        &[&origin],
        "timeouts = { read = \"200ms\" }",
    );
    let proxy = Proxy::start(&config);
    let outcome = proxy.client().try_ask(&get("/"));
    assert!(matches!(outcome, Err(WireError::Truncated(_) | WireError::Io(_))), "{outcome:?}");
}

/// 408 and a close, or a close alone.
fn expect_cut(client: &mut Client) {
    match client.try_response_to("GET") {
        Ok(answer) => {
            answer.expect_status(408);
            client.expect_close();
        }
        Err(WireError::Closed | WireError::Io(_)) => {}
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn half_a_head_is_waited_for_no_longer_than_said() {
    let proxy = Proxy::start(
        &config().web("timeouts = { header = \"300ms\" }").site("").respond("/*", "x"),
    );
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: a");
    expect_cut(&mut client);
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let proxy = Proxy::start(
        &config().web("timeouts = { header = \"300ms\" }").site("").respond("/*", "x"),
    );
    let mut client = proxy.client();
    expect_cut(&mut client);
}

#[test]
fn a_head_that_drips_is_cut_at_the_same_total() {
    let proxy = Proxy::start(
        &config().web("timeouts = { header = \"600ms\" }").site("").respond("/*", "x"),
    );
    let mut client = proxy.client();
    let started = Instant::now();
    let drips = "GET / HTTP/1.1\r\nX-Slow: ".bytes().chain(std::iter::repeat(b'a'));
    for byte in drips.take(400) {
        if client.try_send([byte]).is_err() {
            break;
        }
        client.set_patience(Duration::from_millis(25));
        match client.try_read() {
            Err(WireError::TimedOut) => {}
            _ => break,
        }
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "a byte now and then held it {:?}",
        started.elapsed()
    );
}

#[test]
fn an_idle_connection_is_closed() {
    let proxy = Proxy::start(
        &config().web("timeouts = { keepalive = \"300ms\" }").site("").respond("/*", "x"),
    );
    let mut client = proxy.client();
    client.ask(&get("/")).expect_status(200);
    client.expect_close();
}

#[test]
fn a_body_that_stops_coming_ends_the_request() {
    let origin = Origin::start();
    let config = config().web("timeouts = { body = \"300ms\" }").site("").proxy_to(&origin);
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(post("/", "0123456789").head_bytes()).send("01234");
    expect_cut(&mut client);
    assert!(origin.requests("*").is_empty(), "half a body was passed on as whole");
}

#[test]
fn a_stalled_handshake_is_cut() {
    let config = config()
        .web("tls = { self_signed = [\"localhost\"] }\ntimeouts = { handshake = \"300ms\" }")
        .site("")
        .respond("/*", "x");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send([0x16, 0x03, 0x01]);
    match client.try_read() {
        Ok(bytes) if bytes.is_empty() || bytes[0] == 0x15 => {}
        Err(WireError::Io(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let origin = Origin::start()
        .serve("*", switchback_integration::Answer::Stream { length: 200_000_000, chunked: false });
    let config = config().web("timeouts = { write = \"500ms\" }").site("").proxy_to(&origin);
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    origin.wait_for_requests("*", 1);
    origin.wait_for_open_connections(0);
}

#[test]
fn no_timeout_may_be_switched_off() {
    for lines in ["timeouts = { header = \"0\" }", "timeouts = { body = \"0s\" }"] {
        let refusal = Proxy::try_start(&config().web(lines).site("").respond("/*", "x")).err();
        assert_eq!(refusal.expect("every time-out is finite").code, Some(1));
    }
}
