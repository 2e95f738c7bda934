//! What a route keeps out of its cache: what is asked for too seldom, and what its conditions name.

use switchback_integration::{Config, Origin, Proxy, Reply, Request, get, request, site};

/// Every path cached, with these lines beside the zone's name.
fn cached(origin: &Origin, settings: &str) -> Config {
    site()
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]\npurge = { allow = [\"127.0.0.0/8\"] }")
}

fn fresh(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

fn is_hit(proxy: &Proxy, asked: &Request) -> bool {
    let answer = proxy.ask(asked);
    let said = answer.expect_status(200).headers.get("cache-status");
    said.is_some_and(|said| said.contains("hit"))
}

#[test]
fn what_is_asked_for_too_seldom_is_not_stored() {
    let origin = Origin::start().serve("*", fresh("x"));
    let proxy = Proxy::start(&cached(&origin, ", min_uses = 3"));
    let hits = |path| [(); 5].map(|()| is_hit(&proxy, &get(path)));
    assert_eq!(hits("/a"), [false, false, false, true, true]);
    assert_eq!(origin.requests("/a").len(), 3);
    // Each page counts for itself, a query as another page.
    assert_eq!(hits("/b"), [false, false, false, true, true]);
    assert_eq!(hits("/a?q"), [false, false, false, true, true]);
    // What has been asked for so often once is stored again at once.
    proxy.ask(&request("PURGE", "/a")).expect_status(200);
    assert_eq!(hits("/a"), [false, true, true, true, true]);
}

#[test]
fn whatever_is_asked_of_a_page_is_a_use_of_it() {
    let origin = Origin::start().serve("*", fresh("stored"));
    let proxy = Proxy::start(&cached(&origin, ", min_uses = 3"));
    proxy.ask(&request("HEAD", "/a")).expect_status(200).expect_header("content-length", "6");
    proxy.ask(&get("/a").header("If-None-Match", "\"0\"")).expect_status(200);
    // Before it is wanted often enough, the origin sees what the client has asked.
    let asked = origin.requests("/a");
    assert_eq!((asked[0].method.as_str(), asked[1].method.as_str()), ("HEAD", "GET"));
    assert_eq!(asked[1].headers.get("if-none-match"), Some("\"0\""));
    assert!(!is_hit(&proxy, &get("/a")) && is_hit(&proxy, &get("/a")));
    assert_eq!(origin.requests("/a").len(), 3);
}

#[test]
fn a_reload_forgets_no_uses_and_may_want_fewer() {
    let origin = Origin::start().serve("*", fresh("x"));
    let proxy = Proxy::start(&cached(&origin, ", min_uses = 3"));
    assert!(!is_hit(&proxy, &get("/a")));
    proxy.reload(&cached(&origin, ", min_uses = 2")).expect_accepted();
    assert!(!is_hit(&proxy, &get("/a")) && is_hit(&proxy, &get("/a")));
}

#[test]
fn a_bypass_fetches_anew_and_what_comes_is_stored_for_all() {
    let origin = Origin::start().serve("/a", fresh("old"));
    let proxy = Proxy::start(&cached(&origin, ", bypass = '$http_x_fresh == \"1\"'"));
    let around = get("/a").header("X-Fresh", "1");
    proxy.get("/a").expect_body("old");
    origin.now_serve("/a", fresh("new"));
    proxy.ask(&get("/a").header("X-Fresh", "0")).expect_body("old");
    let said = proxy.ask(&around);
    said.expect_body("new");
    assert!(said.headers.get("cache-status").is_some_and(|said| said.contains("fwd=bypass")));
    proxy.get("/a").expect_body("new");
    proxy.ask(&around).expect_body("new");
    assert_eq!(origin.requests("/a").len(), 3);
    // What fails is not what is stored.
    origin.now_serve("/a", Reply::ok("broken").status(500));
    proxy.ask(&around).expect_status(500).expect_body("broken");
    proxy.get("/a").expect_status(200).expect_body("new");
}

#[test]
fn a_bypass_that_stores_nothing_leaves_what_is_stored() {
    let origin = Origin::start().serve("/a", fresh("old"));
    let settings = ", bypass = '$cookie_user', no_store = '$cookie_user'";
    let proxy = Proxy::start(&cached(&origin, settings));
    let own = get("/a").header("Cookie", "user=1");
    proxy.get("/a").expect_body("old");
    origin.now_serve("/a", fresh("mine"));
    proxy.ask(&own).expect_body("mine");
    proxy.get("/a").expect_body("old");
    proxy.ask(&own).expect_body("mine");
    assert_eq!(origin.requests("/a").len(), 3);
}

#[test]
fn a_condition_may_ask_what_the_origin_has_said() {
    let mine = fresh("x").header("X-Kind", "mine");
    let origin = Origin::start()
        .serve("/mine", mine)
        .serve("/all", fresh("x"))
        .serve("/gone", fresh("x").status(404))
        .serve("/was", fresh("x").status(410));
    let condition = "$upstream_http_x_kind == \"mine\" || $upstream_status == \"404\"";
    let proxy = Proxy::start(&cached(&origin, &format!(", no_store = '{condition}'")));
    let fetches = |path: &str| {
        for _ in 0..3 {
            proxy.get(path);
        }
        origin.requests(path).len()
    };
    assert_eq!(["/mine", "/all", "/gone", "/was"].map(fetches), [3, 1, 3, 1]);
    // It says nothing of what is asked for next: the page may be another by then.
    origin.now_serve("/mine", fresh("x"));
    assert_eq!(fetches("/mine"), 4);
}
