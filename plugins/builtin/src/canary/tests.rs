use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene};
use switchback_plugin::{Fact, Hook};

use super::*;
use crate::trial::{assert_refused, plugin};

const ARMS: &str = r#""arms": [
    {"name": "stable", "weight": 90},
    {"name": "new", "upstream": "next", "weight": 10},
    {"name": "dark", "upstream": "dark", "weight": 0}
]"#;

fn canary(more: &str) -> Harness<Canary> {
    plugin(&format!("{{{ARMS}{more}}}"))
}

fn arm(scene: &Scene) -> String {
    String::from_utf8(scene.variable("plugin_canary").unwrap_or_default().to_vec()).unwrap()
}

#[test]
fn each_arm_gets_its_share_and_its_upstream() {
    let mut harness = canary("");
    let mut new = 0;
    for _ in 0..5_000 {
        let mut scene = Scene::get("/");
        assert_eq!(harness.request(&mut scene).status, 200);
        match arm(&scene).as_str() {
            "stable" => assert_eq!(scene.steering().upstream, None),
            "new" => {
                assert_eq!(scene.steering().upstream.as_deref(), Some("next"));
                new += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!((380..620).contains(&new), "{new}");
    let counted = harness.metric("canary_requests_total", &[("arm", "new")]);
    assert_eq!(counted, Some(f64::from(new)));
}

#[test]
fn responses_of_arms_are_stored_apart_unless_said_otherwise() {
    let key = |more: &str| {
        let mut scene = Scene::get("/").with_header("x-arm", "new");
        canary(&format!(r#", "header": "x-arm"{more}"#)).request(&mut scene);
        scene.steering().cache_key.clone()
    };
    assert_eq!(key("").as_deref(), Some(b"canary=new" as &[u8]));
    assert_eq!(key(r#", "shared_cache": true"#), None);
}

#[test]
fn a_key_always_has_the_same_arm() {
    let of = |client: &str| {
        let mut scene = Scene::get("/").with_variable("remote_addr", client);
        canary(r#", "key": "$remote_addr""#).request(&mut scene);
        arm(&scene)
    };
    let arms: Vec<String> = (0..100).map(|client| of(&client.to_string())).collect();
    assert!(arms.contains(&"new".to_owned()) && arms.contains(&"stable".to_owned()));
    assert_eq!(arms, (0..100).map(|client| of(&client.to_string())).collect::<Vec<_>>());
}

#[test]
fn a_client_stays_where_its_cookie_says() {
    let mut harness = canary(r#", "cookie": {"name": "arm", "ttl": "1d", "secure": true}"#);
    let reply = harness.request(&mut Scene::get("/"));
    let cookie = reply.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Max-Age=86400; Secure");
    let given = pair.strip_prefix("arm=").unwrap();
    for _ in 0..50 {
        let mut scene = Scene::get("/").with_header("cookie", format!("a=b; {pair}"));
        let reply = harness.request(&mut scene);
        assert_eq!(arm(&scene), given);
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[test]
fn a_cookie_of_an_arm_without_weight_or_of_none_is_replaced() {
    let mut harness = canary(r#", "cookie": {"name": "arm"}"#);
    for value in ["dark", "nobody", ""] {
        let mut scene = Scene::get("/").with_header("cookie", format!("arm={value}"));
        let reply = harness.request(&mut scene);
        assert!(reply.header("set-cookie").unwrap().starts_with(&format!("arm={};", arm(&scene))));
        assert_ne!(arm(&scene), value);
    }
}

#[test]
fn a_header_names_any_arm_and_leaves_no_cookie() {
    let mut harness = canary(r#", "header": "x-arm", "cookie": {"name": "arm"}"#);
    let mut scene = Scene::get("/").with_header("x-arm", "dark").with_header("cookie", "arm=new");
    let reply = harness.request(&mut scene);
    assert_eq!((arm(&scene).as_str(), reply.header("set-cookie")), ("dark", None));
    let mut scene = Scene::get("/").with_header("x-arm", "nobody").with_header("cookie", "arm=new");
    harness.request(&mut scene);
    assert_eq!(arm(&scene), "new");
}

#[test]
fn failures_and_times_are_counted_by_arm() {
    let mut harness = canary(r#", "header": "x-arm""#);
    for status in [200, 404, 500, 503] {
        let mut scene = Scene::get("/")
            .with_header("x-arm", "new")
            .with_response(status)
            .with_fact(Fact::Elapsed, "500000000");
        harness.request(&mut scene);
    }
    assert_eq!(harness.metric("canary_failures_total", &[("arm", "new")]), Some(2.0));
    assert_eq!(harness.metric("canary_failures_total", &[("arm", "stable")]), Some(0.0));
    let seconds = harness.metric("canary_seconds", &[("arm", "new")]).unwrap();
    assert_eq!(Duration::from_secs_f64(seconds), Duration::from_secs(2));
    // What another plugin has answered before a route was chosen is of no arm.
    let _ = harness.call(Hook::Log, &mut Scene::get("/"));
    assert_eq!(harness.metric("canary_requests_total", &[("arm", "new")]), Some(4.0));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let with = |more: &str| {
        format!(r#"{{"arms": [{{"name": "a", "weight": 1}}, {{"name": "b", "weight": 1}}]{more}}}"#)
    };
    let cases = [
        (r#"{"arms": []}"#.to_owned(), "arms", "two arms"),
        (r#"{"arms": [{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]}"#.into(), "arms", "no arm has a weight"),
        (r#"{"arms": [{"name": "a", "weight": 1}, {"name": "a", "weight": 1}]}"#.into(), "arms[1].name", "twice"),
        (r#"{"arms": [{"name": "a;", "weight": 1}, {"name": "b", "weight": 1}]}"#.into(), "arms[0].name", "no name"),
        (r#"{"arms": [{"name": "a", "weight": 1}, {"name": "b", "weight": 1, "upstream": "x"}]}"#.into(), "arms[1].upstream", "`x` is not defined"),
        (r#"{"arms": [{"name": "a", "weight": -1}]}"#.into(), "arms[0].weight", "-1"),
        (with(r#", "key": "$nobody""#), "key", "`$nobody`"),
        (with(r#", "header": "a b""#), "header", "no name of a header"),
        (with(r#", "cookie": {"name": "a b"}"#), "cookie.name", "no name of a cookie"),
        (with(r#", "cookie": {"name": "a", "path": "x"}"#), "cookie.path", "begins with `/`"),
        (with(r#", "cookie": {"name": "a", "ttl": "0"}"#), "cookie.ttl", "a second"),
        (with(r#", "cookie": {"name": "a", "sign": true}"#), "cookie.sign", "unknown"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(options, path, message)| (options.as_str(), *path, *message)).collect();
    assert_refused::<Canary>(&cases);
}
