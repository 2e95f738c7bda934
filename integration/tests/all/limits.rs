//! What a client may send is bounded, and the answer says by which bound.

use switchback_integration::{Config, Origin, Proxy, config, get, pattern, post};

fn limited(origin: &Origin) -> Config {
    config()
        .web("limits = { target = \"1KiB\", headers = \"4KiB\", fields = 20, keepalive_requests = 3 }")
        .site("body_limit = \"10KiB\"")
        .route_lines("match = { path = \"/large/*\" }\nproxy = \"app\"\nbody_limit = \"100KiB\"")
        .route_lines("match = { path = \"/any/*\" }\nproxy = \"app\"\nbody_limit = \"0\"")
        .proxy_to(origin)
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused_at_once() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let mut client = proxy.client();
    client.send(post("/", pattern(10_241)).head_bytes()).response().expect_status(413);
    client.expect_close();
    assert_eq!(origin.heads(), 0);
    proxy.ask(&post("/", pattern(10_240))).expect_status(200);
}

#[test]
fn a_chunked_body_is_refused_when_it_becomes_too_large() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    proxy.ask(&post("/", pattern(10_240)).chunked(1000)).expect_status(200);
    let mut client = proxy.client();
    // The refusal may come, and the connection end, before all of it is sent.
    let _sent = client.try_send(post("/", pattern(20_000)).chunked(1000).to_bytes());
    client.response().expect_status(413);
    assert_eq!(origin.requests("*").len(), 1, "half a body was passed on as whole");
}

#[test]
fn a_route_has_a_limit_of_its_own() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    proxy.ask(&post("/large/x", pattern(90_000))).expect_status(200);
    proxy.ask(&post("/any/x", pattern(900_000))).expect_status(200);
    let mut client = proxy.client();
    client.send(post("/large/x", pattern(200_000)).head_bytes()).response().expect_status(413);
}

#[test]
fn a_target_too_long_is_refused() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let target = |length: usize| format!("/{}", "a".repeat(length - 1));
    proxy.get(&target(1024)).expect_status(200);
    let mut client = proxy.client();
    client.ask(&get(&target(1025))).expect_status(414);
    client.expect_close();
}

#[test]
fn a_target_that_never_ends_is_refused_before_its_end() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let mut client = proxy.client();
    client.send(format!("GET /{}", "a".repeat(9000))).response().expect_status(414);
}

#[test]
fn too_many_header_bytes_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let mut client = proxy.client();
    client.ask(&get("/").header("X-Large", &"a".repeat(5000))).expect_status(431);
    client.expect_close();
    let mut client = proxy.client();
    client
        .send(format!("GET / HTTP/1.1\r\nX-Endless: {}", "a".repeat(9000)))
        .response()
        .expect_status(431);
}

#[test]
fn too_many_fields_are_refused() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let many = |count: usize| {
        (1..count).fold(get("/"), |asked, number| asked.header(&format!("X-{number}"), "1"))
    };
    proxy.ask(&many(20)).expect_status(200);
    proxy.ask(&many(21)).expect_status(431);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_connection_ends_after_its_last_request() {
    let origin = Origin::start();
    let proxy = Proxy::start(&limited(&origin));
    let mut client = proxy.client();
    for _ in 0..2 {
        let answer = client.ask(&get("/"));
        assert!(!answer.headers.all("connection").contains(&"close"), "{answer}");
    }
    client.ask(&get("/")).expect_header("connection", "close");
    client.expect_close();
}
