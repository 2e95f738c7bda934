//! HTTP/2 on either side: over TLS, in plain text, and gRPC with trailers both ways.

use switchback_integration::{
    Authority, Config, Deadline, Frame, FrameClient, Gate, H2Client, H2Origin, H2Request, Origin,
    Proxy, Reply, Step, Trust, config, pattern, site,
};

fn grpc(path: &str) -> H2Request {
    H2Request::new("POST", path).header("te", "trailers").header("content-type", "application/grpc")
}

fn tls_site(authority: &Authority) -> Config {
    let identity = authority.identity(&["edge.example"]);
    config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site("")
}

fn h2c_site() -> Config {
    config().web("h2c = true").site("")
}

fn to_h2(config: Config, origin: &H2Origin) -> Config {
    let endpoint = origin.address().to_string();
    config.route("/*", "proxy = \"rpc\"").endpoints("rpc", &[endpoint], "protocol = \"h2\"")
}

#[test]
fn a_tls_listener_speaks_http2_and_http1_by_alpn() {
    let authority = Authority::new();
    let origin = Origin::start().serve("/x", Reply::ok("hello").header("X-Two", "2"));
    let proxy = Proxy::start(&tls_site(&authority).proxy_to(&origin));
    let trust = Trust::Authority(&authority);
    let mut h2 = H2Client::tls(proxy.address("web"), "edge.example", &trust);
    let answer = h2.ask(&H2Request::new("GET", "/x"));
    assert_eq!(
        (answer.expect_status(200).text().as_str(), answer.headers.get("x-two")),
        ("hello", Some("2"))
    );
    let mut h1 = proxy.tls_client("edge.example", &trust);
    assert_eq!(h1.alpn().as_deref(), Some("http/1.1"));
    h1.ask(&switchback_integration::get("/x")).expect_status(200).expect_body("hello");
}

#[test]
fn an_http2_request_becomes_a_whole_http1_request() {
    let origin = Origin::start();
    let proxy = Proxy::start(&h2c_site().proxy_to(&origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let asked = H2Request::new("POST", "/p?q=1")
        .authority("h.example")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    client.ask(&asked.frame(pattern(70_000)).frame("end")).expect_status(200);
    let received = &origin.requests("/p")[0];
    assert_eq!(
        (received.target.as_str(), received.headers.get("host")),
        ("/p?q=1", Some("h.example"))
    );
    assert_eq!(received.headers.get("cookie"), Some("a=1; b=2"));
    assert_eq!(received.body, [pattern(70_000), b"end".to_vec()].concat());
}

#[test]
fn plain_http2_needs_the_listener_to_allow_it() {
    let proxy = Proxy::start(&site().respond("/*", "x"));
    let mut client = proxy.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").response().expect_status(400);
}

#[test]
fn an_h2c_listener_still_speaks_http1() {
    let proxy = Proxy::start(&h2c_site().respond("/*", "x"));
    proxy.get("/").expect_status(200).expect_body("x");
    let mut client = H2Client::cleartext(proxy.address("web"));
    assert_eq!(client.ask(&H2Request::new("GET", "/")).expect_status(200).text(), "x");
}

#[test]
fn streams_run_side_by_side() {
    let gate = Gate::new();
    let held = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld"),
        Step::Next,
    ];
    let origin = Origin::start().serve("/held", held).serve("/free", Reply::ok("free"));
    let proxy = Proxy::start(&h2c_site().proxy_to(&origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let requests = ["/held", "/free"].map(|path| H2Request::new("GET", path));
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| {
            origin.wait_for_requests("/free", 1);
            gate.pass();
        });
        client.ask_all(&requests)
    });
    assert_eq!((answers[0].text().as_str(), answers[1].text().as_str()), ("held", "free"));
}

