//! One source does the same as each kind: every hook, with every action.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cases;
mod kinds;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Fact, Flow, Hook, HttpResponse, Kind, Map, Module, OperationError};

use cases::{ACTIONS, HOOKS, OPTIONS, cases};
use kinds::kinds;

/// The plugin among upstreams, names and time that are the same for all.
fn harness(module: &dyn Module, options: &str) -> Harness {
    let around = Surroundings {
        upstreams: Some(vec!["app".to_owned(), "slow".to_owned(), "broken".to_owned()]),
        folder: Some("/etc/switchback".into()),
        ..Surroundings::default()
    };
    let mut harness = Harness::of(module, around, options).unwrap();
    harness.respond("app", |request| {
        let mut headers = http::HeaderMap::new();
        headers.append("x-kind", "a".parse().unwrap());
        headers.append("x-kind", "b".parse().unwrap());
        let body = Bytes::from(format!("{request:?}"));
        let body = if request.target == "/small" { "small".into() } else { body };
        Ok(HttpResponse { status: StatusCode::CREATED, headers, body })
    });
    harness.respond_after(Duration::from_millis(30), "slow", |_| Ok(HttpResponse::default()));
    harness.respond("broken", |_| Err(OperationError::Failed));
    let addresses: [IpAddr; 2] = ["192.0.2.7".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    harness.resolve("name.example", addresses);
    harness.store("shared", "there", "value");
    harness
}

fn scene(hook: Hook, action: &str) -> Scene {
    let script = format!("x-{}", hook.name().replace('_', "-"));
    Scene::post("/a/b?c=d", "one")
        .with_body(["one", "two", ""])
        .with_header("x-a", "1")
        .with_header("x-twice", "a")
        .with_header("x-twice", "b")
        .with_header("x-bytes", b"\xff\x80")
        .with_header(&script, action)
        .with_variable("v", "variable")
        .with_endpoint("10.0.0.1:80")
        .with_endpoint("10.0.0.2:80")
        .with_fact(Fact::Shard, "s1")
        .with_response(203)
        .with_response_header("x-b", "2")
        .with_response_body(["three", "four"])
}

/// All that can be seen of what a plugin did.
fn trace(harness: &mut Harness, scene: &mut Scene, hook: Hook) -> String {
    let flows = match hook {
        Hook::RequestBody | Hook::ResponseBody => {
            let first = harness.piece(hook, scene, "abc", false);
            let piece = format!("{:?}", scene.piece());
            format!("{first:?} {piece} {:?}", harness.piece(hook, scene, "def", true))
        }
        _ => {
            let first = harness.call(hook, scene);
            // What is remembered, and what was left undone, meets the next call.
            format!("{first:?} {:?}", harness.call(hook, scene))
        }
    };
    let mut trace = format!("{flows}\n");
    let log = harness.call(Hook::Log, scene);
    writeln!(trace, "{log:?}").unwrap();
    for line in scene.lines().iter().chain(harness.lines()) {
        writeln!(trace, "{line:?}").unwrap();
    }
    for map in (0..4).filter_map(Map::from_number) {
        writeln!(trace, "{:?}", scene.fields(map)).unwrap();
    }
    writeln!(trace, "{} {} {}", scene.method(), scene.host(), scene.target()).unwrap();
    writeln!(trace, "{} {:?} {:?}", scene.status(), scene.steering(), scene.preferred()).unwrap();
    writeln!(trace, "{:?} {:?}", scene.informed(), scene.piece()).unwrap();
    let variables = ["v", "w"].map(|name| scene.variable(name).map(<[u8]>::to_owned));
    writeln!(trace, "{variables:?} {:?} {}", harness.asked(), harness.given_up()).unwrap();
    let stored = ["there", "new", "n"].map(|key| harness.stored("shared", key));
    writeln!(trace, "{stored:?} {}", harness.now()).unwrap();
    let counter = harness.metric("conformance_total", &[("kind", "counter")]);
    let gauge = harness.metric("conformance_gauge", &[]);
    let sizes = harness.metric("conformance_sizes", &[("a", "1"), ("b", "2")]);
    writeln!(trace, "{counter:?} {gauge:?} {sizes:?}").unwrap();
    trace
}

/// What a panic says is a failure; the harness lets those of linked plugins through.
fn traced(module: &dyn Module, hook: Hook, action: &str) -> String {
    let mut harness = harness(module, "{}");
    let mut scene = scene(hook, action);
    let traced = catch_unwind(AssertUnwindSafe(|| trace(&mut harness, &mut scene, hook)));
    match traced {
        Ok(trace) => trace,
        Err(panic) => {
            let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            panicked(&literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap())
        }
    }
}

fn panicked(message: &str) -> String {
    format!("panicked: {message}")
}

/// Of a module, a panic is a failure with that cause.
fn without_panic(trace: String) -> String {
    let said = trace.strip_prefix("Fail(Failure { message: \"");
    match said.and_then(|said| said.split_once("\", cause: Panic })")) {
        Some((message, _)) => panicked(message),
        None => trace,
    }
}

#[test]
fn every_action_at_every_hook_does_the_same_as_each_kind() {
    let kinds = kinds();
    let ((_, linked), others) = kinds.split_first().unwrap();
    let mut wrong = Vec::new();
    let cases = cases();
    for (hook, action) in &cases {
        let meant = traced(&**linked, *hook, action);
        for (kind, module) in others {
            let came = without_panic(traced(&**module, *hook, action));
            if came != meant {
                wrong.push(format!(
                    "{kind} {hook:?} `{action}`\n--- linked\n{meant}\n--- {kind}\n{came}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
    assert_eq!(cases.len(), HOOKS.len() * ACTIONS.len());
}

/// What the table of cases is worth: each action is one that the plugin knows, and most do something at some hook.
#[test]
fn every_action_is_known() {
    let (_, linked) = kinds().swap_remove(0);
    for action in ACTIONS {
        let trace = traced(&*linked, Hook::Request, action);
        assert!(!trace.contains("no such action"), "{action}: {trace}");
    }
}

#[test]
fn options_are_refused_in_the_same_words() {
    let built = |module: &Arc<dyn Module>, options: &str| {
        let around = Surroundings {
            upstreams: Some(vec!["app".to_owned()]),
            variables: Some(vec!["host".to_owned()]),
            ..Surroundings::default()
        };
        let built = catch_unwind(AssertUnwindSafe(|| {
            Harness::of(&**module, around, options).map(|harness| {
                format!("{:?} {:?} {:?}", harness.period(), harness.timeout(), harness.lines())
            })
        }));
        format!("{:?}", built.unwrap_or_else(|_| Ok("panicked".to_owned())))
    };
    let kinds = kinds();
    let ((_, linked), others) = kinds.split_first().unwrap();
    for options in OPTIONS {
        for (kind, module) in others {
            assert_eq!(built(module, options), built(linked, options), "{kind} {options}");
        }
    }
}

#[test]
fn a_panic_while_it_is_made_refuses_the_configuration() {
    let around = Surroundings::default();
    let error = Harness::of(&*kinds::native(), around, r#"{"panic": "no disk"}"#).err().unwrap();
    assert_eq!(error.message, "the plugin panicked: no disk");
}

#[test]
fn modules_tell_the_same_of_themselves() {
    let kinds = kinds();
    let ((_, linked), others) = kinds.split_first().unwrap();
    for (kind, module) in others {
        assert_eq!(module.kind(), *kind);
        assert_eq!(module.name(), linked.name());
        assert_eq!(module.version(), "1.2.3");
        assert_eq!(module.hooks(), linked.hooks());
        assert_eq!(module.schema(), linked.schema());
    }
    let schema: serde_json::Value = serde_json::from_str(&linked.schema().unwrap()).unwrap();
    assert_eq!(schema["title"], "Options");
}

#[test]
fn ticks_come_at_their_time() {
    let options =
        r#"{"every": 20, "script": {"on_tick": "now; sleep 5; count; http app /tick; fact 20"}}"#;
    let [linked, native, wasm] = kinds().try_into().ok().unwrap();
    let ticks = |(_, module): &(Kind, Arc<dyn Module>)| {
        let mut harness = harness(&**module, options);
        let flows = harness.advance(Duration::from_millis(100));
        assert!(flows.iter().all(|flow| matches!(flow, Flow::Continue)));
        (flows.len(), format!("{:?}", harness.lines()), harness.metric("conformance_gauge", &[]))
    };
    let ticked = ticks(&linked);
    assert_eq!(ticked, ticks(&native));
    assert_eq!(ticked, ticks(&wasm));
    // At 0, and 20 ms after each has ended.
    assert_eq!(ticked.0, 5);
}

/// After a panic, what is remembered of the request is of no use, and other requests go on.
#[test]
fn a_panic_is_that_requests_alone() {
    let mut harness = harness(&*kinds::native(), "{}");
    let mut broken = scene(Hook::Request, "sleep-panic 5");
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut broken) else { unreachable!() };
    assert_eq!(failure.message, "told to, after a while");
    assert_eq!(failure.cause, switchback_plugin::Cause::Panic);
    let mut other = scene(Hook::Request, "sleep 5; set 0 x-a 2");
    assert!(matches!(harness.call(Hook::Request, &mut other), Flow::Continue));
    assert_eq!(other.header("x-a"), Some("2"));
}

/// A hook that waits for something else than the host cannot be woken in a module.
#[test]
fn waiting_for_nothing_is_told_at_once() {
    let mut harness = harness(&*kinds::native(), "{}");
    let mut scene = scene(Hook::Request, "for-ever");
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut scene) else { unreachable!() };
    assert!(failure.message.contains("waits for nothing that would wake it"), "{failure}");
}

/// Beside the way too, no panic leaves a module.
#[test]
fn a_panic_beside_the_way_is_an_operation_that_failed() {
    let mut harness = harness(&*kinds::native(), "{}");
    let mut scene = scene(Hook::Request, "blocking-panic; blocking words");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    let lines: Vec<String> = scene.lines().into_iter().map(|line| line.message).collect();
    let came = [
        "on_request: blocking-panic -> Err(Failed)",
        "on_request: blocking words -> Ok(\"WORDS\")",
    ];
    assert_eq!(lines, came);
}

/// What a hook waits for is given up with it, and the request's other hooks go on with what was remembered.
#[test]
fn a_hook_that_is_too_slow_is_given_up() {
    for (kind, module) in kinds() {
        let mut harness = harness(&*module, r#"{"timeout": 10}"#);
        let mut slow = scene(Hook::Request, "begin sleep 1; http slow /");
        let Flow::Fail(failure) = harness.call(Hook::Request, &mut slow) else { unreachable!() };
        assert_eq!(failure.cause, switchback_plugin::Cause::Timeout, "{kind}");
        // The request to `slow`; what was begun and not waited for is the host's to give up.
        assert_eq!(harness.given_up(), 1, "{kind}");
    }
}
