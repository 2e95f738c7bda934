use std::time::Duration;

use proptest::prelude::*;
use switchback_plugin::testing::{Harness, Scene, Surroundings};

use super::*;
use crate::trial::{assert_refused, plugin};

fn reply(options: &str, mut scene: Scene) -> (u16, String) {
    let reply = plugin::<Redirect>(options).request(&mut scene);
    (reply.status, reply.header("location").unwrap_or_default().to_owned())
}

fn http(target: &str) -> Scene {
    Scene::get(target).with_fact(Fact::Scheme, "http")
}

fn to(location: &str) -> (u16, String) {
    (301, location.to_owned())
}

fn passed() -> (u16, String) {
    (200, String::new())
}

#[test]
fn http_becomes_https_on_its_port() {
    let https = r#"{"https": true}"#;
    let scene = http("/a%20b?x=1").with_header("host", "example.com:8080");
    assert_eq!(reply(https, scene), to("https://example.com/a%20b?x=1"));
    assert_eq!(reply(https, Scene::get("/")), passed());
    let other = r#"{"https": true, "https_port": 8443}"#;
    assert_eq!(reply(other, http("/")), to("https://example.com:8443/"));
    assert_eq!(reply(other, http("/").with_host("2001:db8::1")), to("https://[2001:db8::1]:8443/"));
}

#[test]
fn challenges_of_certificates_are_not_redirected() {
    let https = r#"{"https": true}"#;
    assert_eq!(reply(https, http("/.well-known/acme-challenge/x")), passed());
}

#[test]
fn www_is_added_and_removed_but_not_where_it_makes_no_sense() {
    let add = r#"{"www": "add"}"#;
    let scene = Scene::get("/a").with_header("host", "example.com:8443");
    assert_eq!(reply(add, scene), to("https://www.example.com:8443/a"));
    for host in ["www.example.com", "localhost", "192.0.2.1", "2001:db8::1"] {
        assert_eq!(reply(add, Scene::get("/").with_host(host)), passed(), "{host}");
    }
    let remove = r#"{"www": "remove"}"#;
    let scene = Scene::get("/a").with_host("www.example.com");
    assert_eq!(reply(remove, scene), to("https://example.com/a"));
    assert_eq!(reply(remove, Scene::get("/").with_host("www.com")), passed());
}

#[test]
fn slashes_are_added_and_removed_at_the_end_of_paths() {
    let add = r#"{"trailing_slash": "add"}"#;
    assert_eq!(reply(add, Scene::get("/a?x=1")), to("/a/?x=1"));
    assert_eq!(reply(add, Scene::get("/a/")), passed());
    assert_eq!(reply(add, Scene::get("/a.css")), passed());
    let remove = r#"{"trailing_slash": "remove"}"#;
    assert_eq!(reply(remove, Scene::get("/a//?x=1")), to("/a?x=1"));
    assert_eq!(reply(remove, Scene::get("/a")), passed());
    assert_eq!(reply(remove, Scene::get("/")), passed());
}

#[test]
fn everything_that_is_to_change_is_one_redirect() {
    let all =
        r#"{"https": true, "www": "add", "trailing_slash": "add", "paths": {"/old": "/new/"}}"#;
    assert_eq!(reply(all, http("/a")), to("https://www.example.com/a/"));
    assert_eq!(reply(all, http("/old?x")), to("https://www.example.com/new/?x"));
}

#[test]
fn a_form_is_sent_again_as_a_form() {
    let options = r#"{"trailing_slash": "add"}"#;
    assert_eq!(reply(options, Scene::post("/a", "x")).0, 308);
    let options = r#"{"trailing_slash": "add", "status": 302}"#;
    assert_eq!(reply(options, Scene::post("/a", "x")).0, 302);
}

#[test]
fn old_paths_lead_to_new_ones() {
    let map = r#"{"paths": {
        "/a": "/b", "/a b": "https://other.example/?from=a", "/docs/*": "/manual/*.html", "/docs/old/*": "/gone", "/": "/home"
    }}"#;
    assert_eq!(reply(map, Scene::get("/a?x=1")), to("/b?x=1"));
    assert_eq!(reply(map, Scene::get("/a%20b?x=1")), to("https://other.example/?from=a&x=1"));
    assert_eq!(reply(map, Scene::get("/docs/x%20y")), to("/manual/x%20y.html"));
    assert_eq!(reply(map, Scene::get("/docs/old/x")), to("/gone"));
    assert_eq!(reply(map, Scene::get("/other")), passed());
    let map = r#"{"paths": {"/a": "/b"}, "keep_query": false}"#;
    assert_eq!(reply(map, Scene::get("/a?x=1")), to("/b"));
}

