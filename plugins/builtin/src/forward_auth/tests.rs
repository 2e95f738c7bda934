use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::json;
use switchback_plugin::testing::{Harness, Scene};
use switchback_plugin::{Fact, HttpResponse, OperationError};

use super::ForwardAuth;
use crate::testing::{plugin, refused};

fn answers(auth: &mut Harness<ForwardAuth>, status: u16, headers: &[(&'static str, &'static str)]) {
    let mut response = HttpResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: "the service".into(),
    };
    for (name, value) in headers {
        response.headers.append(*name, value.parse().unwrap());
    }
    auth.respond("known", move |_| Ok(response.clone()));
}

fn auth(mut options: serde_json::Value) -> Harness<ForwardAuth> {
    options["upstream"] = json!("known");
    plugin(options)
}

#[test]
fn the_service_is_asked_with_the_headers_and_without_the_body() {
    let mut auth =
        auth(json!({ "path": "/check?host=$host", "set": { "x-original-uri": "$request_uri" } }));
    answers(&mut auth, 200, &[]);
    let mut scene = Scene::post("/users/1?a=b", "secret")
        .with_variable("host", "a b.example")
        .with_variable("request_uri", "/users/1?a=b")
        .with_header("host", "example.com:8443")
        .with_header("cookie", "sid=1")
        .with_header("x-forwarded-for", "203.0.113.9")
        .with_header("x-original-uri", "/made/up")
        .with_fact(Fact::Target, "/users/1?a=b");
    let reply = auth.request(&mut scene);
    assert_eq!((reply.status, reply.failure), (200, None));
    assert_eq!(scene.sent_body(), b"secret");
    let [asked] = auth.asked() else { panic!("asked once") };
    assert_eq!(
        (asked.method.as_str(), &*asked.target, &*asked.upstream),
        ("GET", "/check?host=a%20b.example", "known")
    );
    assert!(asked.body.is_empty());
    let expected = [
        ("cookie", "sid=1"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "example.com:8443"),
        ("x-forwarded-uri", "/users/1?a=b"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-original-uri", "/users/1?a=b"),
    ];
    for (name, value) in expected {
        assert_eq!(asked.headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
    assert_eq!(
        asked.headers.len(),
        expected.len(),
        "nothing else, such as Host: {:?}",
        asked.headers
    );
}

#[test]
fn only_the_named_headers_and_the_same_method_are_sent_where_that_is_wanted() {
    let mut auth = auth(json!({
        "request_headers": ["authorization", "x-forwarded-for"], "forwarded": false, "method": "same",
    }));
    answers(&mut auth, 204, &[]);
    let mut scene = Scene::new("DELETE", "/")
        .with_header("authorization", "Bearer x")
        .with_header("x-forwarded-for", "203.0.113.9")
        .with_header("cookie", "sid=1");
    assert_eq!(auth.request(&mut scene).status, 200);
    let [asked] = auth.asked() else { panic!("asked once") };
    assert_eq!(asked.method, "DELETE");
    assert_eq!(asked.headers.len(), 2);
}

#[test]
fn headers_of_the_answer_go_to_the_upstream_the_client_and_variables() {
    let mut auth = auth(json!({
        "copy": ["x-user", "x-group", "x-role"],
        "copy_to_client": ["set-cookie"],
        "variables": { "plugin_user": "x-user", "plugin_none": "x-none" },
    }));
    answers(
        &mut auth,
        202,
        &[
            ("x-user", "alice"),
            ("x-group", "a"),
            ("x-group", "b"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-other", "1"),
        ],
    );
    let mut scene = Scene::get("/")
        .with_header("x-user", "root")
        .with_header("x-role", "admin")
        .with_response_header("set-cookie", "own=1");
    let reply = auth.request(&mut scene);
    let sent = scene.sent().unwrap();
    assert_eq!(sent.get_all("x-user").iter().collect::<Vec<_>>(), ["alice"]);
    assert_eq!(sent.get_all("x-group").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert!(!sent.contains_key("x-role"), "what the client says of itself is not left");
    assert!(!sent.contains_key("x-other"));
    assert_eq!(
        reply.headers.get_all("set-cookie").iter().collect::<Vec<_>>(),
        ["own=1", "a=1", "b=2"]
    );
    assert_eq!(scene.variable("plugin_user"), Some(&b"alice"[..]));
    assert_eq!(scene.variable("plugin_none"), Some(&b""[..]));
}

#[test]
fn a_denial_is_the_answer_to_the_client() {
    for status in [401, 403] {
        let mut auth = auth(json!({}));
        answers(
            &mut auth,
            status,
            &[
                ("www-authenticate", "Basic realm=\"x\""),
                ("www-authenticate", "Bearer"),
                ("connection", "close"),
                ("content-length", "11"),
            ],
        );
        let reply = auth.request(&mut Scene::get("/"));
        assert_eq!((reply.status, &reply.body[..]), (status, &b"the service"[..]));
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 2);
        assert_eq!(reply.header("connection"), None);
        assert_eq!(reply.header("content-length"), None);
    }
    let mut auth = auth(json!({ "pass": ["3xx"] }));
    answers(&mut auth, 302, &[("location", "/login")]);
    let reply = auth.request(&mut Scene::get("/"));
    assert_eq!((reply.status, reply.header("location")), (302, Some("/login")));
    answers(&mut auth, 401, &[]);
    let reply = auth.request(&mut Scene::get("/"));
    assert_eq!(reply.failure.as_deref(), Some("upstream `known` has answered with 401"));
}

#[test]
fn anything_else_is_a_failure() {
    let mut auth = auth(json!({ "timeout": "200ms", "body_limit": "4" }));
    for status in [500, 302, 404] {
        auth.respond("known", move |_| {
            Ok(HttpResponse {
                status: StatusCode::from_u16(status).unwrap(),
                ..HttpResponse::default()
            })
        });
        let reply = auth.request(&mut Scene::get("/"));
        assert!(reply.failure.unwrap().ends_with(&status.to_string()));
    }
    for (error, why) in [
        (OperationError::Failed, "could not be reached"),
        (OperationError::Refused, "could not be begun"),
    ] {
        auth.respond("known", move |_| Err(error));
        let failure = auth.request(&mut Scene::get("/")).failure.unwrap();
        assert!(failure.contains("`known`") && failure.contains(why), "{failure}");
    }
    answers(&mut auth, 200, &[]);
    assert!(auth.request(&mut Scene::get("/")).failure.unwrap().contains("larger than its limit"));
    auth.respond_after(Duration::from_millis(250), "known", |_| Ok(HttpResponse::default()));
    assert!(auth.request(&mut Scene::get("/")).failure.unwrap().contains("in time"));
}

#[test]
fn bad_options_are_refused_where_they_are() {
    refused::<ForwardAuth>([
        (json!({}), ""),
        (json!({ "upstream": "nobody" }), "upstream"),
        (json!({ "upstream": "known", "path": "check" }), "path"),
        (json!({ "upstream": "known", "path": "/$nobody" }), "path"),
        (json!({ "upstream": "known", "timeout": "0" }), "timeout"),
        (json!({ "upstream": "known", "pass": ["200"] }), "pass[0]"),
        (json!({ "upstream": "known", "pass": ["401", "x"] }), "pass[1]"),
        (json!({ "upstream": "known", "pass": ["100-403"] }), "pass[0]"),
        (json!({ "upstream": "known", "copy": ["connection"] }), "copy[0]"),
        (json!({ "upstream": "known", "copy_to_client": ["content-length"] }), "copy_to_client[0]"),
        (json!({ "upstream": "known", "request_headers": ["a b"] }), "request_headers[0]"),
        (json!({ "upstream": "known", "set": { "x": "$nobody" } }), "set.x"),
        (json!({ "upstream": "known", "set": { "te": "1" } }), "set.te"),
        (json!({ "upstream": "known", "variables": { "user": "x-user" } }), "variables.user"),
        (
            json!({ "upstream": "known", "variables": { "plugin_user": "" } }),
            "variables.plugin_user",
        ),
        (json!({ "upstream": "known", "method": "POST" }), "method"),
        (json!({ "upstream": "known", "body_limit": "1TB" }), "body_limit"),
        (json!({ "upstream": "known", "address": "x" }), "address"),
    ]);
}
