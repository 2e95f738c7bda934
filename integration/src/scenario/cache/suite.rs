//! The public list of cases for caches, played by its own program where `$CACHE_TESTS` names it.
//!
//! That is a folder with the package `http-cache-tests`, or a checkout of it, with what it needs installed (`npm install`).

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::conformance::Count;
use crate::config::config;
use crate::guard::must_not_outlive;
use crate::notify::NotifySocket;
use crate::patience::{Deadline, eventually};
use crate::peer::free_address;
use crate::proxy::{Child, Proxy};

/// How its cases ended.
#[derive(Clone, Debug, Default)]
pub struct CacheTests {
    /// Those that the list requires.
    pub required: Count,
    /// Those that it calls optimal.
    pub optimal: Count,
    /// Those that ask without judging.
    pub check: Count,
    /// What it says of each required or optimal case that did not pass.
    pub failures: Vec<String>,
}

/// Plays all cases against a proxy that stores responses with their cookies, and sends them to all who want their language most, as
/// the list wants it; `None` when `$CACHE_TESTS` names no such folder.
///
/// # Panics
/// When the proxy or the list's own origin does not start, or the list prints no results.
#[must_use]
pub fn cache_tests() -> Option<CacheTests> {
    let folder = std::env::var_os("CACHE_TESTS").map(PathBuf::from)?;
    let inside = folder.join("node_modules/http-cache-tests");
    let folder =
        [folder, inside].into_iter().find(|it| it.join("test-engine/cli.mjs").is_file())?;
    let origin = Server::start(&folder);
    let cache =
        "proxy = \"app\"\ncache = { zone = \"main\", store_cookies = true, match_language = true }";
    let zone = config().toml("[zones.main]\nmemory = \"64MiB\"\n").web("").site("");
    let proxy =
        Proxy::start(&zone.route("/*", cache).endpoints("app", &[origin.address.to_string()], ""));
    let base = format!("http://{}", proxy.address("web"));
    let mut play = node(&folder);
    play.args(["--no-warnings", "test-engine/cli.mjs"]).env("npm_config_base", base);
    let results = printed(play.env("npm_package_config_id", ""));
    let list = "import list from './tests/index.mjs'; console.log(JSON.stringify(list))";
    let list = printed(node(&folder).args(["--input-type=module", "-e", list]));
    Some(evaluate(&list, &results))
}

/// The list's own origin. It ends when dropped.
struct Server {
    address: SocketAddr,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let (own, address) =
            (tempfile::TempDir::new().expect("a temporary folder"), free_address());
        let mut command = node(folder);
        command.arg("test-engine/server/server.mjs").env("npm_config_protocol", "http");
        command.env("npm_config_port", address.port().to_string());
        command.env("npm_config_pidfile", own.path().join("pid"));
        let notify = NotifySocket::bind(own.path()).expect("a socket in an empty folder");
        let child = Child::spawn(command, notify.path().to_owned());
        let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        eventually("the origin of the list listens", Deadline::soon(), || {
            TcpStream::connect(address).ok()
        });
        Self { address, _child: child, _folder: own }
    }
}

fn node(folder: &Path) -> Command {
    let mut command = Command::new("node");
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// What a program prints, as JSON.
fn printed(command: &mut Command) -> Value {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("node can be started");
    must_not_outlive(child.id());
    let output = child.wait_with_output().expect("it is our child");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no results ({error}): {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// As the public results are counted: passed by itself, and passed with all that it depends upon.
fn evaluate(list: &Value, results: &Value) -> CacheTests {
    let mut cases: HashMap<&str, Case<'_>> = HashMap::new();
    let all = list.as_array().into_iter().flatten().flat_map(|part| part["tests"].as_array());
    for case in all.flatten().filter(|case| case["browser_only"] != Value::Bool(true)) {
        let id = case["id"].as_str().unwrap_or_default();
        let after = case["depends_on"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let kind = case["kind"].as_str().unwrap_or("required");
        cases.insert(id, Case { kind, after: after.collect(), result: &results[id] });
    }
    let mut found = CacheTests::default();
    for (id, case) in &cases {
        let count = match case.kind {
            "required" => &mut found.required,
            "optimal" => &mut found.optimal,
            _ => &mut found.check,
        };
        let passed = case.passed();
        count.cases += 1;
        count.passed += usize::from(passed);
        count.grounded += usize::from(passed && is_grounded(case, &cases, 16));
        if !passed && case.kind != "check" {
            let why = case.result[1].as_str().unwrap_or("not played");
            found.failures.push(format!("{} {id}: {why}", case.kind));
        }
    }
    found.failures.sort();
    found
}

struct Case<'a> {
    kind: &'a str,
    after: Vec<&'a str>,
    result: &'a Value,
}

impl Case<'_> {
    fn passed(&self) -> bool {
        *self.result == Value::Bool(true)
    }
}

fn is_grounded(case: &Case<'_>, all: &HashMap<&str, Case<'_>>, depth: usize) -> bool {
    case.after.iter().all(|id| {
        let below = all.get(id);
        depth > 0 && below.is_some_and(|it| it.passed() && is_grounded(it, all, depth - 1))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::evaluate;

    #[test]
    fn what_depends_on_a_failure_is_not_grounded() {
        let list = json!([{ "tests": [
            { "id": "a", "kind": "check" },
            { "id": "b", "depends_on": ["a"] },
            { "id": "c", "kind": "optimal" },
            { "id": "d", "browser_only": true },
        ] }]);
        let results = json!({ "a": ["Assertion", "no"], "b": true, "c": ["Setup", "why"] });
        let found = evaluate(&list, &results);
        assert_eq!(
            (found.required.cases, found.required.passed, found.required.grounded),
            (1, 1, 0)
        );
        assert_eq!((found.check.cases, found.optimal.passed), (1, 0));
        assert_eq!(found.failures, ["optimal c: why"]);
    }
}
