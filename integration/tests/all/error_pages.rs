//! What is answered instead of errors.

use switchback_integration::{
    Config, H2Client, H2Request, Origin, Proxy, Reply, config, get, pattern, post, request, site,
};

fn respond(name: &str, lines: &str) -> String {
    format!("name = \"{name}\"\ninternal = true\n{lines}")
}

fn page(name: &str, body: &str) -> String {
    respond(name, &format!("respond = {{ body = \"{body}\" }}"))
}

/// Routes that go wrong, each in its way, below the errors of their site.
fn broken(errors: &str) -> Config {
    site()
        .toml(format_args!("errors = {errors}"))
        .route("/secret/*", "respond = {}\naccess = { clients = [\"deny all\"] }")
        .route("/read", "respond = {}\naccess = { methods = \"GET\" }")
        .route("/bare", "respond = { status = 410 }")
        .route("/said", "respond = { status = 410, body = \"gone\" }")
        .route(
            "/small",
            "proxy = { upstream = \"closed\", buffer_request = true }\nbody_limit = \"10\"",
        )
        .route("/closed", "proxy = \"closed\"")
        .route("/lost.html", "respond = { body = \"lost: $request_uri at $uri\" }")
        .route_lines(page("page", "no: $status"))
        .route_lines(page("client", "client: $status $route"))
        .route_lines(page("server", "server: $status"))
        .endpoints("closed", &["127.0.0.1:1"], "")
}

#[test]
fn a_site_answers_whatever_goes_wrong_on_it() {
    let config = broken(
        "{ 404 = \"/lost.html\", 403 = \"page\", \"4xx\" = \"client\", \"5xx\" = \"server\" }",
    );
    let proxy = Proxy::start(&config);
    proxy.get("/x?y").expect_status(404).expect_body("lost: /x?y at /lost.html");
    proxy.get("/secret/x").expect_status(403).expect_body("no: 403");
    let refused = proxy.ask(&request("DELETE", "/read"));
    refused.expect_status(405).expect_body("client: 405 client").expect_header("allow", "GET");
    proxy.ask(&post("/small", pattern(11))).expect_status(413).expect_body("client: 413 client");
    proxy.ask(&post("/small", pattern(11)).chunked(3)).expect_status(413);
    proxy.get("/closed").expect_status(502).expect_body("server: 502");
    proxy.ask(&post("/closed", "body")).expect_status(502).expect_body("server: 502");
    proxy.get("/bare").expect_status(410).expect_body("client: 410 client");
    proxy.get("/said").expect_status(410).expect_body("gone");
    proxy.ask(&request("HEAD", "/x")).expect_status(404).expect_header("content-length", "22");
}

#[test]
fn what_an_upstream_answers_itself_is_replaced_by_its_own_route_alone() {
    let origin = Origin::start()
        .serve("/theirs", Reply::ok("theirs").status(404))
        .serve("/ours", Reply::ok("theirs").status(404))
        .serve("/class", Reply::ok("theirs").status(418));
    let config = site()
        .toml("errors = { \"4xx\" = \"page\" }")
        .route("/theirs", "proxy = \"app\"")
        .route("/ours", "proxy = \"app\"\nerrors = { 404 = \"page\" }")
        .route("/class", "proxy = \"app\"\nerrors = { \"4xx\" = \"page\" }")
        .route_lines(page("page", "ours"))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    proxy.get("/theirs").expect_status(404).expect_body("theirs");
    proxy.get("/ours").expect_status(404).expect_body("ours");
    proxy.get("/class").expect_status(418).expect_body("ours");
}

