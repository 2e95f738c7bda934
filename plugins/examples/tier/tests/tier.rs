//! The example of custom routing, linked in: without a proxy, a network or time that passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use switchback_example_tier::Tier;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{HttpResponse, OperationError};

fn tier() -> Harness<Tier> {
    let mut tier = Harness::new(r#"{ "fresh": 30, "keep": 60 }"#).unwrap();
    tier.respond("directory", |question| {
        let (status, body) = match &*question.target {
            "/tenants/anna" => (StatusCode::OK, r#"{"upstream": "eu", "shard_key": "7"}"#),
            "/tenants/bert" => (StatusCode::OK, r#"{"shard_key": "8"}"#),
            "/tenants/strange" => (StatusCode::OK, "<html>"),
            _ => (StatusCode::NOT_FOUND, ""),
        };
        Ok(HttpResponse { status, headers: HeaderMap::new(), body: body.into() })
    });
    tier
}

fn of(tenant: &str) -> Scene {
    Scene::get("/").with_header("x-tenant-id", tenant)
}

fn break_directory(tier: &mut Harness<Tier>) {
    tier.respond("directory", |_| Err(OperationError::Timeout));
}

#[test]
fn each_tenant_goes_where_it_lives() {
    let mut tier = tier();
    let mut anna = of("anna");
    assert_eq!(tier.request(&mut anna).status, 200);
    assert_eq!(anna.steering().upstream.as_deref(), Some("eu"));
    assert_eq!(anna.steering().shard_key.as_deref(), Some(&b"7"[..]));
    let mut bert = of("bert");
    assert_eq!(tier.request(&mut bert).status, 200);
    assert_eq!(bert.steering().upstream, None);
    assert_eq!(bert.steering().shard_key.as_deref(), Some(&b"8"[..]));
}

#[test]
fn the_directory_is_asked_once_in_a_while() {
    let mut tier = tier();
    for _ in 0..3 {
        tier.request(&mut of("anna"));
        tier.request(&mut of("nobody"));
    }
    assert_eq!(tier.asked().len(), 2);
    tier.advance(Duration::from_secs(31));
    assert_eq!(tier.request(&mut of("anna")).status, 200);
    assert_eq!(tier.asked().len(), 3);
    assert_eq!(tier.metric("tier_asked_total", &[]), Some(3.0));
}

#[test]
fn who_has_no_home_is_told_so() {
    let mut tier = tier();
    assert_eq!(tier.request(&mut of("nobody")).status, 404);
    assert_eq!(tier.request(&mut Scene::get("/")).status, 400);
    for name in ["", "../admin", "a b", &"x".repeat(65)] {
        assert_eq!(tier.request(&mut of(name)).status, 400, "{name}");
    }
    assert_eq!(tier.asked().len(), 1);
}

#[test]
fn while_the_directory_is_silent_what_it_said_last_counts() {
    let mut tier = tier();
    tier.request(&mut of("anna"));
    break_directory(&mut tier);
    tier.advance(Duration::from_secs(40));
    let mut anna = of("anna");
    assert_eq!(tier.request(&mut anna).status, 200);
    assert_eq!(anna.steering().upstream.as_deref(), Some("eu"));
    assert!(anna.lines().iter().any(|line| line.message.contains("stays where it was")));
    // Not for ever, and not for who was never known.
    tier.advance(Duration::from_secs(60));
    for tenant in ["anna", "bert"] {
        let reply = tier.request(&mut of(tenant));
        assert_eq!(reply.status, 500);
        assert!(reply.failure.unwrap().contains("is not known: no answer in time"));
    }
    assert_eq!(tier.metric("tier_failed_total", &[]), Some(3.0));
}

#[test]
fn an_answer_that_makes_no_sense_is_none() {
    let mut tier = tier();
    assert_eq!(tier.request(&mut of("strange")).status, 500);
    assert_eq!(tier.stored("tenants", "strange"), None);
}

#[test]
fn a_directory_that_is_not_configured_is_said_at_once() {
    let around =
        Surroundings { upstreams: Some(vec!["app".to_owned()]), ..Surroundings::default() };
    let error = Harness::<Tier>::within(around, "{}").err().unwrap();
    assert_eq!(error.path, "directory");
    assert_eq!(Harness::<Tier>::new(r#"{"header": ""}"#).err().unwrap().path, "header");
    assert_eq!(Harness::<Tier>::new(r#"{"fresh": "1"}"#).err().unwrap().path, "fresh");
}
