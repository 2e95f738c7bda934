//! Which route a request takes.

use switchback_integration::{Config, Proxy, get, request, site};

fn start(config: &Config) -> Proxy {
    Proxy::start(config)
}

#[test]
fn the_nearest_host_wins() {
    let config = site().respond("/*", "anyone");
    let config = config.site("hosts = [\"*.shop.example\"]").respond("/*", "wildcard");
    let config = config.site("hosts = [\"www.shop.example\"]").respond("/*", "exact");
    let config = config.site("hosts = [\"~^v[0-9]+[.]example$\"]").respond("/*", "regex");
    let proxy = start(&config);
    let cases = [
        ("www.shop.example", "exact"),
        ("WWW.Shop.Example:8080", "exact"),
        ("img.shop.example", "wildcard"),
        ("a.b.shop.example", "wildcard"),
        ("shop.example", "anyone"),
        ("v12.example", "regex"),
        ("other.example", "anyone"),
        ("127.0.0.1", "anyone"),
    ];
    for (host, body) in cases {
        proxy.ask(&get("/").host(host)).expect_status(200).expect_body(body);
    }
}

#[test]
fn a_default_site_answers_hosts_that_nobody_claims() {
    let config =
        switchback_integration::config().web("").site("hosts = [\"a.example\"]").respond("/*", "a");
    let config = config.site("hosts = [\"b.example\"]\ndefault = true").respond("/*", "b");
    let proxy = start(&config);
    proxy.ask(&get("/").host("a.example")).expect_body("a");
    proxy.ask(&get("/").host("unknown.example")).expect_body("b");
}

#[test]
fn the_nearest_path_wins_however_routes_are_written() {
    let config = site()
        .respond("/*", "rest")
        .respond("/users/{id}/*", "user below")
        .route("/users/{id}", "respond = { status = 200, body = \"user {id}\" }")
        .respond("/users/me", "me")
        .respond("/users/*", "users")
        .respond("~[.]php$", "regex");
    let proxy = start(&config);
    let cases = [
        ("/", "rest"),
        ("/users", "rest"),
        ("/users/", "users"),
        ("/users/me", "me"),
        ("/users/7", "user 7"),
        ("/users/7/posts", "user below"),
        ("/users/7/", "user below"),
        ("/users/x.php", "regex"),
    ];
    for (path, body) in cases {
        assert_eq!(proxy.get(path).expect_status(200).text(), body, "{path}");
    }
}

#[test]
fn a_regex_captures_by_name() {
    let proxy = start(
        &site().route("~^/re/(?<rest>.*)$", "respond = { status = 200, body = \"<{rest}>\" }"),
    );
    proxy.get("/re/a/b").expect_body("<a/b>");
}

#[test]
fn conditions_choose_among_routes_with_one_path() {
    let matching = |condition: &str, body: &str| {
        format!(
            "match = {{ path = \"/x\", {condition} }}\nrespond = {{ status = 200, body = \"{body}\" }}"
        )
    };
    let config = site()
        .route_lines(matching("method = [\"POST\", \"PUT\"]", "method"))
        .route_lines(matching("headers = { x-kind = \"a\" }", "header"))
        .route_lines(matching("headers = { x-present = \"*\" }", "present"))
        .route_lines(matching("query = { page = \"~^[0-9]+$\" }", "query"))
        .route_lines(matching("cookies = { session = \"s\" }", "cookie"))
        .route_lines(matching("when = '$http_x_when ~* \"^yes\"'", "when"))
        .respond("/x", "plain");
    let proxy = start(&config);
    let cases = [
        (request("POST", "/x").body("b"), "method"),
        (get("/x").header("X-Kind", "a"), "header"),
        (get("/x").header("X-Kind", "b"), "plain"),
        (get("/x").header("X-Present", ""), "present"),
        (get("/x?page=12"), "query"),
        (get("/x?page=a"), "plain"),
        (get("/x").header("Cookie", "a=b; session=s"), "cookie"),
        (get("/x").header("X-When", "YES, please"), "when"),
        (get("/x"), "plain"),
    ];
    for (asked, body) in cases {
        let answer = proxy.ask(&asked);
        assert_eq!(answer.expect_status(200).text(), body, "{asked:?}");
    }
}

