use serde_json::json;
use switchback_plugin::Fact;
use switchback_plugin::testing::{Harness, Scene};

use super::Csrf;
use crate::testing::{File, plugin, refused};

fn status(csrf: &mut Harness<Csrf>, headers: &[(&str, &str)]) -> u16 {
    let scene = Scene::new("POST", "/");
    let mut scene =
        headers.iter().fold(scene, |scene, (name, value)| scene.with_header(name, value));
    csrf.request(&mut scene).status
}

#[test]
fn who_says_it_is_of_the_same_origin_passes_and_others_do_not() {
    let mut csrf = plugin::<Csrf>(json!({ "trusted": ["https://admin.test"] }));
    let host = ("host", "example.com");
    for (headers, expected) in [
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("sec-fetch-site", "none")], 200),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "nonsense")], 403),
        (vec![("sec-fetch-site", "cross-site"), ("origin", "https://admin.test")], 200),
        (vec![("sec-fetch-site", "cross-site"), ("origin", "https://example.com"), host], 403),
        (vec![("origin", "https://example.com"), host], 200),
        (vec![("origin", "https://example.com")], 200),
        (vec![("origin", "https://example.com"), ("host", "Example.com:443")], 200),
        (vec![("origin", "https://example.com:8443"), host], 403),
        (vec![("origin", "https://example.com:8443"), ("host", "example.com:8443")], 200),
        (vec![("origin", "http://example.com"), host], 403),
        (vec![("origin", "https://evil.test"), host], 403),
        (vec![("origin", "https://example.com.evil.test"), host], 403),
        (vec![("origin", "https://admin.test"), host], 200),
        (vec![("origin", "null"), host], 403),
        (vec![("origin", ""), host], 403),
        (vec![], 200),
    ] {
        assert_eq!(status(&mut csrf, &headers), expected, "{headers:?}");
    }
}

#[test]
fn what_changes_nothing_passes_and_every_other_method_is_looked_at() {
    let mut csrf = plugin::<Csrf>(json!({ "status": 400 }));
    for (method, expected) in [
        ("GET", 200),
        ("HEAD", 200),
        ("OPTIONS", 200),
        ("POST", 400),
        ("PUT", 400),
        ("PATCH", 400),
        ("DELETE", 400),
        ("get", 400),
        ("BREW", 400),
    ] {
        let scene = Scene::new(method, "/").with_header("sec-fetch-site", "cross-site");
        assert_eq!(csrf.request(&mut { scene }).status, expected, "{method}");
    }
}

#[test]
fn pages_of_other_origins_begin_no_websockets() {
    let (mut csrf, _file) = with_token(None);
    for (method, name) in [("GET", "sec-websocket-key"), ("CONNECT", "accept")] {
        for (site, expected) in [("same-origin", 200), ("cross-site", 403)] {
            let scene = Scene::new(method, "/").with_header("sec-fetch-site", site);
            let mut scene = scene.with_header(name, "1");
            assert_eq!(csrf.request(&mut scene).status, expected, "{method} {site}");
        }
    }
}

#[test]
fn behind_a_proxy_that_ends_tls_the_scheme_is_not_held_against_anybody() {
    let mut csrf = plugin::<Csrf>(json!({}));
    let scene = Scene::new("POST", "/")
        .with_fact(Fact::Scheme, "http")
        .with_header("origin", "https://example.com");
    assert_eq!(csrf.request(&mut { scene }).status, 200);
}

#[test]
fn who_says_nothing_is_refused_where_that_is_wanted() {
    let mut csrf = plugin::<Csrf>(json!({ "unknown": "deny" }));
    assert_eq!(status(&mut csrf, &[]), 403);
    assert_eq!(status(&mut csrf, &[("sec-fetch-site", "same-origin")]), 200);
}

const SECRET: &str = "0123456789abcdef0123456789abcdef\n";

fn with_token(session: Option<&str>) -> (Harness<Csrf>, File) {
    let file = File::new(SECRET);
    let token = json!({ "secret_file": file.path(), "session_cookie": session });
    (plugin(json!({ "token": token })), file)
}

