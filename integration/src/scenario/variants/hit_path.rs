//! What a stored form costs, beside what is sent as it is stored: in instructions of the whole process.

use crate::client::Client;
use crate::config::{Config, config};
use crate::counted::Counted;
use crate::message::{Reply, Request, get};
use crate::origin::Origin;
use crate::patience::{Deadline, eventually};

/// What hits cost.
#[derive(Clone, Copy, Debug)]
pub struct HitPath {
    /// What the client says that it can decode.
    pub accepts: &'static str,
    /// What it is sent.
    pub coding: &'static str,
    /// Instructions in user space for a hit on a route that does not encode.
    pub plain: f64,
    /// The same of a form, from a route that does.
    pub form: f64,
}

impl HitPath {
    /// How much more a form costs, in hundredths.
    #[must_use]
    pub fn excess(&self) -> f64 {
        (self.form / self.plain - 1.0) * 100.0
    }
}

/// What clients say, and what they are sent: browsers, old ones, and programs that weigh.
const CLIENTS: [(&str, &str); 3] =
    [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0.5, zstd", "zstd")];

/// How many requests go before those that are counted: nothing is to be done for the first time then.
const WARM: usize = 40;

/// Counts so many hits of each kind; `None` where the counting program is not installed.
///
/// # Panics
/// When the proxy does not start, or an answer is wrong.
#[must_use]
pub fn hit_path(requests: usize) -> Option<Vec<HitPath>> {
    let origin = Origin::start().serve("/plain/x", page()).serve("/encoded/x", page());
    let mut counted = Counted::start(&both(&origin))?;
    let mut client = counted.proxy.client();
    for (accepts, coding) in CLIENTS {
        ask(&mut client, "/plain/x", (accepts, None), WARM);
        eventually("the best form is stored", Deadline::soon(), || {
            ask(&mut client, "/encoded/x", (accepts, Some(coding)), WARM);
            let metrics = counted.proxy.control("GET", "/metrics", None).text();
            let at_rest = ["switchback_encoder_queue 0\n", "switchback_encoders 0\n"];
            at_rest.iter().all(|line| metrics.contains(line)).then_some(())
        });
        ask(&mut client, "/encoded/x", (accepts, Some(coding)), WARM);
    }
    let mut found = Vec::new();
    for (accepts, coding) in CLIENTS {
        let mut each =
            |path, coding| counted.each(requests, || ask(&mut client, path, (accepts, coding), 1));
        let plain = each("/plain/x", None);
        found.push(HitPath { accepts, coding, plain, form: each("/encoded/x", Some(coding)) });
    }
    Some(found)
}

/// Two routes that differ in nothing but what they encode.
fn both(origin: &Origin) -> Config {
    config()
        .top("workers = 1")
        .web("limits = { keepalive_requests = 1000000 }")
        .toml(format_args!("[zones.main]\nmemory = \"64MiB\"\n"))
        .site("")
        .route("/plain/*", "proxy = \"app\"\ncache = \"main\"")
        .route("/encoded/*", "proxy = \"app\"\ncache = \"main\"\nencode = { best = { br = 5 } }")
        .upstream("app", &[origin], "")
}

fn page() -> Reply {
    // Its forms are too long to be copied behind their heads, as it is itself.
    let line = |number: u64| {
        let word = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("<p class=row>line {number}: {word:x}</p>\n")
    };
    let body: String = (0..3000).map(line).collect();
    Reply::ok(body)
        .header("Content-Type", "text/html; charset=utf-8")
        .header("Cache-Control", "max-age=86400")
        .header("ETag", "\"v1\"")
}

fn ask(client: &mut Client, path: &str, (accepts, coding): (&str, Option<&str>), count: usize) {
    let request: Request = get(path).header("Accept", "*/*").header("Accept-Encoding", accepts);
    for _ in 0..count {
        let answer = client.ask(&request);
        answer.expect_status(200);
        assert_eq!(answer.headers.get("content-encoding"), coding, "{accepts}");
    }
}
