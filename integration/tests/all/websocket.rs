//! WebSockets: upgraded, tunnelled byte for byte, and not cut for being idle.

use std::time::Duration;

use switchback_integration::{
    Answer, Client, Origin, Proxy, Request, Step, WireError, config, get, open_websocket, pattern,
    site,
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
