use std::time::Duration;

use switchback_plugin::Hook;
use switchback_plugin::testing::{Reply, Scene};

use super::*;
use crate::trial::{assert_refused, plugin};

fn order(key: &str, body: &str) -> Scene {
    Scene::post("/orders?x=1", body.to_owned())
        .with_header("idempotency-key", key)
        .with_variable("host", "example.com")
}

/// With the answer that the endpoint gives.
fn answered(scene: Scene) -> Scene {
    scene
        .with_response(201)
        .with_response_header("location", "/orders/1")
        .with_response_header("set-cookie", "a=1")
        .with_response_header("set-cookie", "b=2")
        .with_response_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .with_response_body(["first ", "answer"])
}

/// What comes when the endpoint is asked once more.
fn once_more(scene: Scene) -> Scene {
    scene.with_response(200).with_response_body(["second answer"])
}

fn replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == Some("true")
}

#[test]
fn the_first_answer_is_given_again() {
    let mut harness = plugin::<Idempotency>("{}");
    let first = harness.request(&mut answered(order("\"k\"", "one")));
    assert_eq!((first.status, replayed(&first)), (201, false));
    let again = harness.request(&mut once_more(order("k", "one")));
    assert_eq!(
        (again.status, &again.body[..], replayed(&again)),
        (201, &b"first answer"[..], true)
    );
    assert_eq!(again.header("location"), Some("/orders/1"));
    assert_eq!(again.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(again.header("date"), None);
    assert_eq!(harness.metric("idempotency_replayed_total", &[]), Some(1.0));
    assert_eq!(harness.metric("idempotency_kept_total", &[]), Some(1.0));
    harness.advance(Duration::from_secs(86_401));
    assert_eq!(harness.request(&mut once_more(order("k", "one"))).status, 200);
}

#[test]
fn the_same_key_in_another_scope_is_another_key() {
    let mut harness = plugin::<Idempotency>(r#"{"scope": "$tenant"}"#);
    harness.request(&mut answered(order("k", "one").with_variable("tenant", "a")));
    let other = once_more(order("k", "one").with_variable("tenant", "b"));
    assert!(!replayed(&harness.request(&mut { other })));
    let same = once_more(order("k", "one").with_variable("tenant", "a"));
    assert!(replayed(&harness.request(&mut { same })));
}

#[test]
fn another_request_with_the_key_is_refused() {
    let mut harness = plugin::<Idempotency>("{}");
    harness.request(&mut answered(order("k", "one")));
    let others = [
        order("k", "two"),
        Scene::new("PATCH", "/orders?x=1")
            .with_body(["one"])
            .with_header("idempotency-key", "k")
            .with_variable("host", "example.com"),
        Scene::post("/orders?x=2", "one")
            .with_header("idempotency-key", "k")
            .with_variable("host", "example.com"),
    ];
    for mut scene in others {
        let reply = harness.request(&mut scene);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (422, Some("application/problem+json"))
        );
    }
}

#[test]
fn a_second_request_waits_for_its_turn_until_the_first_is_answered() {
    let mut harness = plugin::<Idempotency>(r#"{"lock": "1m"}"#);
    let mut first = answered(order("k", "one"));
    assert!(matches!(harness.call(Hook::Route, &mut first), Flow::Continue));
    let second = harness.request(&mut once_more(order("k", "one")));
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    assert_eq!(harness.request(&mut once_more(order("k", "two"))).status, 422);
    assert!(matches!(harness.call(Hook::Response, &mut first), Flow::Continue));
    assert_eq!(harness.request(&mut once_more(order("k", "one"))).status, 409);
    for (piece, last) in [("a", false), ("b", true)] {
        assert!(matches!(
            harness.piece(Hook::ResponseBody, &mut first, piece, last),
            Flow::Continue
        ));
    }
    let third = harness.request(&mut once_more(order("k", "one")));
    assert_eq!((third.status, &third.body[..]), (201, &b"ab"[..]));
}

#[test]
fn what_nobody_has_heard_of_for_long_may_be_sent_again_and_does_not_come_back() {
    let mut harness = plugin::<Idempotency>(r#"{"lock": "1m"}"#);
    let mut lost = answered(order("k", "one"));
    assert!(matches!(harness.call(Hook::Route, &mut lost), Flow::Continue));
    harness.advance(Duration::from_secs(61));
    let mut second = once_more(order("k", "one"));
    assert!(matches!(harness.call(Hook::Route, &mut second), Flow::Continue));
    // The first is answered after all: it is not the one that counts any more.
    let _ = harness.call(Hook::Response, &mut lost);
    let _ = harness.piece(Hook::ResponseBody, &mut lost, "late", true);
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.request(&mut once_more(order("k", "one"))).status, 409);
    let _ = harness.call(Hook::Response, &mut second);
    let _ = harness.piece(Hook::ResponseBody, &mut second, "in time", true);
    assert_eq!(harness.request(&mut order("k", "one")).body, "in time");
}

#[test]
fn failures_are_not_kept() {
    for status in [400, 401, 404, 408, 409, 429, 500, 502, 503, 504] {
        let mut harness = plugin::<Idempotency>("{}");
        assert_eq!(harness.request(&mut order("k", "one").with_response(status)).status, status);
        let reply = harness.request(&mut answered(order("k", "one")));
        assert_eq!((reply.status, replayed(&reply)), (201, false), "{status}");
        assert!(replayed(&harness.request(&mut order("k", "one"))), "{status}");
    }
    let mut harness = plugin::<Idempotency>(r#"{"keep_client_errors": true}"#);
    harness.request(&mut order("k", "one").with_response(422).with_response_body(["no"]));
    assert!(replayed(&harness.request(&mut order("k", "one"))));
    harness.request(&mut order("l", "one").with_response(429).with_response_body(["no"]));
    assert!(!replayed(&harness.request(&mut order("l", "one"))));
}

#[test]
fn an_answer_without_a_body_is_kept_when_the_request_has_ended() {
    let mut harness = plugin::<Idempotency>("{}");
    harness.request(&mut order("k", "one").with_response(204));
    harness.advance(Duration::from_secs(1));
    let reply = harness.request(&mut once_more(order("k", "one")));
    assert_eq!((reply.status, replayed(&reply)), (204, true));
}

#[test]
fn what_was_carried_out_is_not_carried_out_again_when_its_answer_is_lost() {
    let mut harness = plugin::<Idempotency>("{}");
    let mut cut = answered(order("k", "one").with_fact(Fact::Aborted, "1"));
    for hook in [Hook::Route, Hook::Response] {
        assert!(matches!(harness.call(hook, &mut cut), Flow::Continue));
    }
    let _ = harness.piece(Hook::ResponseBody, &mut cut, "fir", false);
    let _ = harness.call(Hook::Log, &mut cut);
    harness.advance(Duration::from_secs(120));
    let reply = harness.request(&mut once_more(order("k", "one")));
    assert_eq!(reply.status, 409);
    assert!(String::from_utf8_lossy(&reply.body).contains("was carried out"));
}

#[test]
fn an_answer_that_is_too_large_is_not_kept_and_not_asked_for_again() {
    let mut harness = plugin::<Idempotency>(r#"{"answer_limit": "12"}"#);
    harness.request(&mut answered(order("k", "one")));
    assert!(replayed(&harness.request(&mut order("k", "one"))));
    harness.request(&mut answered(order("l", "one")).with_response_body(["first ", "answer!"]));
    assert_eq!(harness.request(&mut once_more(order("l", "one"))).status, 409);
}

#[test]
fn requests_without_a_key_pass_unless_one_is_required() {
    let scene = || once_more(Scene::post("/orders", "one"));
    assert_eq!(plugin::<Idempotency>("{}").request(&mut scene()).status, 200);
    let mut harness = plugin::<Idempotency>(r#"{"required": true}"#);
    assert_eq!(harness.request(&mut scene()).status, 400);
    assert_eq!(harness.request(&mut Scene::get("/orders").with_response(200)).status, 200);
    assert_eq!(harness.request(&mut once_more(order("\"k", "one"))).status, 400);
    assert_eq!(harness.request(&mut once_more(order("\"k\"", "one"))).status, 200);
    assert_eq!(harness.metric("idempotency_refused_total", &[]), Some(2.0));
}

#[test]
fn a_request_that_is_too_large_to_be_told_apart_is_refused() {
    let mut harness = plugin::<Idempotency>(r#"{"request_limit": "3"}"#);
    assert_eq!(harness.request(&mut answered(order("k", "one"))).status, 201);
    assert_eq!(harness.request(&mut answered(order("l", "four"))).status, 413);
}

#[test]
fn a_value_of_somebody_else_fails_and_lets_nothing_through() {
    let mut harness = plugin::<Idempotency>("{}");
    let key = store_key(b"example.com ", b"k");
    harness.store("idempotency", key, "not ours");
    let reply = harness.request(&mut order("k", "one"));
    assert_eq!((reply.status, reply.failure.is_some()), (500, true));
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<Idempotency>(&[
        (r#"{"header": "a b"}"#, "header", "no name of a header"),
        (r#"{"methods": []}"#, "methods", "no request"),
        (r#"{"methods": ["POST", "P T"]}"#, "methods[1]", "no method"),
        (r#"{"scope": "$nobody"}"#, "scope", "`$nobody`"),
        (r#"{"store": ""}"#, "store", "has a name"),
        (r#"{"ttl": "0"}"#, "ttl", "must not be 0"),
        (r#"{"lock": "0"}"#, "lock", "must not be 0"),
        (r#"{"answer_limit": "big"}"#, "answer_limit", "not a size"),
        (r#"{"key": "x"}"#, "key", "unknown"),
    ]);
}
