//! The head of an HTTP/1 request, judged before Pingora sees it (RFC 9112).
//!
//! Pingora's parser accepts what two servers could frame differently: a bare LF, `Content-Length` beside
//! `Transfer-Encoding`, repeated lengths. Here such a head is refused, so that nothing behind us has to agree with us on it.
//! What is sound but unusual goes on in plain; what a listener tolerates is mended, and judged again.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Version, header};
use pingora_http::RequestHeader;
use switchback_conf::plan::{ListenerLimits, Tolerance};

use super::mend::{Mended, mend};
use super::request_line;
use crate::http::context::FirstLine;
use crate::http::fault::{Fault, Kind};
use crate::http::host;

/// What the front door has to know of a head that passed.
#[derive(Debug)]
pub(crate) struct Head {
    /// Its bytes, the empty line included.
    pub(crate) length: usize,
    /// How its body is framed.
    pub(crate) body: BodyFraming,
    /// Whether the client waits to be asked for it.
    pub(crate) expects_continue: bool,
    /// The protocol that the client asks to change to.
    pub(crate) upgrade: Upgrade,
    /// What goes on in its place, if its first line is unusual.
    pub(crate) plain: Option<Plain>,
    /// It as Pingora has it, if the front door has a use for it: it is not parsed again for that.
    pub(crate) request: Option<Box<RequestHeader>>,
}

/// A head with a plain first line.
#[derive(Debug)]
pub(crate) struct Plain {
    /// Its bytes, the empty line included.
    pub(crate) bytes: Vec<u8>,
    /// The line as received.
    pub(crate) first_line: Arc<FirstLine>,
}

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// So many bytes; 0 without a body.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// What a request asks the connection to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Nothing.
    None,
    /// A WebSocket (RFC 6455).
    WebSocket,
}

/// How far a head has come.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// It is whole.
    Complete(Head),
}

/// Header lines that can be looked at; limits beyond it are cut to it, because Pingora refuses more.
const MOST_FIELDS: usize = 256;

/// Judges the bytes received so far. `has_answers` is whether requests without body may be answered by the front door.
pub(crate) fn parse(
    bytes: &[u8],
    limits: &ListenerLimits,
    has_answers: bool,
) -> Result<Parsed, Fault> {
    match parse_strictly(bytes, limits, has_answers) {
        Err(fault) if !limits.tolerate.is_empty() && fault.kind() == Kind::BadRequest => {
            parse_mended(bytes, limits, has_answers, fault)
        }
        parsed => parsed,
    }
}

/// The same once more for a head that was refused with `fault`, without what is tolerated of it.
fn parse_mended(
    bytes: &[u8],
    limits: &ListenerLimits,
    has_answers: bool,
    fault: Fault,
) -> Result<Parsed, Fault> {
    let (mended, first_line, received) = match mend(bytes, limits.tolerate) {
        Mended::Whole { head, first_line, received } => (head, first_line, received),
        Mended::Partial => return within_limits(bytes, limits).map(|()| Parsed::Partial),
        Mended::No => return Err(fault),
    };
    let Parsed::Complete(head) = parse_strictly(&mended, limits, has_answers)? else {
        return Err(fault);
    };
    let plain =
        head.plain.unwrap_or_else(|| Plain { bytes: mended, first_line: first_line.into() });
    Ok(Parsed::Complete(Head { length: received, plain: Some(plain), ..head }))
}

fn parse_strictly(
    bytes: &[u8],
    limits: &ListenerLimits,
    has_answers: bool,
) -> Result<Parsed, Fault> {
    let Some(unusual) = request_line::unusual(bytes, limits)? else {
        return parse_plain(bytes, limits, has_answers);
    };
    let mut plain = unusual.in_plain(bytes);
    let parsed = parse_plain(&plain, &unusual.limits(limits), has_answers)?;
    let Parsed::Complete(mut head) = parsed else { return Ok(Parsed::Partial) };
    if !limits.tolerate.has(Tolerance::OtherHost) {
        unusual.same_host(plain.get(..head.length).unwrap_or_default())?;
    }
    if let (Some(request), Some(authority)) = (&mut head.request, unusual.authority()) {
        let host = HeaderValue::from_bytes(authority).map_err(Fault::internal)?;
        request.insert_header(header::HOST, host).map_err(Fault::internal)?;
    }
    plain.truncate(head.length);
    let length = unusual.received(head.length);
    let (bytes, first_line) = unusual.into_parts(plain);
    let plain = Plain { bytes, first_line: Arc::new(first_line) };
    Ok(Parsed::Complete(Head { length, plain: Some(plain), ..head }))
}

