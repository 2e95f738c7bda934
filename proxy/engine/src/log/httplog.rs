//! Access logs as HAProxy 2.6 writes them with `option httplog`.
//!
//! `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`; what each field
//! means here stands in `conf/README.md`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use switchback_value::{Facts as _, Known, Variable};

use super::redact::Redaction;
use crate::clock;
use crate::http::context::{Context, Try};
use crate::http::facts::RequestFacts;
use crate::http::fault::Kind;

/// HAProxy cuts request lines that are longer.
const LONGEST_REQUEST: usize = 1024;

/// Appends the line of one request.
pub(super) fn line(facts: &RequestFacts<'_>, redaction: &Redaction, out: &mut Vec<u8>) {
    let context = facts.context();
    let connection = &context.connection;
    let listener = connection.listener.plan.name.as_bytes();
    let asked = context.asked.lock();
    match context.request.client {
        // Writing to a Vec cannot fail, here and below.
        Some(client) => {
            _ = write!(out, "{client}:{}", connection.peer.map_or(0, |peer| peer.port()))
        }
        None => out.extend_from_slice(b"unix:0"),
    }
    let _ = write!(out, " [{}] ", clock::haproxy(context.wall));
    word(listener, out);
    out.extend_from_slice(if connection.tls.is_some() { b"~ " } else { b" " });
    word(asked.upstream.as_ref().map_or(listener, |name| name.as_bytes()), out);
    out.push(b'/');
    word(asked.tries.last().map_or(b"<NOSRV>", |tried| tried.address.as_bytes()), out);

    let is_head_known = !context.request.is_unreadable;
    let timers = Timers::of(is_head_known, context.started, &asked.tries);
    let total = milliseconds(context.started.elapsed());
    let Timers { request, queue, connect, response } = timers;
    let _ = write!(out, " {request}/{queue}/{connect}/{response}/{total} ");
    let sent = &context.sent;
    match sent.status.filter(|_| sent.head > 0) {
        Some(status) => _ = write!(out, "{}", status.as_u16()),
        None => out.extend_from_slice(b"-1"),
    }
    let state = termination(context, asked.tries.last());
    let metrics = &context.resident.metrics;
    let (open, running) = (metrics.open_connections.value(), metrics.in_flight.value());
    let retries = asked.tries.len().saturating_sub(1);
    let _ = write!(
        out,
        " {} - - {state}-- {open}/{running}/0/0/{retries} 0/0 \"",
        sent.head + sent.body
    );
    drop(asked);
    if is_head_known {
        request_line(facts, redaction, out);
    } else {
        out.extend_from_slice(b"<BADREQ>");
    }
    out.push(b'"');
}

fn request_line(facts: &RequestFacts<'_>, redaction: &Redaction, out: &mut Vec<u8>) {
    let variable = Variable::Known(Known::Request);
    let Some(request) = facts.fact(&variable) else { return };
    let cut = request.get(..LONGEST_REQUEST).unwrap_or(&request);
    redaction.write(redaction.mask(&variable), cut, encode, out);
}

/// `#XX` for quotes, hashes and everything outside printable ASCII.
fn encode(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'"' | b'#' | 0..=0x1f | 0x7f.. => _ = write!(out, "#{byte:02X}"),
            _ => out.push(*byte),
        }
    }
}

/// A name that is one field, whatever is in it.
fn word(name: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(|byte| if byte.is_ascii_graphic() { *byte } else { b'_' }));
}

/// The first four of the five times, in milliseconds; -1 for what was not reached.
#[derive(Debug, PartialEq, Eq)]
struct Timers {
    request: i64,
    queue: i64,
    connect: i64,
    response: i64,
}

