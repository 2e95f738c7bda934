use std::time::Duration;

use serde_json::json;
use switchback_plugin::testing::Scene;
use switchback_plugin::{Flow, Hook};

use super::RateLimit;
use crate::testing::{plugin, refused};

fn scene(address: &str) -> Scene {
    Scene::get("/").with_variable("remote_addr", address)
}

#[test]
fn more_than_the_rate_is_refused_and_told_when_to_come_again() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "2/s" }));
    let first = limit.request(&mut scene("a"));
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"default\";q=2;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"default\";r=1;t=1"));
    assert_eq!(limit.request(&mut scene("a")).header("ratelimit"), Some("\"default\";r=0;t=1"));
    let refused = limit.request(&mut scene("a"));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.headers.get_all("ratelimit").iter().count(), 1, "told once");
    assert_eq!(limit.metric("rate_limit_refused_total", &[("limit", "default")]), Some(1.0));
    assert_eq!(limit.request(&mut scene("b")).status, 200, "another key");
    limit.advance(Duration::from_millis(500));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    assert_eq!(limit.request(&mut scene("a")).status, 429);
}

#[test]
fn retry_after_is_as_long_as_it_takes() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/m", "burst": 1, "status": 503 }));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    limit.advance(Duration::from_millis(10_500));
    let refused = limit.request(&mut scene("a"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("50")));
    limit.advance(Duration::from_millis(49_500));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
}

#[test]
fn a_request_must_keep_all_limits_and_counts_for_none_if_it_is_refused() {
    let mut limit = plugin::<RateLimit>(json!({ "limits": [
        { "name": "client", "rate": "3/m" },
        { "name": "tenant", "rate": "1/s", "key": "$arg_tenant" },
    ] }));
    let from = |tenant: &str| scene("a").with_variable("arg_tenant", tenant);
    let first = limit.request(&mut from("x"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"client\";q=3;w=60, \"tenant\";q=1;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"client\";r=2;t=20, \"tenant\";r=0;t=1"));
    for _ in 0..5 {
        assert_eq!(limit.request(&mut from("x")).status, 429, "of the tenant");
    }
    // What was refused by the second limit has cost the first nothing; and who has no key is counted by the first alone.
    assert_eq!(
        limit.request(&mut from("y")).header("ratelimit"),
        Some("\"client\";r=1;t=40, \"tenant\";r=0;t=1")
    );
    assert_eq!(limit.request(&mut from("")).header("ratelimit"), Some("\"client\";r=0;t=60"));
    assert_eq!(limit.request(&mut from("")).status, 429);
    assert_eq!(limit.metric("rate_limit_refused_total", &[("limit", "tenant")]), Some(5.0));
    assert_eq!(limit.metric("rate_limit_refused_total", &[("limit", "client")]), Some(1.0));
}

#[test]
fn a_dry_run_refuses_nobody_tells_nobody_and_counts() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/s", "dry_run": true }));
    for _ in 0..3 {
        let reply = limit.request(&mut scene("a"));
        assert_eq!((reply.status, reply.header("ratelimit")), (200, None));
    }
    assert_eq!(limit.metric("rate_limit_refused_total", &[("limit", "default")]), Some(2.0));
}

#[test]
fn clients_are_told_nothing_where_that_is_not_wanted() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/s", "headers": false }));
    assert_eq!(limit.request(&mut scene("a")).header("ratelimit"), None);
    let refused = limit.request(&mut scene("a"));
    assert_eq!((refused.status, refused.header("ratelimit")), (429, None));
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn a_request_that_comes_by_again_counts_once() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/s" }));
    let mut scene = scene("a");
    for _ in 0..3 {
        assert!(matches!(limit.call(Hook::Request, &mut scene), Flow::Continue));
    }
}

#[test]
fn keys_are_the_texts_part_by_part() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/m", "key": "$a$b" }));
    let of = |a: &str, b: &str| Scene::get("/").with_variable("a", a).with_variable("b", b);
    assert_eq!(limit.request(&mut of("1", "23")).status, 200);
    assert_eq!(limit.request(&mut of("12", "3")).status, 200);
    assert_eq!(limit.request(&mut of("12", "3")).status, 429);
}

#[test]
fn a_table_that_is_full_forgets_and_says_so() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/m", "keys": 1 }));
    for client in 0..2_000 {
        assert_eq!(limit.request(&mut scene(&client.to_string())).status, 200);
    }
    assert!(limit.metric("rate_limit_evicted_total", &[]).unwrap() >= 1_400.0);
}

