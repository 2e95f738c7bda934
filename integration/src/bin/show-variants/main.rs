//! Prints what forms of a response were promised to be beside what was found: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--quick` plays less of what takes long; the
//! name of a part plays that part alone. Each part is a module.

mod bombs;
mod browser;
mod bytes;
mod cost;
mod matrix;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use switchback_integration::{Show, UNPACK, unpack_file};

/// What may be played alone, by its name; it is told whether there is little time.
type Part = (&'static str, fn(&mut Show, bool));

const PARTS: [Part; 6] = [
    ("matrix", matrix::all),
    ("browser", browser::visits),
    ("bytes", bytes::table),
    ("bombs", bombs::all),
    ("hit-path", cost::hit_path),
    ("nginx", cost::beside_nginx),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, coding, file] = arguments.as_slice()
        && first == UNPACK
    {
        // A part of the show that needs a process of its own.
        let told = std::io::stdout().write_all(unpack_file(coding, Path::new(file)).as_bytes());
        return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let chosen = PARTS.iter().any(|(name, _)| named(name));
    let mut show = Show::default();
    for (_, play) in PARTS.iter().filter(|(name, _)| !chosen || named(name)) {
        play(&mut show, named("--quick"));
    }
    show.verdict()
}
