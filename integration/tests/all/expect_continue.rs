//! `Expect: 100-continue`.

use switchback_integration::{Origin, Proxy, Step, config, pattern, post, site};

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
