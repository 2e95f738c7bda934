//! `switchback plugin bench`: what each hook of a plugin costs.

use std::fmt::Write;
use std::time::{Duration, Instant};

use switchback_plugin::Hook;
use switchback_plugin::testing::{Harness, Scene, Surroundings};

use crate::cli::OnePlugin;
use crate::exit::Exit;
use crate::output::{fail, show};

/// Calls in one round; the fastest round counts, because whatever else the machine does only makes one slower.
const CALLS: u32 = 1000;

/// How long each hook is called.
const TIME: Duration = Duration::from_millis(300);

/// Calls each hook of a plugin again and again, with a request that is everywhere the same.
pub(super) fn bench(wanted: &OnePlugin) -> Exit {
    let module = match super::load(&wanted.plugin) {
        Ok(module) => module,
        Err(error) => return fail(error),
    };
    let options = wanted.options.as_deref().unwrap_or("{}");
    let mut harness = match Harness::of(&*module, Surroundings::default(), options) {
        Ok(harness) => harness,
        Err(error) => return fail(format_args!("{}: options: {error}", module.name())),
    };
    let mut out = format!("{} {} ({})\n", module.name(), module.version(), module.kind());
    for hook in Hook::ALL.into_iter().filter(|hook| *hook != Hook::Tick) {
        if harness.hooks().contains(hook) {
            let nanoseconds = fastest(|| drop(harness.call(hook, &mut scene())));
            let around = fastest(|| drop(scene()));
            // Writing to a string does not fail.
            let _ =
                writeln!(out, "{:<22} {:>8.0} ns", hook.name(), (nanoseconds - around).max(0.0));
        }
    }
    show(out)
}

fn scene() -> Scene {
    Scene::get("/products/17?colour=blue")
        .with_header("user-agent", "bench")
        .with_header("accept", "*/*")
        .with_client("192.0.2.17")
        .with_endpoint("10.0.0.1:8080")
        .with_endpoint("10.0.0.2:8080")
        .with_response(200)
        .with_response_header("content-type", "text/plain")
}

/// Nanoseconds of one call, in the fastest round.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut fastest = f64::INFINITY;
    let began = Instant::now();
    while began.elapsed() < TIME {
        let round = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        fastest = fastest.min(round.elapsed().as_secs_f64());
    }
    fastest * 1e9 / f64::from(CALLS)
}
