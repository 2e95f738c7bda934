//! Modules as text, and one of our own SDK, run as the proxy runs them: but for the network.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod failures;
mod flow;
mod functions;
mod isolation;
mod loading;
mod metrics;
mod ours;
mod public_examples;
mod wat_text;

use std::sync::Arc;

use switchback_plugin::Module;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin_wasm::{Limits, LoadError, Wasm};

use wat_text::Wat;

/// One instance, and time enough for machines that have much to do.
fn limits() -> Limits {
    Limits { cpu: std::time::Duration::from_millis(200), ..Limits::new(1) }
}

fn try_load(text: &str) -> Result<Arc<dyn Module>, LoadError> {
    Wasm::new().load("test", &wat::parse_str(text).unwrap(), limits())
}

fn harness(wat: &Wat) -> Harness {
    harness_with(wat, "{}")
}

fn harness_with(wat: &Wat, options: &str) -> Harness {
    let module = try_load(&wat.text()).unwrap();
    Harness::of(&*module, Surroundings::default(), options).unwrap()
}

/// What a module has added to the request, one value after the other.
fn said(scene: &Scene) -> Vec<String> {
    let values = scene.fields(switchback_plugin::Map::RequestHeaders).get_all("x-said");
    values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// What a module has written to the log of a request.
fn logged(scene: &Scene) -> Vec<String> {
    scene.lines().into_iter().map(|line| line.message).collect()
}