/// The token in `Set-Cookie`.
fn token(csrf: &mut Harness<Csrf>, scene: Scene) -> String {
    let reply = csrf.request(&mut { scene });
    let cookie = reply.header("set-cookie").expect("a cookie").to_owned();
    assert_eq!(reply.header("cache-control"), Some("private, no-store"));
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; SameSite=Lax; Secure");
    pair.strip_prefix("__Host-csrf=").unwrap().to_owned()
}

fn submit(csrf: &mut Harness<Csrf>, cookie: &str, header: &str) -> u16 {
    let scene =
        Scene::new("POST", "/").with_header("cookie", cookie).with_header("x-csrf-token", header);
    csrf.request(&mut { scene }).status
}

#[test]
fn a_token_must_come_twice_and_be_ours() {
    let (mut csrf, _file) = with_token(None);
    let good = token(&mut csrf, Scene::get("/"));
    let cookie = format!("a=b; __Host-csrf={good}");
    assert_eq!(submit(&mut csrf, &cookie, &good), 200);
    assert_eq!(submit(&mut csrf, &cookie, ""), 403);
    assert_eq!(submit(&mut csrf, "", &good), 403);
    let forged = good.replacen(|_: char| true, "!", 1);
    assert_eq!(submit(&mut csrf, &format!("__Host-csrf={forged}"), &forged), 403);
    assert_eq!(submit(&mut csrf, "__Host-csrf=a.b", "a.b"), 403);
    let other = token(&mut csrf, Scene::get("/"));
    assert_ne!(good, other);
    assert_eq!(submit(&mut csrf, &cookie, &other), 403, "two that differ");
    let scene = Scene::new("POST", "/")
        .with_header("sec-fetch-site", "cross-site")
        .with_header("cookie", &cookie)
        .with_header("x-csrf-token", &good);
    assert_eq!(csrf.request(&mut { scene }).status, 403, "a token does not make up for the origin");
}

#[test]
fn a_token_is_offered_with_pages_to_who_has_none() {
    let (mut csrf, _file) = with_token(None);
    let good = token(&mut csrf, Scene::get("/"));
    for scene in [
        Scene::get("/").with_header("cookie", format!("__Host-csrf={good}")),
        Scene::get("/app.js").with_header("sec-fetch-dest", "script"),
        Scene::new("HEAD", "/"),
    ] {
        assert_eq!(csrf.request(&mut { scene }).header("set-cookie"), None);
    }
    let page = Scene::get("/")
        .with_header("sec-fetch-dest", "document")
        .with_header("cookie", "__Host-csrf=x.y");
    token(&mut csrf, page);
}

#[test]
fn a_token_is_bound_to_its_session_and_known_to_all_proxies() {
    let (mut csrf, _file) = with_token(Some("sid"));
    let good = token(&mut csrf, Scene::get("/").with_header("cookie", "sid=alice"));
    assert_eq!(submit(&mut csrf, &format!("sid=alice; __Host-csrf={good}"), &good), 200);
    assert_eq!(submit(&mut csrf, &format!("sid=mallory; __Host-csrf={good}"), &good), 403);
    let (mut another, _file) = with_token(Some("sid"));
    assert_eq!(submit(&mut another, &format!("sid=alice; __Host-csrf={good}"), &good), 200);
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let short = File::new("short");
    let good = File::new(SECRET);
    let token = |changes: serde_json::Value| {
        let mut token = json!({ "secret_file": good.path() });
        token.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "token": token })
    };
    refused::<Csrf>([
        (json!({ "trusted": ["*"] }), "trusted[0]"),
        (json!({ "trusted": ["null"] }), "trusted[0]"),
        (json!({ "trusted": ["admin.example"] }), "trusted[0]"),
        (json!({ "unknown": "perhaps" }), "unknown"),
        (json!({ "status": 204 }), "status"),
        (json!({ "token": {} }), "token"),
        (json!({ "token": { "secret_file": short.path() } }), "token.secret_file"),
        (json!({ "token": { "secret_file": "/nowhere/at/all" } }), "token.secret_file"),
        (token(json!({ "cookie": "a;b" })), "token.cookie"),
        (token(json!({ "header": "a b" })), "token.header"),
        (token(json!({ "session_cookie": "" })), "token.session_cookie"),
        (token(json!({ "secret": "x" })), "token.secret"),
        (json!({ "trust": [] }), "trust"),
    ]);
}
