use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene};

use super::*;
use crate::trial::{assert_refused, plugin};

fn navigation(target: &str) -> Scene {
    Scene::get(target)
        .with_fact(Fact::Protocol, "HTTP/2.0")
        .with_header("sec-fetch-mode", "navigate")
}

/// The links of the interim responses.
fn hints(harness: &mut Harness<EarlyHints>, mut scene: Scene) -> Vec<String> {
    assert_eq!(harness.request(&mut scene).failure, None);
    let links = scene.informed().iter().flat_map(|(status, headers)| {
        assert_eq!(*status, 103);
        headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned())
    });
    links.collect()
}

const GIVEN: &str = r#""hints": [
    {"paths": ["/app/*"], "links": ["</app.css>; rel=preload; as=style", "</app.js>; rel=modulepreload"]},
    {"paths": ["/", "/app"], "links": ["<https://cdn.example>; rel=preconnect"]}
]"#;

fn given(more: &str) -> Harness<EarlyHints> {
    plugin(&format!("{{{GIVEN}{more}}}"))
}

#[test]
fn pages_are_told_of_what_they_need() {
    let mut harness = given("");
    let links = hints(&mut harness, navigation("/app/x?y"));
    assert_eq!(links, ["</app.css>; rel=preload; as=style", "</app.js>; rel=modulepreload"]);
    assert_eq!(hints(&mut harness, navigation("/app")), ["<https://cdn.example>; rel=preconnect"]);
    assert!(hints(&mut harness, navigation("/other")).is_empty());
    assert_eq!(harness.metric("early_hints_total", &[]), Some(2.0));
}

#[test]
fn only_navigations_over_new_protocols_are_told() {
    let mut harness = given("");
    let old = || navigation("/").with_fact(Fact::Protocol, "HTTP/1.1");
    let fetch = || Scene::get("/").with_fact(Fact::Protocol, "HTTP/2.0");
    let post = || {
        Scene::post("/", "x")
            .with_fact(Fact::Protocol, "HTTP/2.0")
            .with_header("sec-fetch-mode", "navigate")
    };
    for scene in [old(), fetch(), post()] {
        assert!(hints(&mut harness, scene).is_empty());
    }
    assert_eq!(hints(&mut given(r#", "http1": true"#), old()).len(), 1);
    let mut all = given(r#", "all_requests": true"#);
    assert_eq!((hints(&mut all, fetch()).len(), hints(&mut all, post()).len()), (1, 0));
}

fn answered(target: &str, link: &str) -> Scene {
    navigation(target).with_response(200).with_response_header("link", link)
}

#[test]
fn links_are_learnt_from_the_last_response() {
    let mut harness = plugin::<EarlyHints>(r#"{"learn": true, "remember": "1h"}"#);
    let link = "</a.css>; rel=preload; as=style, </next>; rel=next, <https://c.example>; rel=\"x preconnect\"";
    assert!(hints(&mut harness, answered("/a", link)).is_empty());
    let learnt = ["</a.css>; rel=preload; as=style", "<https://c.example>; rel=\"x preconnect\""];
    assert_eq!(hints(&mut harness, answered("/a?other", "</b.css>; rel=preload")), learnt);
    assert_eq!(hints(&mut harness, navigation("/a").with_response(200)), ["</b.css>; rel=preload"]);
    assert!(hints(&mut harness, answered("/a", link)).is_empty(), "the last one had none");
    assert!(hints(&mut harness, navigation("/b").with_response(200)).is_empty());
    assert!(hints(&mut harness, navigation("/a").with_host("other.example")).is_empty());
    harness.advance(Duration::from_secs(3_601));
    assert!(hints(&mut harness, navigation("/a")).is_empty());
}

#[test]
fn nothing_is_learnt_of_what_is_for_one_client_alone() {
    let link = "</mine.css>; rel=preload";
    let alone = [
        answered("/a", link).with_response_header("set-cookie", "a=b"),
        answered("/a", link).with_response_header("cache-control", "max-age=1, Private=\"x\""),
        answered("/a", link).with_response_header("cache-control", "no-store"),
        answered("/a", link).with_header("authorization", "Basic x"),
        answered("/a", link).with_response(404),
    ];
    for scene in alone {
        let mut harness = plugin::<EarlyHints>(r#"{"learn": true}"#);
        hints(&mut harness, scene);
        assert!(hints(&mut harness, navigation("/a")).is_empty());
    }
}

#[test]
fn no_more_is_learnt_than_is_kept() {
    let mut harness = plugin::<EarlyHints>(r#"{"learn": true}"#);
    let long = format!("</{}>; rel=preload, </b>; rel=preload", "x".repeat(MOST_LEARNT));
    hints(&mut harness, answered("/a", &long));
    assert_eq!(hints(&mut harness, navigation("/a")), ["</b>; rel=preload"]);
}

#[test]
fn mistakes_are_told_with_their_place() {
    let link = r#""links": ["</a>; rel=preload"]"#;
    let cases = [
        ("{}".to_owned(), "", "nobody is told"),
        (format!(r#"{{"hints": [{{"paths": [], {link}}}]}}"#), "hints[0].paths", "no path"),
        (
            format!(r#"{{"hints": [{{"paths": ["/", "a"], {link}}}]}}"#),
            "hints[0].paths[1]",
            "does not begin",
        ),
        (
            r#"{"hints": [{"paths": ["/"], "links": ["/a.css"]}]}"#.into(),
            "hints[0].links[0]",
            "no link",
        ),
        (
            r#"{"hints": [{"paths": ["/"], "links": ["</a>; rel=x, </b>; rel=x"]}]}"#.into(),
            "hints[0].links[0]",
            "no link",
        ),
        (
            r#"{"hints": [{"paths": ["/"], "links": ["</a>; rel=x\n"]}]}"#.into(),
            "hints[0].links[0]",
            "no link",
        ),
        (r#"{"learn": true, "relations": []}"#.into(), "relations", "no link is learnt"),
        (r#"{"learn": true, "store": ""}"#.into(), "store", "has a name"),
        (r#"{"learn": true, "http2": true}"#.into(), "http2", "unknown"),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(options, path, message)| (options.as_str(), *path, *message)).collect();
    assert_refused::<EarlyHints>(&cases);
}
