//! What each host function says: when all is well, and when it is not.

use proptest::prelude::*;
use switchback_plugin::testing::Scene;
use switchback_plugin::{Fact, Hook, Map};

use crate::wat_text::{A, B, GIVEN, Wat};
use crate::{harness, harness_with, logged, said};

/// Where no memory is.
pub(crate) const FAR: &str = "(i32.const 0x7fffff00) (i32.const 256)";
pub(crate) const FAR_OUT: &str = "(i32.const 0x7fffff00)";
const WRAPS: &str = "(i32.const -16) (i32.const 64)";

/// What these calls say, one after the other, for a request.
fn say(build: impl FnOnce(&mut Wat) -> Vec<String>) -> Vec<String> {
    say_of(Scene::get("/path?q=1").with_header("a", "1").with_header("a", "2"), build)
}

fn say_of(mut scene: Scene, build: impl FnOnce(&mut Wat) -> Vec<String>) -> Vec<String> {
    let mut wat = Wat::new();
    let calls = build(&mut wat);
    wat.on_request(&Wat::say(&calls));
    let flow = harness(&wat).call(Hook::Request, &mut scene);
    assert!(matches!(flow, switchback_plugin::Flow::Continue), "{flow:?}");
    said(&scene)
}

#[test]
fn fields_are_there_or_not_and_places_must_be_in_the_memory() {
    let statuses = say(|wat| {
        let (a, none) = (wat.bytes("A"), wat.bytes("none"));
        let get = "proxy_get_header_map_value";
        vec![
            format!("{get} (i32.const 0) {a} {A} {B}"),
            format!("{get} (i32.const 0) {none} {A} {B}"),
            format!("{get} (i32.const 2) {a} {A} {B}"),
            format!("{get} (i32.const 4) {a} {A} {B}"),
            format!("{get} (i32.const 7) {a} {A} {B}"),
            format!("{get} (i32.const 8) {a} {A} {B}"),
            format!("{get} (i32.const 0) {FAR} {A} {B}"),
            format!("{get} (i32.const 0) {WRAPS} {A} {B}"),
            format!("{get} (i32.const 0) {a} {FAR_OUT} {B}"),
            format!("{get} (i32.const 0) {a} {A} (i32.const -1)"),
        ]
    });
    assert_eq!(statuses, ["0", "1", "1", "12", "1", "2", "6", "6", "6", "6"]);
}

#[test]
fn method_path_and_host_are_fields_as_well() {
    let mut wat = Wat::new();
    let names = [":method", ":path", ":authority", ":scheme"];
    let reads: String = names
        .iter()
        .map(|name| {
            let name = wat.bytes(name);
            format!(
                "(drop (call $proxy_get_header_map_value (i32.const 0) {name} {A} {B})) (call $add {GIVEN})"
            )
        })
        .collect();
    let (path, other) = (wat.bytes(":path"), wat.bytes("/other?x"));
    wat.on_request(&format!(
        "{reads} (call $say (call $proxy_replace_header_map_value (i32.const 0) {path} {other}))"
    ));
    let mut scene = Scene::get("/path?q=1");
    let _ = harness(&wat).call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), ["GET", "/path?q=1", "example.com", "https", "0"]);
    assert_eq!(scene.target(), "/other?x");
}

#[test]
fn fields_are_changed_but_not_those_that_the_proxy_says_itself() {
    let statuses = say(|wat| {
        let (x, bad, length) = (wat.bytes("x"), wat.bytes("b d"), wat.bytes("Content-Length"));
        let (value, bad_value) = (wat.bytes("value"), wat.bytes("a\nb"));
        let (replace, add) = ("proxy_replace_header_map_value", "proxy_add_header_map_value");
        let remove = "proxy_remove_header_map_value";
        vec![
            format!("{replace} (i32.const 0) {x} {value}"),
            format!("{add} (i32.const 0) {x} {value}"),
            format!("{replace} (i32.const 0) {bad} {value}"),
            format!("{replace} (i32.const 0) {x} {bad_value}"),
            format!("{replace} (i32.const 2) {x} {value}"),
            format!("{replace} (i32.const 6) {x} {value}"),
            format!("{add} (i32.const 0) {x} {FAR}"),
            format!("{remove} (i32.const 0) {x}"),
            format!("{remove} (i32.const 0) {x}"),
            // As plugins do that change the body: as good as done.
            format!("{remove} (i32.const 0) {length}"),
            format!("{remove} (i32.const 0) {FAR}"),
        ]
    });
    assert_eq!(statuses, ["0", "0", "2", "2", "2", "2", "6", "0", "0", "0", "6"]);
}

