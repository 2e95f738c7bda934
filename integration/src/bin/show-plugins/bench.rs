//! What it costs to ask a plugin, of each kind: the lowest of many rounds, measured now, in release builds.

use std::process::Command;

use switchback_integration::Show;

/// A figure of a bench: `name_ns: 12.3`.
struct Figure {
    what: &'static str,
    name: &'static str,
    /// Nanoseconds.
    most: f64,
}

/// A bench, and what is read of it.
struct Bench {
    package: &'static str,
    bench: &'static str,
    figures: &'static [Figure],
}

const BENCHES: [Bench; 3] = [
    Bench {
        package: "switchback-plugin-host",
        bench: "chain",
        figures: &[
            Figure { what: "empty chain", name: "empty_ns", most: 5.0 },
            Figure { what: "linked, nothing done", name: "idle_ns", most: 10.0 },
            Figure {
                what: "linked, a header read and one set, names and values made when it was built",
                name: "get_and_set_made_ns",
                most: 60.0,
            },
            Figure {
                what: "linked, the same with names and values that are text",
                name: "get_and_set_ns",
                most: 60.0,
            },
        ],
    },
    Bench {
        package: "switchback-example-touch",
        bench: "native",
        figures: &[
            Figure { what: "native, nothing done", name: "native_nothing_ns", most: 15.0 },
            Figure {
                what: "native, a header read and one set",
                name: "native_touch_ns",
                most: 110.0,
            },
        ],
    },
    Bench {
        package: "switchback-plugin-wasm",
        bench: "hook",
        figures: &[
            Figure {
                what: "proxy-wasm, a header read and one set",
                name: "raw_get_set_hook_ns",
                most: 250.0,
            },
            Figure {
                what: "Wasm of our SDK, a header read and one set",
                name: "sdk_get_set_hook_ns",
                most: 500.0,
            },
        ],
    },
];

/// Each bench, figure by figure.
pub(crate) fn all(show: &mut Show) {
    for bench in &BENCHES {
        let said = play(bench);
        for figure in bench.figures {
            let found = said.as_deref().ok().and_then(|said| read(said, figure.name));
            let wanted = format!("at most {} ns", figure.most);
            let (text, holds) = match found {
                Some(found) => (format!("{found:.1} ns"), found <= figure.most),
                None => ("the bench does not say".to_owned(), false),
            };
            show.line(figure.what, &text, &wanted, holds);
        }
        if let Err(error) = said {
            show.say(&format!("  {}: {error}", bench.package));
        }
    }
}

fn play(bench: &Bench) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--quiet", "--package", bench.package, "--bench", bench.bench])
        .env_remove("SWITCHBACK_BENCH_TINY")
        .output()
        .map_err(|error| error.to_string())?;
    // One that falls short ends with a code of its own, and has said its figures.
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(said)
}

fn read(said: &str, name: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
