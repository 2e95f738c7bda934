//! Cookies of an upstream, changed on their way to the client.

use switchback_integration::{Origin, Proxy, Reply, get, site};

fn setting(lines: &[&str]) -> Origin {
    let reply = lines.iter().fold(Reply::ok("x"), |reply, line| reply.header("Set-Cookie", line));
    Origin::start().serve("*", reply)
}

fn through(origin: &Origin, rules: &str) -> Proxy {
    let route = format!("proxy = \"app\"\nresponse_cookies = [{rules}]");
    Proxy::start(&site().route("/{id}/*", route).upstream("app", &[origin], ""))
}

const LINES: [&str; 4] = [
    "session=a=\"b c\"; Domain=.origin.example;path=/app/cart;  Expires=Thu, 01 Jan 2099 00:00:00 GMT",
    "Theme=dark;HttpOnly",
    "odd",
    "tracker=1; Secure",
];

#[test]
fn without_a_rule_that_meets_them_cookies_pass_byte_for_byte() {
    let origin = setting(&LINES);
    let proxy = through(
        &origin,
        "{ name = \"theme\", remove = true }, { domain = { \"other.example\" = \"x\" }, path = { \"/api/\" = \"/\" } }",
    );
    assert_eq!(proxy.get("/u/x").headers.all("set-cookie"), LINES);
}

#[test]
fn domains_paths_and_flags_change_and_cookies_go() {
    let origin = setting(&LINES);
    let proxy = through(
        &origin,
        "{ domain = { \"origin.example\" = \"$host\" }, path = { \"/app/\" = \"/{id}/\" } },\n\
         { name = \"~^(session|Theme)$\", secure = true, http_only = true, same_site = \"strict\" },\n\
         { name = \"tracker\", remove = true }",
    );
    let answer = proxy.ask(&get("/u/x").host("shop.example"));
    assert_eq!(
        answer.headers.all("set-cookie"),
        [
            "session=a=\"b c\"; Domain=shop.example;path=/u/cart;  Expires=Thu, 01 Jan 2099 00:00:00 GMT; Secure; HttpOnly; SameSite=Strict",
            "Theme=dark;HttpOnly; Secure; SameSite=Strict",
            "odd",
        ]
    );
}

#[test]
fn rules_of_the_site_come_first_and_cookies_set_here_are_left_alone() {
    let origin = setting(&["a=1; Secure", "b=2"]);
    let config = site()
        .toml(
            "response_cookies = [{ secure = true, domain = \"$host\" }]\n\
             response_headers = { add = { set-cookie = \"own=1\" } }",
        )
        .route("/here", "respond = { body = \"x\", headers = { set-cookie = \"here=1\" } }")
        .route(
            "/*",
            "proxy = \"app\"\nresponse_cookies = [{ name = \"b\", secure = false, domain = \"\" }]",
        )
        .upstream("app", &[&origin], "");
    let proxy = Proxy::start(&config);
    let answer = proxy.ask(&get("/x").host("h.example"));
    assert_eq!(answer.headers.all("set-cookie"), ["a=1; Secure; Domain=h.example", "b=2", "own=1"]);
    assert_eq!(proxy.get("/here").headers.all("set-cookie"), ["here=1", "own=1"]);
}

#[test]
fn no_variable_breaks_out_of_an_attribute() {
    let origin = setting(&["a=1"]);
    let proxy = through(&origin, "{ path = \"/{id}\", domain = \"$arg_d\" }");
    for breaking in ["%0d%0aX-Injected:%201", "%3b%20Domain=evil.example", "%00"] {
        let answer = proxy.get(&format!("/{breaking}/x"));
        answer.expect_status(400).expect_no_header("x-injected").expect_no_header("set-cookie");
        let answer = proxy.get(&format!("/u/x?d={breaking}"));
        answer.expect_header("set-cookie", &format!("a=1; Domain={breaking}; Path=/u"));
    }
    proxy.get("/u/x?d=a;Secure").expect_status(400).expect_no_header("set-cookie");
}
