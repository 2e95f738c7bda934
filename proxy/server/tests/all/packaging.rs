//! What stands in `docker/`, as far as it can be held to what the program does without a container or a service manager.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::command::{Folder, binary, repository};

fn shipped(name: &str) -> String {
    fs::read_to_string(repository().join("docker").join(name)).unwrap()
}

/// The values of each key of a unit, in order.
fn unit() -> HashMap<String, Vec<String>> {
    let text = shipped("switchback.service");
    let mut keys = HashMap::<_, Vec<_>>::new();
    for (key, value) in text.lines().filter(|line| !line.starts_with('#')).filter_map(assignment) {
        keys.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    keys
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    line.split_once('=')
}

/// What a program of this machine says, or nothing, said loudly, when it is not there.
fn say(program: &str, arguments: &[&str]) -> Option<std::process::Output> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok();
    if output.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing");
        eprintln!("SKIPPED: no {program} here");
    }
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_configuration_shipped_is_good_and_laid_out() {
    let folder = Folder::empty();
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("docker"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    assert!(files.len() >= 2);
    files.push(repository().join("conf/switchback.toml"));
    for file in files {
        let file = file.to_str().unwrap();
        folder.run(&["check", "-c", file]).expect_code(0).expect_stdout("is good");
        folder.run(&["fmt", "--check", file]).expect_code(0);
    }
}

#[test]
fn the_unit_says_what_the_process_promises() {
    let unit = unit();
    let one = |key: &str| unit[key].join(" ");
    assert_eq!(one("Type"), "notify-reload");
    assert_eq!(one("KillSignal"), "SIGQUIT");
    assert_eq!(one("RestartPreventExitStatus"), "1 2");
    assert_eq!(one("ExecStart"), "/usr/bin/switchback run -c /etc/switchback/switchback.toml");
    assert!(!unit.contains_key("ExecReload"), "the manager sends HUP and waits for READY");
    let patience: u64 = one("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    let shutdown = switchback::Config::default().shutdown_timeout.std();
    assert!(patience > shutdown.as_secs() + 5, "killed before `shutdown_timeout` has passed");
    for key in ["RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory"] {
        assert_eq!(one(key), "switchback", "{key}");
    }
    assert_eq!(one("CapabilityBoundingSet"), "CAP_NET_BIND_SERVICE");
    assert_eq!(one("AmbientCapabilities"), "CAP_NET_BIND_SERVICE");
    let sysusers = shipped("sysusers.conf");
    assert!(sysusers.lines().any(|line| line.starts_with(&format!("u {} ", one("User")))));
}

/// The unit as this machine's systemd understands it, with a program that is there.
fn understood(folder: &Folder) -> Option<String> {
    let version = text(&say("systemd-analyze", &["--version"])?.stdout);
    let version: u32 = version.split_whitespace().nth(1)?.parse().ok()?;
    let mut unit = shipped("switchback.service")
        .replace("/usr/bin/switchback run", &format!("{} run", binary().display()));
    if version < 253 {
        unit = unit.replace("Type=notify-reload", "Type=notify");
    }
    folder.write("switchback.service", &unit);
    Some(folder.path().join("switchback.service").to_str().unwrap().to_owned())
}

#[test]
fn systemd_understands_the_unit_and_finds_little_exposed() {
    let folder = Folder::empty();
    let Some(unit) = understood(&folder) else { return };
    let verified = say("systemd-analyze", &["verify", "--man=no", &unit]).unwrap();
    let complaints = text(&verified.stderr);
    assert!(
        verified.status.success() && !complaints.contains("switchback.service"),
        "{complaints}"
    );
    let arguments = ["security", "--offline=true", "--threshold=20", &unit];
    let exposed = say("systemd-analyze", &arguments).unwrap();
    assert!(exposed.status.success(), "{}", text(&exposed.stdout));
}

/// The system calls of a set, those of the sets in it too.
fn calls_of(set: &str, calls: &mut BTreeSet<String>) -> Option<()> {
    let listed = text(&say("systemd-analyze", &["syscall-filter", "--no-pager", set])?.stdout);
    assert!(listed.lines().count() > 2, "no set {set}");
    for call in listed.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match call.starts_with('@') {
            true if call != set => calls_of(call, calls)?,
            true => {}
            false => drop(calls.insert(call.to_owned())),
        }
    }
    Some(())
}

/// What the unit allows: its lines in order, those with `~` take away.
fn allowed() -> Option<BTreeSet<String>> {
    let mut allowed = BTreeSet::new();
    for line in &unit()["SystemCallFilter"] {
        let mut calls = BTreeSet::new();
        for set in line.trim_start_matches('~').split(' ') {
            calls_of(set, &mut calls)?;
        }
        match line.starts_with('~') {
            true => allowed.retain(|call| !calls.contains(call)),
            false => allowed.extend(calls),
        }
    }
    Some(allowed)
}

const TRACED: &str = r#"
pid_file = "run.pid"
workers = 2

[[log.access]]
file = "access.log"

[[listeners]]
address = "127.0.0.1:0"
tls = { self_signed = ["localhost"] }

[[listeners]]
name = "plain"
address = "127.0.0.2:0"

[[sites]]

[[sites.routes]]
respond = { body = "x" }

[[sites.routes]]
match = { path = "/switchback.toml" }
files = "."

[[sites.routes]]
match = { path = "/bad" }
proxy = "nobody"

[upstreams.nobody]
endpoints = ["localhost:1"]
"#;

/// Runs a process through its life and says which system calls it made; `None` without strace.
fn calls_made() -> Option<BTreeSet<String>> {
    say("strace", &["--version"])?;
    let folder = Folder::with("switchback.toml", TRACED);
    let mut traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "trace"])
        .args([binary().as_os_str(), "run".as_ref()])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(traced.stderr.take().unwrap()).lines();
    let plain =
        said.find_map(|line| line.unwrap().trim().strip_prefix("http://").map(str::to_owned));
    let plain = plain.unwrap();
    for path in ["/", "/bad", "/switchback.toml"] {
        let mut client = TcpStream::connect(&plain).unwrap();
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        client.read_to_string(&mut String::new()).unwrap();
    }
    for command in ["status", "reload", "reopen", "stop"] {
        folder.run(&[command]).expect_code(0);
    }
    assert!(traced.wait().unwrap().success());
    let trace = folder.read("trace");
    let calls = trace.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let name = call.trim_start().split_once('(')?.0;
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
    });
    Some(calls.map(str::to_owned).collect())
}

