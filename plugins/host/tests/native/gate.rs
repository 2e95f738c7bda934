//! The example in C.

use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Cause, Flow, Hook, Kind};

use crate::compiler::{Header, compile};

fn gate(header: Header) -> Harness {
    let module = compile("examples/c/gate.c", header, &[]).plugin();
    assert_eq!((module.kind(), module.name(), module.version()), (Kind::Native, "gate", "1.0.0"));
    assert!(module.schema().unwrap().contains("additionalProperties"));
    Harness::of(&*module, Surroundings::default(), r#"{ "token": "open sesame" }"#).unwrap()
}

#[test]
fn a_gate_in_c_does_its_work_whichever_header_it_was_built_with() {
    for header in Header::ALL {
        let mut gate = gate(header);
        let reply = gate.request(&mut Scene::get("/"));
        assert_eq!((reply.status, &*reply.body), (403, &b"no\n"[..]), "{header:?}");
        assert_eq!(reply.header("x-gate"), Some("closed"));
        assert_eq!(gate.request(&mut Scene::get("/").with_header("x-token", "close")).status, 403);
        assert_eq!(gate.metric("gate_denied_total", &[]), Some(2.0));

        let mut scene = Scene::get("/").with_header("x-token", "open sesame");
        let reply = gate.request(&mut scene);
        assert_eq!((reply.status, reply.header("x-let-through-by")), (200, Some("gate")));
        assert_eq!(scene.header("x-token"), None);
        assert_eq!(scene.variable("gate"), Some(&b"open"[..]));
        assert_eq!(gate.metric("gate_denied_total", &[]), Some(2.0));
    }
}

#[test]
fn it_waits_for_the_host() {
    let mut gate = gate(Header::First);
    let before = gate.now();
    let open = Scene::get("/").with_header("x-slow", "1").with_header("x-token", "open sesame");
    assert_eq!(gate.request(&mut { open }).status, 200);
    assert_eq!(gate.request(&mut Scene::get("/").with_header("x-slow", "1")).status, 403);
    assert_eq!(gate.now() - before, 10_000_000);
}

#[test]
fn what_it_waits_for_is_given_up_with_it() {
    let mut gate = gate(Header::First);
    gate.set_timeout(Duration::from_millis(2));
    let mut scene = Scene::get("/").with_header("x-slow", "1");
    let Flow::Fail(failure) = gate.call(Hook::Request, &mut scene) else { unreachable!() };
    assert_eq!(failure.cause, Cause::Timeout);
    assert_eq!(gate.given_up(), 1);
}

#[test]
fn its_options_are_refused_in_its_own_words() {
    let module = compile("examples/c/gate.c", Header::Today, &[]).plugin();
    for options in ["{}", r#"{"token": ""}"#, r#"{"tokens": "x"}"#, r#"{"token": "a\"b"}"#] {
        let error = Harness::of(&*module, Surroundings::default(), options).err().unwrap();
        assert_eq!(error.path, "token", "{options}");
        assert_eq!(error.help.as_deref(), Some("options = { token = \"..\" }"), "{options}");
        assert!(error.message.contains(" known") || error.message.contains("must"), "{error}");
    }
}
