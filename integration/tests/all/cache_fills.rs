//! One fetch for all who want the same, over the lanes of both protocols.

use switchback_integration::{
    Authority, Client, Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Reply, Step,
    Trust, WireError, config, eventually, get, pattern, post, request, site,
};

fn cached(origin: &Origin, settings: &str) -> Config {
    config_of(site(), origin, settings)
}

fn config_of(config: Config, origin: &Origin, settings: &str) -> Config {
    config
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"")
}

fn fresh(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

/// A head that says how long the body is, or not, and that it may be stored.
fn head(length: Option<usize>) -> String {
    let framing = match length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{framing}\r\n\r\n")
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let origin = Origin::start().serve("/a", fresh("stored").header("ETag", "\"1\""));
    let proxy = Proxy::start(&cached(&origin, ""));
    proxy.get("/a").expect_status(200).expect_body("stored");
    let mut client = proxy.client();
    for _ in 0..3 {
        client
            .ask(&get("/a"))
            .expect_status(200)
            .expect_body("stored")
            .expect_header("etag", "\"1\"");
    }
    client.ask(&request("HEAD", "/a")).expect_status(200).expect_header("content-length", "6");
    assert_eq!(origin.requests("*").len(), 1);
}

#[test]
fn a_head_fetches_the_whole_for_whoever_gets_it() {
    let origin = Origin::start().serve("/a", fresh("stored"));
    let proxy = Proxy::start(&cached(&origin, ""));
    let head = proxy.ask(&request("HEAD", "/a"));
    head.expect_status(200).expect_header("content-length", "6").expect_body("");
    proxy.get("/a").expect_body("stored");
    let asked = origin.requests("*");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "GET");
}

#[test]
fn the_same_is_one_thing_over_every_lane() {
    let authority = Authority::new();
    let identity = authority.identity(&["edge.example"]);
    let origin = Origin::start().serve("/a", fresh(pattern(300_000)));
    let tls = config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site("");
    let proxy = Proxy::start(&config_of(tls, &origin, ""));
    let trust = Trust::Authority(&authority);
    let mut h2 = H2Client::tls(proxy.address("web"), "edge.example", &trust);
    let asked = H2Request::new("GET", "/a").authority("edge.example");
    for _ in 0..2 {
        let answer = h2.ask(&asked);
        assert!(answer.expect_status(200).body == pattern(300_000));
        assert_eq!(answer.headers.get("content-length"), Some("300000"));
    }
    let mut h1 = proxy.tls_client("edge.example", &trust);
    let answer = h1.ask(&get("/a").host("edge.example"));
    answer.expect_status(200).expect_body(pattern(300_000));
    assert_eq!(origin.requests("*").len(), 1);
}

/// So many clients that have asked for `/a`.
fn crowd(proxy: &Proxy, count: usize) -> Vec<Client> {
    let asking = |_| {
        let mut client = proxy.client();
        client.send(get("/a").to_bytes());
        client
    };
    (0..count).map(asking).collect()
}

#[test]
fn a_thousand_that_wait_for_the_same_cause_one_fetch() {
    let gate = Gate::new();
    let body = pattern(100_000);
    let origin = Origin::start().serve(
        "/a",
        [
            Step::ReadBody,
            Step::Wait(gate.clone()),
            Step::send(head(Some(body.len()))),
            Step::Send(body.clone()),
            Step::Next,
        ],
    );
    let proxy = Proxy::start(&cached(&origin, ", lock = { wait = \"60s\", age = \"60s\" }"));
    let mut clients = crowd(&proxy, 1_000);
    gate.pass();
    for client in &mut clients {
        client.response().expect_status(200).expect_body(&body);
    }
    assert_eq!(origin.heads(), 1);
}

#[test]
fn whoever_comes_later_reads_what_has_come_so_far() {
    for length in [Some(10), None] {
        let gate = Gate::new();
        let chunk = |bytes: &str| match length {
            Some(_) => bytes.to_owned(),
            None => format!("{:x}\r\n{bytes}\r\n", bytes.len()),
        };
        let end = if length.is_some() { "" } else { "0\r\n\r\n" };
        let origin = Origin::start().serve(
            "/a",
            [
                Step::ReadBody,
                Step::send(head(length)),
                Step::send(chunk("first")),
                Step::Wait(gate.clone()),
                Step::send(chunk("later")),
                Step::send(end),
                Step::Next,
            ],
        );
        let proxy = Proxy::start(&cached(&origin, ""));
        let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
        let sent = if length.is_some() { "first" } else { "5\r\nfirst\r\n" };
        for client in &mut clients {
            client.send(get("/a").to_bytes());
            client.response_head().expect_status(200);
            assert_eq!(client.read_exactly(sent.len()), sent.as_bytes());
        }
        gate.pass();
        for client in &mut clients {
            let rest = format!("{}{end}", chunk("later"));
            assert_eq!(client.read_exactly(rest.len()), rest.as_bytes());
        }
        proxy.get("/a").expect_status(200).expect_body("firstlater");
        assert_eq!(origin.heads(), 1);
    }
}

