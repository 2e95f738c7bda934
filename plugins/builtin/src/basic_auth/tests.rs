use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use serde_json::json;
use switchback_plugin::testing::{Harness, Scene};

use super::{BasicAuth, Hashing};
use crate::testing::{File, plugin, refused};

/// Of `myPassword`, fast.
const SHA: &str = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
/// The same by bcrypt, with its least cost.
const BCRYPT: &str = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";

fn scene(credentials: &str) -> Scene {
    Scene::get("/")
        .with_header("authorization", format!("Basic {}", BASE64_STANDARD.encode(credentials)))
}

fn status(auth: &mut Harness<BasicAuth>, credentials: &str) -> u16 {
    let reply = auth.request(&mut scene(credentials));
    assert_eq!(reply.failure, None);
    reply.status
}

#[test]
fn users_with_the_right_password_pass_and_others_are_asked() {
    for hash in [SHA, BCRYPT] {
        let mut auth =
            plugin::<BasicAuth>(json!({ "users": { "alice": hash }, "realm": "Office" }));
        assert_eq!(status(&mut auth, "alice:myPassword"), 200);
        for wrong in [
            "alice:mypassword",
            "alice:",
            "alice:myPassword ",
            "bob:myPassword",
            ":myPassword",
            "alice",
        ] {
            let reply = auth.request(&mut scene(wrong));
            assert_eq!(reply.status, 401, "{wrong}");
            let challenge = "Basic realm=\"Office\", charset=\"UTF-8\"";
            assert_eq!(reply.header("www-authenticate"), Some(challenge));
        }
    }
}

#[test]
fn credentials_are_read_as_rfc_7617_writes_them() {
    let mut auth = plugin::<BasicAuth>(json!({ "users": { "alice": SHA } }));
    let unpadded = BASE64_STANDARD_NO_PAD.encode("alice:myPassword");
    for (header, expected) in [
        (format!("basic {unpadded}"), 200),
        (format!("BASIC   {unpadded}"), 200),
        (format!("Bearer {unpadded}"), 401),
        (unpadded.clone(), 401),
        ("Basic !!!".into(), 401),
        ("Basic".into(), 401),
        (format!("Basic {}", BASE64_STANDARD.encode([0xff, b':', b'a'])), 401),
    ] {
        let mut scene = Scene::get("/").with_header("authorization", &header);
        assert_eq!(auth.request(&mut scene).status, expected, "{header}");
    }
    assert_eq!(auth.request(&mut Scene::get("/")).status, 401);
}

#[test]
fn the_upstream_is_told_the_name_and_where_wanted_not_the_password() {
    let options = json!({ "users": { "alice": SHA }, "user_header": "X-User", "hide": true });
    let mut auth = plugin::<BasicAuth>(options);
    let mut scene = scene("alice:myPassword").with_header("x-user", "root");
    assert_eq!(auth.request(&mut scene).status, 200);
    let sent = scene.sent().unwrap();
    assert_eq!(sent.get_all("x-user").iter().collect::<Vec<_>>(), ["alice"]);
    assert!(!sent.contains_key("authorization"));
    assert_eq!(scene.variable("plugin_user"), Some(&b"alice"[..]));
    let mut auth = plugin::<BasicAuth>(json!({ "users": { "alice": SHA } }));
    let mut scene = self::scene("alice:myPassword");
    assert_eq!(auth.request(&mut scene).status, 200);
    assert!(scene.sent().unwrap().contains_key("authorization"));
}

#[test]
fn a_password_that_was_right_is_not_hashed_again_for_a_while() {
    let options = json!({ "users": { "alice": BCRYPT }, "cache_time": "1m" });
    let mut auth = plugin::<BasicAuth>(options);
    let hashed = |auth: &Harness<BasicAuth>| auth.metric("basic_auth_hashes_total", &[]);
    for _ in 0..3 {
        assert_eq!(status(&mut auth, "alice:myPassword"), 200);
    }
    assert_eq!(hashed(&auth), Some(1.0));
    for count in [2.0, 3.0] {
        assert_eq!(status(&mut auth, "alice:wrong"), 401);
        assert_eq!(hashed(&auth), Some(count), "one that is wrong is not remembered");
    }
    assert_eq!(status(&mut auth, "nobody:myPassword"), 401);
    assert_eq!(hashed(&auth), Some(4.0), "a name that is not known takes as long");
    auth.advance(Duration::from_secs(60));
    assert_eq!(status(&mut auth, "alice:myPassword"), 200);
    assert_eq!(hashed(&auth), Some(5.0));
}

#[test]
fn only_so_many_hashes_are_computed_at_once() {
    let count = AtomicUsize::new(0);
    let first = Hashing::begin(&count, 1);
    assert!(first.is_some());
    assert!(Hashing::begin(&count, 1).is_none());
    drop(first);
    assert!(Hashing::begin(&count, 1).is_some());
}

#[test]
fn a_changed_password_counts_at_once_though_the_old_one_is_remembered() {
    let file = File::new(format!("alice:{BCRYPT}\n"));
    let mut auth = plugin::<BasicAuth>(json!({ "file": file.path(), "refresh": "1s" }));
    auth.advance(Duration::ZERO);
    assert_eq!(status(&mut auth, "alice:myPassword"), 200);
    file.write("alice:$apr1$Abcd1234$ki2fp5Ymdhuw8pEsa/4rK0\n");
    auth.advance(Duration::from_secs(1));
    assert_eq!(status(&mut auth, "alice:myPassword"), 401);
    assert_eq!(status(&mut auth, "alice:correct horse"), 200);
    file.write("bob:plain\n");
    auth.advance(Duration::from_secs(1));
    assert_eq!(status(&mut auth, "alice:correct horse"), 200);
    assert!(auth.lines().last().unwrap().message.contains("line 1"));
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let users = json!({ "alice": SHA });
    let wrong = File::new("alice:plain\n");
    refused::<BasicAuth>([
        (json!({}), ""),
        (json!({ "users": { "alice": "plain" } }), "users.alice"),
        (json!({ "users": { "a:b": SHA } }), "users.a:b"),
        (json!({ "users": users, "realm": "a\nb" }), "realm"),
        (json!({ "users": users, "user_header": "te" }), "user_header"),
        (json!({ "users": users, "hashing": 0 }), "hashing"),
        (json!({ "users": users, "cache_time": "1" }), "cache_time"),
        (json!({ "file": "/nowhere/at/all" }), "file"),
        (json!({ "file": wrong.path() }), "file"),
        (json!({ "users": users, "relam": "x" }), "relam"),
    ]);
}