#[test]
fn all_fields_are_read_and_written_at_once() {
    let mut wat = Wat::new();
    let list = wat.pairs(&[(":path", "/new"), ("b", "2"), ("b", "3"), (":method", "GET")]);
    wat.on_request(&format!(
        "(call $say (call $proxy_get_header_map_size (i32.const 0) {A}))
         (call $say (i32.load {A}))
         (call $say (call $proxy_get_header_map_pairs (i32.const 0) {A} {B}))
         (call $say (i32.load {B}))
         (call $say (i32.load (i32.load {A})))
         (drop (call $proxy_set_header_map_pairs (i32.const 0) {list}))"
    ));
    let mut scene = Scene::get("/").with_header("a", "1");
    let mut harness = harness(&wat);
    // What it said is among what it has replaced: so it is read from the list that it was given.
    let _ = harness.call(Hook::Request, &mut scene);
    assert_eq!(scene.target(), "/new");
    let fields = scene.fields(Map::RequestHeaders);
    assert_eq!(fields.len(), 2);
    assert_eq!(fields.get_all("b").iter().collect::<Vec<_>>(), ["2", "3"]);

    let statuses = say(|wat| {
        let hostile = wat.bytes(b"\xff\xff\xff\xff\xff\xff\xff\xff");
        let set = "proxy_set_header_map_pairs";
        vec![
            format!("{set} (i32.const 0) {hostile}"),
            format!("{set} (i32.const 0) {FAR}"),
            format!("{set} (i32.const 9) {hostile}"),
            format!("proxy_get_header_map_pairs (i32.const 9) {A} {B}"),
            format!("proxy_get_header_map_pairs (i32.const 0) {FAR_OUT} {B}"),
            format!("proxy_get_header_map_size (i32.const 0) {FAR_OUT}"),
        ]
    });
    assert_eq!(statuses, ["4", "6", "2", "2", "6", "6"]);
}

#[test]
fn buffers_are_there_in_their_hooks_only() {
    let mut wat = Wat::new();
    let get = "proxy_get_buffer_bytes";
    let calls = [
        format!("{get} (i32.const 7) (i32.const 0) (i32.const 100) {A} {B}"),
        format!("{get} (i32.const 7) (i32.const 2) (i32.const -1) {A} {B}"),
        format!("{get} (i32.const 7) (i32.const 99) (i32.const 1) {A} {B}"),
        format!("{get} (i32.const 7) (i32.const -9) (i32.const 99) {A} {B}"),
        format!("{get} (i32.const 0) (i32.const 0) (i32.const 100) {A} {B}"),
        format!("{get} (i32.const 3) (i32.const 0) (i32.const 100) {A} {B}"),
        format!("{get} (i32.const 9) (i32.const 0) (i32.const 100) {A} {B}"),
        format!("{get} (i32.const 7) (i32.const 0) (i32.const 100) {FAR_OUT} {B}"),
        format!("proxy_get_buffer_status (i32.const 7) {A} {B}"),
        format!("proxy_get_buffer_status (i32.const 4) {A} {B}"),
        format!("proxy_get_buffer_status (i32.const 7) {A} {FAR_OUT}"),
        "proxy_set_buffer_bytes (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)".to_owned(),
        "proxy_set_buffer_bytes (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)".to_owned(),
    ];
    wat.on_request(&Wat::say(&calls));
    let mut scene = Scene::get("/");
    let _ = harness_with(&wat, r#""a text""#).call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), ["0", "0", "2", "2", "1", "1", "2", "6", "0", "1", "6", "2", "1"]);
}

#[test]
fn properties_have_the_names_that_envoy_gives_them() {
    let cases = [
        ("request\0path", "/path?q=1"),
        ("request\0url_path", "/path"),
        ("request\0query", "q=1"),
        ("request\0method", "GET"),
        ("request\0host", "example.com"),
        ("request\0protocol", "HTTP/1.1"),
        ("request.method", "GET"),
        ("request\0headers\0a", "1"),
        ("source\0address", "192.0.2.1:4711"),
        ("destination\0address", "[::1]:443"),
        ("cluster_name", "origins"),
        ("route_name", "all"),
        ("plugin_name", "test"),
        ("plugin_vm_id", "test"),
        ("switchback\0variable\0remote_port", "4711"),
    ];
    let mut wat = Wat::new();
    let reads: String = cases
        .iter()
        .map(|(path, _)| {
            let path = wat.bytes(path);
            format!("(drop (call $proxy_get_property {path} {A} {B})) (call $add {GIVEN})")
        })
        .collect();
    wat.on_request(&reads);
    let mut scene = Scene::get("/path?q=1")
        .with_header("a", "1")
        .with_variable("remote_port", "4711")
        .with_variable("server_addr", "::1")
        .with_variable("server_port", "443")
        .with_fact(Fact::Upstream, "origins")
        .with_fact(Fact::Route, "all");
    let _ = harness(&wat).call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), cases.map(|(_, value)| value));
}

