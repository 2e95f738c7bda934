//! Time-outs and the pace of answers on single routes.

use std::time::{Duration, Instant};

use switchback_integration::{
    Answer, H2Client, H2Request, Origin, Proxy, Reply, Step, config, get, pattern, site,
};

const PACE: &str = "bandwidth = { rate = \"200000\" }";

fn silent() -> Origin {
    Origin::start().serve("*", [Step::ReadBody, Step::Stall])
}

#[test]
fn a_route_may_wait_less_than_its_upstream() {
    let origin = silent();
    let proxy = Proxy::start(
        &site().route("/*", "proxy = \"app\"\ntimeouts = { read = \"200ms\" }").upstream(
            "app",
            &[&origin],
            "",
        ),
    );
    proxy.get("/").expect_status(504);
}

#[test]
fn a_route_may_wait_longer_than_its_upstream() {
    let slow = [
        Step::ReadBody,
        Step::Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), Duration::from_millis(20)),
        Step::send("Content-Length: 2\r\n\r\nok"),
    ];
    let origin = Origin::start().serve("*", slow);
    let config = |timeouts: &str| {
        site().route("/*", format_args!("proxy = \"app\"\n{timeouts}")).upstream(
            "app",
            &[&origin],
            "timeouts = { read = \"1ms\" }",
        )
    };
    Proxy::start(&config("")).get("/").expect_status(504);
    Proxy::start(&config("timeouts = { read = \"30s\" }")).get("/").expect_status(200);
}

#[test]
fn time_outs_of_one_route_are_not_those_of_another() {
    let origin = silent();
    let config = site()
        .route("/patient", "proxy = \"app\"")
        .route("/hasty", "proxy = \"app\"\ntimeouts = { read = \"100ms\" }")
        .upstream("app", &[&origin], "timeouts = { read = \"2s\" }");
    let proxy = Proxy::start(&config);
    let mut patient = proxy.client();
    let begun = Instant::now();
    patient.send(get("/patient").to_bytes());
    proxy.get("/hasty").expect_status(504);
    patient.response().expect_status(504);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn the_answer_to_a_websocket_is_waited_for_as_the_route_says() {
    let origin = silent();
    let proxy = Proxy::start(
        &site().route("/*", "proxy = \"app\"\ntimeouts = { read = \"200ms\" }").upstream(
            "app",
            &[&origin],
            "",
        ),
    );
    let mut client = proxy.client();
    let handshake = get("/")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13");
    client.send(handshake.to_bytes());
    client.response().expect_status(504);
}

/// What came, and that it took at least so long.
#[track_caller]
fn expect_slow(least: Duration, ask: impl FnOnce() -> Vec<u8>) {
    let begun = Instant::now();
    let body = ask();
    let took = begun.elapsed();
    assert!(body == pattern(200_000), "{} bytes came", body.len());
    assert!(took >= least, "it took {took:?} alone");
}

#[test]
fn the_answer_of_an_upstream_is_sent_at_the_pace_of_its_route() {
    let origin = Origin::start()
        .serve("/length", Reply::ok(pattern(200_000)))
        .serve("/chunks", Reply::ok(pattern(200_000)).chunked(10_000))
        .serve("/replaced", Reply::ok(pattern(200_000)));
    let config = site()
        .route("/replaced", format_args!("proxy = \"app\"\nerrors = {{ 404 = \"x\" }}\n{PACE}"))
        .route_lines("name = \"x\"\ninternal = true\nrespond = {}")
        .route("/*", format_args!("proxy = \"app\"\n{PACE}"))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    for path in ["/length", "/chunks", "/replaced"] {
        expect_slow(Duration::from_millis(500), || proxy.get(path).expect_status(200).body.clone());
    }
}

#[test]
fn a_head_is_not_held_back_as_long_as_its_body() {
    let origin = Origin::start().serve("*", Reply::ok(pattern(1_000_000)));
    let config = site().route("/*", "proxy = \"app\"\nbandwidth = { rate = \"1000\" }").upstream(
        "app",
        &[&origin],
        "",
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    client.response_head().expect_status(200);
}

#[test]
fn a_fixed_answer_is_sent_at_the_pace_of_its_route() {
    let body = String::from_utf8(vec![b'x'; 200_000]).unwrap();
    let config = config()
        .web("h2c = true")
        .site("")
        .route("/slow", format_args!("respond = {{ body = {{ file = \"x.txt\" }} }}\n{PACE}"))
        .route("/later", "respond = { body = { file = \"x.txt\" } }\nbandwidth = { rate = \"1\", after = \"200000\" }")
        .file("x.txt", body.clone());
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let begun = Instant::now();
    proxy.get("/slow").expect_status(200).expect_body(&body);
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let answer = client.ask(&H2Request::new("GET", "/slow"));
    assert_eq!((answer.status, answer.text().len()), (200, 200_000));
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    proxy.get("/later").expect_status(200).expect_body(&body);
}

#[test]
fn a_tunnel_is_not_slowed() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let config = site().route("/*", "proxy = \"app\"\nbandwidth = { rate = \"1\" }").upstream(
        "app",
        &[&origin],
        "",
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    let handshake = get("/")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13");
    client.send(handshake.to_bytes());
    client.response_head().expect_status(101);
    client.send(pattern(10_000));
    assert!(client.read_exactly(10_000) == pattern(10_000));
}
