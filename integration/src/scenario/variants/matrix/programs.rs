//! Programs of other hands that ask, decode, and say what it was.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use super::{Job, Said, digest};

/// Where to ask.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// HTTP/1 and HTTP/2 without TLS.
    pub(super) plain: SocketAddr,
    /// Both with TLS.
    pub(super) secure: SocketAddr,
    /// A file with the certificate that they trust, and a folder to work in.
    pub(super) authority: PathBuf,
    pub(super) folder: PathBuf,
}

/// Debian's own Python has Debian's libraries; another that comes first in the path need not.
const PYTHON: &str = "/usr/bin/python3";

/// Whether it can decode all codings.
pub(super) fn python_is_there() -> bool {
    let mut command = Command::new(PYTHON);
    command.args(["-c", "import brotli, zstandard"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(super) fn python(place: &Place, jobs: &[Job]) -> Vec<Said> {
    let mut command = Command::new(PYTHON);
    command.args(["-c", include_str!("decode.py")]);
    asked_in_lines(command, place, jobs)
}

pub(super) fn node_is_there() -> bool {
    let mut command = Command::new("node");
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(super) fn node(place: &Place, jobs: &[Job]) -> Vec<Said> {
    let script = place.folder.join("decode.mjs");
    fs::write(&script, include_str!("decode.mjs")).expect("a temporary folder takes files");
    let mut command = Command::new("node");
    command.arg("--no-warnings").arg(script);
    asked_in_lines(command, place, jobs)
}

/// Tells a program all jobs, a line each, and reads a line for each.
fn asked_in_lines(mut command: Command, place: &Place, jobs: &[Job]) -> Vec<Said> {
    command.args([place.plain.to_string(), place.secure.to_string()]).arg(&place.authority);
    let lines = jobs.iter().enumerate().map(|(id, job)| {
        let Job { scheme, target, lines, .. } = job;
        json!({ "id": id, "scheme": scheme, "target": target, "accept": lines }).to_string() + "\n"
    });
    let told: String = lines.collect();
    let printed = printed(command, told.into_bytes());
    let mut said = vec![Said::default(); jobs.len()];
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        let id = line["id"].as_u64().and_then(|id| usize::try_from(id).ok());
        if let Some(one) = id.and_then(|id| said.get_mut(id)) {
            *one = Said::of(&line);
        }
    }
    said
}

fn printed(mut command: Command, told: Vec<u8>) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that was there");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writing = thread::spawn(move || {
        // It may end before it has read all, and then tells why.
        let _told = stdin.write_all(&told);
    });
    let output = child.wait_with_output().expect("a child ends");
    writing.join().expect("writing does not panic");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// curl decodes by itself what it asks for with `--compressed`. A process asks for all of a version, because it would send two
/// versions over one connection.
pub(super) fn curl(place: &Place, jobs: &[Job]) -> Vec<Said> {
    let mut said = vec![Said::default(); jobs.len()];
    for is_h2 in [false, true] {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--config", "-"]);
        let jobs = jobs.iter().enumerate().filter(|(_, job)| job.is_h2 == is_h2);
        let entries: Vec<String> = jobs.map(|(id, job)| curl_entry(place, id, job)).collect();
        let printed = printed(command, entries.join("next\n").into_bytes());
        for line in printed.lines() {
            let mut words = line.split(' ').map(str::parse);
            let (Some(Ok(id)), Some(Ok(exit))) = (words.next(), words.next()) else { continue };
            if let Some(one) = said.get_mut(id) {
                *one = curl_said(&place.folder, id, exit);
            }
        }
    }
    said
}

fn curl_entry(place: &Place, id: usize, job: &Job) -> String {
    let (address, authority) = (job.address(place), place.authority.display());
    let version = if job.is_h2 { "http2" } else { "http1.1" };
    let file = place.folder.join(id.to_string());
    let mut entry = format!(
        "url = \"{}://{address}{}\"\ncacert = \"{authority}\"\ncompressed\n{version}\n\
         show-error\noutput = \"{2}.body\"\ndump-header = \"{2}.head\"\n\
         write-out = \"{id} %{{exitcode}}\\n\"\n",
        job.scheme,
        job.target,
        file.display()
    );
    for line in &job.lines {
        // A field without a value ends in a semicolon.
        let field = if line.is_empty() { ";".to_owned() } else { format!(": {line}") };
        entry.push_str(&format!("header = \"Accept-Encoding{field}\"\n"));
    }
    if job.lines.is_empty() {
        entry.push_str("header = \"Accept-Encoding:\"\n");
    }
    entry
}

fn curl_said(folder: &Path, id: usize, exit: usize) -> Said {
    let head = fs::read_to_string(folder.join(format!("{id}.head"))).unwrap_or_default();
    // What is empty is not written.
    let body = fs::read(folder.join(format!("{id}.body"))).unwrap_or_default();
    let all = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Said {
        status: status.unwrap_or(0),
        coding: all("content-encoding"),
        vary: all("vary"),
        tag: all("etag"),
        text: Some(digest(&body)),
        error: (exit != 0).then(|| format!("curl ends with {exit}")),
        ..Said::default()
    }
}
