//! In which ways two answers differ.

use std::collections::BTreeSet;

use super::side::Outcome;
use crate::message::Response;
use crate::origin::Received;

/// One thing that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// `status`, `body`, `origin`, or the name of a header.
    pub(super) what: String,
    /// At the first side, which is nginx.
    pub(super) first: String,
    /// At the second side.
    pub(super) second: String,
}

/// Of the connection and the moment rather than of the answer. `Transfer-Encoding` is in here because bodies are compared
/// with their framing taken off.
const OF_THE_HOP: &[&str] =
    &["date", "server", "connection", "keep-alive", "transfer-encoding", "proxy-connection"];

/// Everything in which `second` differs from `first`.
pub(super) fn differences(first: &Outcome, second: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    match (&first.answer, &second.answer) {
        (Ok(one), Ok(other)) => answers((one, first.ports), (other, second.ports), &mut found),
        (Err(_), Err(_)) => {}
        (one, other) => note(&mut found, "answer", in_short(one), in_short(other)),
    }
    note(&mut found, "origin", received(first, &[]), received(second, &[]));
    found
}

fn answers(
    (first, first_ports): (&Response, [u16; 2]),
    (second, second_ports): (&Response, [u16; 2]),
    found: &mut Vec<Difference>,
) {
    note(found, "status", first.status.to_string(), second.status.to_string());
    for name in names(first).union(&names(second)) {
        let one = values(first, name, first_ports);
        let other = values(second, name, second_ports);
        note(found, name, one, other);
    }
    let (one, other) = (body(first), body(second));
    if one != other {
        note(found, "body", excerpt(&one, &other), excerpt(&other, &one));
    }
}

fn note(found: &mut Vec<Difference>, what: &str, first: String, second: String) {
    if first != second {
        found.push(Difference { what: what.to_owned(), first, second });
    }
}

fn names(response: &Response) -> BTreeSet<String> {
    let all = response.headers.0.iter().map(|(name, _)| name.to_ascii_lowercase());
    all.filter(|name| !OF_THE_HOP.contains(&name.as_str())).collect()
}

/// The values of a header, with what is different in any two servers taken out: ports and boundaries.
fn values(response: &Response, name: &str, ports: [u16; 2]) -> String {
    let all = response.headers.all(name).join("\n");
    match (name, boundary(response)) {
        ("location", _) => ports.iter().fold(all, |all, port| all.replace(&format!(":{port}"), "")),
        ("content-type", Some(boundary)) => all.replace(&boundary, "BOUNDARY"),
        // Boundaries are of different lengths.
        ("content-length", Some(_)) => "of parts".to_owned(),
        _ => all,
    }
}

fn boundary(response: &Response) -> Option<String> {
    let content_type = response.headers.all("content-type").first().copied()?;
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=")?;
    Some(boundary.to_owned())
}

fn body(response: &Response) -> Vec<u8> {
    match boundary(response) {
        None => response.body.clone(),
        Some(boundary) => replaced(&response.body, boundary.as_bytes(), b"BOUNDARY"),
    }
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        if !from.is_empty() && body[at..].starts_with(from) {
            result.extend_from_slice(to);
            at += from.len();
        } else {
            result.push(body[at]);
            at += 1;
        }
    }
    result
}

/// The length, and what stands where the bodies begin to differ.
fn excerpt(body: &[u8], other: &[u8]) -> String {
    let same = body.iter().zip(other).take_while(|(one, another)| one == another).count();
    let part = &body[same..body.len().min(same + 120)];
    format!("{} bytes, from {same} on {:?}", body.len(), String::from_utf8_lossy(part))
}

/// What the origins received, but for these headers, in order of names: what stands between others says nothing.
pub(super) fn received(outcome: &Outcome, except: &[&str]) -> String {
    let lines =
        outcome.received.iter().map(|(origin, request)| one_received(*origin, request, except));
    let text = lines.collect::<Vec<_>>().join("\n");
    let port = |text: String, port: &u16| {
        text.replace(&format!("x-forwarded-port: {port}"), "x-forwarded-port: PORT")
    };
    outcome.ports.iter().fold(text, port)
}

fn one_received(origin: usize, request: &Received, except: &[&str]) -> String {
    let fields = request.headers.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let is_told = |name: &str| !OF_THE_HOP.contains(&name) && !except.contains(&name);
    let mut fields: Vec<_> = fields.filter(|(name, _)| is_told(name)).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let fields: Vec<String> =
        fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = String::from_utf8_lossy(&request.body[..request.body.len().min(40)]).into_owned();
    let (method, target, length) = (&request.method, &request.target, request.body.len());
    format!("{origin} {method} {target} [{}] {length} {body:?}", fields.join(", "))
}

fn in_short(answer: &Result<Response, String>) -> String {
    match answer {
        Ok(response) => format!("status {}", response.status),
        Err(reason) => reason.clone(),
    }
}
