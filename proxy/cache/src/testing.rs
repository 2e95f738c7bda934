//! Responses for tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::entry::{Body, BodyId, Entry, Head, Meta, Times};
use crate::key::{Address, Key, KeyBuilder};
use crate::policy::Freshness;

/// Of a path at one host, or of a URI with `//` in front of its host.
pub(crate) fn key(path: &str) -> Key {
    KeyBuilder::new(b"", address(path)).build()
}

pub(crate) fn address(path: &str) -> Address<'_> {
    let (host, path) =
        match path.strip_prefix("//").and_then(|rest| Some(rest.split_at(rest.find('/')?))) {
            Some((host, path)) => (host, path),
            None => ("a.test", path),
        };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let [host, path, query] = [host, path, query].map(str::as_bytes);
    Address { scheme: b"https", host, port: b"443", path, query }
}

pub(crate) fn entry(key: &Key, body: &[u8]) -> Entry {
    let now = SystemTime::UNIX_EPOCH + Duration::from_mins(1);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    let meta = Meta {
        key: key.clone(),
        head: Head { status: StatusCode::OK, headers },
        times: Times { request: now, response: now },
        freshness: Freshness { lifetime: Duration::from_mins(1), ..Freshness::default() },
        vary: Box::default(),
        selected_by: HeaderMap::new(),
        tags: Box::default(),
        generation: 0,
        body: BodyId::fresh(),
    };
    Entry::new(meta, Body::of(body), body.len() as u64)
}

/// As asked for at this time on the purge clock.
pub(crate) fn at(generation: u64, mut entry: Entry) -> Entry {
    entry.meta.generation = generation;
    entry
}

pub(crate) fn tagged(tags: &[&str], mut entry: Entry) -> Entry {
    entry.meta.tags = tags.iter().map(|tag| Box::from(*tag)).collect();
    entry
}

/// As selected by this value of `accept-language`.
pub(crate) fn in_language(language: &'static str, mut entry: Entry) -> Entry {
    entry.meta.vary = [HeaderName::from_static("accept-language")].into();
    entry.meta.selected_by = speaking(language);
    entry
}

/// The fields of a request.
pub(crate) fn speaking(language: &'static str) -> HeaderMap {
    let name = HeaderName::from_static("accept-language");
    std::iter::once((name, HeaderValue::from_static(language))).collect()
}

pub(crate) fn body(entry: &Arc<Entry>) -> Vec<u8> {
    let Body::Memory(pieces) = &entry.body else { return Vec::new() };
    pieces.concat()
}
