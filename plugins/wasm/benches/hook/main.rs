//! What it costs to call a Wasm module at the head of a request: one that does nothing, one that reads a header and sets another, the same
//! from our own SDK (`plugins/examples/touch`), and one of our own SDK with a state and hooks that may wait; with a context that is there,
//! and for whole requests, which begin and end.
//!
//! Prints the lowest mean of many rounds, each short enough to be left alone by other programs, in nanoseconds; of the modules that are named,
//! or of all. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little
//! input, and only looks whether all is done.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on stops")]

#[path = "../../../examples/touch/benches/native/head.rs"]
mod head;
#[path = "../../../benches/rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use head::Head;
use rounds::{Case, Size};
use switchback_plugin::testing::{Harness, Surroundings};
use switchback_plugin::{Called, Flow, Hook, Instance, State};
use switchback_plugin_wasm::{Limits, Wasm};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let wasm = Wasm::new();
    let modules = [
        ("raw_nothing", wat::parse_str(NOTHING).expect("a module")),
        ("raw_get_set", wat::parse_str(GET_SET).expect("a module")),
        ("sdk_get_set", fixture("touch")),
        ("sdk_with_state", fixture("guest")),
    ];
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let loaded = modules.into_iter().filter(|(name, _)| is_wanted(name)).map(|(name, code)| {
        let module = wasm.load(name, &code, Limits::new(1)).expect("it is loaded");
        let harness = Harness::of(&*module, Surroundings::default(), "{}").expect("no options");
        (name, Arc::clone(harness.instance()))
    });
    let instances: Vec<_> = loaded.collect();
    let mut cases = Vec::new();
    for (name, instance) in &instances {
        cases.push(hooks(name, &**instance));
        cases.push(requests(name, &**instance));
    }
    let Some(lowest) = rounds::lowest(&mut cases, Size::of(6_000, 500)) else {
        return ExitCode::FAILURE;
    };
    for (case, lowest) in cases.iter().zip(lowest) {
        println!("{}: {lowest:.1}", case.name);
    }
    ExitCode::SUCCESS
}

/// A module of our own SDK, as `integration/show/wasm-guest.sh` has built it.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.wasm.zst", env!("CARGO_MANIFEST_DIR"));
    std::fs::File::open(path).and_then(zstd::decode_all).expect("a module")
}

/// What all of them look at, and what tells the last one what to do.
fn head() -> Head {
    Head::with("x-do", "get-set")
}

/// One hook, in a context that is there.
fn hooks<'a>(name: &str, instance: &'a dyn Instance) -> Case<'a> {
    let (mut state, mut head, mut calls) = (instance.start(), head(), 0_u32);
    Case::new(format!("{name}_hook_ns"), move || {
        calls += 1;
        if calls.is_multiple_of(1000) {
            // One of them remembers each hook of a request: which are no such number.
            state = instance.start();
        }
        call(instance, &mut state, &mut head)
    })
}

/// A context that begins, one hook, and its end.
fn requests<'a>(name: &str, instance: &'a dyn Instance) -> Case<'a> {
    let mut head = head();
    Case::new(format!("{name}_request_ns"), move || {
        let mut state = black_box(instance.start());
        call(instance, &mut state, &mut head)
    })
}

fn call(instance: &dyn Instance, state: &mut State, head: &mut Head) -> bool {
    let called = instance.call(Hook::Request, state, black_box(head));
    if let Called::Done(Flow::Fail(failure)) = &called {
        eprintln!("{failure}");
    }
    matches!(called, Called::Done(Flow::Continue))
}

const NOTHING: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#;

/// With an allocator as cheap as can be: what is measured is the host.
const GET_SET: &str = r#"(module
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "user-agentx-seen")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (if (i32.ne (i32.const 0) (call $get
            (i32.const 0) (i32.const 64) (i32.const 10) (i32.const 16) (i32.const 20))) (then (unreachable)))
        (call $set (i32.const 0) (i32.const 74) (i32.const 6)
            (i32.load (i32.const 16)) (i32.load (i32.const 20)))))"#;