#[test]
fn the_unit_allows_every_system_call_of_a_whole_life() {
    let (Some(allowed), Some(made)) = (allowed(), calls_made()) else { return };
    assert!(allowed.contains("openat2") && allowed.contains("sendfile"));
    assert!(!allowed.contains("mount") && !allowed.contains("setpriority"));
    for call in ["accept4", "bind", "openat2", "sendfile"] {
        assert!(made.contains(call), "no {call}, not a whole life: {made:?}");
    }
    let refused: Vec<_> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_can_be_asked() {
    let image = shipped("Dockerfile");
    for line in [
        "USER switchback",
        "STOPSIGNAL SIGQUIT",
        "ENTRYPOINT [\"switchback\"]",
        "CMD [\"run\"]",
        "COPY docker/switchback.toml /etc/switchback/switchback.toml",
    ] {
        assert!(image.lines().any(|written| written == line), "no {line}");
    }
    assert!(image.contains("HEALTHCHECK ") && image.contains("CMD [\"switchback\", \"status\"]"));
    let user = image.find("\nUSER ").unwrap();
    assert!(!image[user..].contains("\nRUN "), "nothing is built after the user has changed");
    let minimum = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let rust = minimum.split_once("rust-version = \"").unwrap().1.split('"').next().unwrap();
    assert!(image.contains(&format!("FROM rust:{rust}-")), "built with Rust {rust}");
}

#[test]
fn the_origins_of_the_demo_are_those_it_is_composed_of() {
    let (compose, demo) = (shipped("compose.yaml"), shipped("demo.toml"));
    let commands = compose.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    let commands: Vec<Vec<String>> =
        commands.map(|list| serde_json::from_str(&list.replace("$$", "$")).unwrap()).collect();
    assert_eq!(commands.len(), 2);
    for command in &commands {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        let arguments = [&arguments[..], &["--print-config"]].concat();
        Folder::empty().run(&arguments).expect_code(0).expect_stdout("\":8080\"");
    }
    for origin in ["origin-a", "origin-b"] {
        assert!(
            compose.contains(&format!("\n  {origin}:\n"))
                && demo.contains(&format!("{origin}:8080"))
        );
    }
    assert!(compose.contains("./demo.toml:/etc/switchback/switchback.toml:ro"));
}

#[test]
fn rotated_logs_are_opened_again_by_a_command_that_exists() {
    let rules = shipped("logrotate");
    let command = rules.lines().map(str::trim).find(|line| line.contains("/usr/bin/")).unwrap();
    assert!(command.starts_with("/usr/bin/switchback reopen -c "), "{command}");
    assert!(rules.contains("/var/log/switchback/*.log {"), "where the unit's LogsDirectory is");
    Folder::empty().run(&["reopen", "--help"]).expect_code(0).expect_stdout("rotated");
}