#[test]
fn the_status_is_kept_unless_another_is_said() {
    let proxy = Proxy::start(
        &site()
            .toml("errors = { 404 = \"kept\" }")
            .route(
                "/own",
                "respond = { status = 404 }\nerrors = { 404 = { route = \"moved\", status = 0 } }",
            )
            .route(
                "/ok",
                "respond = { status = 404 }\nerrors = { 404 = { route = \"/x\", status = 200 } }",
            )
            .route("/empty", "respond = { status = 404 }\nerrors = { 404 = \"nothing\" }")
            .route("/x", "respond = { status = 404, body = \"x\" }")
            .route_lines(respond("kept", "respond = { status = 200, body = \"kept\" }"))
            .route_lines(respond("nothing", "respond = { status = 204 }"))
            .route_lines(respond(
                "moved",
                "respond = { status = 302, headers = { location = \"/\" } }",
            )),
    );
    proxy.get("/nowhere").expect_status(404).expect_body("kept");
    proxy.get("/own").expect_status(302).expect_header("location", "/");
    proxy.get("/ok").expect_status(200).expect_body("x");
    proxy.get("/empty").expect_status(204);
}

#[test]
fn an_upstream_answers_instead_as_if_it_were_asked_for_the_page() {
    let origin = Origin::start()
        .serve("/app", Reply::ok("down").status(503))
        .serve("/pages/503.html", Reply::ok("a page"));
    let config = site()
        .route("/app", "proxy = \"app\"\nerrors = { 503 = \"/pages/$status.html?of=$uri\" }")
        .route("/pages/*", "proxy = \"app\"")
        .upstream("app", &[&origin], "")
        .toml("[[log.access]]\nfile = \"stdout\"\nformat = \"<$request|$status|$route|$upstream_status>\"");
    let proxy = Proxy::start(&config);
    let asked = post("/app", pattern(100_000)).header("If-None-Match", "\"x\"");
    proxy.ask(&asked).expect_status(503).expect_body("a page");
    let page = &origin.requests("/pages/503.html")[0];
    assert_eq!((&*page.method, &*page.target), ("GET", "/pages/503.html?of=/app"));
    assert!(page.body.is_empty());
    assert_eq!(page.headers.get("content-length"), None);
    assert_eq!(page.headers.get("if-none-match"), None);
    proxy.wait_for_stdout("<POST /app HTTP/1.1|503|/pages/*|503, 200>");
}

#[test]
fn after_a_fault_the_body_is_not_passed_on() {
    let origin = Origin::start();
    let config = site()
        .toml("errors = { \"4xx\" = \"page\", 502 = \"page\" }\nbody_limit = \"10KiB\"")
        .route("/closed", "proxy = \"closed\"")
        .route_lines(respond("page", "proxy = \"app\""))
        .upstream("app", &[&origin], "")
        .endpoints("closed", &["127.0.0.1:1"], "");
    let proxy = Proxy::start(&config);
    proxy.ask(&post("/closed", pattern(20_000))).expect_status(413);
    proxy.ask(&post("/closed", pattern(5_000))).expect_status(502);
    proxy.ask(&request("DELETE", "/closed")).expect_status(502);
    let methods: Vec<_> = origin.requests("/closed");
    let methods: Vec<_> = methods.iter().map(|page| (&*page.method, page.body.len())).collect();
    assert_eq!(methods, [("GET", 0), ("GET", 0), ("DELETE", 0)]);
}

#[test]
fn an_error_in_an_error_page_is_told_plainly() {
    let origin = Origin::start().serve("*", Reply::ok("theirs").status(404));
    let config = site()
        .toml("errors = { \"4xx\" = \"/missing.html\", \"5xx\" = \"broken\" }")
        .route("/closed", "proxy = \"closed\"")
        .route(
            "/secret",
            "respond = {}\naccess = { clients = [\"deny all\"] }\nerrors = { 403 = \"/secret\" }",
        )
        .route("/app/*", "proxy = \"app\"\nerrors = { 404 = \"/app/404.html\" }")
        .route_lines(respond("broken", "proxy = \"closed\""))
        .upstream("app", &[&origin], "")
        .endpoints("closed", &["127.0.0.1:1"], "");
    let proxy = Proxy::start(&config);
    proxy.get("/x").expect_status(404).expect_text("404 Not Found\nrequest ");
    proxy.get("/closed").expect_status(502).expect_text("502 Bad Gateway\nrequest ");
    proxy.get("/secret").expect_status(403).expect_text("403 Forbidden\nrequest ");
    proxy.get("/app/x").expect_status(404).expect_body("theirs");
    assert_eq!(origin.requests("*").len(), 2);
}

