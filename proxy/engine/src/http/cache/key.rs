//! What a stored response is found by, and what of a request reaches the origin for it.
//!
//! A response that is stored answers other clients too, so whatever the origin may make it of must be in the key, or must not reach
//! the origin.

use std::borrow::Cow;

use aws_lc_rs::digest::Digest;
use http::{HeaderName, HeaderValue, header};
use pingora_http::RequestHeader;
use switchback_cache::policy::search::{NO_VARY_SEARCH, NoVarySearch};
use switchback_cache::{Address, Head, Key, KeyBuilder};
use switchback_conf::plan::{ArgumentName, KeyPartsPlan, KeyPlan, KeyQueryPlan};

use super::query;
use super::store::Fetch;
use crate::http::context::Context;
use crate::http::facts::{self, RequestFacts};
use crate::http::{forward, percent};
use crate::snapshot::caches::CacheSettings;

/// What a request means to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class<'c> {
    /// GET and HEAD.
    Get,
    /// QUERY, with this content.
    Query(&'c [u8]),
}

/// The key of a request. `head` is the client's, as received.
pub(crate) fn key(
    settings: &CacheSettings,
    class: Class<'_>,
    head: &RequestHeader,
    context: &Context,
) -> Key {
    let (class, content): (&[u8], _) = match class {
        Class::Get => (b"", None),
        Class::Query(content) => (b"QUERY", Some(query::digest(head, content))),
    };
    let facts = RequestFacts::new(head, context);
    let path = context.request.path.to_encoded();
    let query = facts::query(head.raw_path()).unwrap_or_default();
    let full = Address {
        scheme: scheme(head, context),
        host: context.request.host.as_bytes(),
        port: port(head),
        path: path.as_bytes(),
        query,
    };
    let parts = match &settings.key {
        KeyPlan::Whole(template) => {
            let mut text = Vec::new();
            template.render(&facts, &mut text);
            for part in context.steering.iter().flat_map(|steering| steering.key_parts(context)) {
                // No template makes two keys of what two plugins say one.
                text.extend_from_slice(&(part.len() as u64).to_be_bytes());
                text.extend_from_slice(&part);
            }
            let mut key = KeyBuilder::template(class, &text, full);
            return with_content(&mut key, content).build();
        }
        KeyPlan::Parts(parts) => parts,
    };
    let query = kept_query(&parts.query, query);
    let address = address(parts, Address { query: &query, ..full });
    let mut key = match settings.rules.ignores(&NO_VARY_SEARCH) {
        true => KeyBuilder::exact(class, address),
        false => KeyBuilder::new(class, address),
    };
    key.part(&other_target(settings, head, context))
        .part(&shape(parts))
        .part(settings.upstream.as_bytes());
    let mut text = Vec::new();
    for part in &parts.parts {
        text.clear();
        part.render(&facts, &mut text);
        key.part(&text);
    }
    for part in context.steering.iter().flat_map(|steering| steering.key_parts(context)) {
        key.part(&part);
    }
    with_content(&mut key, content).build()
}

/// What the answer to a fetch is stored under that has this head, by what it says of queries.
pub(super) fn of_answer(fetch: &Fetch, answer: &Head) -> Key {
    let said = NoVarySearch::of(&answer.headers, &fetch.settings.rules);
    fetch.settings.zone.stored.stored_as(&fetch.key, said, fetch.generation)
}

fn with_content<'b, 'k>(
    key: &'b mut KeyBuilder<'k>,
    content: Option<Digest>,
) -> &'b mut KeyBuilder<'k> {
    match content {
        Some(digest) => key.part(digest.as_ref()),
        None => key,
    }
}

/// What of an address belongs to keys with these parts.
pub(crate) fn address<'a>(parts: &KeyPartsPlan, full: Address<'a>) -> Address<'a> {
    let (host, port) = if parts.host { (full.host, full.port) } else { Default::default() };
    let scheme = if parts.scheme { full.scheme } else { Default::default() };
    Address { scheme, host, port, ..full }
}