#[test]
fn a_client_that_speaks_http_1_0_learns_of_the_end_by_the_end() {
    let origin = Origin::start().serve("/a", fresh("stored").chunked(3));
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.response();
    answer.expect_status(200).expect_body("stored").expect_no_header("transfer-encoding");
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client.response().expect_body("stored").expect_header("content-length", "6");
}

#[test]
fn what_may_not_be_stored_does_not_hold_others_back() {
    let gate = Gate::new();
    let slow = [
        Step::ReadBody,
        Step::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\n"),
        Step::Wait(gate.clone()),
        Step::send("mine"),
        Step::Next,
    ];
    let origin = Origin::start().serve("/a", slow);
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut clients = crowd(&proxy, 10);
    origin.wait_for_heads(10);
    clients.iter().for_each(|_| gate.pass());
    for client in &mut clients {
        client.response().expect_status(200).expect_body("mine");
    }
    assert_eq!(origin.heads(), 10);
    gate.pass();
    proxy.get("/a").expect_body("mine");
}

#[test]
fn a_client_that_leaves_does_not_end_what_is_to_be_stored() {
    let gate = Gate::new();
    let origin = Origin::start().serve(
        "/a",
        [
            Step::ReadBody,
            Step::send(head(Some(10))),
            Step::send("first"),
            Step::Wait(gate.clone()),
            Step::send("later"),
            Step::Next,
        ],
    );
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    client.response_head();
    assert_eq!(client.read_exactly(5), b"first");
    client.reset();
    gate.pass();
    proxy.get("/a").expect_status(200).expect_body("firstlater");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_client_that_leaves_ends_what_is_its_own() {
    let origin = Origin::start().serve(
        "/a",
        [
            Step::ReadBody,
            Step::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\n"),
            Step::Send(pattern(32 * 1024 * 1024)),
            Step::Stall,
        ],
    );
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    client.response_head().expect_status(200);
    client.reset();
    origin.wait_for_open_connections(0);
}

/// Nobody is shown a part as the whole, and it is not stored.
fn cuts(head: &str, end: Step) {
    let gate = Gate::new();
    let steps = [Step::ReadBody, Step::send(head), Step::Wait(gate.clone()), end];
    let origin = Origin::start().serve("/a", steps);
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(get("/a").to_bytes()).wait_until_read();
    }
    let mut old = proxy.client();
    old.send("GET /a HTTP/1.0\r\nHost: localhost\r\n\r\n").wait_until_read();
    gate.pass();
    for client in &mut clients {
        match client.try_response_to("GET") {
            Err(WireError::Truncated(_) | WireError::Io(_)) => {}
            other => panic!("presented as complete: {other:?}"),
        }
    }
    match old.try_response_to("GET") {
        Err(WireError::Truncated(_) | WireError::Io(_)) => {}
        other => panic!("presented as complete to HTTP/1.0: {other:?}"),
    }
    assert_eq!(origin.heads(), 1);
    origin.now_serve("/a", fresh("whole"));
    proxy.get("/a").expect_status(200).expect_body("whole");
}

#[test]
fn an_answer_that_is_cut_is_cut_for_all_and_not_stored() {
    let chunked = format!("{}5\r\nfive!\r\n", head(None));
    cuts(&format!("{}five!", head(Some(10))), Step::Fin);
    cuts(&format!("{}five!", head(Some(10))), Step::Reset);
    cuts(&chunked, Step::Fin);
    cuts(&chunked, Step::Reset);
    cuts(&chunked, Step::send("zz\r\n"));
}

#[test]
fn a_stream_over_http2_is_reset_where_the_answer_is_cut() {
    let gate = Gate::new();
    let steps = [
        Step::ReadBody,
        Step::send(head(None)),
        Step::send("5\r\nfive!\r\n"),
        Step::Wait(gate.clone()),
        Step::Reset,
    ];
    let origin = Origin::start().serve("/a", steps);
    let proxy = Proxy::start(&config_of(config().web("h2c = true").site(""), &origin, ""));
    let mut client = H2Client::cleartext(proxy.address("web"));
    gate.pass();
    assert!(client.try_ask(&H2Request::new("GET", "/a")).is_err());
}

#[test]
fn whoever_waits_for_a_leader_that_fails_shares_its_fate() {
    let gate = Gate::new();
    let origin =
        Origin::start().serve("/a", [Step::ReadBody, Step::Wait(gate.clone()), Step::Reset]);
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut clients = crowd(&proxy, 5);
    for client in &mut clients {
        client.wait_until_read();
    }
    origin.wait_for_heads(1);
    gate.pass();
    // Pingora asks once more where a connection breaks before an answer.
    gate.pass();
    for client in &mut clients {
        client.response().expect_status(502);
    }
    assert!(origin.heads() <= 2, "{}", origin.heads());
    origin.now_serve("/a", fresh("back"));
    proxy.get("/a").expect_status(200).expect_body("back");
}