/// The same where the first line is usual, or none.
fn parse_plain(bytes: &[u8], limits: &ListenerLimits, has_answers: bool) -> Result<Parsed, Fault> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            return within_limits(bytes, limits).map(|()| Parsed::Partial);
        }
        Err(error) => {
            return Err(within_limits(bytes, limits).err().unwrap_or_else(|| refused(error)));
        }
    };
    let Some(head) = bytes.get(..length) else { return Ok(Parsed::Partial) };
    within_limits(head, limits)?;
    if request.headers.len() > limits.fields as usize {
        return Err(Fault::client(Kind::HeadersTooLarge, "too many header lines"));
    }
    no_bare_line_feed(head)?;
    target_form(&request, limits)?;
    let mut head = Fields::read(&request)?.judge(length, request.version)?;
    let is_answer = has_answers && head.body == BodyFraming::Length(0);
    if is_answer || head.upgrade == Upgrade::WebSocket {
        let keeps_case = head.upgrade == Upgrade::WebSocket;
        let made = if keeps_case { as_pingora(&request) } else { without_case(&request, bytes) };
        head.request = Some(Box::new(made.ok_or_else(|| {
            Fault::client(Kind::BadRequest, "target or header line of impossible length")
        })?));
    }
    Ok(Parsed::Complete(head))
}

/// A head that was judged, as Pingora's type but without the letter case of its names, which an answer made here has no use
/// for. All values share one piece of memory. `bytes` is what was parsed.
fn without_case(request: &httparse::Request<'_, '_>, bytes: &[u8]) -> Option<RequestHeader> {
    let (first, last) = (request.path?, request.headers.last());
    let end = last.map_or(first.as_bytes(), |field| field.value).as_ptr_range().end.addr();
    let start = bytes.as_ptr().addr();
    let shared = Bytes::copy_from_slice(bytes.get(..end.checked_sub(start)?)?);
    let share = |part: &[u8]| {
        let begin = part.as_ptr().addr().checked_sub(start)?;
        let range = begin..begin.checked_add(part.len())?;
        (range.end <= shared.len()).then(|| shared.slice(range))
    };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    parts.uri = PathAndQuery::from_maybe_shared(share(first.as_bytes())?).ok()?.into();
    parts.headers.reserve(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(share(field.value)?).ok()?;
        parts.headers.try_append(name, value).ok()?;
    }
    if request.version == Some(0) {
        parts.version = Version::HTTP_10;
    }
    Some(parts.into())
}

/// A head that was judged, as Pingora's type.
fn as_pingora(request: &httparse::Request<'_, '_>) -> Option<RequestHeader> {
    let target = request.path?.as_bytes();
    let mut head =
        RequestHeader::build(request.method?, target, Some(request.headers.len())).ok()?;
    for field in request.headers.iter() {
        let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(field.value)).ok()?;
        head.append_header(field.name.to_owned(), value).ok()?;
    }
    if request.version == Some(0) {
        head.set_version(Version::HTTP_10);
    }
    Some(head)
}

fn refused(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => {
            Fault::client(Kind::HeadersTooLarge, "too many header lines")
        }
        httparse::Error::Version => Fault::client(Kind::BadRequest, "not HTTP/1.0 or HTTP/1.1"),
        httparse::Error::Token => Fault::client(Kind::BadRequest, "invalid method or target"),
        _ => Fault::client(Kind::BadRequest, "invalid header line"),
    }
}

