//! What a client is told while it waits for what others fetch, and what is done of one that does not wait.

use switchback_integration::{
    Config, Deadline, Frame, FrameClient, Gate, Origin, Proxy, Step, config, eventually, get,
};

const LINK: &str = "</a.css>; rel=preload";

fn cached(origin: &Origin) -> Config {
    config()
        .web("h2c = true")
        .site("")
        .route("/*", "proxy = \"app\"\ncache = { zone = \"main\", lock = { wait = \"60s\" } }")
        .upstream("app", &[origin], "")
        .toml("[zones.main]")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$server_protocol $status\"\n")
}

/// So many 1xx, a gate, and an answer for long.
fn hinting(count: usize, gate: &Gate) -> [Step; 5] {
    let hint = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: {LINK}\r\nConnection: x-own\r\nX-Own: 1\r\n\r\n"
    );
    let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nok";
    [
        Step::ReadBody,
        Step::send(hint.repeat(count)),
        Step::Wait(gate.clone()),
        Step::send(answer),
        Step::Next,
    ]
}

#[test]
fn hints_of_the_origin_come_while_the_head_is_waited_for_and_are_not_stored() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", hinting(2, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    for _ in 0..2 {
        let hint = client.response_head();
        hint.expect_status(103).expect_header("link", LINK).expect_no_header("x-own");
        hint.expect_no_header("connection");
    }
    gate.pass();
    client.response().expect_status(200).expect_body("ok").expect_no_header("link");
    client.ask(&get("/a")).expect_status(200).expect_body("ok");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn whoever_speaks_http_1_0_is_told_no_hints() {
    let gate = Gate::new();
    gate.pass();
    let origin = Origin::start().serve("/a", hinting(1, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\n\r\n");
    client.response().expect_status(200).expect_body("ok");
}

#[test]
fn an_origin_that_hints_without_end_is_passed_on_to_an_end() {
    let gate = Gate::new();
    gate.pass();
    let origin = Origin::start().serve("/a", hinting(50, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    let hints = std::iter::repeat_with(|| client.response_head());
    assert_eq!(hints.take_while(|head| head.status == 103).count(), 32);
}

#[test]
fn hints_of_the_origin_reach_a_client_of_http2() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", hinting(1, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    assert!(client.get(1, "/a"));
    let mut next = || {
        let kinds = [Frame::HEADERS, Frame::DATA];
        let frame = client.find(Deadline::soon(), |frame| kinds.contains(&frame.kind));
        frame.unwrap().expect("an answer")
    };
    let hints = next();
    assert_eq!((hints.kind, hints.flags), (Frame::HEADERS, Frame::END_HEADERS), "{hints:?}");
    gate.pass();
    let (head, body) = (next(), next());
    // The status 200 has a number of its own in the table.
    assert_eq!((head.kind, head.payload.first()), (Frame::HEADERS, Some(&0x88)), "{head:?}");
    assert_eq!((body.kind, body.payload.as_slice()), (Frame::DATA, &b"ok"[..]));
}

/// The one line of the log.
fn logged(proxy: &Proxy) -> String {
    eventually("a line in the log", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    })
}

#[test]
fn a_client_that_leaves_before_the_head_is_noticed_and_the_fetch_goes_on() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", hinting(0, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    origin.wait_for_heads(1);
    drop(client);
    assert_eq!(logged(&proxy), "HTTP/1.1 499");
    gate.pass();
    proxy.get("/a").expect_status(200).expect_body("ok");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_stream_that_is_reset_before_the_head_is_noticed() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", hinting(0, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    assert!(client.get(1, "/a"));
    origin.wait_for_heads(1);
    let cancel = 8_u32.to_be_bytes();
    assert!(client.send_frame(&Frame::new(Frame::RST_STREAM, 0, 1, cancel)));
    assert_eq!(logged(&proxy), "HTTP/2.0 499");
    gate.pass();
}

#[test]
fn a_client_that_sends_the_next_request_at_once_is_not_taken_to_have_left() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", hinting(0, &gate));
    let proxy = Proxy::start(&cached(&origin));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    origin.wait_for_heads(1);
    client.send(get("/a").to_bytes());
    gate.pass();
    for _ in 0..2 {
        client.response().expect_status(200).expect_body("ok");
    }
}
