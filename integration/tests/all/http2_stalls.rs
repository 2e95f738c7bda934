//! HTTP/2 clients that do not take what they asked for: what is begun for them is bounded, and nobody else is held up.

use std::time::Duration;

use switchback_integration::{
    Config, Deadline, Frame, FrameClient, Gate, Origin, Proxy, Reply, Silence, Step, config,
    eventually, pattern,
};

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2).
const WINDOW: u16 = 4;
/// More than may wait for a window at any place.
const LARGE: usize = 2 * 1024 * 1024;

fn h2c_site(keys: &str) -> Config {
    config().web(format!("h2c = true\n{keys}")).site("")
}

fn open_window(client: &mut FrameClient, stream: u32, bytes: u32) {
    assert!(client.send_frame(&Frame::new(Frame::WINDOW_UPDATE, 0, stream, bytes.to_be_bytes())));
}

/// Asks so many times for something large, on streams 1, 3, 5 ...
fn ask(client: &mut FrameClient, times: u32) {
    for number in 0..times {
        assert!(client.get(2 * number + 1, "/large"));
    }
}

#[test]
fn a_client_that_takes_nothing_gets_two_requests_begun_and_is_cut() {
    let origin = Origin::start().serve("/large", Reply::ok(pattern(LARGE)));
    let site = h2c_site("timeouts = { write = \"1s\" }");
    let proxy = Proxy::start(&site.proxy_to(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[(WINDOW, 0)]);
    ask(&mut client, 100);
    let goodbye = client.find(Deadline::soon(), |frame| frame.kind == Frame::GOAWAY);
    assert!(goodbye.is_ok(), "the connection was left open");
    assert!(origin.heads() <= 4, "{} requests reached the origin", origin.heads());
    proxy.wait_for_stderr("reason=\"stalled_streams\"");
}

#[test]
fn a_client_that_opens_its_windows_late_gets_every_answer() {
    let origin = Origin::start().serve("/large", Reply::ok(pattern(LARGE)));
    let proxy = Proxy::start(&h2c_site("").proxy_to(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[(WINDOW, 0)]);
    ask(&mut client, 20);
    let deadline = Deadline::soon();
    eventually("two requests begin", deadline, || (origin.heads() >= 2).then_some(()));
    open_window(&mut client, 0, 1 << 30);
    (0..20).for_each(|number| open_window(&mut client, 2 * number + 1, 1 << 24));
    let mut taken = 0;
    let mut ended = 0;
    while ended < 20 {
        let data = client.find(deadline, |frame| frame.kind == Frame::DATA);
        let data = data.unwrap().expect("the connection stands");
        taken += data.payload.len();
        ended += usize::from(data.flags & Frame::END_STREAM);
    }
    assert_eq!(taken, 20 * LARGE);
}

#[test]
fn a_client_that_takes_little_by_little_is_kept() {
    let origin = Origin::start().serve("/large", Reply::ok(pattern(LARGE)));
    let site = h2c_site("timeouts = { write = \"6s\" }");
    let proxy = Proxy::start(&site.proxy_to(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[(WINDOW, 0)]);
    ask(&mut client, 20);
    // Nine times 800 ms: longer than it may stand still.
    for _ in 0..9 {
        for stream in [1, 3] {
            open_window(&mut client, stream, 32 * 1024);
        }
        open_window(&mut client, 0, 64 * 1024);
        let pause = Deadline::after(Duration::from_millis(800));
        let cut = client.find(pause, |frame| {
            frame.kind == Frame::GOAWAY || frame.kind == Frame::RST_STREAM && frame.stream < 5
        });
        assert_eq!(cut, Err(Silence));
    }
}

#[test]
fn requests_that_wait_for_their_origin_do_not_hold_up_others() {
    let gate = Gate::new();
    let held = [
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Step::Next,
    ];
    let origin = Origin::start().serve("/large", held);
    let proxy = Proxy::start(&h2c_site("").proxy_to(&origin));
    let mut client = FrameClient::greet(proxy.address("web"), &[]);
    ask(&mut client, 20);
    eventually("all begin", Deadline::soon(), || (origin.heads() == 20).then_some(()));
    gate.pass();
}
