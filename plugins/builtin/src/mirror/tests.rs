use switchback_plugin::testing::Scene;

use super::*;
use crate::testing::{assert_refused, made};

fn mirrored(options: &str, scenes: impl IntoIterator<Item = Scene>) -> usize {
    let mut harness = made::<Mirror>(options);
    let copied = |mut scene: Scene| {
        assert_eq!(harness.request(&mut scene).status, 200);
        scene.steering().mirror.as_deref() == Some("shadow")
    };
    let count = scenes.into_iter().map(copied).filter(|copied| *copied).count();
    assert_eq!(harness.metric("mirrored_total", &[("upstream", "shadow")]), Some(count as f64));
    count
}

#[test]
fn all_requests_are_copied_unless_a_share_is_said() {
    let scenes = |count| (0..count).map(|_| Scene::get("/"));
    assert_eq!(mirrored(r#"{"upstream": "shadow"}"#, scenes(20)), 20);
    assert_eq!(mirrored(r#"{"upstream": "shadow", "share": "0%"}"#, scenes(20)), 0);
    let some = mirrored(r#"{"upstream": "shadow", "share": "10%"}"#, scenes(5_000));
    assert!((380..620).contains(&some), "{some}");
}

#[test]
fn a_key_is_always_copied_or_never() {
    let options = r#"{"upstream": "shadow", "share": "50%", "key": "$remote_addr"}"#;
    let of = |client: u32| {
        mirrored(
            options,
            (0..10).map(|_| Scene::get("/").with_variable("remote_addr", client.to_string())),
        )
    };
    let copied: Vec<usize> = (0..40).map(of).collect();
    assert!(copied.iter().all(|count| matches!(count, 0 | 10)), "{copied:?}");
    assert!(copied.contains(&0) && copied.contains(&10));
}

#[test]
fn headers_and_methods_choose_what_is_copied() {
    let named = r#"{"upstream": "shadow", "header": "X-Mirror"}"#;
    let valued = r#"{"upstream": "shadow", "header": "x-mirror: yes"}"#;
    let with = |value: &str| [Scene::get("/").with_header("x-mirror", value)];
    assert_eq!((mirrored(named, with("no")), mirrored(named, [Scene::get("/")])), (1, 0));
    assert_eq!((mirrored(valued, with("no")), mirrored(valued, with("yes"))), (0, 1));
    let methods = r#"{"upstream": "shadow", "methods": ["GET", "HEAD"]}"#;
    assert_eq!(mirrored(methods, [Scene::get("/"), Scene::post("/", "x")]), 1);
}

#[test]
fn bodies_are_copied_up_to_a_size() {
    for (options, wanted) in [
        (r#"{"upstream": "shadow"}"#, 64 << 10),
        (r#"{"upstream": "shadow", "body": "1MiB"}"#, 1 << 20),
        (r#"{"upstream": "shadow", "body": "0"}"#, 0),
    ] {
        let mut scene = Scene::post("/", "x");
        made::<Mirror>(options).request(&mut scene);
        assert_eq!(scene.steering().mirror_body, Some(wanted));
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    assert_refused::<Mirror>(&[
        ("{}", "", "upstream"),
        (r#"{"upstream": "nobody"}"#, "upstream", "`nobody` is not defined"),
        (r#"{"upstream": "main", "share": "5"}"#, "share", "not a share"),
        (r#"{"upstream": "main", "key": "$nobody"}"#, "key", "`$nobody`"),
        (r#"{"upstream": "main", "header": "a b: c"}"#, "header", "no name of a header"),
        (r#"{"upstream": "main", "methods": ["GET", "G T"]}"#, "methods[1]", "no method"),
        (r#"{"upstream": "main", "sample": "5%"}"#, "sample", "unknown"),
        (r#"{"upstream": "main", "body": "17MiB"}"#, "body", "at most 16MiB"),
    ]);
}
