//! HTTP/1.1 on both sides.

use switchback_integration::{
    Answer, Origin, Proxy, Reply, Step, get, pattern, post, request, site,
};

/// One worker, so that a pooled upstream connection is there for every request.
fn through(origin: &Origin) -> Proxy {
    Proxy::start(&site().top("workers = 1").proxy_to(origin))
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let origin = Origin::start();
    let proxy = through(&origin);
    proxy
        .ask(&post("/p/a%20b?q=1&q=2", "body").host("h.example").header("X-One", "1"))
        .expect_status(200);
    let received = &origin.requests("*")[0];
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/p/a%20b?q=1&q=2"));
    assert_eq!(received.headers.get("host"), Some("h.example"));
    assert_eq!(received.headers.get("x-one"), Some("1"));
    assert_eq!(received.body, b"body");
}

#[test]
fn an_answer_arrives_however_it_is_framed() {
    let origin = Origin::start()
        .serve("/length", Reply::ok("by length").header("X-Two", "2"))
        .serve("/chunks", Reply::ok("in chunks").chunked(4))
        .serve("/close", Reply::ok("until close").until_close())
        .serve("/none", Reply::ok("").status(204))
        .serve("/error", Reply::ok("broken").status(500));
    let proxy = through(&origin);
    let mut client = proxy.client();
    client.ask(&get("/length")).expect_header("x-two", "2").expect_body("by length");
    client.ask(&get("/chunks")).expect_body("in chunks");
    client.ask(&get("/close")).expect_body("until close");
    client.ask(&get("/none")).expect_status(204).expect_body("");
    client.ask(&get("/error")).expect_status(500).expect_body("broken");
    client.ask(&request("HEAD", "/length")).expect_header("content-length", "9");
}

#[test]
fn both_connections_are_kept() {
    let origin = Origin::start();
    let proxy = through(&origin);
    let mut client = proxy.client();
    for _ in 0..5 {
        client.ask(&get("/")).expect_status(200);
    }
    proxy.get("/").expect_status(200);
    assert_eq!((origin.requests("*").len(), origin.connections()), (6, 1));
}

#[test]
fn a_client_that_asks_for_a_close_gets_one() {
    let origin = Origin::start();
    let proxy = through(&origin);
    let mut client = proxy.client();
    client.ask(&get("/").close()).expect_status(200).expect_header("connection", "close");
    client.expect_close();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    let proxy = through(&origin);
    let mut client = proxy.client();
    let all: Vec<u8> = (0..20).flat_map(|number| get(&format!("/{number}")).to_bytes()).collect();
    client.send(all);
    for number in 0..20 {
        assert_eq!(client.response().expect_status(200).json()["target"], format!("/{number}"));
    }
}

#[test]
fn large_bodies_pass_both_ways() {
    let size = 5_000_000;
    let origin = Origin::start()
        .serve("/down", Answer::Stream { length: size, chunked: false })
        .serve("/down-chunked", Answer::Stream { length: size, chunked: true });
    let config = site().toml("body_limit = \"10MiB\"").proxy_to(&origin);
    let proxy = Proxy::start(&config);
    proxy.get("/down").expect_body(pattern(size));
    proxy.get("/down-chunked").expect_body(pattern(size));
    proxy.ask(&post("/up", pattern(size))).expect_status(200);
    proxy.ask(&post("/up-chunked", pattern(size)).chunked(9000)).expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, pattern(size));
    assert_eq!(origin.requests("/up-chunked")[0].body, pattern(size));
}

#[test]
fn what_concerns_one_connection_stays_on_it() {
    let reply =
        Reply::ok("x").header("Keep-Alive", "timeout=9").header("Proxy-Authenticate", "Basic");
    let origin =
        Origin::start().serve("*", reply.header("Connection", "X-Hop").header("X-Hop", "1"));
    let asked = get("/")
        .header("Connection", "X-Mine, keep-alive")
        .header("X-Mine", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "gzip")
        .header("X-Ours", "1");
    let answer = through(&origin).ask(&asked);
    answer.expect_no_header("x-hop").expect_no_header("keep-alive");
    let received = &origin.requests("*")[0].headers;
    for hop in ["x-mine", "keep-alive", "proxy-connection", "te"] {
        assert!(received.all(hop).is_empty(), "{hop} was passed on: {received:?}");
    }
    assert_eq!(received.get("x-ours"), Some("1"));
}

