//! Modules as text: what all of them have in common, around what one of them does.

use std::fmt::Write;

/// Host functions, with how many numbers each is given.
const FUNCTIONS: [(&str, usize); 34] = [
    ("proxy_log", 3),
    ("proxy_get_log_level", 1),
    ("proxy_get_current_time_nanoseconds", 1),
    ("proxy_set_tick_period_milliseconds", 1),
    ("proxy_get_configuration", 2),
    ("proxy_get_buffer_bytes", 5),
    ("proxy_get_buffer_status", 3),
    ("proxy_set_buffer_bytes", 5),
    ("proxy_get_header_map_size", 2),
    ("proxy_get_header_map_pairs", 3),
    ("proxy_set_header_map_pairs", 3),
    ("proxy_get_header_map_value", 5),
    ("proxy_add_header_map_value", 5),
    ("proxy_replace_header_map_value", 5),
    ("proxy_remove_header_map_value", 3),
    ("proxy_continue_stream", 1),
    ("proxy_close_stream", 1),
    ("proxy_get_status", 3),
    ("proxy_send_local_response", 8),
    ("proxy_http_call", 10),
    ("proxy_grpc_call", 12),
    ("proxy_grpc_cancel", 1),
    ("proxy_set_shared_data", 5),
    ("proxy_get_shared_data", 5),
    ("proxy_register_shared_queue", 3),
    ("proxy_resolve_shared_queue", 5),
    ("proxy_enqueue_shared_queue", 3),
    ("proxy_dequeue_shared_queue", 3),
    ("proxy_define_metric", 4),
    ("proxy_get_metric", 2),
    ("proxy_get_property", 4),
    ("proxy_set_property", 4),
    ("proxy_set_effective_context", 1),
    ("proxy_call_foreign_function", 6),
];

/// A module as text.
#[derive(Default)]
pub(crate) struct Wat {
    data: String,
    next: usize,
    functions: String,
}

/// Where host functions put numbers.
pub(crate) const A: &str = "(i32.const 16)";
pub(crate) const B: &str = "(i32.const 20)";
/// The value that `A` and `B` tell of: place and length.
pub(crate) const GIVEN: &str = "(i32.load (i32.const 16)) (i32.load (i32.const 20))";

impl Wat {
    pub(crate) fn new() -> Self {
        Self { next: 1024, ..Self::default() }
    }

    /// Place and length of a text, as two numbers.
    pub(crate) fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> String {
        let bytes = bytes.as_ref();
        let place = self.next;
        self.next += bytes.len();
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        writeln!(self.data, "(data (i32.const {place}) \"{escaped}\")").unwrap();
        format!("(i32.const {place}) (i32.const {})", bytes.len())
    }

    /// A list of fields, likewise.
    pub(crate) fn pairs(&mut self, pairs: &[(&str, &str)]) -> String {
        let mut encoder = switchback_plugin_wasm::pairs::Encoder::default();
        for (name, value) in pairs {
            encoder.push(name.as_bytes(), value.as_bytes());
        }
        let mut list = Vec::new();
        encoder.write(&mut list);
        self.bytes(list)
    }

    /// An exported function. `$0`, `$1` and so on are what it is given.
    pub(crate) fn function(&mut self, name: &str, given: usize, gives: bool, body: &str) {
        let given: String = (0..given).map(|index| format!("(param ${index} i32)")).collect();
        let result = if gives { "(result i32)" } else { "" };
        writeln!(self.functions, "(func (export \"{name}\") {given} {result} {body})").unwrap();
    }

    /// Each hook of the way of a request, with what it does.
    pub(crate) fn on_request(&mut self, body: &str) {
        self.function("proxy_on_request_headers", 3, true, &format!("{body} (i32.const 0)"));
    }

    /// `(call $say ..)` with what a host function gives back, for each of `calls`.
    pub(crate) fn say(calls: &[String]) -> String {
        calls.iter().map(|call| format!("(call $say (call ${call}))\n")).collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::from("(module\n");
        for (name, count) in FUNCTIONS {
            let given = "i32 ".repeat(count);
            writeln!(
                text,
                "(import \"env\" \"{name}\" (func ${name} (param {given}) (result i32)))"
            )
            .unwrap();
        }
        text.push_str(COMMON);
        text.push_str(&self.data);
        text.push_str(&self.functions);
        text.push(')');
        text
    }
}

const COMMON: &str = r#"
(import "env" "proxy_done" (func $proxy_done (result i32)))
(import "env" "proxy_record_metric" (func $proxy_record_metric (param i32 i64) (result i32)))
(import "env" "proxy_increment_metric" (func $proxy_increment_metric (param i32 i64) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32) (result i32)))
(import "wasi_unstable" "proc_exit" (func $proc_exit (param i32)))
(memory (export "memory") 4)
(global $heap (mut i32) (i32.const 65536))
(func (export "proxy_abi_version_0_2_1"))
(func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
  (local $place i32)
  (local.set $place (global.get $heap))
  (global.set $heap (i32.add (global.get $heap) (local.get $size)))
  (local.get $place))
(func $add (param $place i32) (param $size i32)
  (drop (call $proxy_add_header_map_value (i32.const 0)
    (i32.const 32) (i32.const 6) (local.get $place) (local.get $size))))
(func $say (param $number i32)
  (local $at i32)
  (local.set $at (i32.const 64))
  (if (i32.eqz (local.get $number)) (then
    (local.set $at (i32.const 63))
    (i32.store8 (i32.const 63) (i32.const 48))))
  (block $over (loop $more
    (br_if $over (i32.eqz (local.get $number)))
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
    (br $more)))
  (call $add (local.get $at) (i32.sub (i32.const 64) (local.get $at))))
(data (i32.const 32) "x-said")
"#;
