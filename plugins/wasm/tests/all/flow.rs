//! How requests go on: pauses and their ends, bodies, contexts, times.

use std::time::Duration;

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Answer, Flow, Hook, HttpResponse, Map, OperationError};

use crate::wat_text::{A, B, GIVEN, Wat};
use crate::{harness, harness_with, logged, said, try_load};

const NONE: &str = "(i32.const 0) (i32.const 0)";

fn answer(flow: Flow) -> Answer {
    match flow {
        Flow::Answer(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn failure(flow: Flow) -> String {
    match flow {
        Flow::Fail(failure) => failure.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_module_answers() {
    let mut wat = Wat::new();
    let (body, headers) = (wat.bytes("no\n"), wat.pairs(&[("x-why", "told"), ("x-why", "again")]));
    wat.on_request(&format!(
        "(drop (call $proxy_send_local_response (i32.const 403) {NONE} {body} {headers} (i32.const -1)))"
    ));
    let answer = answer(harness(&wat).call(Hook::Request, &mut Scene::get("/")));
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (403, &b"no\n"[..]));
    assert_eq!(answer.headers.get_all("x-why").iter().count(), 2);
}

#[test]
fn a_stream_that_is_closed_fails() {
    let mut wat = Wat::new();
    wat.on_request("(drop (call $proxy_close_stream (i32.const 0)))");
    let why = failure(harness(&wat).call(Hook::Request, &mut Scene::get("/")));
    assert_eq!(why, "the module closed the stream");
}

/// Asks `up`, and goes on or answers by the first byte of what it says.
fn asking() -> Wat {
    let mut wat = Wat::new();
    let (up, denied) = (wat.bytes("up"), wat.bytes("denied"));
    let headers = wat.pairs(&[
        (":method", "POST"),
        (":path", "/ask"),
        (":authority", "a.example"),
        ("x-from", "module"),
    ]);
    let (question, status) = (wat.bytes("question"), wat.bytes(":status"));
    wat.function(
        "proxy_on_request_headers",
        3,
        true,
        &format!(
            "(i32.store (i32.const 40) (local.get $0))
             (drop (call $proxy_http_call {up} {headers} {question} {NONE} (i32.const 300) {A}))
             (i32.const 1)"
        ),
    );
    wat.function(
        "proxy_on_http_call_response",
        5,
        false,
        &format!(
            "(drop (call $proxy_set_effective_context (i32.load (i32.const 40))))
             (call $say (local.get $0))
             (call $say (local.get $2))
             (call $say (local.get $3))
             (drop (call $proxy_get_header_map_value (i32.const 6) {status} {A} {B}))
             (if (i32.eqz (local.get $2)) (then
                (drop (call $proxy_send_local_response (i32.const 503) {NONE} {NONE} {NONE} (i32.const -1)))
                (return)))
             (call $add {GIVEN})
             (drop (call $proxy_get_buffer_bytes (i32.const 4) (i32.const 0) (i32.const 100) {A} {B}))
             (if (i32.eq (i32.load8_u (i32.load {A})) (i32.const 121))
               (then (drop (call $proxy_continue_stream (i32.const 0))))
               (else (drop (call $proxy_send_local_response (i32.const 403) {NONE} {denied} {NONE} (i32.const -1)))))"
        ),
    );
    wat
}

fn says(body: &'static str) -> HttpResponse {
    HttpResponse { body: body.into(), ..HttpResponse::default() }
}

#[test]
fn a_request_waits_for_one_of_the_modules_own() {
    let mut harness = harness(&asking());
    harness.respond_after(Duration::from_millis(20), "up", |_| Ok(says("yes")));
    let mut scene = Scene::get("/");
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    // The plugin's context, the response's fields and bytes, and its status.
    assert_eq!(said(&scene), ["1", "1", "3", "200"]);
    let asked = &harness.asked()[0];
    assert_eq!(
        (&*asked.upstream, &*asked.target, &asked.body[..]),
        ("up", "/ask", &b"question"[..])
    );
    assert_eq!(asked.headers["host"], "a.example");
    assert_eq!(asked.headers["x-from"], "module");
    assert_eq!(asked.timeout, Some(Duration::from_millis(300)));

    harness.respond("up", |_| Ok(says("no")));
    let answer = answer(harness.call(Hook::Request, &mut Scene::get("/")));
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (403, &b"denied"[..]));
}

#[test]
fn a_call_that_fails_has_no_fields() {
    let mut harness = harness(&asking());
    harness.respond("up", |_| Err(OperationError::Timeout));
    let mut scene = Scene::get("/");
    assert_eq!(answer(harness.call(Hook::Request, &mut scene)).status.as_u16(), 503);
    assert_eq!(said(&scene), ["1", "0", "0"]);
}

#[test]
fn a_request_that_is_given_up_takes_its_calls_along() {
    let mut harness = harness(&asking());
    harness.respond_after(Duration::from_secs(9), "up", |_| Ok(says("yes")));
    let why = failure(harness.call(Hook::Request, &mut Scene::get("/")));
    assert!(why.contains("not done after"), "{why}");
    assert_eq!(harness.given_up(), 1);
}

#[test]
fn a_call_that_nobody_waits_for_is_told_at_the_next_hook() {
    let mut wat = asking();
    wat.function("proxy_on_response_headers", 3, true, "(i32.const 0)");
    let text = wat.text().replace(
        "(i32.const 300) (i32.const 16)))\n             (i32.const 1)",
        "(i32.const 300) (i32.const 16)))\n             (i32.const 0)",
    );
    let module = try_load(&text).unwrap();
    let mut harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    harness.respond("up", |_| Ok(says("no")));
    let mut scene = Scene::get("/").with_response(200);
    assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(answer(harness.call(Hook::Response, &mut scene)).status.as_u16(), 403);
}

#[test]
fn a_pause_without_hope_is_a_failure() {
    let mut wat = Wat::new();
    wat.function("proxy_on_request_headers", 3, true, "(i32.const 1)");
    let why = failure(harness(&wat).call(Hook::Request, &mut Scene::get("/")));
    assert!(why.contains("nothing is under way"), "{why}");
}

/// Turns the bytes of a body around, once it has all of them.
fn reversing(of: &str, buffer: u32) -> Wat {
    let mut wat = Wat::new();
    wat.function(
        &format!("proxy_on_{of}_body"),
        3,
        true,
        &format!(
            "(local $at i32)
             (if (i32.eqz (local.get $2)) (then (return (i32.const 1))))
             (drop (call $proxy_get_buffer_bytes (i32.const {buffer}) (i32.const 0) (local.get $1) {A} {B}))
             (block $over (loop $more
               (br_if $over (i32.eq (local.get $at) (local.get $1)))
               (i32.store8 (i32.add (i32.const 8000) (i32.sub (i32.sub (local.get $1) (local.get $at)) (i32.const 1)))
                 (i32.load8_u (i32.add (i32.load {A}) (local.get $at))))
               (local.set $at (i32.add (local.get $at) (i32.const 1)))
               (br $more)))
             (drop (call $proxy_set_buffer_bytes (i32.const {buffer}) (i32.const 0) (local.get $1) (i32.const 8000) (local.get $1)))
             (i32.const 0)"
        ),
    );
    wat
}

#[test]
fn a_body_that_waits_comes_whole() {
    let mut request = harness(&reversing("request", 0));
    let mut scene = Scene::new("POST", "/").with_body(["abc", "de", "f"]);
    assert_eq!(request.request(&mut scene).failure, None);
    assert_eq!(scene.sent_body(), b"fedcba");

    let mut response = harness(&reversing("response", 1));
    let mut scene = Scene::get("/").with_response(200).with_response_body(["abc", "de", "f"]);
    assert_eq!(&response.request(&mut scene).body[..], b"fedcba");
}

#[test]
fn the_end_of_a_responses_body_cannot_wait() {
    let mut wat = Wat::new();
    wat.function("proxy_on_response_body", 3, true, "(i32.const 1)");
    let mut harness = harness(&wat);
    let mut scene = Scene::get("/").with_response(200);
    assert!(matches!(harness.piece(Hook::ResponseBody, &mut scene, "a", false), Flow::Continue));
    assert!(scene.piece().is_none(), "it waits");
    let why = failure(harness.piece(Hook::ResponseBody, &mut scene, "b", true));
    assert!(why.contains("cannot be"), "{why}");
}

#[test]
fn a_head_waits_for_the_body_and_is_changed_by_it() {
    let mut wat = Wat::new();
    wat.function(
        "proxy_on_request_headers",
        3,
        true,
        "(call $say (local.get $2)) (i32.eqz (local.get $2))",
    );
    wat.function(
        "proxy_on_request_body",
        3,
        true,
        &format!(
            "(call $say (local.get $1)) (call $say (local.get $2))
             (drop (call $proxy_get_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 99) {A} {B}))
             (call $add {GIVEN})
             (drop (call $proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 1) {GIVEN}))
             (i32.const 0)"
        ),
    );
    let mut harness = harness(&wat);
    let mut scene = Scene::new("POST", "/").with_header("transfer-encoding", "chunked");
    scene = scene.with_fact(switchback_plugin::Fact::Protocol, "HTTP/2.0").with_body(["ab", "c"]);
    assert_eq!(harness.request(&mut scene).failure, None);
    assert_eq!(said(&scene), ["0", "3", "1", "abc"]);
    assert_eq!(scene.sent_body(), b"abcbc");

    let mut scene = Scene::get("/");
    assert_eq!(harness.request(&mut scene).failure, None);
    assert_eq!(said(&scene), ["1"], "there is no body to wait for");
}

#[test]
fn trailers_are_told_behind_the_last_piece() {
    let mut wat = Wat::new();
    let (name, value) = (wat.bytes("x-sum"), wat.bytes("changed"));
    let log = |wat: &mut Wat, text: &str| {
        let text = wat.bytes(text);
        format!("(drop (call $proxy_log (i32.const 2) {text}))")
    };
    let (body, end) = (log(&mut wat, "piece"), log(&mut wat, "end"));
    let trailers = log(&mut wat, "trailers");
    for (of, map) in [("request", 1), ("response", 3)] {
        wat.function(
            &format!("proxy_on_{of}_body"),
            3,
            true,
            &format!("(if (local.get $2) (then {end}) (else {body})) (i32.const 0)"),
        );
        wat.function(
            &format!("proxy_on_{of}_trailers"),
            2,
            true,
            &format!(
                "{trailers}
                 (drop (call $proxy_replace_header_map_value (i32.const {map}) {name} {value}))
                 (i32.const 0)"
            ),
        );
    }
    let mut harness = harness(&wat);
    for (hook, map) in
        [(Hook::RequestBody, Map::RequestTrailers), (Hook::ResponseBody, Map::ResponseTrailers)]
    {
        let mut scene = Scene::get("/").with_response(200).with_trailer(map, "x-sum", "1");
        let _ = harness.piece(hook, &mut scene, "a", false);
        let _ = harness.piece(hook, &mut scene, "b", true);
        assert_eq!(logged(&scene), ["piece", "piece", "trailers"]);
        assert_eq!(scene.fields(map)["x-sum"], "changed");

        let mut scene = Scene::get("/").with_response(200);
        let _ = harness.piece(hook, &mut scene, "a", true);
        assert_eq!(logged(&scene), ["end"]);
    }
}

/// Writes each step of the life of a context to the log.
fn living(done: &str) -> Wat {
    let mut wat = Wat::new();
    let mut log = |text: &str| {
        let text = wat.bytes(text);
        format!("(drop (call $proxy_log (i32.const 2) {text}))")
    };
    let steps = ["create", "request", "done", "log", "delete"].map(&mut log);
    let [create, request, is_done, logs, delete] = steps;
    wat.function("proxy_on_context_create", 2, false, &create);
    wat.on_request(&request);
    wat.function("proxy_on_done", 1, true, &format!("{is_done} {done}"));
    wat.function("proxy_on_log", 1, false, &logs);
    wat.function("proxy_on_delete", 1, false, &delete);
    wat
}

#[test]
fn a_context_begins_and_ends_with_its_request() {
    let mut harness = harness(&living("(i32.const 1)"));
    let mut scene = Scene::get("/").with_response(200);
    assert_eq!(harness.request(&mut scene).status, 200);
    assert_eq!(logged(&scene), ["create", "request", "done", "log", "delete"]);
}

#[test]
fn a_context_lingers_until_the_module_lets_it_go() {
    let mut wat = living("(i32.store (i32.const 40) (local.get $0)) (i32.const 0)");
    wat.function(
        "proxy_on_vm_start",
        2,
        true,
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 100))) (i32.const 1)",
    );
    wat.function(
        "proxy_on_tick",
        1,
        false,
        "(drop (call $proxy_set_effective_context (i32.load (i32.const 40)))) (drop (call $proxy_done))",
    );
    let mut harness = harness(&wat);
    let mut scene = Scene::get("/").with_response(200);
    assert_eq!(harness.request(&mut scene).status, 200);
    assert_eq!(logged(&scene), ["create", "request", "done"]);
    assert_eq!(harness.period(), Some(Duration::from_millis(100)));
    let before = harness.lines().len();
    assert!(matches!(harness.tick(), Flow::Continue));
    let lines: Vec<_> = harness.lines()[before..].iter().map(|line| line.message.clone()).collect();
    assert_eq!(lines, ["log", "delete"]);
}

