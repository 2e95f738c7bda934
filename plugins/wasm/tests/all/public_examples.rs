//! The examples of the public Rust SDK of proxy-wasm, unchanged: built by `integration/show/wasm-guest.sh --examples`.

use std::path::PathBuf;
use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Hook, HttpResponse};
use switchback_plugin_wasm::Wasm;

use crate::{limits, logged};

fn example(name: &str, options: &str) -> Harness {
    let folder = PathBuf::from(std::env::var_os("SWITCHBACK_PUBLIC_EXAMPLES").unwrap());
    let code = std::fs::read(folder.join(name).with_extension("wasm")).unwrap();
    let module = Wasm::new().load(name, &code, limits()).unwrap();
    Harness::of(&*module, Surroundings::default(), options).unwrap()
}

#[test]
#[ignore = "needs modules that are built on the spot"]
fn http_headers_answers_hello_and_logs_the_rest() {
    let mut harness = example("http_headers", "{}");
    let reply = harness.request(&mut Scene::get("/hello"));
    assert_eq!((reply.status, &reply.body[..]), (200, &b"Hello, World!\n"[..]));
    assert_eq!(
        (reply.header("hello"), reply.header("powered-by")),
        (Some("World"), Some("proxy-wasm"))
    );
    let mut scene = Scene::get("/else").with_header("a", "1").with_response(200);
    assert_eq!(harness.request(&mut scene).failure, None);
    let lines = logged(&scene);
    assert!(lines.iter().any(|line| line.ends_with("-> a: 1")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("<- :status: 200")), "{lines:?}");
    assert!(lines.last().unwrap().ends_with("completed."), "{lines:?}");
}

#[test]
#[ignore = "needs modules that are built on the spot"]
fn http_body_takes_secrets_out() {
    let mut harness = example("http_body", "{}");
    let mut ask = |pieces: [&'static str; 2]| {
        let mut scene = Scene::get("/").with_response(200).with_response_body(pieces);
        let reply = harness.request(&mut scene);
        assert_eq!(reply.failure, None);
        String::from_utf8(reply.body.to_vec()).unwrap()
    };
    assert_eq!(ask(["a sec", "ret here"]), "Original message body (13 bytes) redacted.\n");
    assert_eq!(ask(["nothing ", "here"]), "nothing here");
}

#[test]
#[ignore = "needs modules that are built on the spot"]
fn http_config_sends_what_it_is_configured_with() {
    let mut harness = example("http_config", r#""the secret to life""#);
    let reply = harness.request(&mut Scene::get("/").with_response(200));
    assert_eq!(reply.header("custom-header"), Some("the secret to life"));
}

#[test]
#[ignore = "needs modules that are built on the spot"]
fn http_auth_random_asks_and_obeys() {
    let mut harness = example("http_auth_random", "{}");
    for (byte, status) in [(2_u8, 200), (3, 403)] {
        harness.respond_after(Duration::from_millis(20), "httpbin", move |_| {
            Ok(HttpResponse { body: vec![byte].into(), ..HttpResponse::default() })
        });
        let mut scene = Scene::get("/").with_response(200);
        let reply = harness.request(&mut scene);
        assert_eq!((reply.failure, reply.status), (None, status));
        assert_eq!(reply.headers["powered-by"], "proxy-wasm");
    }
    assert_eq!(harness.asked()[0].target, "/bytes/1");
}

#[test]
#[ignore = "needs modules that are built on the spot"]
fn hello_world_tells_the_time() {
    let mut harness = example("hello_world", "{}");
    assert_eq!(harness.lines()[0].message, "Hello, World!");
    assert_eq!(harness.period(), Some(Duration::from_secs(5)));
    let _ = harness.advance(Duration::from_secs(5));
    let lines: Vec<_> = harness.lines().iter().map(|line| &*line.message).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("It's 2026-01-01 00:00:00 UTC"), "{lines:?}");
    assert!(!harness.hooks().contains(Hook::UpstreamRequest));
}