#[test]
fn many_streams_of_one_connection_are_answered() {
    let origin = Origin::start();
    let proxy = Proxy::start(&h2c_site().proxy_to(&origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let requests: Vec<_> =
        (0..80).map(|number| H2Request::new("GET", &format!("/{number}"))).collect();
    for (number, answer) in client.ask_all(&requests).iter().enumerate() {
        let echoed: serde_json::Value =
            serde_json::from_slice(&answer.expect_status(200).body).unwrap();
        assert_eq!(echoed["target"], format!("/{number}"));
    }
}

#[test]
fn grpc_passes_with_trailers_both_ways() {
    let origin = H2Origin::start();
    let proxy = Proxy::start(&to_h2(h2c_site(), &origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer =
        client.ask(&grpc("/svc/Echo").frame("one").frame("two").trailer("x-checksum", "abc"));
    assert_eq!(answer.expect_status(200).text(), "onetwo");
    assert_eq!(answer.trailers.get("grpc-status"), Some("0"));
    let received = &origin.requests()[0];
    assert_eq!(received.headers.get("te"), Some("trailers"));
    assert_eq!(
        received.trailers.get("x-checksum"),
        Some("abc"),
        "the request's trailers were lost"
    );
    assert_eq!(answer.trailers.get("x-checksum"), Some("abc"));
}

#[test]
fn a_grpc_stream_is_open_both_ways() {
    let origin = H2Origin::start();
    let proxy = Proxy::start(&to_h2(h2c_site(), &origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let mut stream = client.open(&grpc("/svc/Chat"));
    for message in ["first", "second", "third"] {
        stream.send(message.as_bytes());
        if message == "first" {
            assert_eq!(stream.status(), 200);
        }
        assert_eq!(String::from_utf8_lossy(&stream.receive()), message);
    }
    stream.finish(&[("x-checksum", "end")]);
    assert_eq!(stream.trailers().get("grpc-status"), Some("0"));
}

#[test]
fn a_grpc_answer_of_trailers_only_stays_one() {
    let origin = H2Origin::start();
    let proxy = Proxy::start(&to_h2(h2c_site(), &origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer = client.ask(&grpc("/trailers-only").frame("x"));
    let status = answer.headers.get("grpc-status").or(answer.trailers.get("grpc-status"));
    assert_eq!((answer.status, status), (200, Some("12")));
}

#[test]
fn a_refused_stream_is_tried_again() {
    let origin = H2Origin::start();
    let proxy = Proxy::start(&to_h2(h2c_site(), &origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    client.ask(&H2Request::new("GET", "/refused")).expect_status(200);
}

#[test]
fn an_http1_client_reaches_an_http2_upstream_over_tls() {
    let authority = Authority::new();
    let origin = H2Origin::start_tls(&authority.identity(&["rpc.example"]));
    let config = site().file("ca.pem", authority.pem()).route("/*", "proxy = \"rpc\"").endpoints(
        "rpc",
        &[origin.address().to_string()],
        "protocol = \"h2\"\ntls = { server_name = \"rpc.example\", ca = \"ca.pem\" }",
    );
    let proxy = Proxy::start(&config);
    let asked = switchback_integration::post("/echo?x=1", "over http2").host("h.example");
    proxy.ask(&asked).expect_status(200).expect_body("over http2");
    let received = &origin.requests()[0];
    assert_eq!(
        (received.path.as_str(), received.authority.as_deref()),
        ("/echo?x=1", Some("h.example"))
    );
}

#[test]
fn grpc_passes_over_tls_on_both_sides() {
    let authority = Authority::new();
    let origin = H2Origin::start_tls(&authority.identity(&["rpc.example"]));
    let config = tls_site(&authority)
        .file("ca.pem", authority.pem())
        .route("/*", "proxy = \"rpc\"")
        .endpoints(
            "rpc",
            &[origin.address().to_string()],
            "protocol = \"h2\"\ntls = { server_name = \"rpc.example\", ca = \"ca.pem\" }",
        );
    let proxy = Proxy::start(&config);
    let mut client =
        H2Client::tls(proxy.address("web"), "edge.example", &Trust::Authority(&authority));
    let answer = client.ask(&grpc("/svc/Echo").frame("tls").trailer("x-checksum", "abc"));
    assert_eq!((answer.text().as_str(), answer.trailers.get("x-checksum")), ("tls", Some("abc")));
}

#[test]
fn a_body_over_its_limit_is_refused_on_http2_too() {
    let origin = Origin::start();
    let config = config().web("h2c = true").site("body_limit = \"1KiB\"").proxy_to(&origin);
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let asked = H2Request::new("POST", "/").frame(pattern(900)).frame(pattern(900));
    match client.try_ask(&asked) {
        Ok(answer) => assert_eq!(answer.status, 413),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    assert!(origin.requests("*").is_empty());
}

/// Early hints, then the answer.
fn hinting_origin() -> Origin {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    Origin::start().serve("*", [Step::ReadBody, Step::send(answer), Step::Next])
}

#[test]
fn early_hints_reach_a_client_of_http1() {
    let origin = hinting_origin();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(switchback_integration::get("/").to_bytes());
    client.response().expect_status(103).expect_header("link", "</a.css>; rel=preload");
    client.response().expect_status(200).expect_body("ok");
}

#[test]
fn early_hints_reach_a_client_of_http2() {
    let origin = hinting_origin();
    let proxy = Proxy::start(&h2c_site().proxy_to(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    assert!(client.get(1, "/"));
    let mut next = |kinds: &[u8]| {
        let frame = client.find(Deadline::soon(), |frame| kinds.contains(&frame.kind));
        frame.unwrap().expect("an answer")
    };
    let kinds = [Frame::HEADERS, Frame::DATA];
    let (hints, head, body) = (next(&kinds), next(&kinds), next(&kinds));
    assert_eq!((hints.kind, hints.flags), (Frame::HEADERS, Frame::END_HEADERS), "{hints:?}");
    // The status 200 has a number of its own in the table.
    assert_eq!((head.kind, head.payload.first()), (Frame::HEADERS, Some(&0x88)), "{head:?}");
    assert_eq!((body.kind, body.payload.as_slice()), (Frame::DATA, &b"ok"[..]));
}

/// Pingora's client of HTTP/1.1 sends no trailers: they end here, and the request is whole without them.
#[test]
fn trailers_of_a_request_end_before_an_http1_upstream() {
    let origin = Origin::start();
    let proxy = Proxy::start(&h2c_site().proxy_to(&origin));
    let mut client = H2Client::cleartext(proxy.address("web"));
    let asked = H2Request::new("POST", "/up").frame("body").trailer("x-checksum", "abc");
    client.ask(&asked).expect_status(200);
    let received = &origin.requests("/up")[0];
    assert_eq!(
        (received.body.as_slice(), received.headers.get("x-checksum")),
        (&b"body"[..], None)
    );
    let chunked = "POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\n\r\n\
                   4\r\nbody\r\n0\r\nx-checksum: abc\r\n\r\n";
    proxy.client().send(chunked).response().expect_status(200);
    assert_eq!(origin.requests("/up")[1].body, b"body");
}