#[test]
fn time_passes_for_modules_as_they_want_it() {
    let mut wat = Wat::new();
    let tick = wat.bytes("tick");
    wat.function(
        "proxy_on_configure",
        2,
        true,
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 50))) (i32.const 1)",
    );
    wat.function(
        "proxy_on_tick",
        1,
        false,
        &format!(
            "(drop (call $proxy_log (i32.const 2) {tick}))
             (i32.store (i32.const 40) (i32.add (i32.load (i32.const 40)) (i32.const 1)))
             (if (i32.eq (i32.load (i32.const 40)) (i32.const 3))
               (then (drop (call $proxy_set_tick_period_milliseconds (i32.const 200)))))"
        ),
    );
    let mut harness = harness(&wat);
    let _ = harness.advance(Duration::from_millis(100));
    assert_eq!(harness.lines().len(), 3, "at the beginning, and every 50 ms");
    let _ = harness.advance(Duration::from_millis(400));
    assert_eq!(harness.lines().len(), 5, "then every 200 ms");
}

#[test]
fn whoever_listens_to_a_queue_is_told_of_each_item() {
    let mut wat = Wat::new();
    let (name, item) = (wat.bytes("q"), wat.bytes("item"));
    wat.function(
        "proxy_on_configure",
        2,
        true,
        &format!("(drop (call $proxy_register_shared_queue {name} (i32.const 40))) (i32.const 1)"),
    );
    let put = format!("(drop (call $proxy_enqueue_shared_queue (i32.load (i32.const 40)) {item}))");
    wat.on_request(&format!("{put} {put}"));
    wat.function(
        "proxy_on_queue_ready",
        2,
        false,
        &format!(
            "(drop (call $proxy_dequeue_shared_queue (local.get $1) {A} {B}))
             (drop (call $proxy_log (i32.const 2) {GIVEN}))"
        ),
    );
    let mut harness = harness(&wat);
    let _ = harness.call(Hook::Request, &mut Scene::get("/"));
    assert!(matches!(harness.tick(), Flow::Continue));
    let lines: Vec<_> = harness.lines().iter().map(|line| &*line.message).collect();
    assert_eq!(lines, ["item", "item"]);
}

