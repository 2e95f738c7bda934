//! Prints what upstreams were promised to do beside what was found: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` plays less of what takes long; the
//! name of a part plays that part alone. Each part is a module.

mod crowd;
mod failures;
mod hedging;
mod hot;
mod mapping;
mod reshard;

use std::process::ExitCode;

use switchback_integration::Show;

/// What may be played alone, by its name; it is told whether there is little time.
type Part = (&'static str, fn(&mut Show, bool));

const PARTS: &[Part] = &[
    ("mapping", mapping::all),
    ("hot", hot::all),
    ("reshard", reshard::all),
    ("failures", failures::all),
    ("hedging", hedging::all),
    ("overload", crowd::overloaded),
    ("storm", crowd::stormed),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let chosen = PARTS.iter().any(|(name, _)| named(name));
    let mut show = Show::default();
    for (_, play) in PARTS.iter().filter(|(name, _)| !chosen || named(name)) {
        play(&mut show, named("--quick"));
    }
    show.verdict()
}
