//! A body has to move, either way.

use std::time::Duration;

use switchback_integration::{
    Answer, Config, Deadline, Origin, Proxy, Reply, WireError, config, eventually, get,
};

fn expecting(rate: &str, origin: &Origin) -> Config {
    config()
        .web(format_args!("min_rate = {{ {rate}, after = \"400ms\" }}"))
        .site("")
        .proxy_to(origin)
}

#[test]
fn a_body_that_drips_is_cut() {
    let origin = Origin::start();
    let proxy = Proxy::start(&expecting("receive = \"200\"", &origin));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
    client.set_patience(Duration::from_millis(20));
    let answer = (0..1000).find_map(|_| {
        let _ = client.try_send("x");
        match client.try_response_to("POST") {
            Err(WireError::TimedOut) => None,
            outcome => Some(outcome),
        }
    });
    match answer {
        Some(Ok(answer)) => drop(answer.expect_status(408)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_body_that_stops_is_cut_and_one_without_bound_is_not() {
    let origin = Origin::start();
    let proxy = Proxy::start(&expecting("receive = \"1\"", &origin));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = proxy.client();
    client.send(head);
    client.response_to("POST").expect_status(408);
    client.expect_close();

    let proxy = Proxy::start(&expecting("receive = \"0\"", &origin));
    let mut client = proxy.client();
    client.send(head);
    client.set_patience(Duration::from_millis(800));
    assert!(matches!(client.try_response_to("POST"), Err(WireError::TimedOut)));
    client.set_patience(Duration::from_secs(10));
    client.send("0\r\n\r\n").response_to("POST").expect_status(200);
}

#[test]
fn a_body_that_keeps_up_is_taken() {
    let origin = Origin::start();
    // Long enough for a machine that stands still for a while.
    let listener = config().web("min_rate = { receive = \"200\", after = \"2s\" }");
    let proxy = Proxy::start(&listener.site("").proxy_to(&origin));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n");
    client.set_patience(Duration::from_millis(40));
    // 100 bytes in 40 ms are 2500 in a second; on a busy machine fewer.
    for _ in 0..79 {
        client.send([b'x'; 100]);
        let outcome = client.try_response_to("POST");
        assert!(matches!(outcome, Err(WireError::TimedOut)), "{outcome:?}");
    }
    client.send([b'x'; 100]);
    client.set_patience(Duration::from_secs(10));
    client.response_to("POST").expect_status(200);
}

/// As large as no socket holds.
fn large() -> Answer {
    Reply::ok(vec![b'x'; 40 * 1024 * 1024]).into()
}

#[test]
fn an_answer_that_nobody_takes_is_cut() {
    let origin = Origin::start().serve("/large", large());
    let proxy = Proxy::start(&expecting("send = \"1000\"", &origin));
    let mut client = proxy.client();
    client.send(get("/large").to_bytes());
    origin.wait_for_requests("/large", 1);
    eventually("it is cut", Deadline::soon(), || {
        (proxy.status()["connections"] == 0).then_some(())
    });
    let outcome = client.try_response_to("GET");
    assert!(matches!(outcome, Err(WireError::Truncated(_) | WireError::Io(_))));
}

#[test]
fn an_answer_that_is_taken_slowly_but_steadily_arrives() {
    let origin = Origin::start().serve("/large", large());
    let web = "min_rate = { send = \"1000\", after = \"2s\" }";
    let proxy = Proxy::start(&config().web(web).site("").proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/large").to_bytes());
    let mut idle = proxy.client();
    idle.set_patience(Duration::from_millis(20));
    // The kernel says that there is room in strides of megabytes, so that the proxy has nothing to write meanwhile.
    for _ in 0..150 {
        client.read_exactly(16 * 1024);
        assert!(matches!(idle.try_read(), Err(WireError::TimedOut)));
    }
    client.read_exactly(30 * 1024 * 1024);
}
