use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use switchback_plugin::testing::{Harness, Scene};

use super::{KeyAuth, consumers};
use crate::testing::{File, plugin, refused};

/// `printf %s wonderland | sha256sum`
const WONDERLAND: &str = "sha256:31f2385ba9cc65dba7ccb9aa5c5b7600d4a1a3e3bf5b8ed8d8c0b0c5a1e1e1e1";

fn digest(key: &str) -> String {
    let digest = super::sha256(key.as_bytes()).unwrap();
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn status(plugin: &mut Harness<KeyAuth>, scene: Scene) -> u16 {
    plugin.request(&mut { scene }).status
}

#[test]
fn a_digest_is_that_of_sha256sum() {
    assert_eq!(
        digest("abc"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_known_key_passes_and_says_whose_it_is() {
    let options = json!({ "keys": { "alice": [digest("a"), digest("b")], "bob": [digest("c")] } });
    let mut auth = plugin::<KeyAuth>(options);
    for (key, consumer) in [("a", "alice"), ("b", "alice"), ("c", "bob")] {
        let mut scene =
            Scene::get("/").with_header("x-api-key", key).with_header("x-consumer", "root");
        assert_eq!(auth.request(&mut scene).status, 200);
        let sent = scene.sent().unwrap();
        assert_eq!(sent.get_all("x-consumer").iter().collect::<Vec<_>>(), [consumer]);
        assert!(!sent.contains_key("x-api-key"), "the upstream has no use for it");
        assert_eq!(scene.variable("plugin_consumer"), Some(consumer.as_bytes()));
    }
    for scene in
        [Scene::get("/"), Scene::get("/").with_header("x-api-key", "d"), Scene::get("/?api_key=a")]
    {
        let reply = auth.request(&mut { scene });
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("www-authenticate"), Some("ApiKey realm=\"API\""));
    }
}

#[test]
fn keys_are_looked_for_where_the_operator_says_and_taken_out_there() {
    let mut auth = plugin::<KeyAuth>(json!({
        "from": ["bearer", "query:key", "cookie:k"],
        "keys": { "alice": [digest("se cret")] },
        "consumer_header": "",
    }));
    let mut scene = Scene::get("/?a=%20&key=se%20cret&b").with_header("cookie", "k=other; x=1");
    assert_eq!(auth.request(&mut scene).status, 200);
    assert_eq!(scene.target(), "/?a=%20&b");
    assert_eq!(scene.sent().unwrap().get("cookie").unwrap(), "x=1");
    assert!(!scene.sent().unwrap().contains_key("x-consumer"));

    let mut scene =
        Scene::get("/").with_header("cookie", "a=1").with_header("cookie", "b=2; k=\"se cret\"");
    assert_eq!(auth.request(&mut scene).status, 200);
    assert_eq!(scene.sent().unwrap().get("cookie").unwrap(), "a=1; b=2");

    let mut scene = Scene::get("/").with_header("authorization", "bEARER se cret");
    let reply = auth.request(&mut scene);
    assert_eq!(reply.status, 200);
    assert!(!scene.sent().unwrap().contains_key("authorization"));

    // The first that is there counts, right or wrong.
    let both = Scene::get("/?key=se%20cret").with_header("authorization", "Bearer wrong");
    assert_eq!(status(&mut auth, both), 401);
    let basic = Scene::get("/").with_header("authorization", "Basic se cret");
    assert_eq!(
        auth.request(&mut { basic }).header("www-authenticate"),
        Some("Bearer realm=\"API\"")
    );
}

#[test]
fn a_key_stays_in_the_request_where_that_is_wanted() {
    let mut auth = plugin::<KeyAuth>(json!({ "keys": { "alice": [digest("a")] }, "hide": false }));
    let mut scene = Scene::get("/").with_header("x-api-key", "a");
    assert_eq!(auth.request(&mut scene).status, 200);
    assert_eq!(scene.sent().unwrap().get("x-api-key").unwrap(), "a");
}

#[test]
fn a_file_of_keys_counts_anew_when_it_changes() {
    let file = File::new(format!("# keys\nalice {}\n", digest("a")));
    let mut auth = plugin::<KeyAuth>(json!({ "file": file.path(), "refresh": "1s" }));
    let key = |key: &str| Scene::get("/").with_header("x-api-key", key);
    assert_eq!(status(&mut auth, key("a")), 200);
    file.write(format!("alice {}\n", digest("b")));
    auth.advance(Duration::from_secs(1));
    assert_eq!(status(&mut auth, key("a")), 401);
    assert_eq!(status(&mut auth, key("b")), 200);
    file.write("alice b\n");
    auth.advance(Duration::from_secs(1));
    assert_eq!(status(&mut auth, key("b")), 200);
    let said = &auth.lines().last().unwrap().message;
    assert!(said.contains("line 1"), "{said}");
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let keys = json!({ "alice": [digest("a")] });
    refused::<KeyAuth>([
        (json!({}), ""),
        (json!({ "keys": { "alice": ["secret"] } }), "keys.alice[0]"),
        (json!({ "keys": { "alice": [WONDERLAND.replace("31f2", "31g2")] } }), "keys.alice[0]"),
        (
            json!({ "keys": { "alice": [digest("a")], "bob": [digest("b"), digest("a")] } }),
            "keys.bob[1]",
        ),
        (json!({ "keys": { "al ice": [digest("a")] } }), "keys.al ice[0]"),
        (json!({ "keys": keys, "from": [] }), "from"),
        (json!({ "keys": keys, "from": ["body:x"] }), "from[0]"),
        (json!({ "keys": keys, "consumer_header": "te" }), "consumer_header"),
        (json!({ "keys": keys, "realm": "a\"b" }), "realm"),
        (json!({ "file": "/nowhere/at/all" }), "file"),
        (json!({ "keys": keys, "hidden": true }), "hidden"),
    ]);
    let file = File::new("alice\n");
    refused::<KeyAuth>([(json!({ "file": file.path() }), "file")]);
}

proptest! {
    #[test]
    fn no_file_is_too_strange(text in "(\\PC{0,6} (sha256:)?[0-9a-f]{0,66}\n?){0,3}") {
        let _ = consumers(&text);
    }
}
