//! What a server of files opens while it is asked for what lies outside, as the kernel saw it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::client::Client;
use crate::command::switchback_binary;
use crate::message::get;
use crate::peer::Tool;

/// What was asked, and what was opened meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Escapes {
    /// Requests for something outside.
    pub requests: usize,
    /// How many of them were answered with a file.
    pub served: usize,
    /// Paths outside of the directory that were opened, by the lines of strace that say so.
    pub outside: Vec<String>,
    /// Files in the directory that were opened, to show that the trace sees them.
    pub inside: usize,
}

/// Every way up, in every encoding that may arrive.
const TARGETS: [&str; 20] = [
    "/../secret",
    "/../../../../../../../../etc/passwd",
    "/..%2fsecret",
    "/%2e%2e/secret",
    "/%2e%2e%2fsecret",
    "/.%2e/secret",
    "/%252e%252e/secret",
    "/%252e%252e%252fsecret",
    "/a/../../secret",
    "/a/..%5c..%5csecret",
    "/..;/secret",
    "/%c0%ae%c0%ae/secret",
    "/%e0%80%ae%e0%80%ae/secret",
    "/..%00/secret",
    "//../secret",
    "/link",
    "/relative",
    "/up/secret",
    "/up/up/secret",
    "/pipe",
];

/// Asks for everything outside while strace looks on; `None` when it is not installed.
///
/// # Panics
/// When the server does not start, or no trace comes of it.
#[must_use]
pub fn escapes() -> Option<Escapes> {
    let mut strace = Tool::Strace.command()?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let www = lay_out(&folder);
    let mut traced = strace
        .args(["-f", "-qq", "-y", "-e", "trace=open,openat,openat2", "-o", "trace"])
        .arg(switchback_binary())
        .args(["serve", "www", "--listen", "127.0.0.1:0", "--workers", "1"])
        .current_dir(folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("strace can be started");
    let said = BufReader::new(traced.stdout.take().expect("its standard output was asked for"));
    let address = said
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.trim().strip_prefix("http://")?.trim_end_matches('/').parse().ok());
    let mut client = Client::tcp(address.expect("the server says where it listens"));
    let mut found = Escapes { requests: TARGETS.len(), ..Escapes::default() };
    // What is opened between these two is opened for what is asked between them.
    client.ask(&get("/first")).expect_status(200);
    for target in TARGETS {
        let answer = Client::tcp(address.expect("it said so")).ask(&get(target));
        found.served += usize::from(answer.status == 200);
    }
    client.ask(&get("/last")).expect_status(200);
    // The server stops, and then strace has nothing more to write.
    let group = i32::try_from(traced.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process_group(group, Signal::TERM).expect("a group of our own can be ended");
    let _status = traced.wait();
    let trace =
        std::fs::read_to_string(folder.path().join("trace")).expect("strace writes a trace");
    judge(&trace, &www, &mut found);
    Some(found)
}

/// A directory to serve, with ways out of it; its path as the kernel tells it.
fn lay_out(folder: &TempDir) -> String {
    let www = folder.path().join("www");
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("a file is written");
    std::fs::create_dir(&www).expect("a folder is made");
    write(&folder.path().join("secret"), "secret");
    ["first", "last", "a"].iter().for_each(|name| write(&www.join(name), name));
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, www.join(name)).expect("a link is made");
    };
    link(&folder.path().join("secret").to_string_lossy(), "link");
    link("../secret", "relative");
    link("..", "up");
    let made = Command::new("mkfifo").arg(www.join("pipe")).status();
    assert!(made.is_ok_and(|status| status.success()), "a pipe is made");
    www.canonicalize().expect("it is there").to_string_lossy().into_owned()
}

/// Sorts what was opened after the first file and before the last.
fn judge(trace: &str, www: &str, found: &mut Escapes) {
    let lines = trace.lines().skip_while(|line| !line.contains("\"first\"")).skip(1);
    for line in lines.take_while(|line| !line.contains("\"last\"")) {
        // `openat2(5</www>, "name", ...) = 6</www/name>`; a failure gives no descriptor.
        let Some((_, opened)) = line.rsplit_once(" = ") else { continue };
        let Some(path) = opened.split_once('<').map(|(_, path)| path.trim_end_matches('>')) else {
            continue;
        };
        if path == www || path.starts_with(&format!("{www}/")) {
            found.inside += 1;
        } else {
            found.outside.push(line.to_owned());
        }
    }
}