#[test]
fn a_slow_client_holds_neither_others_back_nor_memory() {
    const LENGTH: usize = 48 * 1024 * 1024;
    let origin = Origin::start()
        .serve("/big", switchback_integration::Answer::Stream { length: LENGTH, chunked: true });
    let config = config_of(site(), &origin, "").to_toml();
    let config = switchback_integration::text(config.replace("64MiB", "256MiB"));
    let proxy = Proxy::start(&config);
    let before = proxy.stats().resident_kib;
    let mut slow = proxy.client();
    slow.send(get("/big").to_bytes());
    slow.response_head().expect_status(200);
    // It is beyond what is held: whoever comes now fetches for itself, and is not held back.
    let answer = proxy.get("/big");
    assert!(answer.body.len() == LENGTH && answer.body == pattern(LENGTH));
    let grown = proxy.stats().resident_kib.saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB more");
}

#[test]
fn requests_with_bodies_and_other_methods_go_past() {
    let origin = Origin::start();
    let proxy = Proxy::start(&cached(&origin, ", ttl = { any = \"1h\" }, override_origin = true"));
    for (asked, body) in
        [(post("/a", "one"), "one"), (post("/a", "two"), "two"), (get("/a").body("x"), "x")]
    {
        assert_eq!(proxy.ask(&asked).expect_status(200).json()["body"], body);
    }
    assert_eq!(origin.requests("*").len(), 3);
}

#[test]
fn conditions_and_ranges_of_the_client_do_not_reach_the_origin() {
    let origin = Origin::start().serve("/a", fresh("stored").header("ETag", "\"1\""));
    let proxy = Proxy::start(&cached(&origin, ""));
    let asked = get("/a").header("If-None-Match", "\"0\"").header("Range", "bytes=0-1");
    let asked = asked.header("X-Forwarded-Host", "evil.example").header("X-Original-URL", "/b");
    proxy.ask(&asked);
    let received = &origin.requests("*")[0];
    for name in ["if-none-match", "range", "x-original-url"] {
        assert_eq!(received.headers.get(name), None, "{name}");
    }
    assert_ne!(received.headers.get("x-forwarded-host"), Some("evil.example"));
}

#[test]
fn what_a_route_says_to_clients_is_said_to_each_and_not_stored() {
    let origin = Origin::start()
        .serve("/a", fresh("stored").header("X-Inner", "1"))
        .serve("/gone", fresh("the origin's page").status(404));
    let route = "proxy = \"app\"\ncache = \"main\"\nerrors = { 404 = \"lost\" }\n\
                 response_headers = { set = { x-for = \"$arg_n\", x-was = \"$upstream_http_x_inner\" }, remove = [\"x-inner\"] }";
    let config = site()
        .route("/*", route)
        .route_lines("name = \"lost\"\ninternal = true\nrespond = { status = 404, body = \"lost $request_id\" }")
        .upstream("app", &[&origin], "")
        .toml("[zones.main]");
    let proxy = Proxy::start(&switchback_integration::text(
        config
            .to_toml()
            .replace("cache = \"main\"", "cache = { zone = \"main\", key = { query = \"none\" } }"),
    ));
    for n in ["1", "2", "3"] {
        let answer = proxy.get(&format!("/a?n={n}"));
        answer.expect_status(200).expect_header("x-for", n).expect_header("x-was", "1");
        answer.expect_no_header("x-inner").expect_body("stored");
    }
    let pages: Vec<_> = (0..2).map(|_| proxy.get("/gone").expect_status(404).text()).collect();
    assert!(pages[0].starts_with("lost ") && pages[0] != pages[1], "{pages:?}");
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn a_reload_in_the_middle_of_a_fill_changes_nothing_for_it() {
    let gate = Gate::new();
    let origin = Origin::start().serve(
        "/a",
        [
            Step::ReadBody,
            Step::send(head(Some(10))),
            Step::send("first"),
            Step::Wait(gate.clone()),
            Step::send("later"),
            Step::Next,
        ],
    );
    let proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    client.response_head();
    assert_eq!(client.read_exactly(5), b"first");
    proxy.reload(&cached(&origin, ", min_uses = 1, status_header = false"));
    let mut late = proxy.client();
    late.send(get("/a").to_bytes());
    late.response_head();
    gate.pass();
    assert_eq!(client.read_exactly(5), b"later");
    assert_eq!(late.read_exactly(10), b"firstlater");
    proxy.get("/a").expect_body("firstlater");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_drain_in_the_middle_of_a_fill_waits_for_its_readers() {
    let gate = Gate::new();
    let origin = Origin::start().serve(
        "/a",
        [
            Step::ReadBody,
            Step::send(head(Some(10))),
            Step::send("first"),
            Step::Wait(gate.clone()),
            Step::send("later"),
            Step::Next,
        ],
    );
    let mut proxy = Proxy::start(&cached(&origin, ""));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    client.response_head();
    assert_eq!(client.read_exactly(5), b"first");
    proxy.signal("QUIT");
    eventually("nobody is let in any more", Deadline::soon(), || {
        std::net::TcpStream::connect(proxy.address("web")).err()
    });
    gate.pass();
    assert_eq!(client.read_exactly(5), b"later");
    assert_eq!(proxy.wait(), Some(0));
}
