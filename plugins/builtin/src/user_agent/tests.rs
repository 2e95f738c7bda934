use std::net::IpAddr;
use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene, Surroundings};

use super::*;
use crate::trial::{assert_refused, plugin};

const GOOGLE: &str = "Mozilla/5.0 (compatible; googlebot/2.1; +http://www.google.com/bot.html)";

fn from(agent: &str, client: &str) -> Scene {
    Scene::get("/").with_header("user-agent", agent).with_client(client)
}

fn variable(scene: &Scene, name: &str) -> String {
    String::from_utf8(scene.variable(name).unwrap_or_default().to_vec()).unwrap()
}

fn verifying(more: &str) -> Harness<UserAgent> {
    let mut harness =
        plugin(&format!(r#"{{"verify": ["googlebot"], "verified_header": "x-crawler"{more}}}"#));
    let addresses = |texts: &[&str]| {
        texts.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect::<Vec<_>>()
    };
    harness.resolve("crawl-1.googlebot.com", addresses(&["192.0.2.1", "2001:db8::1"]));
    // Whoever owns an address may give it any name.
    harness.resolve("crawl-1.googlebot.com.evil.example", addresses(&["192.0.2.66"]));
    harness.resolve("evilgooglebot.com", addresses(&["192.0.2.67"]));
    harness
}

#[test]
fn a_crawler_is_verified_by_its_name_and_the_address_of_that() {
    let mut harness = verifying("");
    for client in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        let mut scene = from(GOOGLE, client);
        assert_eq!(harness.request(&mut scene).status, 200, "{client}");
        assert_eq!(scene.header("x-crawler"), Some("googlebot"));
        assert_eq!(variable(&scene, "plugin_crawler"), "googlebot");
        assert_eq!(variable(&scene, "plugin_crawler_verdict"), "verified");
    }
    assert_eq!(harness.metric("crawlers_total", &[("verdict", "verified")]), Some(3.0));
}

#[test]
fn a_false_claim_is_refused_or_treated_like_anybody_else() {
    for client in ["192.0.2.66", "192.0.2.67", "192.0.2.99"] {
        let mut scene = from(GOOGLE, client);
        assert_eq!(verifying("").request(&mut scene).status, 403, "{client}");
        assert_eq!(
            verifying(r#", "false_claim": 418"#).request(&mut from(GOOGLE, client)).status,
            418
        );
        let mut scene = from(GOOGLE, client).with_header("x-crawler", "googlebot");
        assert_eq!(verifying(r#", "false_claim": "pass""#).request(&mut scene).status, 200);
        assert_eq!(scene.header("x-crawler"), None);
        assert_eq!(variable(&scene, "plugin_crawler_verdict"), "false");
    }
}

#[test]
fn nobody_gives_the_header_to_himself() {
    let mut scene = from("Mozilla/5.0", "192.0.2.1").with_header("x-crawler", "googlebot");
    assert_eq!(verifying("").request(&mut scene).status, 200);
    assert_eq!(scene.header("x-crawler"), None);
    assert_eq!(scene.variable("plugin_crawler"), None);
}

#[test]
fn proofs_and_lies_are_remembered_for_their_time() {
    let mut harness = verifying(r#", "remember": "1d", "remember_false": "1h""#);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.1")).status, 200);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.9")).status, 403);
    // The world has changed, and nobody looks.
    harness.resolve("crawl-1.googlebot.com", ["192.0.2.9".parse().unwrap()]);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.1")).status, 200);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.9")).status, 403);
    harness.advance(Duration::from_secs(3_601));
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.9")).status, 200);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.1")).status, 200);
    harness.advance(Duration::from_secs(86_401));
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.1")).status, 403);
}

