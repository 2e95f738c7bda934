//! WebSockets: upgraded, tunnelled byte for byte, and not cut for being idle.

use std::time::Duration;

use switchback_integration::{
    Answer, Client, Config, Deadline, Frame, FrameClient, H2Client, H2Request, H2Stream, Origin,
    Proxy, Request, Step, WireError, config, encode_fields, eventually, get, open_websocket,
    pattern, site,
};

fn upgrade(target: &str) -> Request {
    get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn through(origin: &Origin) -> Proxy {
    Proxy::start(&site().proxy_to(origin))
}

#[test]
fn every_byte_passes_both_ways() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let proxy = through(&origin);
    let mut socket = open_websocket(&proxy, "/ws?x=1");
    for size in [1, 125, 70_000] {
        let bytes = pattern(size);
        assert_eq!(socket.send(&bytes).read_exactly(size), bytes);
    }
    let received = &origin.requests("/ws")[0];
    assert_eq!(received.headers.get("upgrade"), Some("websocket"));
    assert_eq!(received.headers.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn the_answer_to_the_key_is_passed_on() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let proxy = through(&origin);
    let mut client = proxy.client();
    let answer = client.send(upgrade("/").to_bytes()).response_head();
    answer.expect_status(101).expect_header("upgrade", "websocket");
    answer.expect_header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/// Every time-out that could cut a tunnel is one second; it lives for longer than that without a byte.
#[test]
fn an_idle_tunnel_is_not_cut() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let config = config()
        .web("timeouts = { header = \"1s\", keepalive = \"1s\", body = \"1s\", write = \"1s\" }")
        .site("")
        .route("/*", "proxy = \"app\"")
        .upstream("app", &[&origin], "timeouts = { read = \"1s\", write = \"1s\", idle = \"1s\" }");
    let proxy = Proxy::start(&config);
    let mut socket = open_websocket(&proxy, "/");
    assert_silent(&mut socket, Duration::from_millis(2500));
    assert_eq!(socket.send("still there").read_exactly(11), b"still there");
}

fn assert_silent(socket: &mut Client, duration: Duration) {
    socket.set_patience(duration);
    let outcome = socket.try_read();
    assert!(matches!(outcome, Err(WireError::TimedOut)), "{outcome:?}");
    socket.set_patience(Duration::from_secs(10));
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::start().serve("*", switchback_integration::Reply::ok("no").status(403));
    let proxy = through(&origin);
    let mut client = proxy.client();
    client.ask(&upgrade("/")).expect_status(403).expect_body("no");
}

#[test]
fn bytes_sent_before_the_upgrade_is_agreed_reach_nobody_who_refuses() {
    let refuses = [Step::send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), Step::Next];
    let origin = Origin::start().serve("/ws", refuses);
    let proxy = through(&origin);
    let mut client = proxy.client();
    let smuggled = get("/smuggled").to_bytes();
    client.send([upgrade("/ws").to_bytes(), smuggled].concat()).response().expect_status(403);
    proxy.get("/after").expect_status(200);
    let behind: Vec<_> = origin.requests("/smuggled");
    assert!(
        behind.iter().all(|received| received.headers.get("via").is_some()),
        "raw bytes reached the origin: {behind:?}"
    );
}

#[test]
fn bytes_sent_with_the_upgrade_arrive_after_it_is_agreed() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let proxy = through(&origin);
    let mut client = proxy.client();
    client
        .send([upgrade("/").to_bytes(), b"early".to_vec()].concat())
        .response_head()
        .expect_status(101);
    assert_eq!(client.read_exactly(5), b"early");
}

#[test]
fn either_end_ends_the_tunnel() {
    let origin = Origin::start().serve("/echo", Answer::Tunnel).serve(
        "/ends",
        [Step::send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")],
    );
    let proxy = through(&origin);
    drop(open_websocket(&proxy, "/echo"));
    origin.wait_for_open_connections(0);
    let mut socket = open_websocket(&proxy, "/ends");
    assert_eq!(socket.read_exactly(3), b"bye");
    socket.expect_close();
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_a_bad_gateway() {
    let unasked = [Step::send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx",
    )];
    let origin = Origin::start().serve("*", unasked);
    through(&origin).get("/").expect_status(502);
}

fn over_http2(config: &Config) -> (Proxy, H2Client) {
    let proxy = Proxy::start(config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    // Whether the proxy takes an extended CONNECT is known once it has said so.
    client.ask(&H2Request::new("GET", "/settings-have-come"));
    (proxy, client)
}

fn h2c() -> Config {
    config().toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$status $request_uri $server_protocol\"").web("h2c = true").site("")
}

/// All of this many bytes that come next.
fn receive(stream: &mut H2Stream<'_>, size: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < size {
        let piece = stream.receive();
        assert!(!piece.is_empty(), "the tunnel ended after {} bytes", received.len());
        received.extend(piece);
    }
    received
}

