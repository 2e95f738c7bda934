//! The harness against itself and against real programs: what judges the proxy is judged first.

use std::time::Duration;

use switchback_integration::{
    Answer, Authority, Client, Gate, H2Client, H2Origin, H2Request, Identity, Origin, Peer, Reply,
    Step, Tool, Trust, WireError, get, pattern, post, request,
};

fn connect(origin: &Origin) -> Client {
    Client::tcp(([127, 0, 0, 1], origin.port()).into())
}

#[test]
fn an_origin_echoes_what_it_received() {
    let origin = Origin::start();
    let answer = connect(&origin).ask(&post("/a?b=c", "body").header("X-One", "1"));
    let echoed = answer.expect_status(200).json();
    assert_eq!((&echoed["method"], &echoed["body"]), (&"POST".into(), &"body".into()));
    let received = &origin.requests("/a")[0];
    assert_eq!((received.target.as_str(), received.headers.get("x-one")), ("/a?b=c", Some("1")));
}

#[test]
fn an_origin_reads_chunks_and_keeps_the_connection() {
    let origin = Origin::start();
    let mut client = connect(&origin);
    client.ask(&post("/one", pattern(5000)).chunked(777)).expect_status(200);
    client.ask(&get("/two")).expect_status(200);
    assert_eq!(origin.requests("/one")[0].body, pattern(5000));
    assert_eq!((origin.connections(), origin.requests("*").len()), (1, 2));
}

#[test]
fn an_origin_streams_by_length_and_in_chunks() {
    for chunked in [false, true] {
        let origin = Origin::start().serve("*", Answer::Stream { length: 300_000, chunked });
        connect(&origin).ask(&get("/")).expect_body(pattern(300_000));
    }
}

#[test]
fn a_script_waits_for_its_gate_and_a_short_body_is_truncated() {
    let gate = Gate::new();
    let steps =
        [Step::send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"), Step::Wait(gate.clone())];
    let origin = Origin::start().serve("*", steps);
    let mut client = connect(&origin);
    client.send(get("/").to_bytes()).response_head().expect_status(200);
    assert_eq!(client.read_exactly(4), b"four");
    gate.pass();
    client.expect_close();
}

#[test]
fn a_reset_is_told_from_a_close() {
    let origin = Origin::start().serve("*", [Step::ReadBody, Step::Reset]);
    let outcome = connect(&origin).try_ask(&get("/"));
    assert!(matches!(outcome, Err(WireError::Io(_))), "{outcome:?}");
}

#[test]
fn a_stalled_origin_is_waited_for_no_longer_than_asked() {
    let origin = Origin::start().serve("*", [Step::Stall]);
    let mut client = connect(&origin);
    client.set_patience(Duration::from_millis(50));
    assert!(matches!(client.try_ask(&get("/")), Err(WireError::TimedOut)));
}

#[test]
fn an_answer_to_head_has_no_body() {
    let origin = Origin::start().serve("*", Reply::ok("not sent"));
    let mut client = connect(&origin);
    client.ask(&request("HEAD", "/")).expect_status(200).expect_header("content-length", "8");
    client.ask(&get("/")).expect_body("not sent");
}

#[test]
fn a_unix_origin_is_reached() {
    let origin = Origin::start_unix();
    let path = origin.endpoint().to_string();
    let mut client = Client::unix(path.trim_start_matches("unix:").as_ref());
    client.ask(&get("/")).expect_status(200);
}

#[test]
fn tls_is_verified_against_the_authority_and_the_name() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority.identity(&["right.example"]));
    let address = ([127, 0, 0, 1], origin.port()).into();
    let trust = Trust::Authority(&authority);
    Client::tls(address, "right.example", &trust).ask(&get("/")).expect_status(200);
    assert!(Client::try_tls(address, "wrong.example", &trust).is_err());
    let stranger = Origin::start_tls(&Identity::self_signed(&["right.example"]));
    assert!(
        Client::try_tls(([127, 0, 0, 1], stranger.port()).into(), "right.example", &trust).is_err()
    );
    let expired = Origin::start_tls(&authority.expired_identity(&["right.example"]));
    assert!(
        Client::try_tls(([127, 0, 0, 1], expired.port()).into(), "right.example", &trust).is_err()
    );
}

