//! Who may ask.

use switchback_integration::{
    Answer, Client, Config, Origin, Proxy, Request, config, get, post, request, site,
};

/// A site with these lines, behind a proxy that is believed.
fn guarded(lines: &str) -> Config {
    config().top("trusted_proxies = [\"127.0.0.0/8\"]").web("").site(lines)
}

fn from(client: &str) -> Request {
    get("/").header("X-Forwarded-For", client)
}

#[test]
fn the_first_rule_for_a_client_decides() {
    let rules = "access = { clients = [\"deny 10.0.0.5\", \"allow 10.0.0.0/8\", \"allow ::1\", \"deny all\"] }";
    let proxy = Proxy::start(&guarded(rules).respond("/*", "in"));
    for (client, status) in [
        ("10.0.0.5", 403),
        ("10.0.0.6", 200),
        ("::ffff:10.0.0.6", 200),
        ("::ffff:10.0.0.5", 403),
        ("::1", 200),
        ("192.0.2.1", 403),
    ] {
        let answer = proxy.ask(&from(client));
        assert_eq!(answer.status, status, "{client}: {answer}");
    }
    proxy.get("/").expect_status(403).expect_no_header("allow").expect_text("403 Forbidden");
}

#[test]
fn site_and_route_must_both_let_a_client_in() {
    let proxy = Proxy::start(
        &guarded("access = { clients = [\"deny 10.0.0.5\"] }")
            .route(
                "/own/*",
                "respond = {}\naccess = { clients = [\"allow 10.0.0.0/8\", \"deny all\"] }",
            )
            .route("/open", "respond = {}"),
    );
    let ask =
        |path: &str, client: &str| proxy.ask(&get(path).header("X-Forwarded-For", client)).status;
    assert_eq!(ask("/own/x", "10.0.0.5"), 403);
    assert_eq!(ask("/open", "10.0.0.5"), 403);
    assert_eq!(ask("/own/x", "10.0.0.6"), 200);
    assert_eq!(ask("/own/x", "192.0.2.1"), 403);
    assert_eq!(ask("/open", "192.0.2.1"), 200);
    assert_eq!(ask("/nowhere", "192.0.2.1"), 404);
}

#[test]
fn a_client_without_address_is_met_by_all_alone() {
    let proxy = Proxy::start(
        &config()
            .listener("name = \"unix\"\naddress = \"unix:a.sock\"")
            .site("")
            .route(
                "/any",
                "respond = {}\naccess = { clients = [\"deny 0.0.0.0/0\", \"deny ::/0\"] }",
            )
            .route(
                "/none",
                "respond = {}\naccess = { clients = [\"allow 0.0.0.0/0\", \"deny all\"] }",
            ),
    );
    let ask = |path: &str| {
        let mut client = Client::unix(&proxy.folder().join("a.sock"));
        client.ask(&get(path)).status
    };
    assert_eq!((ask("/any"), ask("/none")), (200, 403));
}

#[test]
fn a_method_that_is_not_allowed_is_told_which_are() {
    let origin = Origin::start();
    let config = site()
        .route("/a", "proxy = \"app\"\naccess = { methods = [\"GET\", \"HEAD\"] }")
        .route("/b", "proxy = \"app\"\naccess = { methods = \"GET\", status = 404 }")
        .route("/c", "proxy = \"app\"\naccess = { methods = \"GET\", clients = [\"allow all\"] }")
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    proxy.get("/a").expect_status(200);
    proxy.ask(&request("HEAD", "/a")).expect_status(200);
    proxy.ask(&post("/a", "x")).expect_status(405).expect_header("allow", "GET, HEAD");
    proxy.ask(&request("HEAD", "/b")).expect_status(404).expect_no_header("allow");
    proxy.ask(&post("/c", "x")).expect_status(403).expect_no_header("allow");
    assert_eq!(origin.requests("*").len(), 2, "what is refused is not passed on");
}

#[test]
fn referers_are_judged_as_nginx_does() {
    let proxy = Proxy::start(&site().route(
        "/*",
        "respond = {}\naccess = { referers = [\"none\", \"*.a.example\", \"b.example/x/\", \"~^c\\\\.\"] }",
    ));
    let ask = |referer: &str| proxy.ask(&get("/").header("Referer", referer)).status;
    proxy.get("/").expect_status(200);
    for good in ["http://www.a.example/", "https://b.example/x/y", "http://C.example"] {
        assert_eq!(ask(good), 200, "{good}");
    }
    for bad in ["http://a.example/", "http://b.example/y", "http://xc.example", "gone", ""] {
        assert_eq!(ask(bad), 403, "{bad}");
    }
}

#[test]
fn one_of_several_ways_in_is_enough() {
    let proxy = Proxy::start(&guarded("").route(
        "/doors/{door}",
        "respond = {}\naccess = { status = 401, any = [\
         { clients = [\"allow 10.0.0.0/8\", \"deny all\"] }, \
         { when = '$http_x_key == \"{door}\"', methods = \"GET\" }] }",
    ));
    let key = |request: Request| proxy.ask(&request).status;
    assert_eq!(key(get("/doors/a").header("X-Forwarded-For", "10.1.1.1")), 200);
    assert_eq!(key(get("/doors/a").header("X-Key", "a")), 200);
    assert_eq!(key(get("/doors/b").header("X-Key", "a")), 401);
    assert_eq!(key(request("HEAD", "/doors/a").header("X-Key", "a")), 401);
}

#[test]
fn a_websocket_asks_at_the_same_door() {
    let origin = Origin::start().serve("/ws", Answer::Tunnel);
    let config = site().route("/ws", "proxy = \"app\"\naccess = { when = \"$arg_key\" }").upstream(
        "app",
        &[&origin],
        "",
    );
    let proxy = Proxy::start(&config);
    let handshake = |target: &str| {
        get(target)
            .header("Connection", "upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
    };
    let mut refused = proxy.client();
    refused.send(handshake("/ws").to_bytes());
    assert_eq!(refused.response_head().status, 403);
    assert_eq!(origin.heads(), 0);
    let mut let_in = proxy.client();
    let_in.send(handshake("/ws?key=1").to_bytes());
    assert_eq!(let_in.response_head().status, 101);
}

#[test]
fn a_reload_changes_who_may_ask() {
    let open = site().route("/*", "respond = {}");
    let shut = site().route("/*", "respond = {}\naccess = { clients = [\"deny all\"] }");
    let proxy = Proxy::start(&open);
    let mut client = proxy.client();
    client.ask(&get("/")).expect_status(200);
    proxy.reload(&shut).expect_accepted();
    client.ask(&get("/")).expect_status(403);
}
