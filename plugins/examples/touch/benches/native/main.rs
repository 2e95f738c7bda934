//! What it costs to call a plugin that is linked in, and the same one in a native module: one that does nothing, and one that reads a header
//! and sets another.
//!
//! Prints the lowest mean of some rounds, in nanoseconds. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little
//! input.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(clippy::expect_used, reason = "a bench that cannot go on stops")]

mod head;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use head::Head;
use switchback_example_touch::{Nothing, Touch};
use switchback_plugin::testing::{Harness, Surroundings};
use switchback_plugin::{Called, Flow, Hook, Instance, Linked, Module};
use switchback_plugin_host::{Digest, Limits, ModuleFile, NativeLoader};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let is_tiny = !is_bench
        || std::env::args().any(|argument| argument == "--tiny")
        || std::env::var_os("SWITCHBACK_BENCH_TINY").is_some();
    let size = if is_tiny { (2, 100) } else { (4_000, 2_000) };
    let native = native(is_bench);
    let linked: [Arc<dyn Module>; 2] = [Linked::<Nothing>::module(), Linked::<Touch>::module()];
    let mut is_right = true;
    for (kind, plugins) in [("linked", &linked[..]), ("native", &native[..])] {
        for plugin in plugins {
            let instance = instance(&**plugin);
            let name = plugin.name();
            is_right &= answers(&format!("{kind}_{name}"), size, &*instance);
            is_right &= calls(&format!("{kind}_{name}_that_may_wait"), size, &*instance);
            is_right &= requests(&format!("{kind}_{name}_with_state"), size, &*instance);
        }
    }
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn instance(module: &dyn Module) -> Arc<dyn Instance> {
    let harness = Harness::of(module, Surroundings::default(), "{}").expect("no options");
    Arc::clone(harness.instance())
}

/// Calls of a hook that never waits, of a plugin that remembers nothing: as chains call these two.
fn answers(name: &str, size: (u32, u32), instance: &dyn Instance) -> bool {
    assert!(instance.is_stateless() && instance.immediate().contains(Hook::Request));
    let mut head = Head::with("x-here", "1");
    rounds(name, size, || {
        matches!(instance.answer(Hook::Request, black_box(&mut head)), Flow::Continue)
    })
}

/// Calls of the hook of one that may wait, or remembers something, with a state that is there.
fn calls(name: &str, size: (u32, u32), instance: &dyn Instance) -> bool {
    let (mut state, mut head) = (instance.start(), Head::with("x-here", "1"));
    rounds(name, size, || match instance.call(Hook::Request, &mut state, black_box(&mut head)) {
        Called::Done(Flow::Continue) => true,
        Called::Done(_) | Called::Waits(_) => false,
    })
}

/// Whole requests: a state made, a hook called, the state dropped.
fn requests(name: &str, size: (u32, u32), instance: &dyn Instance) -> bool {
    let mut head = Head::with("x-here", "1");
    rounds(name, size, || {
        let mut state = black_box(instance.start());
        let called = instance.call(Hook::Request, &mut state, black_box(&mut head));
        matches!(called, Called::Done(Flow::Continue))
    })
}

fn rounds(name: &str, (rounds, calls): (u32, u32), mut call: impl FnMut() -> bool) -> bool {
    let mut best = f64::INFINITY;
    let mut is_right = true;
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..calls {
            is_right &= call();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    }
    println!("{name}_ns: {best:.1}");
    is_right
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