#[test]
fn nobody_makes_another_host_of_a_path() {
    let map = r#"{"paths": {"/old/*": "/*"}}"#;
    assert_eq!(reply(map, Scene::get("/old//evil.example")), to("/evil.example"));
    let slash = r#"{"trailing_slash": "add"}"#;
    assert_eq!(reply(slash, Scene::get("//evil")), to("/evil/"));
}

#[test]
fn a_file_is_read_again_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moved");
    std::fs::write(&path, "# moved\n/a /b 302\n/c/* https://other.example/*\n").unwrap();
    let around = Surroundings { folder: Some(folder.path().to_owned()), ..Surroundings::default() };
    let mut harness = Harness::<Redirect>::within(around, r#"{"file": "moved"}"#).unwrap();
    let location = |harness: &mut Harness<Redirect>, target: &str| {
        let reply = harness.request(&mut Scene::get(target));
        reply.header("location").map(|location| format!("{} {location}", reply.status))
    };
    assert_eq!(location(&mut harness, "/a").as_deref(), Some("302 /b"));
    assert_eq!(location(&mut harness, "/c/d").as_deref(), Some("301 https://other.example/d"));
    std::fs::write(&path, "/a /long-enough-to-be-another-size\n").unwrap();
    harness.advance(Duration::from_secs(5));
    assert_eq!(
        location(&mut harness, "/a").as_deref(),
        Some("301 /long-enough-to-be-another-size")
    );
    std::fs::write(&path, "/a").unwrap();
    harness.advance(Duration::from_secs(5));
    harness.advance(Duration::from_secs(5));
    assert_eq!(
        location(&mut harness, "/a").as_deref(),
        Some("301 /long-enough-to-be-another-size")
    );
    let told = harness
        .lines()
        .iter()
        .filter(|line| line.message.contains("line 1: an old path without"))
        .count();
    assert_eq!(told, 1, "{:?}", harness.lines());
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<Redirect>(&[
        ("{}", "", "nothing is redirected"),
        (r#"{"https": true, "status": 200}"#, "status", "200 is no status of a redirect"),
        (r#"{"https": true, "https_port": 0}"#, "https_port", "no port"),
        (r#"{"https": true, "except": ["/", "a"]}"#, "except[1]", "does not begin"),
        (r#"{"www": "sometimes"}"#, "www", "sometimes"),
        (r#"{"paths": {"a": "/b"}}"#, "paths.a", "no path"),
        (r#"{"paths": {"/a": "b"}}"#, "paths./a", "neither a path nor a URL"),
        (r#"{"paths": {"/a": "https://"}}"#, "paths./a", "neither a path nor a URL"),
        (r#"{"paths": {"/a": "//b"}}"#, "paths./a", "another host"),
        (r#"{"paths": {"/a": "/b*"}}"#, "paths./a", "stands for nothing"),
        (r#"{"paths": {"/a*": "https://b*"}}"#, "paths./a*", "host's `/`"),
        (r#"{"paths": {"/a*": "http://*"}}"#, "paths./a*", "host's `/`"),
        (r#"{"paths": {"/a": "/b#c"}}"#, "paths./a", "within a page"),
        (r#"{"paths": {"/a": "/a"}}"#, "paths./a", "back to itself"),
        (r#"{"file": "/nowhere/at/all"}"#, "file", "/nowhere/at/all"),
        (r#"{"file": "x", "reload": "1ms"}"#, "file", "x"),
    ]);
}

#[test]
fn a_file_tells_in_which_line_it_is_wrong() {
    for (text, message) in [
        ("/a /b\n/c", "line 2: an old path without a new one"),
        ("/a /b 200", "line 1: 200 is no status"),
        ("/a /b 301 x", "line 1: more than"),
        ("/a /b\n\n# x\n/a /c", "line 4: `/a` is there twice"),
        ("/a* /b\n/a* /c", "line 2: `/a*` is there twice"),
    ] {
        let error = Map::parse(text).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    assert!(Map::parse("/a /b\n/b /a").unwrap_err().contains("back to itself"));
}

proptest! {
    #[test]
    fn no_map_is_too_strange_and_no_goal_another_host(
        text in "(/[a*/b]{0,4} /?[a*/b]{0,4}\n){0,4}",
        path in "/[a/b]{0,6}",
    ) {
        let goal = Map::parse(&text).ok().and_then(|map| map.find(&path, None));
        prop_assert!(goal.is_none_or(|goal| goal.target.starts_with(b"/")));
    }
}
