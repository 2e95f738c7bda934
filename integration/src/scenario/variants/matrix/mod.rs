//! Every client gets what it can read, and the same bytes: asked and decoded by programs of other hands.

mod browsed;
mod cells;
mod origin;
mod programs;

use std::collections::HashMap;
use std::net::SocketAddr;

use aws_lc_rs::digest::SHA256;
use serde_json::Value;
use tempfile::TempDir;

use crate::certs::Authority;
use crate::config::{Config, config};
use crate::origin::Origin;
use crate::peer::Tool;
use crate::proxy::Proxy;
use cells::{Cell, FORMS, Form};
use programs::Place;

/// A program of another hand that decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherHand {
    /// Python with Debian's libraries, over HTTP/1, with and without TLS.
    Python,
    /// Node, over HTTP/2, with and without TLS.
    Node,
    /// curl, over HTTP/1 and over HTTP/2 with TLS, of all requests one in seven.
    Curl,
    /// A browser, over HTTP/1 and over HTTP/2 with TLS; what it can decode it says itself.
    Chromium,
}

/// What one of them found.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Answers that it looked at.
    pub answers: usize,
    /// Those whose body it cannot decode, because it knows nothing of the coding.
    pub unread: usize,
    /// What was wrong: which answer, and how.
    pub faults: Vec<String>,
}

/// Has it ask for all cells in all forms; `None` where it is not installed.
///
/// # Panics
/// When the proxy or the program does not start.
#[must_use]
pub fn matrix(by: OtherHand, is_quick: bool) -> Option<Matrix> {
    if !by.is_there() {
        return None;
    }
    let cells = cells::cells(is_quick);
    let origin = origin::origin(&cells);
    let authority = Authority::new();
    let proxy = Proxy::start(&configured(&origin, &authority));
    let folder = TempDir::new().expect("a temporary folder");
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).expect("a temporary folder takes files");
    let place = Place {
        plain: proxy.address("web"),
        secure: proxy.address("tls"),
        authority: trusted,
        folder: folder.path().to_owned(),
    };
    let jobs = by.jobs(&cells);
    let (jobs, said) = match by {
        OtherHand::Python => (jobs.clone(), programs::python(&place, &jobs)),
        OtherHand::Node => (jobs.clone(), programs::node(&place, &jobs)),
        OtherHand::Curl => (jobs.clone(), programs::curl(&place, &jobs)),
        OtherHand::Chromium => browsed::chromium(&place, &cells, &origin),
    };
    Some(judged(&cells, &jobs, &said))
}

/// Both listeners, and each route for what passes and for what is stored.
fn configured(origin: &Origin, authority: &Authority) -> Config {
    let identity = authority.identity(&["localhost", "127.0.0.2"]);
    let unbounded = "limits = { keepalive_requests = 1000000 }";
    config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web(format_args!("h2c = true\n{unbounded}"))
        .listener(format_args!(
            "name = \"tls\"\naddress = \"127.0.0.2:0\"\n{unbounded}\n\
             tls = {{ certificate = \"edge.pem\", key = \"edge.key\" }}"
        ))
        .toml("[zones.main]\nmemory = \"512MiB\"\n")
        .site("encode = \"on\"")
        .route("/passing/*", "proxy = \"app\"")
        .route("/cached/*", "proxy = \"app\"\ncache = { zone = \"main\", key = \"$uri\" }")
        .route("/*", "proxy = \"app\"\nencode = \"off\"")
        .upstream("app", &[origin], "")
}

/// A cell in a form.
#[derive(Clone, Debug)]
struct Job {
    cell: usize,
    form: &'static Form,
    scheme: &'static str,
    is_h2: bool,
    target: String,
    lines: Vec<&'static str>,
}

impl Job {
    fn address(&self, place: &Place) -> SocketAddr {
        if self.scheme == "https" { place.secure } else { place.plain }
    }
}

impl OtherHand {
    fn is_there(self) -> bool {
        match self {
            Self::Python => programs::python_is_there(),
            Self::Node => programs::node_is_there(),
            Self::Curl => Tool::Curl.quiet_command().is_some(),
            Self::Chromium => Tool::Chromium.quiet_command().is_some(),
        }
    }

    fn jobs(self, cells: &[Cell]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (cell, form) in (0..cells.len()).flat_map(|cell| FORMS.iter().map(move |it| (cell, it)))
        {
            for (scheme, is_h2) in
                [("http", false), ("https", false), ("http", true), ("https", true)]
            {
                let (target, lines) = (cells[cell].target(), form.lines.to_vec());
                jobs.push(Job { cell, form, scheme, is_h2, target, lines });
            }
        }
        match self {
            Self::Python => jobs.retain(|job| !job.is_h2),
            Self::Node => jobs.retain(|job| job.is_h2),
            // No dimension has a multiple of seven, so each meets each.
            Self::Curl => {
                // curl 7.88 does not use a connection of plain HTTP/2 twice.
                jobs.retain(|job| job.scheme == "https" || !job.is_h2);
                jobs = jobs.into_iter().step_by(7).collect();
            }
            Self::Chromium => jobs.clear(),
        }
        jobs
    }
}

