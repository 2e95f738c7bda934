use proptest::prelude::*;
use switchback_plugin::Hook;
use switchback_plugin::testing::{Harness, Scene};

use super::*;
use crate::trial::{assert_refused, plugin};

fn rewrite(rules: &str) -> Harness<Rewrite> {
    plugin(&format!(r#"{{"rules": [{rules}]}}"#))
}

/// The target that routes are looked for with, after these rules.
fn target(rules: &str, target: &str) -> String {
    let mut scene = Scene::get(target).with_variable("tenant", "a b/c");
    let flow = rewrite(rules).call(Hook::Request, &mut scene);
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
    scene.target()
}

fn location(rules: &str, target: &str) -> (u16, String) {
    let reply = rewrite(rules).request(&mut Scene::get(target));
    (reply.status, reply.header("location").unwrap_or_default().to_owned())
}

#[test]
fn the_whole_path_is_replaced_by_what_groups_and_variables_make_of_it() {
    let rule = r#"{"regex": "^/users/([0-9]+)/(?P<rest>.*)$", "replace": "/u/$1/$tenant/${rest}"}"#;
    assert_eq!(target(rule, "/users/7/x/y"), "/u/7/a%20b/c/x/y");
    assert_eq!(target(rule, "/users/x/y"), "/users/x/y");
    let within = r#"{"regex": "b", "replace": "/c"}"#;
    assert_eq!(target(within, "/abd"), "/c");
}

#[test]
fn what_is_rewritten_is_encoded_again() {
    let rule = r#"{"regex": "^/a/(.*)$", "replace": "/b/$1"}"#;
    assert_eq!(target(rule, "/a/%20%25%3F%C3%A4%FF"), "/b/%20%25%3F%C3%A4%FF");
    assert_eq!(target(r#"{"regex": "^/(.*)$", "replace": "$1"}"#, "/a"), "/a");
}

#[test]
fn queries_are_joined_as_in_nginx() {
    let rule = |replace: &str| format!(r#"{{"regex": "^/(.*)$", "replace": "{replace}"}}"#);
    assert_eq!(target(&rule("/n"), "/a?x=1"), "/n?x=1");
    assert_eq!(target(&rule("/n?p=$1"), "/a%20%26b?x=1"), "/n?p=a%20%26b&x=1");
    assert_eq!(target(&rule("/n?p=$1"), "/a"), "/n?p=a");
    assert_eq!(target(&rule("/n?p=1?"), "/a?x=1"), "/n?p=1");
    assert_eq!(target(&rule("/n?"), "/a?x=1"), "/n");
    assert_eq!(target(&rule("/n?$tenant"), "/a"), "/n?a%20b/c");
}

#[test]
fn query_and_host_are_rewritten_alone() {
    let query = r#"{"of": "query", "regex": "^id=(\\d+)$", "replace": "user=$1"}"#;
    assert_eq!(target(query, "/a?id=5"), "/a?user=5");
    assert_eq!(target(query, "/a?id=x"), "/a?id=x");
    assert_eq!(target(r#"{"of": "query", "regex": "^", "replace": ""}"#, "/a?id=x"), "/a");
    let host = r#"{"of": "host", "regex": "^(.*)\\.com$", "replace": "$1.ORG"}"#;
    let mut scene = Scene::get("/");
    let flow = rewrite(host).call(Hook::Request, &mut scene);
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(scene.host(), "example.org");
}

#[test]
fn prefixes_end_at_segments() {
    let strip = r#"{"strip_prefix": "/api"}"#;
    assert_eq!(target(strip, "/api/users?x"), "/users?x");
    assert_eq!(target(strip, "/api"), "/");
    assert_eq!(target(strip, "/apis"), "/apis");
    assert_eq!(target(r#"{"add_prefix": "/v1"}"#, "/a%20b"), "/v1/a%20b");
}

#[test]
fn rules_follow_each_other_until_one_says_last() {
    let rules = r#"
        {"regex": "^/a$", "replace": "/b"},
        {"regex": "^/b$", "replace": "/c", "then": "last"},
        {"regex": "^/c$", "replace": "/d"}
    "#;
    assert_eq!(target(rules, "/a"), "/c");
    assert_eq!(target(rules, "/c"), "/d");
}

#[test]
fn a_break_changes_only_what_the_endpoint_is_sent() {
    let mut harness = rewrite(
        r#"{"strip_prefix": "/api", "then": "break"}, {"regex": ".", "replace": "/never"}"#,
    );
    let mut scene = Scene::get("/api/users?x=1");
    let flow = harness.call(Hook::Request, &mut scene);
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(scene.target(), "/api/users?x=1");
    let flow = harness.call(Hook::UpstreamRequest, &mut scene);
    assert!(matches!(flow, Flow::Continue));
    assert_eq!(scene.target(), "/users?x=1");
}

#[test]
fn clients_are_sent_there_for_now_or_for_good() {
    let rule = r#"{"regex": "^/old/(.*)$", "replace": "/new/$1", "then": "redirect"}"#;
    assert_eq!(location(rule, "/old/a%20b?x=1"), (302, "/new/a%20b?x=1".into()));
    let rule =
        r#"{"regex": "^/old/(.*)$", "replace": "https://other.example/$1?", "then": "permanent"}"#;
    assert_eq!(location(rule, "/old/a%0d%0ab?x=1"), (301, "https://other.example/a%0D%0Ab".into()));
    let rule = r#"{"of": "host", "regex": "^", "replace": "www.example.com", "then": "permanent"}"#;
    assert_eq!(location(rule, "/a?b"), (301, "https://www.example.com/a?b".into()));
}

#[test]
fn nobody_makes_another_host_of_a_path() {
    let rule = r#"{"regex": "^/old(.*)$", "replace": "$1", "then": "redirect"}"#;
    assert_eq!(location(rule, "/old//evil.example/"), (302, "/evil.example/".into()));
    assert_eq!(location(rule, "/old/%5Cevil.example"), (302, "/%5Cevil.example".into()));
}

#[test]
fn a_host_that_is_none_fails_and_is_not_sent_on() {
    let rule = r#"{"of": "host", "regex": "^", "replace": ""}"#;
    let reply = rewrite(rule).request(&mut Scene::get("/"));
    assert_eq!(reply.status, 500);
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<Rewrite>(&[
        (r#"{"rules": []}"#, "rules", "nothing is rewritten"),
        (r#"{"rules": [{}]}"#, "rules[0]", "exactly one of"),
        (r#"{"rules": [{"regex": "a", "strip_prefix": "/a"}]}"#, "rules[0]", "exactly one of"),
        (r#"{"rules": [{"regex": "(", "replace": "/"}]}"#, "rules[0].regex", "unclosed"),
        (r#"{"rules": [{"regex": "a"}]}"#, "rules[0].replace", "takes its place"),
        (r#"{"rules": [{"regex": "a", "replace": "/$1"}]}"#, "rules[0].replace", "no group `$1`"),
        (r#"{"rules": [{"regex": "a", "replace": "/$nobody"}]}"#, "rules[0].replace", "`$nobody`"),
        (r#"{"rules": [{"regex": "a", "replace": "https://b/"}]}"#, "rules[0].replace", "redirect"),
        (
            r#"{"rules": [{"add_prefix": "/a"}, {"strip_prefix": "a"}]}"#,
            "rules[1].strip_prefix",
            "begins with",
        ),
        (r#"{"rules": [{"add_prefix": "/a/"}]}"#, "rules[0].add_prefix", "does not end"),
        (r#"{"rules": [{"of": "host", "add_prefix": "/a"}]}"#, "rules[0].of", "only a path"),
        (
            r#"{"rules": [{"add_prefix": "/a", "replace": "/b"}]}"#,
            "rules[0].replace",
            "`regex` only",
        ),
        (r#"{"rules": [{"then": "later"}]}"#, "rules[0].then", "later"),
        (r#"{"rules": [{"regexp": "a"}]}"#, "rules[0].regexp", "unknown"),
    ]);
}

proptest! {
    #[test]
    fn groups_are_put_where_a_naive_replacement_puts_them(
        first in "[a-z %?#äÿ]{1,8}",
        second in "[a-z %?#äÿ]{0,8}",
    ) {
        let mut path = String::new();
        let mut encoded = Vec::new();
        encode_path(format!("/{first}/{second}").as_bytes(), &mut encoded);
        path.push_str(std::str::from_utf8(&encoded).unwrap());
        let rule = r#"{"regex": "^/([^/]*)/(.*)$", "replace": "/x$2/y-$1"}"#;
        let mut expected = Vec::new();
        encode_path(format!("/x{second}/y-{first}").as_bytes(), &mut expected);
        prop_assert_eq!(target(rule, &path), String::from_utf8(expected).unwrap());
    }
}