#[test]
fn errors_that_lead_in_a_circle_end_with_a_plain_page() {
    let origin = Origin::start().serve("*", Reply::ok("theirs").status(404));
    let config = site()
        .route("/*", "proxy = \"app\"\nerrors = { \"4xx\" = \"a\", \"5xx\" = \"a\" }")
        .route_lines(respond("a", "proxy = \"app\"\nerrors = { \"4xx\" = \"b\", \"5xx\" = \"b\" }"))
        .route_lines(respond("b", "proxy = \"app\"\nerrors = { \"4xx\" = \"a\", \"5xx\" = \"a\" }"))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    proxy.get("/x").expect_status(508).expect_text("508 Loop Detected");
    assert_eq!(origin.requests("*").len(), 11);
}

#[test]
fn a_site_that_lets_nobody_in_still_shows_its_page() {
    let proxy = Proxy::start(
        &site()
            .toml("access = { clients = [\"deny all\"] }\nerrors = { 403 = \"/403.html\" }")
            .route("/403.html", "respond = { body = \"closed to you\" }")
            .respond("/*", "in"),
    );
    proxy.get("/").expect_status(403).expect_body("closed to you");
    proxy.get("/403.html").expect_status(403).expect_body("closed to you");
}

#[test]
fn http2_gets_the_same_pages() {
    let origin = Origin::start().serve("/page", Reply::ok("a page"));
    let config = config()
        .web("h2c = true")
        .site("errors = { 404 = \"/page\", \"5xx\" = \"sorry\" }")
        .route("/page", "proxy = \"app\"")
        .route("/closed", "proxy = \"closed\"")
        .route_lines(page("sorry", "sorry"))
        .upstream("app", &[&origin], "")
        .endpoints("closed", &["127.0.0.1:1"], "");
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    for (asked, status, body) in [("/x", 404, "a page"), ("/closed", 502, "sorry")] {
        let answer = client.ask(&H2Request::new("GET", asked));
        assert_eq!((answer.status, answer.text()), (status, body.to_owned()), "{asked}");
    }
    assert_eq!(origin.requests("/page")[0].headers.get("host"), Some("localhost"));
}

#[test]
fn what_a_client_forges_about_its_way_is_dropped_on_every_way() {
    let origin = Origin::start();
    let config = site()
        .route("/*", "proxy = \"app\"\nerrors = { 404 = \"page\" }")
        .route_lines(page("page", ""))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let forged = get("/").header("X-Forwarded-For", "192.0.2.1").header("X-Real-IP", "192.0.2.1");
    proxy.ask(&forged).expect_status(200);
    let received = &origin.requests("/")[0];
    assert_eq!(received.headers.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.headers.get("x-real-ip"), None);
}

#[test]
fn a_connection_goes_on_after_a_refusal_unless_a_body_is_left() {
    let origin = Origin::start().serve("/page", Reply::ok("a page"));
    let config = site()
        .toml("errors = { 403 = \"page\", 410 = \"/page\" }")
        .route("/page", "proxy = \"app\"")
        .route("/secret", "respond = {}\naccess = { clients = [\"deny all\"] }")
        .route("/gone", "respond = {}\naccess = { clients = [\"deny all\"], status = 410 }")
        .route_lines(page("page", "no"))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.ask(&get("/secret")).expect_status(403).expect_body("no");
        client.ask(&get("/gone")).expect_status(410).expect_body("a page");
        client.ask(&request("DELETE", "/nowhere")).expect_status(404);
    }
    let refused = client.ask(&post("/secret", pattern(100)));
    refused.expect_status(403).expect_header("connection", "close");
    client.expect_close();
}
