//! Requests in progress at once.

use std::thread;

use switchback_integration::{
    Answer, Client, Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Request, Step,
    config, eventually, get, request, site,
};

/// An origin that answers `/slow` when the gate lets it, and an open one.
fn slow() -> (Origin, Gate) {
    let gate = Gate::new();
    let answer = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
    ];
    (Origin::start().serve("/slow", answer), gate)
}

fn limited(origin: &Origin, limit: &str) -> Config {
    site().route("/*", format_args!("proxy = \"app\"\nconcurrency = {limit}")).upstream(
        "app",
        &[origin],
        "",
    )
}

/// A connection with a request that the origin has, and that is not answered yet.
fn hold(proxy: &Proxy, origin: &Origin, asked: &Request, heads: usize) -> Client {
    let mut client = proxy.client();
    client.send(asked.to_bytes());
    origin.wait_for_heads(heads);
    client
}

/// Waits until a request is let in again: the end of one is counted a moment after its last byte.
#[track_caller]
fn expect_room(proxy: &Proxy, asked: &Request) {
    eventually("there is room for a request", Deadline::soon(), || {
        (proxy.ask(asked).status == 200).then_some(())
    });
}

#[test]
fn a_request_too_many_is_refused_and_the_next_is_not() {
    let (origin, gate) = slow();
    let proxy = Proxy::start(&limited(&origin, "{ total = 2 }"));
    let mut first = hold(&proxy, &origin, &get("/slow"), 1);
    let mut second = hold(&proxy, &origin, &get("/slow"), 2);
    proxy.get("/").expect_status(503).expect_no_header("retry-after");
    gate.pass();
    gate.pass();
    first.response().expect_status(200).expect_body("done");
    second.response().expect_status(200);
    expect_room(&proxy, &get("/"));
}

#[test]
fn each_client_has_its_own_share() {
    let (origin, gate) = slow();
    let config = limited(&origin, "{ per_client = 1, status = 429 }")
        .top("trusted_proxies = [\"127.0.0.0/8\"]");
    let proxy = Proxy::start(&config);
    let from = |path: &str, client: &str| get(path).header("X-Forwarded-For", client);
    let mut held = hold(&proxy, &origin, &from("/slow", "2001:db8::1"), 1);
    proxy.ask(&from("/", "2001:db8::2")).expect_status(429);
    proxy.ask(&from("/", "2001:db8:0:1::1")).expect_status(200);
    proxy.ask(&from("/", "192.0.2.1")).expect_status(200);
    gate.pass();
    held.response().expect_status(200);
    expect_room(&proxy, &from("/", "2001:db8::2"));
}

#[test]
fn what_makes_a_client_may_be_said() {
    let (origin, gate) = slow();
    let proxy = Proxy::start(&limited(&origin, "{ per_client = 1, key = \"$http_x_account\" }"));
    let of = |path: &str, account: &str| get(path).header("X-Account", account);
    let mut held = hold(&proxy, &origin, &of("/slow", "a"), 1);
    proxy.ask(&of("/", "a")).expect_status(503);
    proxy.ask(&of("/", "b")).expect_status(200);
    proxy.get("/").expect_status(200);
    let mut nobody = hold(&proxy, &origin, &get("/slow"), 4);
    proxy.get("/").expect_status(200);
    gate.pass();
    gate.pass();
    held.response().expect_status(200);
    nobody.response().expect_status(200);
}

#[test]
fn a_client_that_goes_away_gives_its_place_back() {
    let (origin, _gate) = slow();
    let proxy = Proxy::start(&limited(&origin, "{ total = 1 }"));
    let held = hold(&proxy, &origin, &get("/slow"), 1);
    proxy.get("/").expect_status(503);
    held.reset();
    expect_room(&proxy, &get("/"));
}

#[test]
fn all_routes_of_a_site_are_counted_together() {
    let (origin, gate) = slow();
    let config = site()
        .toml("concurrency = { total = 1 }")
        .route("/slow", "proxy = \"app\"")
        .route("/*", "respond = {}\nconcurrency = { total = 1000 }")
        .site("hosts = [\"other\"]")
        .respond("/*", "")
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let mut held = hold(&proxy, &origin, &get("/slow"), 1);
    proxy.get("/x").expect_status(503);
    proxy.ask(&get("/x").host("other")).expect_status(200);
    gate.pass();
    held.response().expect_status(200);
    expect_room(&proxy, &get("/x"));
}

#[test]
fn counts_survive_a_reload_that_changes_the_limit() {
    let (origin, gate) = slow();
    let proxy = Proxy::start(&limited(&origin, "{ total = 2 }"));
    let mut held = hold(&proxy, &origin, &get("/slow"), 1);
    proxy.get("/").expect_status(200);
    proxy.reload(&limited(&origin, "{ total = 1 }")).expect_accepted();
    proxy.get("/").expect_status(503);
    proxy.reload(&limited(&origin, "{ total = 2 }")).expect_accepted();
    expect_room(&proxy, &get("/"));
    gate.pass();
    held.response().expect_status(200);
}

#[test]
fn a_request_that_is_led_elsewhere_is_counted_once() {
    let (origin, gate) = slow();
    let config = site()
        .route(
            "/*",
            "proxy = \"app\"\nconcurrency = { total = 1 }\nerrors = { 502 = \"/page\", 503 = \"page\" }",
        )
        .route_lines("name = \"page\"\nmatch = { path = \"/page\" }\nproxy = \"app\"\nconcurrency = { total = 1 }")
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let mut held = hold(&proxy, &origin, &get("/slow"), 1);
    let page = proxy.get("/x").expect_status(503).json();
    assert_eq!(page["target"], "/x");
    gate.pass();
    held.response().expect_status(200);
    expect_room(&proxy, &get("/x"));
}

#[test]
fn streams_of_http2_are_counted_singly() {
    let (origin, gate) = slow();
    let config = config()
        .web("h2c = true")
        .site("")
        .route("/*", "proxy = \"app\"\nconcurrency = { per_client = 1 }")
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let address = proxy.address("web");
    let streams = thread::spawn(move || {
        let both = [H2Request::new("GET", "/slow"), H2Request::new("GET", "/slow")];
        let answers = H2Client::cleartext(address).ask_all(&both);
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
    });
    eventually("one of them is answered", Deadline::soon(), || {
        (proxy.status()["requests"] == 1).then_some(())
    });
    gate.pass();
    let mut statuses = streams.join().unwrap();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[test]
fn a_tunnel_is_a_request_as_long_as_it_lasts() {
    let origin = Origin::start().serve("/ws", Answer::Tunnel);
    let proxy = Proxy::start(&limited(&origin, "{ total = 1 }"));
    let mut tunnel = proxy.client();
    let handshake = request("GET", "/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13");
    tunnel.send(handshake.to_bytes());
    tunnel.response_head().expect_status(101);
    proxy.get("/").expect_status(503);
    let mut refused = proxy.client();
    refused.send(handshake.to_bytes());
    refused.response_head().expect_status(503);
    drop(tunnel);
    expect_room(&proxy, &get("/"));
}

#[test]
fn a_handshake_that_opens_no_tunnel_is_counted_once() {
    let proxy = Proxy::start(
        &site().route("/*", "respond = { body = \"no\" }\nconcurrency = { total = 1 }"),
    );
    let handshake = get("/").header("Connection", "Upgrade").header("Upgrade", "websocket");
    proxy.ask(&handshake).expect_status(200).expect_body("no");
}