#[test]
fn a_request_goes_on_when_a_tick_says_so() {
    let mut wat = Wat::new();
    wat.function(
        "proxy_on_configure",
        2,
        true,
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 10))) (i32.const 1)",
    );
    wat.function(
        "proxy_on_request_headers",
        3,
        true,
        "(i32.store (i32.const 40) (local.get $0)) (i32.const 1)",
    );
    wat.function(
        "proxy_on_tick",
        1,
        false,
        "(drop (call $proxy_set_effective_context (i32.load (i32.const 40))))
         (drop (call $proxy_continue_stream (i32.const 0)))",
    );
    let mut harness = harness(&wat);
    let instance = std::sync::Arc::clone(harness.instance());
    let mut state = instance.start();
    let mut ticking = instance.start();
    let mut exchange = crate::ours::Quiet;
    let called = instance.call(Hook::Request, &mut state, &mut exchange);
    let switchback_plugin::Called::Waits(mut waiting) = called else { panic!("it waits") };
    let mut polling = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut polling).is_pending());
    let _ = (harness.tick(), &mut ticking);
    assert!(matches!(waiting.as_mut().poll(&mut polling), std::task::Poll::Ready(Flow::Continue)));
}

#[test]
fn the_configuration_is_what_was_said() {
    let mut wat = Wat::new();
    wat.on_request(&format!(
        "(drop (call $proxy_get_buffer_bytes (i32.const 7) (i32.const 0) (i32.const 999) {A} {B})) (call $add {GIVEN})
         (drop (call $proxy_get_buffer_bytes (i32.const 6) (i32.const 0) (i32.const 999) {A} {B})) (call $add {GIVEN})
         (drop (call $proxy_get_configuration {A} {B})) (call $add {GIVEN})"
    ));
    let options = r#"{"configuration":"plugin","vm_configuration":"vm"}"#;
    let mut scene = Scene::get("/");
    let _ = harness_with(&wat, options).call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), ["plugin", "vm", "plugin"]);
}
