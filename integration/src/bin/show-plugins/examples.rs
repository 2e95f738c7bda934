//! Modules of other hands: the examples of the public Rust SDK of proxy-wasm, built now from a copy of its repository.

use std::path::Path;
use std::process::Command;

use switchback_integration::Show;

const WHAT: &str = "examples of the public proxy-wasm Rust SDK, unchanged";
const WANTED: &str = "5 of 5 run";
/// The exit code of a script that cannot be played here, and has said why.
const NOT_HERE: i32 = 77;

/// Builds and runs them, where there is a toolchain for wasm32 and `PROXY_WASM_SDK` names that copy.
pub(crate) fn all(show: &mut Show) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("show/wasm-guest.sh");
    let output = match Command::new(script).arg("--only-examples").output() {
        Ok(output) => output,
        Err(error) => return show.line(WHAT, &error.to_string(), WANTED, false),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(NOT_HERE) {
        let why = said.lines().last().unwrap_or_default();
        return show.line(WHAT, &format!("not played: {why}"), WANTED, false);
    }
    let passed = said.lines().filter_map(passed).next().unwrap_or_default();
    let holds = output.status.success() && passed == 5;
    show.line(WHAT, &format!("{passed} of 5 run"), WANTED, holds);
    if !holds {
        let wrong = String::from_utf8_lossy(&output.stderr);
        said.lines().chain(wrong.lines()).for_each(|line| show.say(&format!("  {line}")));
    }
}

/// How many tests the line of a verdict says have passed.
fn passed(line: &str) -> Option<usize> {
    line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0.parse().ok()
}