/// 414 for a request line, 431 for the rest of a head that outgrows its limit.
pub(crate) fn within_limits(bytes: &[u8], limits: &ListenerLimits) -> Result<(), Fault> {
    let line = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    // Method, version, two spaces and CR beside the target.
    const AROUND_THE_TARGET: u64 = 32;
    if line as u64 > limits.target + AROUND_THE_TARGET {
        return Err(Fault::client(Kind::TargetTooLong, "request target too long"));
    }
    if (bytes.len() - line) as u64 > limits.headers {
        return Err(Fault::client(Kind::HeadersTooLarge, "header lines too long"));
    }
    Ok(())
}

fn no_bare_line_feed(head: &[u8]) -> Result<(), Fault> {
    let bare =
        memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head.get(at - 1) != Some(&b'\r'));
    if bare {
        Err(Fault::client(Kind::BadRequest, "line feed without carriage return"))
    } else {
        Ok(())
    }
}

/// The longest target that goes on, whatever the limits and however it is encoded: no URI is longer behind the front door.
const MOST_TARGET: usize = 65_000;

fn target_form(request: &httparse::Request<'_, '_>, limits: &ListenerLimits) -> Result<(), Fault> {
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if target.len() as u64 > limits.target || target.len() > MOST_TARGET {
        return Err(Fault::client(Kind::TargetTooLong, "request target too long"));
    }
    if method == "CONNECT" {
        return Err(Fault::client(Kind::MethodNotAllowed, "CONNECT is not supported"));
    }
    let is_known = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !is_known {
        return Err(Fault::client(
            Kind::BadRequest,
            "request target is neither a path nor an absolute URI",
        ));
    }
    if target.contains('#') {
        return Err(Fault::client(Kind::BadRequest, "fragment in request target"));
    }
    Ok(())
}

/// The fields that decide framing.
#[derive(Default)]
struct Fields<'h> {
    host: Option<&'h [u8]>,
    content_length: Option<&'h [u8]>,
    transfer_encoding: Option<&'h [u8]>,
    upgrade: Option<&'h [u8]>,
    connection_upgrade: bool,
    expects_continue: bool,
}

/// What `Connection` may not have taken away on the next hop (RFC 9110, 7.6.1): who reads the request without them reads another.
const NEVER_OF_A_HOP: [&[u8]; 3] = [b"host", b"content-length", b"transfer-encoding"];

impl<'h> Fields<'h> {
    fn read(request: &httparse::Request<'_, 'h>) -> Result<Self, Fault> {
        let mut fields = Self::default();
        for header in request.headers.iter() {
            let (name, value) = (header.name, header.value);
            if name.eq_ignore_ascii_case("host") {
                if fields.host.replace(value).is_some() {
                    return Err(Fault::client(Kind::BadRequest, "repeated Host"));
                }
            } else if name.eq_ignore_ascii_case("content-length") {
                if fields.content_length.replace(value).is_some() {
                    return Err(Fault::client(Kind::BadRequest, "repeated Content-Length"));
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if fields.transfer_encoding.replace(value).is_some() {
                    return Err(Fault::client(Kind::BadRequest, "repeated Transfer-Encoding"));
                }
            } else if name.eq_ignore_ascii_case("upgrade") {
                fields.upgrade = Some(value);
            } else if name.eq_ignore_ascii_case("expect") {
                fields.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
            } else if name.eq_ignore_ascii_case("connection") {
                fields.connection_upgrade |= has_token(value, b"upgrade");
                if NEVER_OF_A_HOP.iter().any(|name| has_token(value, name)) {
                    return Err(Fault::client(
                        Kind::BadRequest,
                        "Connection names a header that frames or addresses the request",
                    ));
                }
            }
        }
        Ok(fields)
    }

    fn judge(&self, length: usize, version: Option<u8>) -> Result<Head, Fault> {
        let http11 = version == Some(1);
        match self.host {
            None if http11 => return Err(Fault::client(Kind::BadRequest, "no Host")),
            Some(value) if host::name(value).is_none() => {
                return Err(Fault::client(Kind::BadRequest, "invalid host"));
            }
            _ => {}
        }
        let body = match (self.content_length, self.transfer_encoding) {
            (Some(_), Some(_)) => {
                return Err(Fault::client(
                    Kind::BadRequest,
                    "Content-Length beside Transfer-Encoding",
                ));
            }
            (None, None) => BodyFraming::Length(0),
            (Some(value), None) => BodyFraming::Length(content_length(value)?),
            (None, Some(value)) if http11 && value.eq_ignore_ascii_case(b"chunked") => {
                BodyFraming::Chunked
            }
            (None, Some(_)) => {
                return Err(Fault::client(Kind::BadRequest, "unknown Transfer-Encoding"));
            }
        };
        let websocket = http11
            && self.connection_upgrade
            && self.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && body == BodyFraming::Length(0);
        let upgrade = if websocket { Upgrade::WebSocket } else { Upgrade::None };
        let expects_continue = http11 && self.expects_continue;
        Ok(Head { length, body, expects_continue, upgrade, plain: None, request: None })
    }
}

/// Digits and nothing else: no sign, no list, no blank (RFC 9110, 8.6). Zeros in front are refused too: some read octal.
fn content_length(value: &[u8]) -> Result<u64, Fault> {
    let is_padded = value.len() > 1 && value.starts_with(b"0");
    let digits = !value.is_empty() && !is_padded && value.iter().all(u8::is_ascii_digit);
    let number =
        std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Fault::client(Kind::BadRequest, "invalid Content-Length"))
}

