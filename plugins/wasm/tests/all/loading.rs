//! What is a module, and what is none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{Hook, Hooks, Kind};
use switchback_plugin_wasm::Wasm;

use crate::wat_text::Wat;
use crate::{limits, said, try_load};

fn refused(code: &[u8]) -> String {
    match Wasm::new().load("test", code, limits()) {
        Ok(_) => panic!("loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let text = |text: &str| refused(&wat::parse_str(text).unwrap());
    assert!(refused(b"\x7fELF").contains("does not begin as one"));
    assert!(refused(b"\0asm\x01\0\0\0\xff").contains("no Wasm module that can be used"));
    assert!(text("(module)").contains("`proxy_abi_version_0_2_1`"));
    let import = text(
        r#"(module (import "env" "no_such" (func)) (func (export "proxy_abi_version_0_2_1")))"#,
    );
    assert!(import.contains("no_such"), "{import}");
    let kind = text(
        r#"(module (import "env" "proxy_log" (func (param i64))) (func (export "proxy_abi_version_0_2_1")))"#,
    );
    assert!(kind.contains("proxy_log"), "{kind}");
    let memory = text(
        r#"(module (import "env" "proxy_done" (func (result i32))) (func (export "proxy_abi_version_0_2_1"))
           (func (export "proxy_on_log") (param i32)))"#,
    );
    assert!(memory.contains("`memory`"), "{memory}");
}

fn build_error(text: &str) -> String {
    let module = try_load(text).unwrap();
    match Harness::of(&*module, Surroundings::default(), "{}") {
        Ok(_) => panic!("built"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_module_that_does_not_want_its_configuration_is_refused() {
    let mut wat = Wat::new();
    wat.function("proxy_on_configure", 2, true, "(i32.const 0)");
    assert!(build_error(&wat.text()).contains("refused its configuration"));
    let mut wat = Wat::new();
    wat.function("proxy_on_vm_start", 2, true, "(i32.const 0)");
    assert!(build_error(&wat.text()).contains("refused to start"));
    let mut wat = Wat::new();
    wat.function("proxy_on_configure", 2, true, "(unreachable)");
    assert!(build_error(&wat.text()).contains("unreachable"));
    let mut wat = Wat::new();
    wat.function("proxy_on_request_headers", 1, true, "(i32.const 0)");
    assert!(build_error(&wat.text()).contains("`proxy_on_request_headers`"));
    let mut wat = Wat::new();
    wat.function("_start", 0, false, "(call $proc_exit (i32.const 3))");
    assert!(build_error(&wat.text()).contains("exit code 3"));
}

#[test]
fn a_start_that_never_ends_is_ended() {
    let mut wat = Wat::new();
    wat.function("proxy_on_configure", 2, true, "(loop $more (br $more)) (i32.const 1)");
    let module = Wasm::new()
        .load(
            "test",
            &wat::parse_str(wat.text()).unwrap(),
            switchback_plugin_wasm::Limits { start: Duration::from_millis(50), ..limits() },
        )
        .unwrap();
    let begun = Instant::now();
    let error = Harness::of(&*module, Surroundings::default(), "{}").map(drop).unwrap_err();
    assert!(error.message.contains("longer than 50ms"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_program_that_ends_well_has_begun() {
    let mut wat = Wat::new();
    wat.function("_start", 0, false, "(call $proc_exit (i32.const 0))");
    let module = try_load(&wat.text()).unwrap();
    assert!(Harness::of(&*module, Surroundings::default(), "{}").is_ok());
}

/// A module of the first version: other names, no end of the stream, and functions that say nothing.
#[test]
fn modules_of_0_1_0_are_run() {
    let text = r#"(module
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
        (import "env" "proxy_continue_request" (func $continue))
        (import "env" "proxy_clear_route_cache" (func $clear))
        (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "emscripten_notify_memory_growth" (func (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "x-said")
        (func (export "proxy_abi_version_0_1_0"))
        (func (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (drop (call $configuration (i32.const 16) (i32.const 20))) (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
          (call $clear)
          (call $continue)
          (drop (call $add (i32.const 0) (i32.const 64) (i32.const 6) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
          (i32.const 1)))"#;
    let module = try_load(text).unwrap();
    assert_eq!(module.hooks(), Hooks::of(&[Hook::Request]));
    let mut harness = Harness::of(&*module, Surroundings::default(), r#""old""#).unwrap();
    let mut scene = Scene::get("/");
    assert!(matches!(harness.call(Hook::Request, &mut scene), switchback_plugin::Flow::Continue));
    assert_eq!(said(&scene), ["old"]);
}

#[test]
fn a_module_is_compiled_once_and_forgotten_with_its_last_use() {
    let code = wat::parse_str(Wat::new().text()).unwrap();
    let wasm = Wasm::new();
    assert_eq!(wasm.loaded(), 0);
    let first = wasm.load("one", &code, limits()).unwrap();
    let second = wasm.load("two", &code, limits()).unwrap();
    assert_eq!((first.name(), second.name(), first.kind()), ("one", "two", Kind::Wasm));
    assert_eq!(wasm.loaded(), 1);
    let harness = Harness::of(&*first, Surroundings::default(), "{}").unwrap();
    let instance = Arc::clone(harness.instance());
    let state = instance.start();
    drop((first, second, harness, instance));
    assert_eq!(wasm.loaded(), 0, "a request keeps its instance, not the module");
    drop(state);
}

/// Signals belong to whoever uses the library: wasmtime is told to do without them.
#[test]
fn no_signal_is_taken() {
    let taken = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("SigCgt")).unwrap().to_owned()
    };
    let before = taken();
    let mut wat = Wat::new();
    wat.on_request("(unreachable)");
    let module = try_load(&wat.text()).unwrap();
    let mut harness = Harness::of(&*module, Surroundings::default(), "{}").unwrap();
    let _ = harness.call(Hook::Request, &mut Scene::get("/"));
    assert_eq!(taken(), before);
}