#[test]
fn without_an_address_nobody_can_tell() {
    let reply = verifying("").request(&mut from(GOOGLE, "unix:"));
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("60")));
    let mut scene = from(GOOGLE, "unix:");
    assert_eq!(verifying(r#", "unknown": "pass""#).request(&mut scene).status, 200);
    assert_eq!(variable(&scene, "plugin_crawler_verdict"), "unknown");
    assert_eq!(scene.header("x-crawler"), None);
}

#[test]
fn networks_and_files_prove_without_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gptbot.json");
    std::fs::write(&file, r#"{"prefixes": [{"ipv4Prefix": "198.51.100.0/24"}]}"#).unwrap();
    let around = Surroundings { folder: Some(folder.path().to_owned()), ..Surroundings::default() };
    let options = r#"{"crawlers": [{
        "name": "gptbot", "contains": ["GPTBot"], "networks": ["203.0.113.0/24"], "files": ["gptbot.json"]
    }]}"#;
    let mut harness = Harness::<UserAgent>::within(around, options).unwrap();
    let status = |harness: &mut Harness<UserAgent>, client| {
        harness.request(&mut from("GPTBot/1.2", client)).status
    };
    assert_eq!(status(&mut harness, "203.0.113.9"), 200);
    assert_eq!(status(&mut harness, "198.51.100.9"), 200);
    assert_eq!(status(&mut harness, "192.0.2.1"), 403);
    std::fs::write(&file, "192.0.2.0/24\n").unwrap();
    harness.advance(Duration::from_secs(60));
    assert_eq!(status(&mut harness, "192.0.2.1"), 200);
    assert_eq!(status(&mut harness, "198.51.100.9"), 403);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut harness = plugin::<UserAgent>(
        r#"{"rules": [
            {"contains": ["curl/", "wget/"], "action": "tag", "tag": "tool"},
            {"regex": "friend", "action": "allow"},
            {"contains": ["bot", "curl/7."], "action": "deny"},
            {"regex": "^$", "action": "deny", "tag": "silent"}
        ], "deny_status": 418}"#,
    );
    let mut ask = |agent: &str| {
        let mut scene = from(agent, "192.0.2.1");
        let status = harness.request(&mut scene).status;
        (status, variable(&scene, "plugin_user_agent_tag"))
    };
    assert_eq!(ask("Wget/1"), (200, "tool".into()));
    assert_eq!(ask("CURL/7.1"), (418, "tool".into()));
    assert_eq!(ask("friendly bot"), (200, String::new()));
    assert_eq!(ask("SomeBot"), (418, String::new()));
    assert_eq!(ask(""), (418, "silent".into()));
    assert_eq!(ask("Mozilla/5.0"), (200, String::new()));
    assert_eq!(harness.metric("user_agents_denied_total", &[]), Some(3.0));
}

#[test]
fn a_verified_crawler_passes_rules_that_others_do_not() {
    let mut harness =
        verifying(r#", "false_claim": "pass", "rules": [{"contains": ["bot"], "action": "deny"}]"#);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.1")).status, 200);
    assert_eq!(harness.request(&mut from(GOOGLE, "192.0.2.99")).status, 403);
}

#[test]
fn all_crawlers_that_are_known_can_be_asked_for_proof() {
    let names = [
        "googlebot",
        "bingbot",
        "applebot",
        "yandexbot",
        "baiduspider",
        "amazonbot",
        "seznambot",
        "petalbot",
    ];
    for name in names {
        plugin::<UserAgent>(&format!(r#"{{"verify": ["{name}"]}}"#));
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let crawler =
        |more: &str| format!(r#"{{"crawlers": [{{"name": "a", "contains": ["a"]{more}}}]}}"#);
    let cases = [
        ("{}".to_owned(), "", "nothing is asked"),
        (r#"{"verify": ["nobody"]}"#.into(), "verify[0]", "nobody"),
        (r#"{"verify": ["bingbot"], "false_claim": 200}"#.into(), "false_claim", "does not refuse"),
        (r#"{"verify": ["bingbot"], "false_claim": "maybe"}"#.into(), "false_claim", ""),
        (r#"{"verify": ["bingbot"], "unknown": 99}"#.into(), "unknown", "does not refuse"),
        (r#"{"verify": ["bingbot"], "deny_status": 302}"#.into(), "deny_status", "does not refuse"),
        (
            r#"{"verify": ["bingbot"], "verified_header": "a b"}"#.into(),
            "verified_header",
            "no name",
        ),
        (r#"{"verify": ["bingbot"], "lookups": 0}"#.into(), "lookups", "nobody is ever verified"),
        (r#"{"verify": ["bingbot"], "store": ""}"#.into(), "store", "has a name"),
        (r#"{"rules": [{"action": "deny"}]}"#.into(), "rules[0]", "exactly one of"),
        (
            r#"{"rules": [{"contains": ["a"], "regex": "a", "action": "deny"}]}"#.into(),
            "rules[0]",
            "exactly one of",
        ),
        (
            r#"{"rules": [{"contains": ["a", ""], "action": "deny"}]}"#.into(),
            "rules[0].contains[1]",
            "in every text",
        ),
        (r#"{"rules": [{"regex": "(", "action": "deny"}]}"#.into(), "rules[0].regex", "unclosed"),
        (r#"{"rules": [{"regex": "a", "action": "tag"}]}"#.into(), "rules[0].tag", "needs a tag"),
        (crawler(""), "crawlers[0]", "nothing proves"),
        (crawler(r#", "domains": ["com"]"#), "crawlers[0].domains[0]", "no domain"),
        (crawler(r#", "networks": ["x"]"#), "crawlers[0].networks[0]", "no network"),
        (crawler(r#", "files": ["/nowhere/at/all"]"#), "crawlers[0].files[0]", "/nowhere/at/all"),
        (
            r#"{"crawlers": [{"name": "a b", "contains": ["a"]}]}"#.into(),
            "crawlers[0].name",
            "no name",
        ),
        (
            r#"{"crawlers": [{"name": "a", "contains": []}]}"#.into(),
            "crawlers[0].contains",
            "who says",
        ),
        (r#"{"verify": ["bingbot"], "remember_lies": "1h"}"#.into(), "remember_lies", "unknown"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(options, path, message)| (options.as_str(), *path, *message)).collect();
    assert_refused::<UserAgent>(&cases);
}
