//! Modules that do not keep to the interface.

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Cause, Flow, Hook, Hooks};

use crate::compiler::{Header, compile};

const ROGUE: &str = "host/tests/native/rogue.c";

fn rogue(definitions: &[&str]) -> Harness {
    let module = compile(ROGUE, Header::Today, definitions).plugin();
    Harness::of(&*module, Surroundings::default(), "{}").unwrap()
}

fn scene(what: &str) -> Scene {
    Scene::get("/").with_header("x-do", what).with_endpoint("10.0.0.1:80")
}

fn failure(rogue: &mut Harness, hook: Hook, what: &str) -> (Cause, String) {
    match rogue.call(hook, &mut scene(what)) {
        Flow::Fail(failure) => (failure.cause, failure.message),
        flow => unreachable!("{what}: {flow:?}"),
    }
}

/// Each call of `wrong` in the source, in order.
const CODES: [i32; 37] = [
    -3, -2, -2, -2, -2, -2, // field
    -3, -2, -2, // change_field
    -3, -2, // fact, variable
    -3, -2, // set_part
    -2, // set_status
    -2, -2, -5, -2, // steer
    2, -2, -4, // endpoint, prefer
    -2, // piece
    -2, -2, // inform
    -2, -2, -2, -2, // answer
    -5, -2, -2, -2, -2, -5, -2, // begin
    -2, -2, // poll
];

#[test]
fn calls_that_make_no_sense_are_refused_one_by_one() {
    let mut rogue = rogue(&[]);
    let mut scene = scene("wrong");
    let flow = rogue.call(Hook::Request, &mut scene);
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
    let codes = std::str::from_utf8(scene.variable("codes").unwrap()).unwrap();
    let codes: Vec<i32> = codes.split_whitespace().map(|code| code.parse().unwrap()).collect();
    assert_eq!(codes, CODES);
    // A line with bytes that are no text, and with a level that nobody knows, is written all the same.
    assert_eq!(scene.lines()[0].message, "\u{fffd}");
}

#[test]
fn what_a_hook_returns_must_mean_something() {
    // One that remembers nothing and never waits is called in a shorter way.
    for definitions in [&[][..], &["IMMEDIATE=1", "REQUEST_NEW=NULL", "REQUEST_FREE=NULL"]] {
        let mut rogue = rogue(definitions);
        let flow = rogue.call(Hook::Request, &mut scene(""));
        assert!(matches!(flow, Flow::Continue), "{flow:?}");
        what_it_returns_means_something(&mut rogue, definitions.is_empty());
    }
}

fn what_it_returns_means_something(rogue: &mut Harness, may_wait: bool) {
    let mut said = |what| failure(rogue, Hook::Request, what);
    let fails = |text: &str| (Cause::Said, text.to_owned());
    assert_eq!(said("answer"), fails("returned SB_ANSWER, and gave no answer"));
    assert_eq!(
        said("answer-continue"),
        fails("gave an answer, and returned SB_CONTINUE instead of SB_ANSWER")
    );
    assert_eq!(said("fail"), fails("failed, and does not say why"));
    assert_eq!(said("fail-continue"), fails("told"));
    assert_eq!(said("code"), fails("returned 77, which means nothing to this version"));
    assert_eq!(said("panic"), (Cause::Panic, "told \u{fffd}".to_owned()));
    let (cause, message) = said("pause");
    assert_eq!(cause, Cause::Waited);
    let wanted = match may_wait {
        true => "waits for nothing that would wake it",
        false => "on_request waited, where it cannot",
    };
    assert!(message.starts_with(wanted), "{message}");
}

#[test]
fn waiting_where_the_proxy_cannot_is_a_failure() {
    let mut waits = rogue(&[]);
    for hook in [Hook::ResponseBody, Hook::Log] {
        let (cause, message) = failure(&mut waits, hook, "sleep");
        assert_eq!(cause, Cause::Waited);
        assert_eq!(message, format!("{} waited, where it cannot", hook.name()));
    }
    // A hook that was said never to wait is none to wait for either.
    let stateless = ["IMMEDIATE=1", "REQUEST_NEW=NULL", "REQUEST_FREE=NULL"];
    for definitions in [&stateless[..1], &stateless] {
        let mut immediate = rogue(definitions);
        assert_eq!(immediate.instance().immediate(), Hooks::of(&[Hook::Request]));
        let (cause, message) = failure(&mut immediate, Hook::Request, "sleep");
        assert_eq!((cause, &*message), (Cause::Waited, "on_request waited, where it cannot"));
        assert_eq!(failure(&mut immediate, Hook::Route, "sleep").0, Cause::Timeout);
    }
}

#[test]
fn nothing_changes_under_a_visitor() {
    let mut rogue = rogue(&[]);
    let flow = rogue.call(Hook::Request, &mut scene("visit"));
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
}

/// Work without a function to run is refused before it is taken: it stays the module's.
#[test]
fn work_that_is_none_is_not_taken() {
    let mut rogue = rogue(&[]);
    let flow = rogue.call(Hook::Request, &mut scene("discard"));
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
}

#[test]
fn what_is_remembered_of_requests_is_freed_with_them() {
    let mut rogue = rogue(&[]);
    let mut alive = Vec::new();
    let mut first = scene("");
    drop(rogue.call(Hook::Request, &mut first));
    let mut second = scene("sleep");
    // Given up while it waits.
    drop(rogue.call(Hook::Request, &mut second));
    alive.push(rogue.metric("alive", &[]));
    drop(first);
    alive.push(rogue.metric("alive", &[]));
    assert_eq!(alive, [Some(1.0), Some(0.0)]);
}

/// Said nothing, and made nothing.
#[test]
fn a_module_that_does_not_say_why_it_refuses_is_refused() {
    let module = compile(ROGUE, Header::Today, &[]).plugin();
    let options = format!("{{\"long\": \"{}\"}}", "x".repeat(80));
    let error = Harness::of(&*module, Surroundings::default(), &options).err().unwrap();
    assert_eq!(error.message, "the module refuses it, and does not say why");
}
