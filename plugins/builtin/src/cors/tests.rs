use serde_json::json;
use switchback_plugin::testing::{Reply, Scene};

use super::Cors;
use crate::testing::{plugin, refused};

const APP: &str = "https://app.example";

fn preflight(origin: &str) -> Scene {
    Scene::new("OPTIONS", "/")
        .with_header("origin", origin)
        .with_header("access-control-request-method", "PUT")
        .with_response(418)
}

fn vary(reply: &Reply) -> String {
    let values = reply.headers.get_all("vary");
    values.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(", ")
}

#[test]
fn preflights_are_answered_here() {
    let mut cors = plugin::<Cors>(json!({
        "origins": [APP],
        "methods": ["GET", "PUT"],
        "headers": ["X-Token", "content-type"],
        "credentials": true,
        "max_age": "1h",
    }));
    let reply = cors.request(&mut preflight(APP));
    assert_eq!(reply.status, 204);
    assert!(reply.body.is_empty());
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-token, content-type"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "3600"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("access-control-allow-private-network"), None);
}

#[test]
fn who_may_not_is_told_nothing_but_that_answers_differ() {
    let mut cors = plugin::<Cors>(json!({ "origins": [APP] }));
    let reply = cors.request(&mut preflight("https://evil.example"));
    assert_eq!(reply.status, 204);
    let told = reply.headers.keys().filter(|name| name.as_str().starts_with("access-control"));
    assert_eq!(told.count(), 0);
    assert!(vary(&reply).starts_with("Origin"));
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let scene = Scene::get("/").with_response_header("access-control-allow-origin", "*");
        let scene = match origin {
            Some(origin) => scene.with_header("origin", origin),
            None => scene,
        };
        let reply = cors.request(&mut { scene });
        assert_eq!(reply.header("access-control-allow-origin"), None, "{origin:?}");
        assert_eq!(vary(&reply), "Origin", "{origin:?}");
    }
}

#[test]
fn what_is_no_preflight_goes_on() {
    let mut cors = plugin::<Cors>(json!({ "origins": [APP] }));
    for scene in [
        Scene::new("OPTIONS", "/"),
        Scene::new("OPTIONS", "/").with_header("origin", APP),
        Scene::new("OPTIONS", "/").with_header("access-control-request-method", "PUT"),
        Scene::get("/")
            .with_header("origin", APP)
            .with_header("access-control-request-method", "PUT"),
    ] {
        assert_eq!(cors.request(&mut scene.with_response(418)).status, 418);
    }
}

#[test]
fn responses_say_who_may_read_them_and_nobody_else_does() {
    let options =
        json!({ "origins": ["https://*.example"], "credentials": true, "expose": ["X-Total"] });
    let mut cors = plugin::<Cors>(options);
    let mut scene = Scene::get("/")
        .with_header("origin", APP)
        .with_response_header("access-control-allow-origin", "*")
        .with_response_header("access-control-allow-methods", "DELETE")
        .with_response_header("vary", "Accept-Encoding, oriGin");
    let reply = cors.request(&mut scene);
    assert_eq!(
        reply.headers.get_all("access-control-allow-origin").iter().collect::<Vec<_>>(),
        [APP]
    );
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("x-total"));
    assert_eq!(reply.header("access-control-allow-methods"), None);
    assert_eq!(vary(&reply), "Accept-Encoding, oriGin", "said already");
    let mut scene =
        Scene::get("/").with_header("origin", APP).with_response_header("vary", "Accept");
    assert_eq!(vary(&cors.request(&mut scene)), "Accept, Origin");
}

#[test]
fn everybody_is_told_the_same_so_that_caches_keep_one_answer() {
    let mut cors = plugin::<Cors>(json!({ "origins": ["*"], "expose": ["*"] }));
    for scene in [Scene::get("/"), Scene::get("/").with_header("origin", "https://any.test")] {
        let reply = cors.request(&mut { scene });
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-expose-headers"), Some("*"));
        assert_eq!(reply.header("vary"), None);
    }
    let reply = cors.request(&mut preflight("null"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert!(!vary(&reply).contains("Origin"));
}

#[test]
fn all_headers_are_named_one_by_one_because_a_star_is_not_all() {
    let mut cors = plugin::<Cors>(json!({ "origins": [APP], "headers": ["*"] }));
    for (asked, told) in
        [("Authorization, x-a", Some("authorization, x-a")), ("x-a,,x-b", None), ("x a", None)]
    {
        let mut scene = preflight(APP).with_header("access-control-request-headers", asked);
        assert_eq!(
            cors.request(&mut scene).header("access-control-allow-headers"),
            told,
            "{asked}"
        );
    }
}

#[test]
fn pages_of_public_addresses_reach_private_ones_only_where_that_is_wanted() {
    for wanted in [false, true] {
        let mut cors = plugin::<Cors>(json!({ "origins": [APP], "private_network": wanted }));
        let asks = preflight(APP).with_header("access-control-request-private-network", "true");
        let reply = cors.request(&mut { asks });
        let told = reply.header("access-control-allow-private-network");
        assert_eq!(told, wanted.then_some("true"));
        assert_eq!(vary(&reply).contains("Private-Network"), wanted);
        let asks_not = cors.request(&mut preflight(APP));
        assert_eq!(asks_not.header("access-control-allow-private-network"), None);
    }
}

#[test]
fn bad_options_are_refused_where_they_are() {
    refused::<Cors>([
        (json!({}), ""),
        (json!({ "origins": [] }), "origins"),
        (json!({ "origins": [APP, "app.example"] }), "origins[1]"),
        (json!({ "origins": ["*"], "credentials": true }), "origins[0]"),
        (json!({ "origins": [APP, "null"], "credentials": true }), "origins[1]"),
        (json!({ "origins": ["~["] }), "origins[0]"),
        (json!({ "origins": [APP], "methods": ["get"] }), "methods[0]"),
        (json!({ "origins": [APP], "methods": ["*"] }), "methods[0]"),
        (json!({ "origins": [APP], "headers": ["a", "*"] }), "headers[1]"),
        (json!({ "origins": [APP], "headers": ["a b"] }), "headers[0]"),
        (json!({ "origins": [APP], "expose": ["*"], "credentials": true }), "expose[0]"),
        (json!({ "origins": [APP], "max_age": 600 }), "max_age"),
        (json!({ "origin": [APP] }), "origin"),
    ]);
}
