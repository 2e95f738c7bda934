//! Headers set, added and removed, under conditions, by sites and by routes.

use switchback_integration::{
    Config, H2Client, H2Request, Headers, Origin, Proxy, Reply, config, get, site,
};

fn app(origin: &Origin, lines: &str) -> Config {
    site().route("/u/{id}/*", format_args!("proxy = \"app\"\n{lines}")).upstream(
        "app",
        &[origin],
        "",
    )
}

#[test]
fn another_line_is_added_beside_those_there_are() {
    let origin = Origin::start().serve("*", Reply::ok("x").header("Link", "</a.css>"));
    let proxy = Proxy::start(&app(
        &origin,
        "request_headers = { add = { x-tag = \"$arg_tag\" } }\n\
         response_headers = [{ add = { link = \"</b.css>\" } }, { add = { link = \"</c.css>\" } }]",
    ));
    let answer = proxy.ask(&get("/u/1/x?tag=two").header("X-Tag", "one"));
    assert_eq!(answer.headers.all("link"), ["</a.css>", "</b.css>", "</c.css>"]);
    proxy.ask(&get("/u/1/x").header("X-Tag", "one"));
    let received = origin.requests("*");
    assert_eq!(received[0].headers.all("x-tag"), ["one", "two"]);
    assert_eq!(received[1].headers.all("x-tag"), ["one"], "what renders empty is not added");
}

#[test]
fn rules_act_in_written_order_and_the_sites_before_the_routes() {
    let origin = Origin::start().serve("*", Reply::ok("x").header("X-Gone", "1"));
    let config = site()
        .toml(
            "request_headers = [{ set = { x-order = \"site\", x-site = \"1\" } }, { set = { x-order = \"site 2\" } }]\n\
             response_headers = { set = { x-order = \"site\", x-site = \"$status\" }, remove = [\"x-gone\"] }",
        )
        .route(
            "/own",
            "proxy = \"app\"\nrequest_headers = { set = { x-order = \"route\" } }\n\
             response_headers = [{ set = { x-order = \"route\" } }, { remove = [\"x-site\"] }]",
        )
        .proxy_to(&origin);
    let proxy = Proxy::start(&config);
    proxy
        .get("/own")
        .expect_header("x-order", "route")
        .expect_no_header("x-site")
        .expect_no_header("x-gone");
    proxy.get("/plain").expect_header("x-order", "site").expect_header("x-site", "200");
    let order = |path: &str| {
        let received = &origin.requests(path)[0].headers;
        assert_eq!(received.all("x-site"), ["1"]);
        received.all("x-order").join(",")
    };
    assert_eq!([order("/own"), order("/plain")], ["route", "site 2"]);
}

#[test]
fn rules_of_a_site_also_act_on_answers_made_here() {
    let config = site()
        .toml("response_headers = { set = { strict-transport-security = \"max-age=1\" } }")
        .respond("/here", "here");
    Proxy::start(&config).get("/here").expect_header("strict-transport-security", "max-age=1");
}

#[test]
fn a_rule_acts_only_under_its_condition() {
    let origin = Origin::start();
    let proxy = Proxy::start(&app(
        &origin,
        "request_headers = [\n\
         { when = '$arg_debug == \"1\"', set = { x-debug = \"{id}\" } },\n\
         { when = '$remote_addr in [192.0.2.0/24]', remove = [\"x-keep\"] },\n]",
    ));
    proxy.ask(&get("/u/7/a?debug=1").header("X-Keep", "1"));
    proxy.ask(&get("/u/7/b").header("X-Keep", "1"));
    let debug = |path: &str| {
        let received = &origin.requests(path)[0].headers;
        assert_eq!(received.all("x-keep"), ["1"]);
        received.all("x-debug").join(",")
    };
    assert_eq!([debug("/u/7/a"), debug("/u/7/b")], ["7", ""]);
}