#[test]
fn the_client_address_chooses() {
    let config = site()
        .route_lines("match = { path = \"/*\", client = [\"192.0.2.0/24\"] }\nrespond = { status = 200, body = \"far\" }")
        .route_lines("match = { path = \"/*\", client = [\"127.0.0.0/8\"] }\nrespond = { status = 200, body = \"near\" }");
    start(&config).get("/").expect_body("near");
}

#[test]
fn priority_overrules_the_path() {
    let proxy = start(&site().respond("/exact", "exact").route_lines(
        "match = { path = \"/*\", headers = { x-maintenance = \"on\" } }\npriority = 10\n\
         respond = { status = 503, body = \"later\" }",
    ));
    proxy.get("/exact").expect_body("exact");
    proxy.ask(&get("/exact").header("X-Maintenance", "on")).expect_status(503).expect_body("later");
}

#[test]
fn what_no_route_matches_is_not_found() {
    start(&site().respond("/here", "here")).get("/elsewhere").expect_status(404);
}

#[test]
fn one_normalised_path_is_matched() {
    let config = site()
        .respond("/b", "b")
        .respond("/secret/*", "secret")
        .respond("/a b", "space")
        .respond("/*", "rest");
    let proxy = start(&config);
    let cases = [
        ("/a/../b", "b"),
        ("/./b", "b"),
        ("//b", "b"),
        ("/%62", "b"),
        ("/x/%2e%2e/b", "b"),
        ("/public/../secret/key", "secret"),
        ("/public/%2e%2e/secret/key", "secret"),
        ("/a%20b", "space"),
        ("/secret%2fkey", "rest"),
        ("/%2562", "rest"),
    ];
    for (path, body) in cases {
        assert_eq!(proxy.get(path).expect_status(200).text(), body, "{path}");
    }
    for path in ["/a%00b", "/../etc/passwd", "/%zz", "/%2e%2e/x"] {
        assert_eq!(proxy.get(path).status, 400, "{path}");
    }
}

#[test]
fn an_encoded_slash_is_decoded_or_refused_where_a_site_says_so() {
    let decode = start(
        &switchback_integration::config()
            .web("")
            .site("encoded_slash = \"decode\"")
            .respond("/a/b", "ab"),
    );
    decode.get("/a%2Fb").expect_body("ab");
    let refuse = start(
        &switchback_integration::config()
            .web("")
            .site("encoded_slash = \"refuse\"")
            .respond("/*", "rest"),
    );
    refuse.get("/a%2fb").expect_status(400);
}

#[test]
fn an_absolute_target_names_the_host() {
    let config = site().respond("/*", "anyone").site("hosts = [\"a.example\"]").respond("/p", "a");
    let proxy = start(&config);
    proxy.ask(&get("http://a.example/p").host("a.example")).expect_status(200).expect_body("a");
}

#[test]
fn an_internal_route_is_never_matched() {
    let config = site().route_lines(
        "name = \"inside\"\ninternal = true\nmatch = { path = \"/inside\" }\nrespond = { status = 200, body = \"in\" }",
    );
    start(&config.respond("/other", "other")).get("/inside").expect_status(404);
}

#[test]
fn a_fixed_answer_renders_variables_and_headers() {
    let lines = "respond = { status = 418, headers = { content-type = \"text/plain\", x-host = \"$host\" }, \
                 body = \"$request_method $uri?$args\" }";
    let answer = start(&site().route("/t/*", lines)).ask(&get("/t/a%20b?x=1").host("H.example"));
    answer.expect_status(418).expect_header("x-host", "h.example").expect_body("GET /t/a b?x=1");
}

#[test]
fn an_answer_to_head_has_its_length_but_no_body() {
    let proxy = start(&site().respond("/x", "twelve bytes"));
    let mut client = proxy.client();
    client.ask(&request("HEAD", "/x")).expect_status(200).expect_header("content-length", "12");
    client.ask(&get("/x")).expect_body("twelve bytes");
}