#[test]
fn properties_can_be_set_and_are_bounded() {
    let statuses = say(|wat| {
        let (path, value) = (wat.bytes("my\0own"), wat.bytes("value"));
        let (variable, none) = (wat.bytes("switchback\0variable\0v"), wat.bytes("no\0such"));
        let mut calls = vec![
            format!("proxy_get_property {path} {A} {B}"),
            format!("proxy_set_property {path} {value}"),
            format!("proxy_get_property {path} {A} {B}"),
            format!("proxy_set_property {variable} {value}"),
            format!("proxy_get_property {variable} {A} {B}"),
            format!("proxy_get_property {none} {A} {B}"),
            format!("proxy_get_property {FAR} {A} {B}"),
            format!("proxy_set_property {path} {FAR}"),
        ];
        calls.extend((0..64).map(|index| {
            let path = wat.bytes(format!("p{index}"));
            format!("proxy_set_property {path} {value}")
        }));
        calls
    });
    assert_eq!(statuses[..8], ["1", "0", "0", "0", "0", "1", "6", "6"]);
    assert_eq!((&*statuses[70], &*statuses[71]), ("0", "10"), "the last one is too many");
}

#[test]
fn answers_are_checked_before_they_are_taken() {
    let statuses = say(|wat| {
        let (body, bad) = (wat.bytes("body"), wat.bytes([9, 9]));
        let bad_field = wat.pairs(&[("b d", "1")]);
        let none = "(i32.const 0) (i32.const 0)";
        let send = |status: &str, body: &str, headers: &str| {
            format!("proxy_send_local_response {status} {none} {body} {headers} (i32.const -1)")
        };
        vec![
            send("(i32.const 99)", &body, none),
            send("(i32.const 1000)", &body, none),
            send("(i32.const 200)", FAR, none),
            send("(i32.const 200)", &body, FAR),
            send("(i32.const 200)", &body, &bad),
            send("(i32.const 200)", &body, &bad_field),
        ]
    });
    assert_eq!(statuses, ["2", "2", "6", "6", "4", "2"]);
}

#[test]
fn calls_need_an_upstream_a_method_a_path_and_an_authority() {
    let mut wat = Wat::new();
    let (up, no) = (wat.bytes("up"), wat.bytes("no"));
    let all = [(":method", "GET"), (":path", "/"), (":authority", "a")];
    let good = wat.pairs(&all);
    let lists: Vec<_> = (0..3)
        .map(|left_out| {
            let mut some = all.to_vec();
            some.remove(left_out);
            wat.pairs(&some)
        })
        .collect();
    let none = "(i32.const 0) (i32.const 0)";
    let call = |upstream: &str, headers: &str, id: &str| {
        format!("proxy_http_call {upstream} {headers} {none} {none} (i32.const 0) {id}")
    };
    let mut calls = vec![call(&up, &good, A), call(&no, &good, A)];
    calls.extend(lists.iter().map(|list| call(&up, list, A)));
    calls.extend([call(&up, &good, FAR_OUT), call(&up, FAR, A), call(FAR, &good, A)]);
    wat.on_request(&Wat::say(&calls));
    let around = switchback_plugin::testing::Surroundings {
        upstreams: Some(vec!["up".to_owned()]),
        ..Default::default()
    };
    let module = crate::try_load(&wat.text()).unwrap();
    let mut harness = switchback_plugin::testing::Harness::of(&*module, around, "{}").unwrap();
    let mut scene = Scene::get("/");
    let _ = harness.call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), ["0", "2", "2", "2", "2", "6", "6", "6"]);
    assert_eq!(harness.asked().len(), 1);
}