/// Whether a comma-separated list has `token`, in any case.
pub(crate) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use switchback_conf::plan::Tolerances;

    use super::*;

    const LIMITS: ListenerLimits = ListenerLimits {
        target: 100,
        headers: 300,
        fields: 10,
        keepalive_requests: 10,
        tolerate: Tolerances::NONE,
    };

    fn complete(head: &str) -> Head {
        match parse(head.as_bytes(), &LIMITS, true) {
            Ok(Parsed::Complete(head)) => head,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    fn refusal(head: &str) -> u16 {
        match parse(head.as_bytes(), &LIMITS, true) {
            Err(fault) => fault.status().as_u16(),
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn framing_is_read_from_the_head() {
        assert_eq!(complete("GET / HTTP/1.1\r\nHost: a\r\n\r\n").body, BodyFraming::Length(0));
        assert_eq!(
            complete("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n").body,
            BodyFraming::Length(12)
        );
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\nrest";
        let head = complete(chunked);
        assert_eq!((head.length, head.body), (chunked.len() - 4, BodyFraming::Chunked));
        assert!(head.plain.is_none() && head.request.is_none());
        assert_eq!(complete("GET / HTTP/1.0\r\n\r\n").body, BodyFraming::Length(0));
        assert_eq!(complete("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").length, 31);
        assert_eq!(complete("GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n\r\n").upgrade, Upgrade::None);
    }

    #[test]
    fn a_head_is_kept_where_the_front_door_may_have_a_use_for_it() {
        let is_kept = |fields: &str, has_answers| {
            let head = format!("GET /a?b HTTP/1.0\r\nHost: a\r\n{fields}\r\n");
            let Ok(Parsed::Complete(head)) = parse(head.as_bytes(), &LIMITS, has_answers) else {
                panic!("{head:?}")
            };
            head.request.map(|request| (request.raw_path().to_vec(), request.version))
        };
        assert_eq!(is_kept("", true), Some((b"/a?b".to_vec(), Version::HTTP_10)));
        assert_eq!(is_kept("", false), None);
        assert_eq!(is_kept("Content-Length: 1\r\n", true), None);
    }

    #[test]
    fn a_tolerated_head_goes_on_mended() {
        let limits =
            ListenerLimits { tolerate: Tolerances::NONE.with(Tolerance::BareLf), ..LIMITS };
        let tolerant = |head: &str| parse(head.as_bytes(), &limits, true);
        let received = "GET http://a/x HTTP/1.1\nHost: a\n\n";
        let Ok(Parsed::Complete(head)) = tolerant(&format!("{received}rest")) else { panic!() };
        assert_eq!(head.length, received.len());
        let plain = head.plain.unwrap();
        assert_eq!(plain.bytes, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(&*plain.first_line.whole, b"GET http://a/x HTTP/1.1");
        let received = "GET /x HTTP/1.1\nHost: a\n\n";
        let Ok(Parsed::Complete(head)) = tolerant(received) else { panic!() };
        assert_eq!(head.plain.unwrap().bytes, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(matches!(tolerant(&received[..received.len() - 1]), Ok(Parsed::Partial)));
        for bad in ["GET /x HTTP/1.1\n\n", "GET /x HTTP/1.1\nHost: a\n b\n\n"] {
            assert_eq!(tolerant(bad).unwrap_err().status().as_u16(), 400, "{bad:?}");
        }
    }

    #[test]
    fn an_unusual_head_goes_on_in_plain() {
        let limits = ListenerLimits {
            tolerate: Tolerances::NONE
                .with(Tolerance::TargetBytes)
                .with(Tolerance::MinorVersion)
                .with(Tolerance::OtherHost),
            ..LIMITS
        };
        let parse = |bytes: &[u8], _: &ListenerLimits, _: bool| parse(bytes, &limits, true);
        let complete = |head: &str| match parse(head.as_bytes(), &LIMITS, true) {
            Ok(Parsed::Complete(head)) => head,
            other => panic!("{head:?}: {other:?}"),
        };
        let received = "GET http://B/<?x HTTP/1.5\r\nX: y\r\nHost: a\r\n\r\n";
        let head = complete(&format!("{received}rest"));
        assert_eq!(head.length, received.len());
        let plain = head.plain.unwrap();
        let request = head.request.unwrap();
        assert_eq!(
            (request.raw_path(), request.headers["host"].as_bytes()),
            (&b"/%3C?x"[..], &b"B"[..])
        );
        assert_eq!((request.headers.len(), request.version), (2, Version::HTTP_11));
        assert_eq!(plain.bytes, b"GET /%3C?x HTTP/1.1\r\nHost: B\r\nX: y\r\n\r\n");
        assert_eq!(&*plain.first_line.uri, b"/<?x");
        let target = format!("/{}", "<".repeat(90));
        complete(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let cut = &received.as_bytes()[..received.len() - 2];
        assert!(matches!(parse(cut, &LIMITS, true), Ok(Parsed::Partial)));
    }

    #[test]
    fn a_websocket_handshake_is_recognised() {
        let ask =
            |fields: &str| complete(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).upgrade;
        assert_eq!(
            ask("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"),
            Upgrade::WebSocket
        );
        assert_eq!(ask("Connection: keep-alive\r\nUpgrade: websocket\r\n"), Upgrade::None);
        assert_eq!(ask("Connection: upgrade\r\nUpgrade: h2c\r\n"), Upgrade::None);
        assert_eq!(
            ask("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"),
            Upgrade::None
        );
    }

    #[test]
    fn what_two_servers_could_frame_differently_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /<b> HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ] {
            assert_eq!(refusal(head), 400, "{head:?}");
        }
        assert_eq!(refusal("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    }

    #[test]
    fn limits_hold_before_and_after_the_head_is_whole() {
        let target = "/".repeat(140);
        assert_eq!(refusal(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), 414);
        assert_eq!(refusal(&format!("GET {target}")), 414);
        let line = "x".repeat(300);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {line}\r\n\r\n")), 431);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {line}")), 431);
        let wide = ListenerLimits { target: 100_000, ..LIMITS };
        let wide =
            ListenerLimits { tolerate: Tolerances::NONE.with(Tolerance::TargetBytes), ..wide };
        for target in ["a".repeat(70_000), "<".repeat(30_000)] {
            let head = format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let fault = parse(head.as_bytes(), &wide, true).unwrap_err();
            assert_eq!(fault.status().as_u16(), 414);
        }
        let many = "A: b\r\n".repeat(10);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), 431);
        complete(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(9)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, &LIMITS, true);
        }

        #[test]
        fn a_head_is_partial_until_its_last_byte(cut in 1_usize..52) {
            let head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1234\r\n\r\n";
            let parsed = parse(&head[..cut.min(head.len())], &LIMITS, true).unwrap();
            prop_assert_eq!(matches!(parsed, Parsed::Partial), cut < head.len());
        }
    }
}
