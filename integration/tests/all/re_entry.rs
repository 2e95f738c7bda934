//! An upstream's answer replaced by another route's.

use switchback_integration::{Config, Origin, Proxy, Reply, Request, get, pattern, post, site};

fn fixed(origin: &Origin) -> Config {
    site()
        .toml("body_limit = \"2MiB\"")
        .route("/*", "proxy = \"app\"\nerrors = { 404 = \"lost\" }")
        .route_lines(
            "name = \"lost\"\ninternal = true\n\
             respond = { status = 404, headers = { content-type = \"text/plain\" }, body = \"nothing at $uri\" }",
        )
        .upstream("app", &[origin], "")
}

fn elsewhere(first: &Origin, second: &Origin) -> Config {
    site()
        .toml("body_limit = \"2MiB\"")
        .route("/*", "proxy = \"app\"\nerrors = { 404 = { route = \"archive\", status = 0 } }")
        .route_lines("name = \"archive\"\ninternal = true\nproxy = \"archive\"")
        .upstream("app", &[first], "")
        .upstream("archive", &[second], "")
}

fn missing() -> Reply {
    Reply::ok("the origin's own page").status(404).header("X-From-Origin", "1")
}

#[test]
fn a_missing_page_is_answered_by_a_fixed_route() {
    let origin = Origin::start().serve("/gone", missing());
    let proxy = Proxy::start(&fixed(&origin));
    for asked in [get("/gone"), post("/gone", pattern(1_000_000))] {
        let answer = proxy.ask(&asked);
        answer.expect_status(404).expect_body("nothing at /gone").expect_no_header("x-from-origin");
    }
    assert_eq!(origin.requests("/gone")[1].body, pattern(1_000_000));
    assert_eq!(origin.requests("/gone").len(), 2);
}

#[test]
fn other_answers_pass_through_such_a_route_untouched() {
    let origin = Origin::start()
        .serve("/teapot", Reply::ok("short").status(418).header("X-From-Origin", "1"));
    let proxy = Proxy::start(&fixed(&origin));
    proxy
        .get("/teapot")
        .expect_status(418)
        .expect_header("x-from-origin", "1")
        .expect_body("short");
    proxy.ask(&post("/here", pattern(1_000_000))).expect_status(200);
    assert_eq!(origin.requests("/here")[0].body, pattern(1_000_000));
}

fn asked_of_both(asked: &Request, path: &str, body: &[u8]) {
    let first = Origin::start().serve(path, missing());
    let second =
        Origin::start().serve(path, Reply::ok("from the archive").header("X-Archive", "1"));
    let proxy = Proxy::start(&elsewhere(&first, &second));
    let answer = proxy.ask(asked);
    answer.expect_status(200).expect_header("x-archive", "1").expect_body("from the archive");
    answer.expect_no_header("x-from-origin");
    for origin in [&first, &second] {
        let received = origin.requests("*");
        assert_eq!(received.len(), 1, "asked more than once");
        assert!(received[0].body == body, "{} bytes arrived", received[0].body.len());
        assert_eq!(received[0].target, path);
    }
}

#[test]
fn a_missing_page_is_answered_by_another_upstream() {
    asked_of_both(&get("/x"), "/x", b"");
}

#[test]
fn a_large_post_arrives_whole_and_once_at_each_upstream() {
    let body = pattern(1_000_000);
    asked_of_both(&post("/x", body.clone()), "/x", &body);
    asked_of_both(&post("/x", body.clone()).chunked(10_000), "/x", &body);
}

#[test]
fn a_replacement_that_is_missing_too_is_the_answer() {
    let (first, second) =
        (Origin::start().serve("*", missing()), Origin::start().serve("*", missing()));
    let proxy = Proxy::start(&elsewhere(&first, &second));
    proxy.get("/x").expect_status(404).expect_body("the origin's own page");
}

#[test]
fn routes_that_send_each_other_in_circles_end() {
    let origin = Origin::start().serve("*", missing());
    let config = site()
        .route_lines(
            "name = \"a\"\nmatch = { path = \"/*\" }\nproxy = \"app\"\nerrors = { 404 = \"b\" }",
        )
        .route_lines("name = \"b\"\ninternal = true\nproxy = \"app\"\nerrors = { 404 = \"a\" }")
        .upstream("app", &[&origin], "");
    let Ok(proxy) = Proxy::try_start(&config) else { return };
    let status = proxy.get("/x").status;
    assert!(matches!(status, 404 | 500 | 502 | 508), "{status}");
    assert!(origin.requests("*").len() <= 11, "{} times around", origin.requests("*").len());
}

#[test]
fn a_connection_goes_on_after_a_replaced_answer() {
    let origin = Origin::start().serve("/gone", missing());
    let proxy = Proxy::start(&fixed(&origin));
    let mut client = proxy.client();
    for _ in 0..3 {
        client.ask(&get("/gone")).expect_status(404);
        client.ask(&get("/here")).expect_status(200);
    }
}
