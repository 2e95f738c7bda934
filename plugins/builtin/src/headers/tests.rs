use serde_json::json;
use switchback_plugin::testing::Scene;

use super::Headers;
use crate::testing::{plugin, refused};

#[test]
fn requests_and_responses_are_changed_in_order() {
    let mut headers = plugin::<Headers>(json!({
        "request": [
            { "set": { "X-Real-Ip": "$remote_addr", "x-empty": "$nobody" }, "remove": ["x-internal-*"] },
            { "add": { "x-real-ip": "second", "x-nothing": "$nobody" } },
        ],
        "response": [{ "remove": ["server"], "set": { "x-host": "${host}!" }, "add": { "vary": "Cookie" } }],
    }));
    let mut scene = Scene::get("/")
        .with_variable("remote_addr", "192.0.2.1")
        .with_variable("host", "a.example")
        .with_header("x-internal-a", "1")
        .with_header("x-internal-b", "1")
        .with_header("x-intern", "1")
        .with_header("x-empty", "1")
        .with_response_header("server", "old")
        .with_response_header("vary", "Accept");
    let reply = headers.request(&mut scene);
    let sent = scene.sent().unwrap();
    assert_eq!(sent.get_all("x-real-ip").iter().collect::<Vec<_>>(), ["192.0.2.1", "second"]);
    for gone in ["x-internal-a", "x-internal-b", "x-empty", "x-nothing"] {
        assert!(!sent.contains_key(gone), "{gone}");
    }
    assert!(sent.contains_key("x-intern"));
    assert_eq!(reply.header("x-host"), Some("a.example!"));
    assert_eq!(reply.header("server"), None);
    assert_eq!(reply.headers.get_all("vary").iter().collect::<Vec<_>>(), ["Accept", "Cookie"]);
}

#[test]
fn changes_are_made_only_when_what_they_want_holds() {
    let mut headers = plugin::<Headers>(json!({
        "request": [{ "set": { "x-seen": "1" }, "when": { "present": ["x-a"], "absent": ["x-b"] } }],
        "response": [
            { "set": { "cache-control": "no-store" }, "when": { "status": ["404", "5xx", "301-303"] } },
            { "set": { "x-frame-options": "DENY" }, "when": { "absent": ["x-frame-options"] } },
        ],
    }));
    for (names, seen) in [(vec![], false), (vec!["x-a"], true), (vec!["x-a", "x-b"], false)] {
        let mut scene =
            names.iter().fold(Scene::get("/"), |scene, name| scene.with_header(name, "1"));
        headers.request(&mut scene);
        assert_eq!(scene.header("x-seen").is_some(), seen, "{names:?}");
    }
    for (status, is_set) in
        [(200, false), (404, true), (405, false), (503, true), (301, true), (304, false)]
    {
        let reply = headers.request(&mut Scene::get("/").with_response(status));
        assert_eq!(reply.header("cache-control").is_some(), is_set, "{status}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
    }
    let own = Scene::get("/").with_response_header("x-frame-options", "SAMEORIGIN");
    assert_eq!(headers.request(&mut { own }).header("x-frame-options"), Some("SAMEORIGIN"));
}

#[test]
fn what_a_client_sends_never_becomes_a_header_of_its_own() {
    let mut headers =
        plugin::<Headers>(json!({ "request": [{ "set": { "x-page": "p=$arg_page" } }] }));
    let mut scene = Scene::get("/").with_variable("arg_page", "1\r\nx-admin: 1");
    assert_eq!(headers.request(&mut scene).failure, None);
    assert_eq!(scene.header("x-page"), Some("p=1%0D%0Ax-admin: 1"));
    assert_eq!(scene.header("x-admin"), None);
}

#[test]
fn bad_options_are_refused_where_they_are() {
    refused::<Headers>([
        (json!({}), ""),
        (json!({ "request": [{}] }), "request[0]"),
        (json!({ "request": [{ "set": { "x": "$nobody" } }] }), "request[0].set.x"),
        (json!({ "request": [{ "set": { "x": "a\r\nb" } }] }), "request[0].set.x"),
        (
            json!({ "response": [{ "set": { "content-length": "1" } }] }),
            "response[0].set.content-length",
        ),
        (json!({ "response": [{ "add": { "a b": "1" } }] }), "response[0].add.a b"),
        (json!({ "response": [{ "remove": ["a", "*"] }] }), "response[0].remove[1]"),
        (json!({ "response": [{ "remove": ["connection"] }] }), "response[0].remove[0]"),
        (
            json!({ "response": [{ "remove": ["a"], "when": { "status": ["0"] } }] }),
            "response[0].when.status[0]",
        ),
        (
            json!({ "request": [{ "remove": ["a"], "when": { "status": ["404"] } }] }),
            "request[0].when.status",
        ),
        (
            json!({ "request": [{ "remove": ["a"], "when": { "present": [""] } }] }),
            "request[0].when.present[0]",
        ),
        (json!({ "request": [{ "drop": ["a"] }] }), "request[0].drop"),
    ]);
}