#[test]
fn headers_are_set_and_removed_both_ways() {
    let origin =
        Origin::start().serve("*", Reply::ok("x").header("Server", "old").header("X-Keep", "1"));
    let config = site().route(
        "/u/{id}",
        "proxy = \"app\"\n\
         request_headers = { set = { x-user = \"{id}\", x-agent = \"$http_user_agent\" }, remove = [\"x-secret\"] }\n\
         response_headers = { set = { x-frame-options = \"DENY\" }, remove = [\"server\"] }",
    );
    let proxy = Proxy::start(&config.upstream("app", &[&origin], ""));
    let answer = proxy.ask(&get("/u/7").header("X-Secret", "s").header("X-User", "forged"));
    answer
        .expect_header("x-frame-options", "DENY")
        .expect_header("x-keep", "1")
        .expect_no_header("server");
    let received = &origin.requests("*")[0].headers;
    assert_eq!(received.get("x-user"), Some("7"));
    assert!(received.all("x-secret").is_empty() && received.all("x-agent").is_empty());
}

#[test]
fn the_target_is_rewritten() {
    let origin = Origin::start();
    let config = site()
        .route(
            "/users/{id}/*",
            "proxy = { upstream = \"app\", rewrite = \"/v2/{id}$is_args$args\" }",
        )
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    proxy.get("/users/7/x?a=b").expect_status(200);
    proxy.get("/users/7/x").expect_status(200);
    let targets: Vec<_> =
        origin.requests("*").into_iter().map(|received| received.target).collect();
    assert_eq!(targets, ["/v2/7?a=b", "/v2/7"]);
}

#[test]
fn an_early_hint_does_not_stand_in_for_the_answer() {
    let steps = [
        Step::ReadBody,
        Step::send(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        Step::Next,
    ];
    let origin = Origin::start().serve("*", steps);
    let proxy = through(&origin);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    let first = client.response();
    let last = if first.status == 103 { client.response() } else { first };
    last.expect_status(200).expect_body("ok");
}

#[test]
fn endpoints_share_by_weight() {
    let origins = [Origin::start(), Origin::start()];
    let [one, two] = [origins[0].endpoint(), origins[1].endpoint()];
    let config = site().top("workers = 1").route("/*", "proxy = \"app\"").toml(format_args!(
        "[upstreams.app]\nendpoints = [\"{one}\", {{ address = \"{two}\", weight = 3 }}]\nbalance = \"round_robin\""
    ));
    let proxy = Proxy::start(&config);
    for _ in 0..40 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!([origins[0].requests("*").len(), origins[1].requests("*").len()], [10, 30]);
}

#[test]
fn a_name_is_resolved() {
    let origin = Origin::start();
    let endpoint = format!("localhost:{}", origin.port());
    let proxy =
        Proxy::start(&site().route("/*", "proxy = \"app\"").endpoints("app", &[endpoint], ""));
    proxy.get("/").expect_status(200);
}

#[test]
fn a_name_that_does_not_resolve_is_a_bad_gateway_and_no_panic() {
    let config =
        site().route("/*", "proxy = \"app\"").endpoints("app", &["nowhere.invalid:80"], "");
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(502);
    assert!(!proxy.stderr().contains("panicked"));
}

#[test]
fn a_stale_pooled_connection_is_not_the_clients_problem() {
    let closes =
        [Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Fin];
    let origin = Origin::start().serve("*", closes);
    let proxy = through(&origin);
    let mut client = proxy.client();
    for _ in 0..10 {
        client.ask(&get("/")).expect_status(200).expect_body("ok");
        origin.wait_for_open_connections(0);
    }
}

#[test]
fn a_client_that_names_no_host_is_passed_on_with_one() {
    let origin = Origin::start();
    let proxy = through(&origin);
    for head in ["GET /a HTTP/1.0\r\n\r\n", "POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"] {
        let mut client = proxy.client();
        client.send(head);
        client.response().expect_status(200);
        let received = origin.requests("*").pop().unwrap();
        assert_eq!(received.headers.get("host"), Some("app"), "{head}");
    }
}
