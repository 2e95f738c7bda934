//! The module of our own SDK in `fixtures`, which does what the header `x-do` says.

use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{
    Cause, Endpoint, Exchange, Fact, FieldName, Flow, Hook, Hooks, HttpResponse, Level, Map,
    Module, Operation, OperationError, OperationId, Outcome, Part, Refused, Steer, Value,
};
use switchback_plugin_wasm::Wasm;

use crate::{limits, logged};

const GUEST: &[u8] = include_bytes!("../fixtures/guest.wasm.zst");

/// Compiled once, which takes a while.
fn module() -> Arc<dyn Module> {
    static GUESTS: LazyLock<Arc<dyn Module>> = LazyLock::new(|| {
        let code = zstd::decode_all(GUEST).unwrap();
        Wasm::new().load("file", &code, limits()).unwrap()
    });
    Arc::clone(&GUESTS)
}

fn guest() -> Harness {
    guest_with(r#"{"upstream":"up"}"#)
}

fn guest_with(options: &str) -> Harness {
    let module = module();
    let around = Surroundings {
        upstreams: Some(vec!["up".to_owned(), "other".to_owned()]),
        ..Surroundings::default()
    };
    Harness::of(&*module, around, options).unwrap()
}

fn to(what: &str) -> Scene {
    Scene::get("/path?q=1").with_header("x-do", what)
}

/// What came of what it was told to do.
fn told(harness: &mut Harness, what: &str) -> String {
    let mut scene = to(what);
    let flow = harness.call(Hook::Request, &mut scene);
    assert!(matches!(flow, Flow::Continue), "{flow:?}");
    scene.header("x-told").unwrap().to_owned()
}

#[test]
fn it_says_what_it_is() {
    let module = module();
    assert_eq!((module.name(), module.version()), ("guest", "1.2.3"));
    let schema: serde_json::Value = serde_json::from_str(&module.schema().unwrap()).unwrap();
    assert_eq!(schema["properties"]["header"]["default"], "x-seen");
    let none = Hooks::of(&[Hook::UpstreamRequest, Hook::UpstreamResponse]);
    assert_eq!(module.hooks().bits() & none.bits(), 0, "only what it has");
    let harness = guest();
    assert_eq!(harness.period(), Some(Duration::from_millis(100)));
    assert_eq!(harness.timeout(), Duration::from_millis(700));
    assert_eq!(harness.lines()[0].message, "built as guest");
}

#[test]
fn mistakes_in_its_options_are_told_with_their_place() {
    let module = module();
    let around = || Surroundings { upstreams: Some(Vec::new()), ..Surroundings::default() };
    let error = |options| Harness::of(&*module, around(), options).map(drop).unwrap_err();
    let unknown = "nothing: unknown option (known are `header`, `upstream`)";
    assert_eq!(error(r#"{"nothing":1}"#).to_string(), unknown);
    assert_eq!(error(r#"{"header":""}"#).to_string(), "header: is empty (name one)");
    let missing = error(r#"{"upstream":"up"}"#);
    assert_eq!((&*missing.path, &*missing.message), ("upstream", "upstream `up` is not defined"));
    assert!(error(r#"{"header":1}"#).path == "header");
}

#[test]
fn fields_are_read_and_written() {
    let mut harness = guest();
    let mut scene = to("get-set").with_header("user-agent", "me");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(scene.header("x-seen"), Some("me"));
}

#[test]
fn it_answers_and_fails_in_its_own_words() {
    let mut harness = guest();
    let Flow::Answer(answer) = harness.call(Hook::Request, &mut to("answer")) else { panic!() };
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (403, &b"no\n"[..]));
    assert_eq!(answer.headers["x-why"], "told");
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut to("fail")) else { panic!() };
    assert_eq!((failure.cause, &*failure.message), (Cause::Said, "told to fail"));
}

#[test]
fn a_panic_a_spin_and_a_runaway_break_it() {
    let mut harness = guest();
    for (what, cause) in [("panic", Cause::Panic), ("spin", Cause::Spin), ("memory", Cause::Memory)]
    {
        let mut scene = to(what);
        let Flow::Fail(failure) = harness.call(Hook::Request, &mut scene) else { panic!() };
        assert_eq!(failure.cause, cause, "{}", failure.message);
        if what == "panic" {
            assert_eq!(failure.message, "told to panic");
            let lines = logged(&scene);
            assert!(lines[0].contains("told to panic"), "{lines:?}");
        }
    }
    assert!(matches!(harness.call(Hook::Request, &mut to("count")), Flow::Continue));
    assert_eq!(harness.metric("requests", &[("kind", "all")]), Some(2.0));
}

#[test]
fn it_waits_for_what_the_host_does() {
    let mut harness = guest();
    let mut response = HttpResponse { body: "yes".into(), ..HttpResponse::default() };
    response.headers.insert("a", "1".parse().unwrap());
    harness.respond_after(Duration::from_millis(30), "up", move |_| Ok(response.clone()));
    harness.resolve("origin", ["192.0.2.7".parse().unwrap()]);
    assert_eq!(told(&mut harness, "http"), "200 1 yes");
    let asked = &harness.asked()[0];
    assert_eq!((&*asked.target, &asked.body[..]), ("/ask?x=1", &b"question"[..]));
    assert_eq!(asked.headers["x-from"], "guest");
    assert_eq!(told(&mut harness, "sleep"), "slept true");
    assert_eq!(told(&mut harness, "two"), "(Ok(Done), Ok(Done)) 30ms");
    assert_eq!(told(&mut harness, "blocking"), "Ok(55)");
    assert_eq!(told(&mut harness, "resolve"), "Ok(Addresses([192.0.2.7]))");
    assert_eq!(
        told(&mut harness, "store"),
        "[Ok(Done), Ok(Swapped { done: true, now: Some(b\"5\") }), \
         Ok(Swapped { done: false, now: Some(b\"5\") }), Ok(Value(b\"-2\"))] \
         Ok(Some(b\"-2\")) Ok(Done) Ok(None)"
    );
    let mut scene = to("body").with_body(["a", "b"]);
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(scene.header("x-told"), Some("Ok(b\"ab\")"));
}

#[test]
fn what_it_waits_for_is_given_up_with_it() {
    let mut harness = guest();
    let Flow::Fail(failure) = harness.call(Hook::Request, &mut to("long")) else { panic!() };
    assert_eq!(failure.cause, Cause::Timeout);
    assert_eq!(harness.given_up(), 1);
    assert!(matches!(harness.call(Hook::Request, &mut to("count")), Flow::Continue));
}

#[test]
fn it_is_refused_in_the_same_words_as_others() {
    let all = "[Err(Invalid), Err(Invalid), Ok(()), Err(Unknown), Err(NotNow), Err(NotNow), Err(NotNow)] Err(Unknown)";
    assert_eq!(told(&mut guest(), "refused"), all);
}

#[test]
fn it_sees_what_others_see() {
    let mut scene = to("facts").with_variable("v", "value");
    let _ = guest().call(Hook::Request, &mut scene);
    assert_eq!(
        scene.header("x-told"),
        Some(
            "[\"GET\", \"example.com\", \"/path\", \"/path?q=1\", \"main\", \"0123456789abcdef\"] \
             [\"x-do\"] Some(\"value\") Some(\"q=1\")"
        )
    );
}

#[test]
fn it_steers_chooses_changes_and_informs() {
    let mut harness = guest();
    let mut scene = to("steer");
    assert!(matches!(harness.call(Hook::Route, &mut scene), Flow::Continue));
    let steering = scene.steering();
    assert_eq!(steering.upstream.as_deref(), Some("other"));
    assert_eq!(steering.shard_key.as_deref(), Some(&b"key"[..]));
    assert_eq!((steering.bypass_cache, steering.tries), (true, Some(2)));
    assert_eq!(steering.read_timeout, Some(Duration::from_secs(7)));

    let mut scene = to("").with_endpoint("10.0.0.1:80").with_endpoint("unix:/run/app.sock");
    assert!(matches!(harness.call(Hook::Upstream, &mut scene), Flow::Continue));
    assert_eq!(scene.preferred(), Some(&[1, 0][..]));
    assert_eq!(logged(&scene), ["unix:/run/app.sock"]);

    let mut scene = to("part");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!((scene.method(), scene.target()), ("PUT", "/else?a=b".to_owned()));

    let mut scene = to("inform");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(scene.informed()[0].0, 103);
    assert_eq!(scene.informed()[0].1["link"], "</a.css>");
}

#[test]
fn a_whole_request_goes_through_it() {
    let mut harness = guest();
    let mut scene = Scene::new("POST", "/")
        .with_body(["ab", "c"])
        .with_response(404)
        .with_response_body(["12", "34", "5"]);
    let reply = harness.request(&mut scene);
    assert_eq!(reply.failure, None);
    assert_eq!(scene.sent_body(), b"ABC");
    assert_eq!((reply.status, &reply.body[..]), (410, &b"54321"[..]));
    assert_eq!(reply.header("x-hooks"), Some("request,route,upstream,response"));
    assert_eq!(logged(&scene), ["410 after request,route,upstream,response"]);
}

#[test]
fn its_time_passes() {
    let mut harness = guest();
    let flows = harness.advance(Duration::from_millis(250));
    assert!(flows.iter().all(|flow| matches!(flow, Flow::Continue)), "{flows:?}");
    assert_eq!(harness.stored("guest", "ticks").as_deref(), Some(&b"3"[..]));
}

/// A request of which nothing is known, and whose operations never end.
pub(crate) struct Quiet;

impl Exchange for Quiet {
    fn field(&self, _: Map, _: FieldName<'_>) -> Option<Value<'_>> {
        None
    }
    fn fields(&self, _: Map, _: &mut dyn FnMut(&str, &[u8])) {}
    fn set_field(&mut self, _: Map, _: FieldName<'_>, _: &[u8]) -> Result<(), Refused> {
        Ok(())
    }
    fn append_field(&mut self, _: Map, _: FieldName<'_>, _: &[u8]) -> Result<(), Refused> {
        Ok(())
    }
    fn remove_field(&mut self, _: Map, _: FieldName<'_>) -> Result<(), Refused> {
        Ok(())
    }
    fn fact(&self, fact: Fact) -> Option<Value<'_>> {
        (fact == Fact::Method).then_some(Value::Borrowed(b"GET"))
    }
    fn variable(&self, _: &str) -> Option<Value<'_>> {
        None
    }
    fn set_variable(&mut self, _: &str, _: &[u8]) -> Result<(), Refused> {
        Ok(())
    }
    fn set_part(&mut self, _: Part, _: &str) -> Result<(), Refused> {
        Ok(())
    }
    fn set_status(&mut self, _: u16) -> Result<(), Refused> {
        Ok(())
    }
    fn steer(&mut self, _: Steer<'_>) -> Result<(), Refused> {
        Ok(())
    }
    fn endpoint_count(&self) -> usize {
        0
    }
    fn endpoint(&self, _: usize) -> Option<Endpoint<'_>> {
        None
    }
    fn prefer(&mut self, _: &[usize]) -> Result<(), Refused> {
        Ok(())
    }
    fn piece(&self) -> &[u8] {
        &[]
    }
    fn is_last_piece(&self) -> bool {
        true
    }
    fn set_piece(&mut self, _: Bytes) -> Result<(), Refused> {
        Ok(())
    }
    fn hold_piece(&mut self) -> Result<(), Refused> {
        Ok(())
    }
    fn inform(&mut self, _: u16, _: &[(&str, &[u8])]) -> Result<(), Refused> {
        Ok(())
    }
    fn begin(&mut self, _: Operation) -> Result<OperationId, Refused> {
        Ok(OperationId(1))
    }
    fn poll(
        &mut self,
        _: OperationId,
        _: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        Poll::Pending
    }
    fn cancel(&mut self, _: OperationId) {}
    fn now(&self) -> u64 {
        0
    }
    fn log(&self, _: Level, _: &str) {}
}