#[test]
fn a_change_of_the_rate_forgets_nobody() {
    let mut limit = plugin::<RateLimit>(json!({ "rate": "1/m" }));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    assert_eq!(limit.request(&mut scene("a")).status, 429);
    // Half a minute is what one request is worth now, and a whole one is owed.
    let changed = json!({ "rate": "2/m", "status": 503, "headers": false }).to_string();
    limit.reconfigure(&changed).unwrap();
    let refused = limit.request(&mut scene("a"));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("30")));
    assert_eq!(limit.request(&mut scene("b")).status, 200);
    limit.advance(Duration::from_secs(30));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    // A rate that is raised far is had at once, whatever was owed at the lower one.
    limit.reconfigure(&json!({ "rate": "100/s" }).to_string()).unwrap();
    assert_eq!(limit.request(&mut scene("a")).header("retry-after"), Some("1"));
    limit.advance(Duration::from_millis(10));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    assert_eq!(limit.metric("rate_limit_refused_total", &[("limit", "default")]), Some(3.0));
}

#[test]
fn what_is_counted_otherwise_is_counted_anew() {
    let once = |key: &str, keys: usize| json!({ "rate": "1/m", "key": key, "keys": keys });
    let mut limit = plugin::<RateLimit>(once("$remote_addr", 1000));
    assert_eq!(limit.request(&mut scene("a")).status, 200);
    for other in [once("$remote_addr$remote_addr", 1000), once("$remote_addr", 2000)] {
        limit.reconfigure(&other.to_string()).unwrap();
        assert_eq!(limit.request(&mut scene("a")).status, 200, "{other}");
        assert_eq!(limit.request(&mut scene("a")).status, 429, "{other}");
    }
}

#[test]
fn each_of_several_limits_goes_on_by_its_name() {
    let limit = |name: &str, rate: &str| json!({ "name": name, "rate": rate });
    let mut both =
        plugin::<RateLimit>(json!({ "limits": [limit("few", "1/m"), limit("many", "9/m")] }));
    assert_eq!(both.request(&mut scene("a")).status, 200);
    let turned = json!({ "limits": [limit("many", "8/m"), limit("few", "1/m")] });
    both.reconfigure(&turned.to_string()).unwrap();
    assert_eq!(both.request(&mut scene("a")).status, 429);
    assert_eq!(both.metric("rate_limit_refused_total", &[("limit", "few")]), Some(1.0));
    both.reconfigure(&json!({ "limits": [limit("many", "8/m")] }).to_string()).unwrap();
    assert_eq!(both.request(&mut scene("a")).status, 200);
}

#[test]
fn bad_options_are_refused_where_they_are() {
    let limit = |name: &str| json!({ "name": name, "rate": "1/s" });
    refused::<RateLimit>([
        (json!({}), "rate"),
        (json!({ "rate": "50" }), "rate"),
        (json!({ "rate": "0/s" }), "rate"),
        (json!({ "rate": 50 }), "rate"),
        (json!({ "rate": "2000000000/s" }), "rate"),
        (json!({ "rate": "1/d", "burst": 100_000 }), "rate"),
        (json!({ "rate": "1/s", "burst": 0 }), "burst"),
        (json!({ "rate": "1/s", "key": "$nobody" }), "key"),
        (json!({ "rate": "1/s", "key": "" }), "key"),
        (json!({ "rate": "1/s", "status": 302 }), "status"),
        (json!({ "rate": "1/s", "keys": 0 }), "keys"),
        (json!({ "rate": "1/s", "keys": 100_000_000 }), "keys"),
        (json!({ "rate": "1/s", "limits": [limit("a")] }), "limits"),
        (json!({ "burst": 1, "limits": [limit("a")] }), "burst"),
        (json!({ "limits": [limit("a"), limit("a")] }), "limits[1].name"),
        (json!({ "limits": [limit("a b")] }), "limits[0].name"),
        (json!({ "limits": [limit("")] }), "limits[0].name"),
        (json!({ "limits": [{ "name": "a", "rate": "1/s", "key": "$nobody" }] }), "limits[0].key"),
        (json!({ "limits": [{ "name": "a", "rate": "x" }] }), "limits[0].rate"),
        (json!({ "rate": "1/s", "brust": 1 }), "brust"),
    ]);
}