#[test]
fn shared_data_changes_only_for_who_has_seen_it() {
    let statuses = say(|wat| {
        let (key, value) = (wat.bytes("k"), wat.bytes("v"));
        let (get, set) = ("proxy_get_shared_data", "proxy_set_shared_data");
        vec![
            format!("{get} {key} {A} {B} (i32.const 24)"),
            format!("{set} {key} {value} (i32.const 0)"),
            format!("{get} {key} {A} {B} (i32.const 24)"),
            format!("{set} {key} {value} (i32.load (i32.const 24))"),
            format!("{set} {key} {value} (i32.load (i32.const 24))"),
            format!("{set} {key} {FAR} (i32.const 0)"),
            format!("{get} {key} {A} {B} {FAR_OUT}"),
        ]
    });
    assert_eq!(statuses, ["1", "0", "0", "0", "8", "6", "6"]);
}

#[test]
fn queues_are_made_found_filled_and_emptied() {
    let statuses = say(|wat| {
        let (name, item, none) = (wat.bytes("q"), wat.bytes("i"), wat.bytes("none"));
        let own = wat.bytes("test");
        let queue = "(i32.load (i32.const 24))";
        vec![
            format!("proxy_resolve_shared_queue {own} {name} (i32.const 24)"),
            format!("proxy_register_shared_queue {name} (i32.const 24)"),
            format!("proxy_resolve_shared_queue {own} {name} (i32.const 24)"),
            format!("proxy_resolve_shared_queue {own} {none} (i32.const 28)"),
            format!("proxy_dequeue_shared_queue {queue} {A} {B}"),
            format!("proxy_enqueue_shared_queue {queue} {item}"),
            format!("proxy_dequeue_shared_queue {queue} {FAR_OUT} {B}"),
            format!("proxy_dequeue_shared_queue {queue} {A} {B}"),
            format!("proxy_enqueue_shared_queue (i32.const 999) {item}"),
            format!("proxy_dequeue_shared_queue (i32.const 999) {A} {B}"),
            format!("proxy_enqueue_shared_queue {queue} {FAR}"),
            format!("proxy_register_shared_queue {name} {FAR_OUT}"),
        ]
    });
    assert_eq!(statuses, ["1", "0", "0", "1", "7", "0", "6", "0", "1", "1", "6", "6"]);
}

#[test]
fn lines_of_the_log_are_one_line_each_and_not_too_many() {
    let mut wat = Wat::new();
    let line = wat.bytes("one\ntwo\u{1b}[0m\n");
    let long = wat.bytes("x".repeat(20_000));
    let log = "proxy_log";
    let mut calls = vec![
        format!("{log} (i32.const 2) {line}"),
        format!("{log} (i32.const 9) {line}"),
        format!("{log} (i32.const 2) {FAR}"),
        format!("{log} (i32.const 4) {long}"),
    ];
    calls.extend((0..200).map(|_| format!("{log} (i32.const 0) {line}")));
    calls.push(format!("proxy_get_log_level {A}"));
    calls.push(format!("proxy_get_log_level {FAR_OUT}"));
    wat.on_request(&Wat::say(&calls));
    let mut scene = Scene::get("/");
    let _ = harness(&wat).call(Hook::Request, &mut scene);
    let said = said(&scene);
    assert_eq!(said[..4], ["0", "2", "6", "0"]);
    assert_eq!(said[204..], ["0", "6"]);
    let lines = logged(&scene);
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[0], "one two [0m");
    assert_eq!(lines[1].len(), 8 << 10);
}

#[test]
fn streams_contexts_and_what_there_is_not() {
    let statuses = say(|wat| {
        let name = wat.bytes("no_such_function");
        let none = "(i32.const 0) (i32.const 0)";
        let twelve = "(i32.const 0) ".repeat(12);
        vec![
            "proxy_continue_stream (i32.const 1)".to_owned(),
            "proxy_continue_stream (i32.const 2)".to_owned(),
            "proxy_continue_stream (i32.const 4)".to_owned(),
            "proxy_close_stream (i32.const 9)".to_owned(),
            "proxy_close_stream (i32.const 3)".to_owned(),
            "proxy_set_effective_context (i32.const 77)".to_owned(),
            "proxy_set_effective_context (local.get $0)".to_owned(),
            "proxy_done".to_owned(),
            format!("proxy_get_status {A} {A} {B}"),
            format!("proxy_call_foreign_function {name} {none} {A} {B}"),
            format!("proxy_call_foreign_function {FAR} {none} {A} {B}"),
            format!("proxy_grpc_call {twelve}"),
            "proxy_grpc_cancel (i32.const 1)".to_owned(),
            format!("proxy_get_current_time_nanoseconds {A}"),
            format!("proxy_get_current_time_nanoseconds {FAR_OUT}"),
            "proxy_set_tick_period_milliseconds (i32.const 0)".to_owned(),
        ]
    });
    let expected =
        ["0", "12", "2", "2", "12", "2", "0", "1", "1", "1", "6", "12", "12", "0", "6", "0"];
    assert_eq!(statuses, expected);
}

