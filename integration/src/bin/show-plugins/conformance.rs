//! One plugin as each kind: whether all that can be seen of it is the same. Played by the tests of the plugin itself, which build it.

use std::process::Command;

use switchback_integration::Show;

/// A test that says how many cases it has compared, and which kinds.
const TESTS: [(&str, &str, &str); 2] = [
    ("every hook with every action, in each kind", "switchback-example-conformance", "conformance"),
    ("modules in C, with today's header and with that of 1.0", "switchback-plugin-host", "native"),
];

/// Each test, as it ends.
pub(crate) fn all(show: &mut Show) {
    for (what, package, test) in TESTS {
        let (figure, holds) = play(package, test);
        show.line(what, &figure, "all alike", holds);
    }
}

fn play(package: &str, test: &str) -> (String, bool) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--quiet", "--package", package, "--test", test, "--", "--nocapture"])
        .output();
    match output {
        Err(error) => (error.to_string(), false),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let lines = || {
                said.lines()
                    .filter(|line| line.starts_with("alike: ") || line.starts_with("test result: "))
            };
            (lines().collect::<Vec<_>>().join("; "), output.status.success())
        }
    }
}
