//! What is stored and stale: validated, sent meanwhile, or in place of an error.

use switchback_integration::{
    Config, Deadline, Gate, Origin, Proxy, Reply, Response, Step, eventually, get, post, site,
};

fn cached(origin: &Origin, settings: &str) -> Config {
    site()
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]")
}

/// Stale from the beginning, and good for a validation.
fn stale(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=0").header("ETag", "\"1\"")
}

fn not_modified() -> Reply {
    Reply::ok("").status(304).header("ETag", "\"1\"").header("Cache-Control", "max-age=600")
}

#[test]
fn what_still_holds_is_not_sent_again() {
    let origin = Origin::start().serve("/a", stale("stored"));
    let proxy = Proxy::start(&cached(&origin, ""));
    proxy.get("/a").expect_body("stored");
    origin.now_serve("/a", not_modified().header("X-New", "1"));
    proxy.get("/a").expect_status(200).expect_body("stored").expect_header("x-new", "1");
    proxy.get("/a").expect_status(200).expect_body("stored").expect_header("x-new", "1");
    let asked = origin.requests("*");
    assert_eq!(asked.len(), 2, "the validation has made it fresh");
    assert_eq!(asked[1].headers.get("if-none-match"), Some("\"1\""));
}

#[test]
fn what_has_changed_is_replaced() {
    let origin = Origin::start().serve("/a", stale("old"));
    let proxy = Proxy::start(&cached(&origin, ""));
    proxy.get("/a").expect_body("old");
    origin.now_serve("/a", Reply::ok("new").header("Cache-Control", "max-age=600"));
    proxy.get("/a").expect_body("new");
    proxy.get("/a").expect_body("new");
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn a_304_of_something_else_has_the_whole_fetched() {
    let origin = Origin::start().serve("/a", stale("old"));
    let proxy = Proxy::start(&cached(&origin, ""));
    proxy.get("/a").expect_body("old");
    let other = Reply::ok("").status(304).header("ETag", "\"other\"");
    origin.now_serve("/a", other);
    // It answers every validation so: without one, there is an answer that is none.
    let answer = proxy.get("/a");
    assert_eq!(answer.status, 502, "{answer}");
    assert_eq!(origin.requests("*")[2].headers.get("if-none-match"), None);
}

/// Has something stored, and the origin answer with `error` from then on.
fn when(settings: &str, error: [Step; 2]) -> (Response, Response) {
    let origin = Origin::start().serve("/a", stale("stored"));
    let proxy = Proxy::start(&cached(&origin, settings));
    proxy.get("/a").expect_body("stored");
    let [first, second] = error;
    origin.now_serve("/a", [first, second]);
    origin.now_serve("/never", stale("x"));
    (proxy.get("/a"), proxy.get("/a"))
}

#[test]
fn what_is_stored_stands_in_for_errors_where_it_may() {
    let broken = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let lasting = ", stale_if_error = \"1h\"";
    for error in [[Step::ReadBody, Step::send(broken)], [Step::ReadBody, Step::Reset]] {
        let (first, second) = when(lasting, error.clone());
        first.expect_status(200).expect_body("stored");
        second.expect_status(200).expect_body("stored");
        let (first, _) = when("", error);
        assert!(matches!(first.status, 502 | 503), "{first}");
    }
    let only_timeouts = ", stale_if_error = \"1h\", stale_on = [\"timeout\"]";
    let (first, _) = when(only_timeouts, [Step::ReadBody, Step::send(broken)]);
    first.expect_status(503);
}

#[test]
fn what_is_stored_is_sent_at_once_while_one_fetches_it_anew() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", stale("old"));
    let proxy = Proxy::start(&cached(&origin, ", stale_while_revalidate = \"1h\""));
    proxy.get("/a").expect_body("old");
    let new = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nnew";
    origin.now_serve("/a", [Step::ReadBody, Step::Wait(gate.clone()), Step::send(new), Step::Next]);
    for _ in 0..5 {
        proxy.get("/a").expect_body("old");
    }
    origin.wait_for_requests("/a", 2);
    gate.pass();
    eventually("the new one is stored", Deadline::soon(), || {
        (proxy.get("/a").text() == "new").then_some(())
    });
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn without_a_background_the_first_waits_and_the_others_do_not() {
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", stale("old"));
    let settings = ", stale_while_revalidate = \"1h\", background_update = false";
    let proxy = Proxy::start(&cached(&origin, settings));
    proxy.get("/a").expect_body("old");
    let new = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nnew";
    origin.now_serve("/a", [Step::ReadBody, Step::Wait(gate.clone()), Step::send(new), Step::Next]);
    let mut first = proxy.client();
    first.send(get("/a").to_bytes());
    origin.wait_for_requests("/a", 2);
    proxy.get("/a").expect_body("old");
    gate.pass();
    first.response().expect_body("new");
}

#[test]
fn a_dead_origin_is_asked_once_a_second_for_all_that_is_stored() {
    let mut origin = Origin::start();
    let paths: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    for path in &paths {
        origin = origin.serve(path, stale(path));
    }
    let proxy = Proxy::start(&cached(&origin, ", always_online = true"));
    for path in &paths {
        proxy.get(path).expect_body(path);
    }
    let before = origin.heads();
    let began = std::time::Instant::now();
    origin.now_serve("*", [Step::ReadBody, Step::Reset]);
    for _ in 0..5 {
        for path in &paths {
            proxy.get(path).expect_status(200).expect_body(path);
        }
    }
    // The first to find out asks, and each second one more, twice where its connection was an old one.
    let most = 2 * (2 + usize::try_from(began.elapsed().as_secs()).unwrap());
    let asked = origin.heads() - before;
    assert!(asked <= most, "{asked} times in {:?}", began.elapsed());
    origin.now_serve("*", Reply::ok("back").header("Cache-Control", "max-age=600"));
    eventually("it is seen to be back", Deadline::soon(), || {
        (proxy.get("/0").text() == "back").then_some(())
    });
}

#[test]
fn what_a_successful_post_is_about_is_no_longer_stored() {
    let fresh = |body: &str| Reply::ok(body).header("Cache-Control", "max-age=600");
    let origin =
        Origin::start().serve("/a", fresh("a")).serve("/b", fresh("b")).serve("/c", fresh("c"));
    let proxy = Proxy::start(&cached(&origin, ""));
    for path in ["/a", "/b", "/c"] {
        proxy.get(path);
    }
    origin.now_serve("/a", Reply::ok("no").status(500));
    proxy.ask(&post("/a", "x")).expect_status(500);
    proxy.get("/a").expect_body("a");
    origin.now_serve("/a", Reply::ok("done").header("Location", "/b"));
    proxy.ask(&post("/a", "x")).expect_status(200);
    origin.now_serve("/a", fresh("a2"));
    origin.now_serve("/b", fresh("b2"));
    proxy.get("/a").expect_body("a2");
    proxy.get("/b").expect_body("b2");
    proxy.get("/c").expect_body("c");
}

#[test]
fn only_if_cached_asks_nobody() {
    let origin = Origin::start();
    let proxy = Proxy::start(&cached(&origin, ""));
    let asked = get("/a").header("Cache-Control", "only-if-cached");
    proxy.ask(&asked).expect_status(504);
    assert_eq!(origin.heads(), 0);
}
