//! Prints what plugins were promised to do beside what was found: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` plays less of what takes long; the name of a part
//! plays that part alone.

mod bench;
mod conformance;
mod examples;
mod faults;
mod instructions;
mod reload;

use std::process::ExitCode;

use switchback_integration::Show;

/// What may be played alone, by its name.
type Part = (&'static str, fn(&mut Show));

const PARTS: &[Part] = &[
    ("conformance", conformance::all),
    ("faults", faults::all),
    ("reload", reload::all),
    ("instructions", instructions::all),
    ("examples", examples::all),
    ("bench", bench::all),
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

/// Whether there is little time.
pub(crate) fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}
