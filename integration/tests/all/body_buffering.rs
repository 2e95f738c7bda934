//! A request body taken in whole before the upstream is asked, or passed on as it comes.

use switchback_integration::{Config, Origin, Proxy, get, pattern, post, site};

fn through(origin: &Origin, buffered: bool) -> Config {
    site()
        .top("workers = 1")
        .toml("body_limit = \"10MiB\"")
        .route("/*", format_args!("proxy = {{ upstream = \"app\", buffer_request = {buffered} }}"))
        .upstream("app", &[origin], "")
}

#[test]
fn an_upstream_sees_nothing_of_a_buffered_body_before_it_is_whole() {
    let origin = Origin::start();
    let proxy = Proxy::start(&through(&origin, true));
    let mut client = proxy.client();
    let body = pattern(100_000);
    let (first, second) = body.split_at(60_000);
    client.send(post("/up", body.clone()).head_bytes()).send(first).wait_until_read();
    // The one worker has served another client since: it would have asked by now.
    proxy.get("/other").expect_status(200);
    assert_eq!(origin.heads(), 1, "the upstream was asked before the body was whole");
    client.send(second).response().expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, body);
}

#[test]
fn an_unbuffered_body_is_passed_on_as_it_comes() {
    let origin = Origin::start();
    let proxy = Proxy::start(&through(&origin, false));
    let mut client = proxy.client();
    client.send(post("/up", "0123456789").head_bytes()).send("01234");
    origin.wait_for_heads(1);
    client.send("56789").response().expect_status(200);
    assert_eq!(origin.requests("/up")[0].body, b"0123456789");
}

#[test]
fn a_large_chunked_upload_is_buffered_and_arrives_whole() {
    let origin = Origin::start();
    let proxy = Proxy::start(&through(&origin, true));
    let body = pattern(5_000_000);
    proxy.ask(&post("/up", body.clone()).chunked(30_000)).expect_status(200);
    assert!(origin.requests("/up")[0].body == body);
}

#[test]
fn a_buffered_upload_costs_no_more_memory_than_its_share() {
    let origin = Origin::start();
    let proxy = Proxy::start(&through(&origin, true));
    proxy.ask(&post("/warm", pattern(5_000_000))).expect_status(200);
    let before = proxy.stats().resident_kib;
    let mut held: Vec<_> = (0..8).map(|_| proxy.client()).collect();
    let body = pattern(5_000_000);
    for client in &mut held {
        client
            .send(post("/up", body.clone()).head_bytes())
            .send(&body[..4_900_000])
            .wait_until_read();
    }
    let grown = proxy.stats().resident_kib.saturating_sub(before);
    assert!(grown < 8 * 1024, "39 MB held in files cost {grown} KiB of memory");
}

#[test]
fn a_client_that_leaves_inside_a_buffered_body_is_forgotten() {
    let origin = Origin::start();
    let proxy = Proxy::start(&through(&origin, true));
    proxy.get("/warm").expect_status(200);
    let before = proxy.stats().descriptors;
    let mut client = proxy.client();
    client.send(post("/up", pattern(100_000)).head_bytes()).send(pattern(50_000)).wait_until_read();
    drop(client);
    proxy.wait_for_descriptors(before);
    assert!(origin.requests("/up").is_empty());
}

#[test]
fn a_buffered_body_is_sent_to_the_next_endpoint_when_the_first_refuses() {
    let origin = Origin::start();
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = site()
        .route("/*", "proxy = { upstream = \"app\", buffer_request = true }")
        .endpoints("app", &[closed, origin.endpoint().to_string()], "");
    let proxy = Proxy::start(&config);
    for _ in 0..4 {
        proxy.ask(&post("/up", pattern(200_000))).expect_status(200);
    }
    assert!(origin.requests("/up").iter().all(|received| received.body == pattern(200_000)));
    proxy.ask(&get("/")).expect_status(200);
}
