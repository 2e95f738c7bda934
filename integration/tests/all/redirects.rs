//! Other addresses: for the client, and within a site.

use switchback_integration::{Origin, Proxy, get, post, site};

#[test]
fn a_redirect_renders_its_address() {
    let config = site()
        .route("/old/{page}", "redirect = { to = \"/new/{page}$is_args$args\", status = 301 }")
        .route("/*", "redirect = \"https://$host$request_uri\"");
    let proxy = Proxy::start(&config);
    let moved = proxy.get("/old/a%20b?x=1");
    moved.expect_status(301).expect_header("location", "/new/a%20b?x=1");
    let secure = proxy.ask(&get("/a?b=c").host("shop.example:8080"));
    secure.expect_status(302).expect_header("location", "https://shop.example/a?b=c");
    proxy.ask(&post("/form", "a=b")).expect_status(302);
}

#[test]
fn what_was_decoded_is_encoded_again_in_an_address() {
    let config = site().route("/go/{to}", "redirect = \"/{to}\"");
    let proxy = Proxy::start(&config);
    proxy.get("/go/a%0d%0aX-Evil:%201").expect_status(400).expect_no_header("x-evil");
    proxy.get("/go/a%20%c3%a9%7c").expect_status(302).expect_header("location", "/a%20%C3%A9%7C");
}

#[test]
fn a_rewrite_looks_for_a_route_again() {
    let origin = Origin::start();
    let config = site()
        .proxy_to(&origin)
        .route("/short/{id}", "rewrite = \"/articles/{id}?from=short&$args\"")
        .route("/articles/0", "respond = { body = \"$uri $args $request_uri\" }");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.ask(&get("/short/0?a=b")).expect_body("/articles/0 from=short&a=b /short/0?a=b");
    client.ask(&get("/short/7?a=b")).expect_status(200);
    client.ask(&post("/short/8", "body")).expect_status(200);
    let asked = origin.requests("*");
    assert_eq!(asked[0].target, "/articles/7?from=short&a=b");
    assert_eq!((&*asked[1].target, &*asked[1].body), ("/articles/8?from=short&", &b"body"[..]));
}

#[test]
fn what_is_captured_of_a_path_begins_no_query() {
    let origin = Origin::start();
    let config = site()
        .upstream("app", &[&origin], "")
        .route(
            "~^/users/(?<rest>.*)$",
            "proxy = { upstream = \"app\", rewrite = \"/{rest}$is_args$args\" }",
        )
        .route("/go/{to}", "redirect = \"/{to}?$args\"")
        .route("/again/{to}", "rewrite = \"/users/{to}\"");
    let proxy = Proxy::start(&config);
    proxy.get("/users/a%3Fb%23c%25d?e=f").expect_status(200);
    proxy.get("/again/a%3Fb").expect_status(200);
    let asked = origin.requests("*");
    assert_eq!(asked[0].target, "/a%3Fb%23c%25d?e=f");
    assert_eq!(asked[1].target, "/a%3Fb");
    proxy.get("/go/a%3Fb?c").expect_header("location", "/a%3Fb?c");
}

#[test]
fn a_circle_of_rewrites_ends() {
    let config = site().route("/a", "rewrite = \"/b\"").route("/b", "rewrite = \"/a\"");
    let proxy = Proxy::start(&config);
    proxy.get("/a").expect_status(508);
    proxy.ask(&post("/a", "x")).expect_status(508);
}

#[test]
fn logs_tell_what_was_asked_and_where_it_led() {
    let config = site()
        .toml(
            "[[log.access]]\nfile = \"access.log\"\nformat = \"$request $request_uri $uri $route\"",
        )
        .route("/a", "rewrite = \"/b?c\"")
        .route("/b", "name = \"b\"\nrespond = {}");
    let mut proxy = Proxy::start(&config);
    proxy.get("/a?x").expect_status(200);
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(0));
    let log = std::fs::read_to_string(proxy.folder().join("access.log")).unwrap();
    assert_eq!(log, "GET /a?x HTTP/1.1 /a?x /b b\n");
}