#[test]
fn conditions_of_response_rules_see_the_answer() {
    let origin = Origin::start()
        .serve("/u/1/gone", Reply::ok("x").status(404))
        .serve("/u/1/page", Reply::ok("x").header("X-Kind", "page"))
        .serve("/u/1/other", Reply::ok("x").header("X-Kind", "image"));
    let proxy = Proxy::start(&app(
        &origin,
        "response_headers = [\n\
         { when = '$status == \"404\"', set = { cache-control = \"no-store\" } },\n\
         { when = '$upstream_http_x_kind == \"page\"', set = { x-frame-options = \"DENY\" }, remove = [\"x-kind\"] },\n\
         { when = '$sent_http_x_kind == \"page\"', add = { x-was = \"$sent_http_x_kind $status\" } },\n]",
    ));
    proxy
        .get("/u/1/gone")
        .expect_header("cache-control", "no-store")
        .expect_no_header("x-frame-options");
    // The third rule sees the header that the second has taken out.
    proxy
        .get("/u/1/page")
        .expect_header("x-frame-options", "DENY")
        .expect_no_header("x-kind")
        .expect_header("x-was", "page 200")
        .expect_no_header("cache-control");
    proxy
        .get("/u/1/other")
        .expect_header("x-kind", "image")
        .expect_no_header("x-frame-options")
        .expect_no_header("x-was");
}

#[test]
fn an_answer_made_here_has_a_status_and_no_upstream() {
    let config = site().route(
        "/*",
        "respond = { status = 403, headers = { x-a = \"1\" } }\nresponse_headers = [\n\
         { when = '$status == \"403\"', set = { x-status = \"403\" } },\n\
         { when = '$upstream_http_x_a', set = { x-upstream = \"1\" } },\n]",
    );
    Proxy::start(&config).get("/").expect_header("x-status", "403").expect_no_header("x-upstream");
}

/// A line break that arrives encoded must come out as nothing that a peer takes for a line.
const BREAKS: [&str; 4] = ["%0d%0aX-Injected:%201", "%0aX-Injected:%201", "%0dX-Injected", "%00"];

#[test]
fn no_variable_brings_a_line_break_to_the_client() {
    let proxy = Proxy::start(&site().route(
        "/u/{id}/*",
        "respond = { body = \"ok\" }\n\
         response_headers = { set = { x-id = \"a{id}b\" }, add = { x-arg = \"$arg_x\", x-uri = \"$uri\" } }",
    ));
    for breaking in BREAKS {
        let answer = proxy.get(&format!("/u/{breaking}/x"));
        answer.expect_status(400).expect_no_header("x-injected").expect_no_header("x-id");
        // Arguments are not decoded: they arrive as they were sent.
        let answer = proxy.get(&format!("/u/1/x?x={breaking}"));
        answer.expect_status(200).expect_no_header("x-injected").expect_header("x-arg", breaking);
    }
}

#[test]
fn no_variable_brings_a_line_break_to_an_upstream() {
    let origin = Origin::start();
    let proxy = Proxy::start(&app(
        &origin,
        "request_headers = { set = { x-id = \"a{id}b\" }, add = { x-arg = \"$arg_x\" } }",
    ));
    for breaking in BREAKS {
        proxy.get(&format!("/u/{breaking}/x")).expect_status(400);
        proxy.get(&format!("/u/1/x?x={breaking}")).expect_status(200);
    }
    let received = origin.requests("*");
    assert_eq!(received.len(), BREAKS.len());
    assert!(received.iter().all(|request| request.headers.all("x-injected").is_empty()));
}

#[test]
fn rules_that_cannot_act_on_an_error_page_leave_the_client_its_page() {
    let origin = Origin::start();
    let proxy = Proxy::start(&app(
        &origin,
        "response_headers = [{ set = { x-id = \"{id}\" } }, { set = { x-plain = \"1\" } }]",
    ));
    proxy.get("/u/%0d%0a/x").expect_status(400).expect_text("400 Bad Request");
    proxy.get("/u/1/x").expect_status(200).expect_header("x-plain", "1");
}

#[test]
fn a_line_is_added_once_however_often_the_request_is_passed_on() {
    let origin = Origin::start().serve("/gone", Reply::ok("x").status(404));
    let rules = "request_headers = { add = { x-once = \"1\" } }\n\
                 response_headers = { add = { x-once = \"$status\" } }";
    let config = site()
        .route("/buffered", format_args!("proxy = {{ upstream = \"app\", buffer_request = true }}\n{rules}"))
        .route("/*", format_args!("proxy = \"app\"\nerrors = {{ 404 = {{ route = \"lost\", status = 0 }} }}\n{rules}"))
        .route_lines(format_args!(
            "name = \"lost\"\ninternal = true\nproxy = {{ upstream = \"app\", rewrite = \"/lost\" }}\n{rules}"
        ))
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    for path in ["/buffered", "/here", "/gone"] {
        proxy.get(path).expect_status(200).expect_header("x-once", "200");
    }
    let received = origin.requests("*");
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|request| request.headers.all("x-once") == ["1"]));
}

