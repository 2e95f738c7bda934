//! The public list of HTTP/2 conformance cases, played by h2spec where `$H2SPEC` names it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::config::config;
use crate::guard::must_not_outlive;
use crate::proxy::Proxy;

/// How many of its cases ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H2spec {
    /// In all.
    pub cases: usize,
    /// As they should.
    pub passed: usize,
    /// Left out by the tool.
    pub skipped: usize,
    /// Otherwise, and what it says of each.
    pub failed: usize,
    /// The lines of its report that speak of failures.
    pub failures: Vec<String>,
}

/// Plays all cases against a listener with TLS; `None` when `$H2SPEC` names no program.
///
/// # Panics
/// When the proxy does not start, or the tool prints no summary.
#[must_use]
pub fn h2spec() -> Option<H2spec> {
    let tool = std::env::var_os("H2SPEC").map(PathBuf::from).filter(|path| path.is_file())?;
    let tls = "tls = { self_signed = [\"localhost\"] }";
    let proxy = Proxy::start(&config().top("workers = 2").web(tls).site("").respond("/*", "hello"));
    let port = proxy.address("web").port().to_string();
    let mut command = Command::new(tool);
    command.args(["--strict", "--tls", "--insecure", "--host", "127.0.0.1", "--port", &port]);
    command.args(["--timeout", "5"]).stdin(Stdio::null());
    // Its exit code is 1 when a case failed; the summary says how many.
    let child = command.stdout(Stdio::piped()).spawn().expect("$H2SPEC can be started");
    must_not_outlive(child.id());
    let output = child.wait_with_output().expect("it is our child");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(parse(&printed).unwrap_or_else(|| panic!("no summary of h2spec in:\n{printed}")))
}

/// Its last line: `146 tests, 145 passed, 1 skipped, 0 failed`.
fn parse(printed: &str) -> Option<H2spec> {
    let plain = without_colours(printed);
    let summary = plain.lines().rev().find(|line| line.contains(" tests, "))?;
    let number = |word: &str| {
        let part = summary.split(',').find(|part| part.trim().ends_with(word))?;
        part.split_whitespace().next()?.parse().ok()
    };
    // Each failed case is marked in its place, and once more in a list at the end.
    let listed = plain.split_once("Failures:").map_or("", |(_, listed)| listed);
    let failures = listed.lines().map(str::trim).filter(|line| line.starts_with('\u{d7}'));
    let failures = failures.map(str::to_owned).collect();
    Some(H2spec {
        cases: number("tests")?,
        passed: number("passed")?,
        skipped: number("skipped")?,
        failed: number("failed")?,
        failures,
    })
}

/// Without the sequences that colour a terminal.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_summary_is_read_through_colours() {
        let printed = "    2: Sends invalid preface\r    \u{1b}[31m\u{d7} 2: Sends invalid preface\u{1b}[0m\n\
                       Failures: \n\n  3.5. Preface\n    \u{1b}[31m\u{d7} 2: Sends invalid preface\u{1b}[0m\n\
                       Finished in 1.5 seconds\n\u{1b}[32m147 tests, 145 passed, 1 skipped, 1 failed\u{1b}[0m\n";
        let found = parse(printed).unwrap();
        assert_eq!((found.cases, found.passed, found.skipped, found.failed), (147, 145, 1, 1));
        assert_eq!(found.failures, ["\u{d7} 2: Sends invalid preface"]);
        assert_eq!(parse("nothing"), None);
    }
}