#[test]
fn http2_echoes_with_trailers_both_ways() {
    let authority = Authority::new();
    let origin = H2Origin::start_tls(&authority.identity(&["h2.example"]));
    let mut client = H2Client::tls(origin.address(), "h2.example", &Trust::Authority(&authority));
    let call = H2Request::new("POST", "/echo").header("te", "trailers").frame("one").frame("two");
    let answer = client.ask(&call.trailer("x-checksum", "abc"));
    assert_eq!(answer.expect_status(200).text(), "onetwo");
    assert_eq!(answer.trailers.get("grpc-status"), Some("0"));
    assert_eq!(answer.trailers.get("x-checksum"), Some("abc"));
    assert_eq!(origin.requests()[0].trailers.get("x-checksum"), Some("abc"));
}

#[test]
fn http2_streams_are_open_both_ways_and_side_by_side() {
    let origin = H2Origin::start();
    let mut client = H2Client::cleartext(origin.address());
    let mut stream = client.open(&H2Request::new("POST", "/echo").header("te", "trailers"));
    stream.send(b"ping");
    assert_eq!((stream.status(), stream.receive()), (200, b"ping".to_vec()));
    stream.finish(&[]);
    assert_eq!(stream.trailers().get("grpc-status"), Some("0"));
    let requests: Vec<_> =
        (0..20).map(|number| H2Request::new("GET", &format!("/{number}"))).collect();
    assert_eq!(client.ask_all(&requests).len(), 20);
    assert!(client.try_ask(&H2Request::new("GET", "/refused")).is_err());
}

#[test]
fn nginx_answers_the_same_however_a_request_is_cut() {
    let origin = Origin::start();
    let Some(nginx) = Peer::nginx(&format!(
        "location / {{ proxy_http_version 1.1; proxy_pass http://{}; }}",
        origin.endpoint()
    )) else {
        return;
    };
    let bytes = post("/cut", "some body").to_bytes();
    for at in (1..bytes.len()).step_by(9) {
        let echoed = nginx.client().send_cut(&bytes, at).response().expect_status(200).json();
        assert_eq!(echoed["body"], "some body");
    }
    nginx.client().send_bytewise(&bytes).response().expect_status(200);
}

#[test]
fn haproxy_passes_a_websocket() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let Some(haproxy) = Peer::haproxy(&format!("server one {}", origin.endpoint())) else { return };
    let upgrade = get("/").header("Connection", "Upgrade").header("Upgrade", "websocket");
    let upgrade = upgrade
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13");
    let mut client = haproxy.client();
    client.send(upgrade.to_bytes()).response_head().expect_status(101);
    assert_eq!(client.send("hello").read_exactly(5), b"hello");
}

#[test]
fn varnish_asks_its_backend_once_for_two_clients() {
    let origin =
        Origin::start().serve("*", Reply::ok("cached").header("Cache-Control", "max-age=60"));
    let Some(varnish) = Peer::varnish(([127, 0, 0, 1], origin.port()).into()) else { return };
    varnish.client().ask(&get("/x")).expect_body("cached");
    varnish.client().ask(&get("/x")).expect_body("cached");
    assert_eq!(origin.requests("/x").len(), 1);
}

#[test]
fn redis_answers_a_ping() {
    let Some(redis) = Peer::redis() else { return };
    let mut client = Client::unix(&redis.socket());
    assert_eq!(client.send("PING\r\n").read_exactly(7), b"+PONG\r\n");
}

#[test]
fn every_tool_is_installed_or_said_to_be_missing() {
    for tool in Tool::ALL {
        if let Some(command) = tool.command() {
            assert!(command.get_program().to_string_lossy().starts_with('/'));
        }
    }
}