impl Timers {
    fn of(is_head_known: bool, started: Instant, tries: &[Try]) -> Self {
        // Of two copies of a request, the one that was sent first may be told of last.
        let (first, last) = (tries.iter().map(|tried| tried.began).min(), tries.last());
        let since = |from: Instant, to: Instant| milliseconds(to.saturating_duration_since(from));
        let connected = first.zip(last).and_then(|(first, last)| {
            let at = last.began + last.connected?;
            Some(since(first, at))
        });
        let answered = last.and_then(|last| {
            let (connected, answered) = (last.connected?, last.answered?);
            Some(milliseconds(answered.saturating_sub(connected)))
        });
        Self {
            request: if is_head_known { 0 } else { -1 },
            queue: first.map_or(-1, |first| since(started, first)),
            connect: connected.unwrap_or(-1),
            response: answered.unwrap_or(-1),
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The first two letters of HAProxy's termination state: who ended it, and when.
fn termination(context: &Context, last: Option<&Try>) -> &'static str {
    let kind = context.fault.as_ref().map(|fault| fault.kind());
    let Some(kind) = kind else { return if last.is_some() { "--" } else { "LR" } };
    ended(kind, reached(context.sent.head > 0, last))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Request,
    Connect,
    Head,
    Data,
}

fn reached(is_head_sent: bool, last: Option<&Try>) -> Reached {
    match last {
        None => Reached::Request,
        Some(tried) if tried.connected.is_none() => Reached::Connect,
        Some(tried) if tried.answered.is_some() && is_head_sent => Reached::Data,
        Some(_) => Reached::Head,
    }
}

fn ended(kind: Kind, reached: Reached) -> &'static str {
    use Reached::{Connect, Data, Head, Request};
    match (kind, reached) {
        (Kind::NoEndpoint | Kind::NoShard, _) => "SC",
        (Kind::ClientClosed, Request) => "CR",
        (Kind::ClientClosed, Connect) => "CC",
        (Kind::ClientClosed, Head) => "CH",
        (Kind::ClientClosed, Data) => "CD",
        (Kind::RequestTimeout, Request) => "cR",
        (Kind::RequestTimeout, Connect) => "cC",
        (Kind::RequestTimeout, Head) => "cH",
        (Kind::RequestTimeout, Data) => "cD",
        (Kind::UpstreamTimeout, Request | Connect) => "sC",
        (Kind::UpstreamTimeout, Head) => "sH",
        (Kind::UpstreamTimeout, Data) => "sD",
        (Kind::ConnectFailed | Kind::BadAnswer | Kind::UpstreamTls, Request | Connect) => "SC",
        (Kind::ConnectFailed | Kind::BadAnswer | Kind::UpstreamTls, Head) => "SH",
        (Kind::ConnectFailed | Kind::BadAnswer | Kind::UpstreamTls, Data) => "SD",
        (Kind::Internal | Kind::TooManyReentries, Request | Connect) => "IR",
        (Kind::Internal | Kind::TooManyReentries, Head) => "IH",
        (Kind::Internal | Kind::TooManyReentries, Data) => "ID",
        (_, Request | Connect) => "PR",
        (_, Head) => "PH",
        (_, Data) => "PD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(began: Instant, connected: Option<u64>, answered: Option<u64>) -> Try {
        let mut tried = Try::at("10.0.0.1:80", began);
        tried.connected = connected.map(Duration::from_millis);
        tried.answered = answered.map(Duration::from_millis);
        tried
    }

    fn timers(tries: &[Try], started: Instant) -> (i64, i64, i64, i64) {
        let Timers { request, queue, connect, response } = Timers::of(true, started, tries);
        (request, queue, connect, response)
    }

    #[test]
    fn times_that_were_not_reached_are_minus_one() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(timers(&[], start), (0, -1, -1, -1));
        assert_eq!(timers(&[tried(at(3), None, None)], start), (0, 3, -1, -1));
        assert_eq!(timers(&[tried(at(3), Some(2), None)], start), (0, 3, 2, -1));
        assert_eq!(timers(&[tried(at(3), Some(2), Some(12))], start), (0, 3, 2, 10));
        assert_eq!(Timers::of(false, start, &[]).request, -1);
    }

    #[test]
    fn connecting_takes_all_tries_together() {
        let start = Instant::now();
        let second = start + Duration::from_millis(20);
        let tries = [tried(start, None, None), tried(second, Some(5), Some(6))];
        assert_eq!(timers(&tries, start), (0, 0, 25, 1));
        let [first, second] = tries;
        assert_eq!(timers(&[second, first], start), (0, 0, -1, -1));
    }

    #[test]
    fn the_state_says_who_ended_it_and_when() {
        let now = Instant::now();
        assert_eq!(reached(false, None), Reached::Request);
        assert_eq!(reached(false, Some(&tried(now, None, None))), Reached::Connect);
        assert_eq!(reached(false, Some(&tried(now, Some(1), None))), Reached::Head);
        assert_eq!(reached(true, Some(&tried(now, Some(1), Some(1)))), Reached::Data);
        assert_eq!(ended(Kind::ClientClosed, Reached::Head), "CH");
        assert_eq!(ended(Kind::UpstreamTimeout, Reached::Head), "sH");
        assert_eq!(ended(Kind::ConnectFailed, Reached::Connect), "SC");
        assert_eq!(ended(Kind::NotFound, Reached::Request), "PR");
    }

    #[test]
    fn names_are_one_field_and_requests_are_encoded() {
        let mut out = Vec::new();
        word(b"my app\xff", &mut out);
        encode(b" GET /\"#\x01\xe9", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "my_app_ GET /#22#23#01#E9");
    }
}