#[test]
fn as_much_of_wasi_as_libraries_need_to_begin() {
    let mut wat = Wat::new();
    let text = wat.bytes("to the log");
    let place = text.trim_start_matches("(i32.const ").split(')').next().unwrap().to_owned();
    let calls = [
        "fd_write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 24)".to_owned(),
        "fd_write (i32.const 7) (i32.const 200) (i32.const 1) (i32.const 24)".to_owned(),
        "fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 24)".to_owned(),
        "fd_write (i32.const 1) (i32.const 200) (i32.const 9999) (i32.const 24)".to_owned(),
        "random_get (i32.const 300) (i32.const 16)".to_owned(),
        "random_get (i32.const 300) (i32.const 0x1000000)".to_owned(),
        "random_get (i32.const -4) (i32.const 16)".to_owned(),
        "clock_time_get (i32.const 0) (i64.const 0) (i32.const 24)".to_owned(),
        "clock_time_get (i32.const 3) (i64.const 0) (i32.const 24)".to_owned(),
        "environ_sizes_get (i32.const 24) (i32.const 28)".to_owned(),
        "path_open (i32.const 0)".to_owned(),
    ];
    wat.on_request(&format!(
        "(i32.store (i32.const 200) (i32.const {place}))
         (i32.store (i32.const 204) (i32.const 10)) {}",
        Wat::say(&calls)
    ));
    let mut scene = Scene::get("/");
    let _ = harness(&wat).call(Hook::Request, &mut scene);
    assert_eq!(said(&scene), ["0", "8", "21", "28", "0", "28", "21", "0", "58", "0", "52"]);
    assert_eq!(logged(&scene), ["to the log"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever numbers a module passes, the host says a status, or ends the module: it never breaks.
    #[test]
    fn no_numbers_break_the_host(
        function in 0_usize..30,
        numbers in prop::collection::vec(
            prop_oneof![0_i64..16, 1000_i64..2000, Just(-1_i64), Just(0x3_fff0), Just(0x4_0000), any::<i32>().prop_map(i64::from)],
            12,
        ),
    ) {
        let functions = [
            ("proxy_log", 3), ("proxy_get_buffer_bytes", 5), ("proxy_get_buffer_status", 3),
            ("proxy_set_buffer_bytes", 5), ("proxy_get_header_map_size", 2), ("proxy_get_header_map_pairs", 3),
            ("proxy_set_header_map_pairs", 3), ("proxy_get_header_map_value", 5), ("proxy_add_header_map_value", 5),
            ("proxy_replace_header_map_value", 5), ("proxy_remove_header_map_value", 3), ("proxy_get_status", 3),
            ("proxy_send_local_response", 8), ("proxy_http_call", 10), ("proxy_set_shared_data", 5),
            ("proxy_get_shared_data", 5), ("proxy_register_shared_queue", 3), ("proxy_resolve_shared_queue", 5),
            ("proxy_enqueue_shared_queue", 3), ("proxy_dequeue_shared_queue", 3), ("proxy_define_metric", 4),
            ("proxy_get_metric", 2), ("proxy_get_property", 4), ("proxy_set_property", 4),
            ("proxy_call_foreign_function", 6), ("fd_write", 4), ("random_get", 2), ("environ_sizes_get", 2),
            ("proxy_get_configuration", 2), ("proxy_continue_stream", 1),
        ];
        let (name, count) = functions[function];
        let arguments: String = numbers[..count].iter().map(|number| format!("(i32.const {number}) ")).collect();
        let mut wat = Wat::new();
        wat.bytes([7; 1000]);
        wat.on_request(&format!("(drop (call ${name} {arguments}))"));
        let mut harness = harness(&wat);
        let mut scene = Scene::get("/").with_header("a", "1");
        let _ = harness.call(Hook::Request, &mut scene);
    }
}