/// Scheme, host and port of a request, as its address has them.
pub(super) fn origin<'a>(
    settings: &CacheSettings,
    head: &'a RequestHeader,
    context: &'a Context,
) -> Address<'a> {
    let full = Address {
        scheme: scheme(head, context),
        host: context.request.host.as_bytes(),
        port: port(head),
        ..Address::default()
    };
    match &settings.key {
        KeyPlan::Whole(_) => full,
        KeyPlan::Parts(parts) => address(parts, full),
    }
}

/// Calls `use_it` with `full` as keys have it: without what of the query they do not hold.
pub(super) fn with_address<T>(
    settings: &CacheSettings,
    full: Address<'_>,
    use_it: impl FnOnce(Address<'_>) -> T,
) -> T {
    match &settings.key {
        KeyPlan::Whole(_) => use_it(full),
        KeyPlan::Parts(parts) => {
            let query = kept_query(&parts.query, full.query);
            use_it(Address { query: &query, ..full })
        }
    }
}

/// What kind of key it is, so that no two routes mean different things by the same parts.
fn shape(parts: &KeyPartsPlan) -> [u8; 4] {
    let query = match parts.query {
        KeyQueryPlan::All => b'a',
        KeyQueryPlan::None => b'n',
        KeyQueryPlan::Only(_) => b'o',
        KeyQueryPlan::Except(_) => b'e',
    };
    let count = u8::try_from(parts.parts.len()).unwrap_or(u8::MAX);
    [u8::from(parts.scheme), u8::from(parts.host), query, count]
}

/// The scheme that the origin is told: the client's, as a trusted proxy in front may have it.
pub(crate) fn scheme(head: &RequestHeader, context: &Context) -> &'static [u8] {
    let told = head.headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
    match told {
        Some(b"https") => b"https",
        Some(b"http") => b"http",
        _ => context.connection.client_scheme().as_bytes(),
    }
}

/// The digits behind the host asked for.
pub(crate) fn port(head: &RequestHeader) -> &[u8] {
    let authority = match head.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => head.headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes),
    };
    port_of(authority)
}

/// The digits behind the host of an authority.
pub(super) fn port_of(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, digits) = authority.split_at(authority.len() - digits);
    if before.ends_with(b":") && !before.ends_with(b"::") { digits } else { b"" }
}

/// The target that the origin is asked for, where that is not the plain form of the path in the address: as the client wrote it, or as
/// the route rewrites it.
fn other_target<'h>(
    settings: &CacheSettings,
    head: &'h RequestHeader,
    context: &Context,
) -> Cow<'h, [u8]> {
    if let Some(rewrite) = context.proxy().and_then(|proxy| proxy.rewrite.as_ref()) {
        let mut target = Vec::new();
        let kept = with_kept_query(settings, head);
        let facts = RequestFacts::new(&kept, context);
        rewrite.render_by(&facts, &mut target, percent::write_value);
        return Cow::Owned(target);
    }
    let raw = head.raw_path().split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_plain = raw == context.request.path.to_encoded().as_bytes();
    Cow::Borrowed(if is_plain { &[] } else { raw })
}