#[test]
fn rules_cookies_and_maps_act_on_http2_as_well() {
    let reply = Reply::ok("x").header("Set-Cookie", "a=1").header("Set-Cookie", "b=2; Path=/app/x");
    let origin = Origin::start().serve("*", reply);
    let config = config()
        .web("h2c = true")
        .site(
            "request_headers = { set = { x-tenant = \"$map_tenant\" } }\n\
             response_headers = { when = '$status == \"200\"', add = { link = \"</$map_tenant.css>\" } }\n\
             response_cookies = [{ path = { \"/app/\" = \"/\" }, secure = true }]",
        )
        .proxy_to(&origin)
        .toml("[maps.tenant]\nkey = \"$host\"\nhosts = true\nvalues = { \"*.shop.example\" = \"shop\" }");
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let answer = client.ask(&H2Request::new("GET", "/").authority("a.Shop.example"));
    answer.expect_status(200);
    assert_eq!(answer.headers.all("set-cookie"), ["a=1; Secure", "b=2; Path=/x; Secure"]);
    assert_eq!(answer.headers.all("link"), ["</shop.css>"]);
    assert_eq!(origin.requests("*")[0].headers.all("x-tenant"), ["shop"]);
}

/// What is stored is changed without a map of its fields over HTTP/1, and in one over HTTP/2.
#[test]
fn stored_answers_are_changed_alike_over_both_protocols() {
    let page = Reply::ok("0123456789")
        .header("Cache-Control", "max-age=600")
        .header("Content-Type", "text/plain")
        .header("ETag", "\"v1\"")
        .header("Link", "</a.css>")
        .header("X-Gone", "1");
    let origin = Origin::start().serve("/page", page);
    let rules = "[\
        { set = { x-frame-options = \"DENY\", cache-control = \"max-age=5\", x-tag = \"$sent_http_etag $upstream_http_link\" } },\
        { add = { link = \"</b.css>\", x-more = \"1\" }, remove = [\"x-gone\", \"x-none\"] },\
        { when = '$status == \"304\"', set = { x-same = \"$sent_http_x_gone.\" } },\
        { when = '$http_x_a == \"1\"', set = { age = \"0\", etag = \"\" }, remove = [\"cache-status\"] },\
    ]";
    let config = config()
        .web("h2c = true")
        .site("")
        .route("/*", format_args!("proxy = \"app\"\ncache = \"main\"\nresponse_headers = {rules}"))
        .upstream("app", &[&origin], "")
        .toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    proxy.get("/page").expect_status(200);
    let mut h2 = H2Client::cleartext(proxy.address("web"));
    for (field, value, status) in
        [("accept", "*/*", 200), ("if-none-match", "\"v1\"", 304), ("range", "bytes=2-3", 206)]
    {
        for x_a in ["0", "1"] {
            let lean = get("/page").header(field, value).header("x-a", x_a);
            let lean = proxy.ask(&lean);
            lean.expect_status(status).expect_header("x-frame-options", "DENY");
            lean.expect_header("x-more", "1").expect_no_header("x-gone");
            let whole = H2Request::new("GET", "/page").header(field, value).header("x-a", x_a);
            assert_eq!(lines(&lean.headers), lines(&h2.ask(&whole).headers), "{field} {x_a}");
        }
    }
    assert_eq!(origin.requests("/page").len(), 1);
}

/// Fields of any hop, in an order of their own; whatever the time is.
fn lines(headers: &Headers) -> Vec<(String, String)> {
    let is_of_all = |name: &str| !matches!(name, "connection" | "date");
    let mut lines: Vec<_> = headers
        .0
        .iter()
        .map(|(name, value)| {
            let value = if name.eq_ignore_ascii_case("age") { "" } else { value };
            (name.to_lowercase(), value.to_owned())
        })
        .filter(|(name, _)| is_of_all(name))
        .collect();
    lines.sort();
    lines
}
