//! The next version of a bundle, through the proxy, for who has the one before (RFC 9842).

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use switchback_variant::{Coding, Dictionary, Limits, decode_whole};

use super::texts;
use crate::config::site;
use crate::message::{Reply, get};
use crate::origin::Origin;
use crate::patience::Deadline;
use crate::proxy::Proxy;

/// What was sent of it.
#[derive(Clone, Debug)]
pub struct NextBundle {
    /// Bytes of the bundle.
    pub original: usize,
    /// Bytes that were sent.
    pub sent: usize,
    /// In which coding, if any.
    pub coding: Option<String>,
    /// Whether it decodes to the bundle.
    pub is_right: bool,
}

/// Fetches a bundle of so many lines, and then its next version with it.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn next_bundle(lines: usize) -> NextBundle {
    let [old, new] = [1, 2].map(|version| texts::bundle(lines, version));
    let script = |body: &[u8]| {
        let reply = Reply::ok(body).header("Content-Type", "text/javascript");
        reply.header("Cache-Control", "max-age=600").header("ETag", "\"script\"")
    };
    let origin = Origin::start().serve("/app.1.js", script(&old)).serve("/app.2.js", script(&new));
    let route = "proxy = \"app\"\ncache = \"main\"\nencode = \"on\"\ndictionary = \"/app.*.js\"";
    let config = site().route("/*", route).upstream("app", &[&origin], "");
    let config = config.toml("[zones.main]\nmemory = \"64MiB\"");
    // What a TLS terminator in front says is believed: dictionaries are for secure contexts.
    let proxy = Proxy::start(&config.top("trusted_proxies = [\"127.0.0.0/8\"]"));
    let asked = |target| {
        let asked = get(target).header("X-Forwarded-Proto", "https");
        asked.header("Accept-Encoding", "gzip, deflate, br, zstd, dcb, dcz")
    };
    proxy.ask(&asked("/app.1.js")).expect_status(200);
    let soon = Deadline::after(Duration::from_secs(5));
    while !is_kept(&proxy) && !soon.has_passed() {
        thread::park_timeout(Duration::from_millis(5));
    }
    let known = Dictionary::new(Bytes::from(old)).expect("a bundle is no giant");
    let name = format!(":{}:", STANDARD.encode(known.digest().as_bytes()));
    let answer = proxy.ask(&asked("/app.2.js").header("Available-Dictionary", &name));
    let coding = answer.headers.get("content-encoding").map(str::to_owned);
    let named = coding.as_deref().and_then(|name| Coding::named(name.as_bytes()));
    let decoded = match named {
        None => Ok(answer.body.clone()),
        Some(coding) => decode_whole(coding, &answer.body, Limits::default(), Some(&known)),
    };
    let is_right = decoded.is_ok_and(|text| text == new);
    NextBundle { original: new.len(), sent: answer.body.len(), coding, is_right }
}

/// Whether the proxy has learnt a dictionary, which it does beside the way.
fn is_kept(proxy: &Proxy) -> bool {
    let metrics = proxy.control("GET", "/metrics", None).text();
    let mut kept = metrics.lines().filter_map(|line| line.strip_prefix("switchback_dictionaries "));
    kept.any(|count| count.trim() != "0")
}