/// Takes out of `head`, which is to be passed on for everybody, what the key does not hold and an origin may go by.
pub(crate) fn keep_keyed(settings: &CacheSettings, head: &mut RequestHeader, context: &Context) {
    if let Cow::Owned(kept) = with_kept_query(settings, head) {
        *head = kept;
    }
    let unwanted = |name: &&HeaderName| is_unkeyed(name) && !settings.keyed_fields.contains(name);
    let unwanted: Vec<HeaderName> = head.headers.keys().filter(unwanted).cloned().collect();
    for name in unwanted {
        head.remove_header(&name);
    }
    if head.headers.get("x-forwarded-proto").is_some_and(|told| told != "http" && told != "https") {
        head.remove_header("x-forwarded-proto");
    }
    // In the one spelling that the key has.
    let host = &*context.request.host;
    let host = match std::str::from_utf8(port(head)) {
        _ if host.is_empty() => return,
        Ok("") | Err(_) => HeaderValue::from_str(host),
        Ok(port) => HeaderValue::from_str(&format!("{host}:{port}")),
    };
    let Ok(host) = host else { return };
    let mut parts = head.uri.clone().into_parts();
    if parts.authority.is_some() && parts.scheme.is_some() {
        parts.authority = http::uri::Authority::try_from(host.as_bytes()).ok();
        if let Ok(uri) = http::Uri::from_parts(parts) {
            head.set_uri(uri);
        }
    }
    if head.headers.contains_key(header::HOST) {
        // A name that is there already is no new one.
        let _ = head.insert_header(header::HOST, host);
    }
}

/// Whether the origin was sent nothing but what the key holds and what [`keep_keyed`] leaves.
pub(super) fn is_keyed(settings: &CacheSettings, head: &RequestHeader, context: &Context) -> bool {
    let mut kept = head.clone();
    keep_keyed(settings, &mut kept, context);
    kept.headers == head.headers && kept.uri == head.uri && kept.raw_path() == head.raw_path()
}

/// Fields by which origins and their frameworks take a request for another than its line says: another host, path, method or
/// scheme.
fn is_unkeyed(name: &HeaderName) -> bool {
    const ALONE: [&str; 17] = [
        "forwarded",
        "front-end-https",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-rewrite-url",
        "x-script-name",
        "x-url-scheme",
        "x-wap-profile",
        "x-backend-host",
    ];
    let name = name.as_str();
    match name.strip_prefix("x-forwarded-") {
        // The one is not the origin's affair when it answers for everybody; the other is in the key.
        Some(rest) => !matches!(rest, "for" | "proto"),
        None => ALONE.contains(&name),
    }
}

/// `head` with the query that the key has, where that is not all of it.
fn with_kept_query<'h>(
    settings: &CacheSettings,
    head: &'h RequestHeader,
) -> Cow<'h, RequestHeader> {
    let KeyPlan::Parts(parts) = &settings.key else { return Cow::Borrowed(head) };
    let target = head.raw_path();
    let Some(query) = facts::query(target) else { return Cow::Borrowed(head) };
    let kept = kept_query(&parts.query, query);
    // A question mark with nothing behind it is not in the key.
    if kept.len() == query.len() && !kept.is_empty() {
        return Cow::Borrowed(head);
    }
    let path = target.get(..target.len() - query.len() - 1).unwrap_or_default();
    let mut target = path.to_vec();
    if !kept.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&kept);
    }
    let mut changed = head.clone();
    match forward::set_target(&mut changed, &target) {
        Some(()) => Cow::Owned(changed),
        None => Cow::Borrowed(head),
    }
}

/// The arguments of `query` that belong to the key, as they are and in their order.
pub(crate) fn kept_query<'q>(plan: &KeyQueryPlan, query: &'q [u8]) -> Cow<'q, [u8]> {
    let is_kept = |argument: &&[u8]| {
        let name = argument.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = decoded(name);
        let is_named = |names: &[ArgumentName]| names.iter().any(|own| own.is_meant(&name));
        match plan {
            KeyQueryPlan::All => true,
            KeyQueryPlan::None => false,
            KeyQueryPlan::Only(names) => is_named(names),
            KeyQueryPlan::Except(names) => !is_named(names),
        }
    };
    match plan {
        KeyQueryPlan::All => Cow::Borrowed(query),
        KeyQueryPlan::None => Cow::Borrowed(&[]),
        _ => {
            let arguments: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(is_kept).collect();
            Cow::Owned(arguments.join(&b'&'))
        }
    }
}

/// A name without its percent-encoding: origins see through it.
fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'%') {
        return Cow::Borrowed(name);
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.filter(|_| *byte == b'%') {
            Some(value) => {
                plain.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
