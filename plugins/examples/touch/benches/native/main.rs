//! What it costs to call a plugin that is linked in, and the same one in a native module: one that does nothing, and one that reads a header
//! and sets another.
//!
//! Prints the lowest mean of some rounds, in nanoseconds. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little
//! input.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on stops")]

mod head;
#[path = "../../../../benches/rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use head::Head;
use rounds::{Case, Size};
use switchback_example_touch::{Nothing, Touch};
use switchback_plugin::testing::{Harness, Surroundings};
use switchback_plugin::{Called, Flow, Hook, Instance, Linked, Module};
use switchback_plugin_host::{Digest, Limits, ModuleFile, NativeLoader};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let native = native(std::env::args().any(|argument| argument == "--bench"));
    let linked: [Arc<dyn Module>; 2] = [Linked::<Nothing>::module(), Linked::<Touch>::module()];
    let kinds = [("linked", &linked[..]), ("native", &native[..])];
    let modules = kinds.iter().flat_map(|(kind, plugins)| {
        plugins.iter().map(move |plugin| (format!("{kind}_{}", plugin.name()), instance(&**plugin)))
    });
    let instances: Vec<_> = modules.collect();
    let mut cases = Vec::new();
    for (name, instance) in &instances {
        cases.push(answers(name, &**instance));
        cases.push(calls(&format!("{name}_that_may_wait"), &**instance));
        cases.push(requests(&format!("{name}_with_state"), &**instance));
    }
    let Some(lowest) = rounds::lowest(&mut cases, Size::of(4_000, 2_000)) else {
        return ExitCode::FAILURE;
    };
    for (case, lowest) in cases.iter().zip(lowest) {
        println!("{}_ns: {lowest:.1}", case.name);
    }
    ExitCode::SUCCESS
}

fn instance(module: &dyn Module) -> Arc<dyn Instance> {
    let harness = Harness::of(module, Surroundings::default(), "{}").expect("no options");
    Arc::clone(harness.instance())
}

/// Calls of a hook that never waits, of a plugin that remembers nothing: as chains call these two.
fn answers<'a>(name: &str, instance: &'a dyn Instance) -> Case<'a> {
    assert!(instance.is_stateless() && instance.immediate().contains(Hook::Request));
    let mut head = Head::with("x-here", "1");
    Case::new(name, move || {
        matches!(instance.answer(Hook::Request, black_box(&mut head)), Flow::Continue)
    })
}

/// Calls of the hook of one that may wait, or remembers something, with a state that is there.
fn calls<'a>(name: &str, instance: &'a dyn Instance) -> Case<'a> {
    let (mut state, mut head) = (instance.start(), Head::with("x-here", "1"));
    Case::new(name, move || {
        let called = instance.call(Hook::Request, &mut state, black_box(&mut head));
        matches!(called, Called::Done(Flow::Continue))
    })
}

/// Whole requests: a state made, a hook called, the state dropped.
fn requests<'a>(name: &str, instance: &'a dyn Instance) -> Case<'a> {
    let mut head = Head::with("x-here", "1");
    Case::new(name, move || {
        let mut state = black_box(instance.start());
        let called = instance.call(Hook::Request, &mut state, black_box(&mut head));
        matches!(called, Called::Done(Flow::Continue))
    })
}

/// The module, built as this bench is.
fn native(is_release: bool) -> Vec<Arc<dyn Module>> {
    let path = build(is_release);
    let bytes = std::fs::read(&path).expect("it was built");
    let digest = Digest::of(&bytes);
    let file = ModuleFile { path: &path, bytes: &bytes, digest, limits: Limits::default() };
    NativeLoader::new().plugins(&file).expect("a module").to_vec()
}

fn build(is_release: bool) -> PathBuf {
    let profile = if is_release { "release" } else { "dev" };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder of its own");
    let status = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--offline", "--lib", "--crate-type", "cdylib"])
        .args(["--features", "module", "--package", env!("CARGO_PKG_NAME"), "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.expect("cargo runs").success());
    let folder = if is_release { "release" } else { "debug" };
    target.join(folder).join("libswitchback_example_touch.so")
}
