//! `Expect: 100-continue`.

use std::time::Duration;

use switchback_integration::{
    Client, Gate, Origin, Proxy, Step, WireError, config, pattern, post, site,
};

fn expecting(target: &str, body: &[u8]) -> switchback_integration::Request {
    post(target, body).header("Expect", "100-continue")
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    let body = pattern(3000);
    client.send(expecting("/up", &body).head_bytes());
    client.response().expect_status(100);
    client.send(&body).response().expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, body);
}

#[test]
fn a_client_that_does_not_wait_is_served_too() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(expecting("/up", b"at once").to_bytes());
    let first = client.response();
    let last = if first.status == 100 { client.response() } else { first };
    last.expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, b"at once");
}

#[test]
fn a_body_too_large_is_refused_before_it_is_sent() {
    let origin = Origin::start();
    let proxy = Proxy::start(&config().web("").site("body_limit = \"1KiB\"").proxy_to(&origin));
    let mut client = proxy.client();
    client.send(expecting("/up", &pattern(2000)).head_bytes()).response().expect_status(413);
    assert_eq!(origin.heads(), 0);
}

#[test]
fn an_origins_refusal_comes_instead_of_100() {
    let refuses =
        [Step::send("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")];
    let origin = Origin::start().serve("*", refuses);
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(expecting("/up", &pattern(3000)).head_bytes());
    let first = client.response();
    let last = if first.status == 100 { client.response() } else { first };
    last.expect_status(403).expect_body("no");
}

#[test]
fn a_buffered_body_is_asked_for_by_the_proxy_itself() {
    let origin = Origin::start();
    let config = site()
        .route("/*", "proxy = { upstream = \"app\", buffer_request = true }")
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(expecting("/up", b"body").head_bytes()).response().expect_status(100);
    client.send("body").response().expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, b"body");
}

/// An origin that asks for the body once it is let, and proxies for it that wait for bodies by two clocks.
fn asking_late(ask: &Gate) -> (Origin, [Proxy; 2]) {
    let late = [
        Step::Wait(ask.clone()),
        // It asks for it.
        Step::ReadBody,
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Step::Next,
    ];
    let origin = Origin::start().serve("/late", late);
    let clocks =
        ["min_rate = { receive = \"1000\", after = \"300ms\" }", "timeouts = { body = \"300ms\" }"];
    let proxies = clocks.map(|clock| Proxy::start(&config().web(clock).site("").proxy_to(&origin)));
    (origin, proxies)
}

/// A client that has waited to be asked for longer than bodies may take, and is asked.
fn asked_late(proxy: &Proxy, ask: &Gate, body: &[u8]) -> Client {
    let mut client = proxy.client();
    client.send(expecting("/late", body).head_bytes());
    client.set_patience(Duration::from_millis(900));
    let outcome = client.try_response_to("POST");
    assert!(matches!(outcome, Err(WireError::TimedOut)), "{outcome:?}");
    client.set_patience(Duration::from_secs(20));
    ask.pass();
    client.response().expect_status(100);
    client
}

#[test]
fn the_time_until_a_client_is_asked_for_its_body_is_not_its_own() {
    let ask = Gate::new();
    let (origin, proxies) = asking_late(&ask);
    let body = pattern(3000);
    for (number, proxy) in proxies.iter().enumerate() {
        let mut client = asked_late(proxy, &ask, &body);
        client.send(&body).response().expect_status(200);
        assert_eq!(origin.requests("/late")[number].body, body);
    }
}

#[test]
fn a_client_that_was_asked_late_has_to_hurry_as_any_other() {
    let ask = Gate::new();
    let (_origin, proxies) = asking_late(&ask);
    for proxy in &proxies {
        asked_late(proxy, &ask, &pattern(3000)).expect_close();
    }
}

#[test]
fn a_client_that_begins_before_it_is_asked_has_to_go_on() {
    let ask = Gate::new();
    let (_origin, proxies) = asking_late(&ask);
    for proxy in &proxies {
        let head = expecting("/late", &pattern(3000)).head_bytes();
        proxy.client().send([head.clone(), b"x".to_vec()].concat()).response().expect_status(408);
        let mut client = proxy.client();
        client.send_cut(&[head.clone(), b"x".to_vec()].concat(), head.len());
        client.response().expect_status(408);
    }
}