/// What a program found of an answer.
#[derive(Clone, Debug, Default)]
struct Said {
    status: u16,
    coding: Vec<String>,
    vary: Vec<String>,
    tag: Vec<String>,
    /// Of what was sent, and of what that decodes to.
    raw: Option<String>,
    text: Option<String>,
    /// The status of the answer to a request with its tag, and the tag of that.
    again: Option<(u64, String)>,
    error: Option<String>,
}

impl Said {
    fn of(line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let all = |name: &str| {
            let values = line[name].as_array().into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            status: line["status"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(0),
            coding: all("content-encoding"),
            vary: all("vary"),
            tag: all("etag"),
            raw: text("raw"),
            text: text("text"),
            again: line["again"]
                .as_u64()
                .map(|status| (status, text("again-etag").unwrap_or_default())),
            error: text("error"),
        }
    }
}

/// As the programs write it.
fn digest(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&SHA256, body);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn judged(cells: &[Cell], jobs: &[Job], said: &[Said]) -> Matrix {
    let digests: Vec<String> = cells.iter().map(|cell| digest(&cell.text())).collect();
    let mut bytes_of_tags = HashMap::new();
    let mut found = Matrix { answers: said.len(), ..Matrix::default() };
    for (job, said) in jobs.iter().zip(said) {
        let mut faults = faults(&cells[job.cell], job.form, &digests[job.cell], said);
        if let (Some(raw), [tag]) = (&said.raw, said.tag.as_slice()) {
            let known = bytes_of_tags.entry((job.cell, tag)).or_insert(raw);
            if *known != raw {
                faults.push(format!("{tag} stands for other bytes, too"));
            }
        }
        found.unread += usize::from(said.text.is_none() && said.error.is_none());
        let version = if job.is_h2 { "HTTP/2" } else { "HTTP/1" };
        let asked = format!("{} {version} {} {:?}", job.scheme, job.target, job.lines);
        found.faults.extend(faults.iter().map(|fault| format!("{asked}: {fault}")));
    }
    found
}

/// What is wrong with an answer.
fn faults(cell: &Cell, form: &Form, digest: &str, said: &Said) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(error) = &said.error {
        faults.push(error.clone());
        return faults;
    }
    if said.status != 200 {
        faults.push(format!("status {}", said.status));
    }
    let may_be = cell.may_be(form);
    let coding = match said.coding.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        several => {
            faults.push(format!("{several:?}"));
            return faults;
        }
    };
    if !may_be.contains(&coding) {
        faults.push(format!("sent as {coding:?}, and not one of {may_be:?}"));
    }
    if said.text.as_ref().is_some_and(|text| text != digest) {
        faults.push(format!("other bytes, sent as {coding:?}"));
    }
    let vary: Vec<&str> = said.vary.iter().map(String::as_str).collect();
    let is_vary_right = match cell.varies() {
        Some(true) => vary == ["accept-encoding"],
        Some(false) => vary.is_empty(),
        None => vary == ["accept-encoding"] || vary.is_empty(),
    };
    if !is_vary_right {
        faults.push(format!("Vary {vary:?}"));
    }
    let tag = said.tag.join(" and ");
    if !is_tag_right(&tag, cell, coding) {
        faults.push(format!("ETag {tag}, sent as {coding:?}"));
    }
    if let Some((status, again)) = &said.again
        && (*status != 304 || making_of(again) != making_of(&tag))
    {
        faults.push(format!("asked with {tag}: status {status} and {again}"));
    }
    faults
}

/// Whether a tag is that of the origin, or names the form that was made of what has it. That of what was decoded is weak: nobody
/// but the origin can say what the decoded bytes are called.
fn is_tag_right(tag: &str, cell: &Cell, coding: Option<&str>) -> bool {
    let original = cell.tag();
    let (sent, is_weak) = if cell.kind.is_packed { (Some("gzip"), "W/") } else { (None, "") };
    if coding == sent {
        return tag == original;
    }
    let Some(tag) = tag.strip_prefix(is_weak) else { return false };
    let Some(name) = coding else { return tag == original };
    let beginning = format!("{};{name};", original.trim_end_matches('"'));
    tag.strip_prefix(&beginning).is_some_and(|making| making.len() == 9 && making.ends_with('"'))
}

/// A tag without the number of its making, which may have become another in the meantime.
fn making_of(tag: &str) -> &str {
    let parts = tag.matches(';').count();
    if parts == 2 { tag.rsplit_once(';').map_or(tag, |(form, _)| form) } else { tag }
}
