//! What an unsafe method makes invalid (RFC 9111, 4.4).

use http::{HeaderValue, Method, StatusCode, header};

use crate::entry::Head;

/// The URI of a request, as the client meant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'t> {
    /// `http` or `https`.
    pub scheme: &'t str,
    /// Host and port as in `Host` or `:authority`.
    pub authority: &'t str,
    /// Path and query.
    pub path_and_query: &'t str,
}

/// Whether the response invalidates what is stored for its target: one that is no error, to a method that is not known to be safe.
#[must_use]
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// Whether the method is known to be safe (RFC 9110, 9.2.1, and the registry).
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY" | "PROPFIND" | "REPORT" | "SEARCH" | "PRI"
    )
}

/// Path and query of what else becomes invalid with it: `Location` and `Content-Location`, where they are of the same origin;
/// without the target itself, each once.
#[must_use]
pub fn also_invalid(target: Target<'_>, head: &Head) -> Vec<String> {
    let fields = [header::LOCATION, header::CONTENT_LOCATION];
    let lines = fields.iter().flat_map(|name| head.headers.get_all(name));
    let mut others: Vec<_> =
        lines.filter_map(|line: &HeaderValue| resolve(target, line.to_str().ok()?)).collect();
    others.retain(|other| other != target.path_and_query);
    others.sort();
    others.dedup();
    others
}

/// Path and query of a reference from `target`, if it is of the same origin (RFC 3986, 5.2; RFC 9110, 4.3.1).
#[must_use]
pub fn resolve(target: Target<'_>, reference: &str) -> Option<String> {
    let reference = reference.trim();
    let reference = reference.split_once('#').map_or(reference, |(front, _)| front);
    if !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let reference = match split_scheme(reference) {
        Some((scheme, rest)) => {
            let is_same = scheme.eq_ignore_ascii_case(target.scheme) && rest.starts_with("//");
            is_same.then_some(rest)?
        }
        None => reference,
    };
    if let Some(rest) = reference.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_same = origin(target.scheme, authority)? == origin(target.scheme, target.authority)?;
        return is_same.then(|| absolute(path));
    }
    let base = path_of(target.path_and_query);
    Some(match reference.as_bytes().first() {
        None => target.path_and_query.to_owned(),
        Some(b'/') => absolute(reference),
        Some(b'?') => format!("{base}{reference}"),
        Some(_) => {
            let folder = base.rfind('/').map_or("/", |end| base.get(..=end).unwrap_or("/"));
            absolute(&format!("{folder}{reference}"))
        }
    })
}

/// The scheme and what is behind its colon, if the reference has one.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// Host in lower case, and port; none where there is anything else.
fn origin(scheme: &str, authority: &str) -> Option<(String, u16)> {
    let standard = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, "")) => (host, standard),
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, standard),
    };
    (!host.is_empty() && !host.contains('@')).then(|| (host.to_ascii_lowercase(), port))
}

fn path_of(path_and_query: &str) -> &str {
    path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path)
}

/// The path without dot segments (RFC 3986, 5.2.4), and the query as it is.
fn absolute(path_and_query: &str) -> String {
    let path = path_of(path_and_query);
    let query = path_and_query.get(path.len()..).unwrap_or_default();
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                kept.extend(is_last.then_some(""));
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}