#[test]
fn a_websocket_over_http2_reaches_an_http1_upstream() {
    let origin = Origin::start().serve("/ws", Answer::Tunnel);
    let (proxy, mut client) = over_http2(&h2c().proxy_to(&origin));
    let asked = H2Request::connect("/ws?x=1", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("origin", "http://localhost");
    let mut socket = client.open(&asked);
    assert_eq!(socket.status(), 200);
    for size in [1, 125, 70_000, 300_000] {
        let bytes = pattern(size);
        socket.send(&bytes);
        assert_eq!(receive(&mut socket, size), bytes);
    }
    socket.end();
    assert!(socket.receive().is_empty(), "the end did not come through");
    let received = &origin.requests("/ws")[0];
    let field = |name| received.headers.get(name);
    assert_eq!((received.method.as_str(), received.target.as_str()), ("GET", "/ws?x=1"));
    assert_eq!((field("upgrade"), field("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!((field("host"), field("sec-websocket-protocol")), (Some("localhost"), Some("chat")));
    assert_eq!(field("sec-websocket-key").map(str::len), Some(24));
    drop(client);
    let log = || std::fs::read_to_string(proxy.folder().join("access.log")).unwrap_or_default();
    eventually("it is logged", Deadline::soon(), || {
        log().contains("200 /ws?x=1 HTTP/2").then_some(())
    });
}

#[test]
fn many_websockets_share_an_http2_connection_with_requests() {
    let origin = Origin::start().serve("/ws", Answer::Tunnel);
    let (_proxy, mut client) = over_http2(&h2c().proxy_to(&origin));
    client.ask(&H2Request::new("GET", "/before")).expect_status(200);
    let mut socket = client.open(&H2Request::connect("/ws", "websocket"));
    assert_eq!(socket.status(), 200);
    socket.send(b"one");
    assert_eq!(receive(&mut socket, 3), b"one");
    origin.wait_for_open_connections(2);
    drop(socket);
    // The stream is reset, and so its upstream connection closes.
    client.ask(&H2Request::new("GET", "/after")).expect_status(200);
    origin.wait_for_open_connections(1);
}

#[test]
fn what_an_upstream_says_instead_of_a_websocket_is_passed_on_over_http2() {
    let origin = Origin::start()
        .serve("/plain", switchback_integration::Reply::ok("no socket here").status(403))
        .serve(
            "/chunks",
            switchback_integration::Reply::ok(pattern(5000)).status(403).chunked(700),
        );
    let (_proxy, mut client) = over_http2(&h2c().proxy_to(&origin));
    let answer = client.ask(&H2Request::connect("/plain", "websocket"));
    assert_eq!(answer.expect_status(403).text(), "no socket here");
    let answer = client.ask(&H2Request::connect("/chunks", "websocket"));
    assert_eq!(answer.expect_status(403).body, pattern(5000));
    client.ask(&H2Request::new("GET", "/after")).expect_status(200);
}

#[test]
fn other_connects_over_http2_are_refused_with_a_page() {
    let origin = Origin::start();
    let config =
        h2c().respond("/fixed", "x").route("/*", "proxy = \"app\"").upstream("app", &[&origin], "");
    let (_proxy, mut client) = over_http2(&config);
    let ask = |client: &mut H2Client, request: &H2Request| {
        let answer = client.ask(request);
        assert!(answer.text().contains("request "), "no page: {}", answer.text());
        answer.status
    };
    assert_eq!(ask(&mut client, &H2Request::connect("/ws", "connect-udp")), 501);
    assert_eq!(ask(&mut client, &H2Request::connect("/fixed", "websocket")), 501, "no upstream");
    origin.now_serve("/gone", Answer::Script(Vec::new()));
    assert_eq!(ask(&mut client, &H2Request::connect("/gone", "websocket")), 502);
    client.ask(&H2Request::new("GET", "/fixed")).expect_status(200);
}

#[test]
fn a_plain_connect_over_http2_is_refused() {
    let proxy = Proxy::start(&h2c().respond("/*", "x"));
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    let fields = encode_fields(&[(":method", "CONNECT"), (":authority", "localhost:22")]);
    assert!(client.send_frame(&Frame::new(Frame::HEADERS, Frame::END_HEADERS, 1, fields)));
    let page = client.find(Deadline::soon(), |frame| frame.kind == Frame::DATA).unwrap().unwrap();
    assert!(String::from_utf8_lossy(&page.payload).starts_with("405 "), "{page:?}");
}
