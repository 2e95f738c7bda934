//! Prints what plugins were promised to do beside what was found: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. The name of a part plays that part alone.

mod bench;
mod conformance;
mod faults;

use std::process::ExitCode;

use switchback_integration::Show;

/// What may be played alone, by its name.
type Part = (&'static str, fn(&mut Show));

const PARTS: &[Part] = &[
    ("conformance", conformance::all),
    ("faults", faults::all),
    ("bench", bench::all),
    ("missing", missing),
];

/// What was promised and is not played here yet, beside what is wanted.
const MISSING: [(&str, &str); 3] = [
    ("100 reloads that swap modules under load", "0 failed of 100,000"),
    ("examples of the public proxy-wasm SDK (wasm-guest.sh --examples)", "run unchanged"),
    ("user instructions that five linked plugins add", "at most 2 %"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let chosen = PARTS.iter().any(|(name, _)| named(name));
    let mut show = Show::default();
    for (_, play) in PARTS.iter().filter(|(name, _)| !chosen || named(name)) {
        play(&mut show);
    }
    show.verdict()
}

/// No line is left out for want of a figure.
fn missing(show: &mut Show) {
    for (what, wanted) in MISSING {
        show.line(what, "not played yet", wanted, false);
    }
}
