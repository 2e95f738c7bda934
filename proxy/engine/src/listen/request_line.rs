//! The first line of an HTTP/1 request, made plain.
//!
//! RFC 9112 has a server take targets in absolute form. A listener may tolerate minor versions that are yet to come, a `Host`
//! that differs from an absolute target's, and bytes in a target that no URI may have. Nobody behind the front door has to
//! know: a line that is unusual in one of these ways goes on as a path, encoded, with the host in `Host`; for logs and
//! templates it is kept as received.

use switchback_conf::plan::{ListenerLimits, Tolerance};

use crate::http::context::FirstLine;
use crate::http::fault::{Fault, Kind};
use crate::http::{host, percent};

/// An unusual line, understood.
#[derive(Debug)]
pub(super) struct Unusual {
    /// Bytes of it, and of empty lines before it, without its end.
    length: usize,
    /// What goes on in its place.
    plain: Vec<u8>,
    /// The authority of its target, if that was in absolute form.
    authority: Option<Vec<u8>>,
    /// As received.
    first_line: FirstLine,
}

/// Looks at the first line of `head`, as far as that is here. `None` is a usual line, or one that is for the parser of heads to
/// refuse.
pub(super) fn unusual(head: &[u8], limits: &ListenerLimits) -> Result<Option<Unusual>, Fault> {
    let start = head.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let here = head.get(start..).unwrap_or_default();
    let Some(line) = memchr::memchr(b'\n', here).and_then(|end| here.get(..end)) else {
        return Ok(None);
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some((method, target, version)) = parts(line) else { return Ok(None) };
    let is_tolerated = limits.tolerate.has(Tolerance::MinorVersion);
    let Some(plain_version) = plain_version(method, version, is_tolerated)? else {
        return Ok(None);
    };
    let is_path = target.starts_with(b"/") || target == b"*";
    let is_fit = target.iter().all(|byte| percent::may_stand(*byte));
    if is_path && plain_version == version && is_fit {
        return Ok(None);
    }
    if target.len() as u64 > limits.target {
        return Err(Fault::client(Kind::TargetTooLong, "request target too long"));
    }
    if !target.iter().all(|byte| *byte > b' ' && *byte != 0x7f && *byte != b'#') {
        return Ok(None);
    }
    if !is_fit && !limits.tolerate.has(Tolerance::TargetBytes) {
        return Err(Fault::client(
            Kind::BadRequest,
            "request target has a byte that no URI may have",
        ));
    }
    let Some(Asked { authority, uri }) = asked(method, target)? else { return Ok(None) };
    let encoded = percent::in_target(uri.clone());
    Ok(Some(Unusual {
        length: start + line.len(),
        plain: [method, &encoded, plain_version].join(&b' '),
        authority: authority.map(<[u8]>::to_vec),
        first_line: FirstLine { whole: line.into(), uri: uri.into() },
    }))
}

/// Method, target and version.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (first, last) = (memchr::memchr(b' ', line)?, memchr::memrchr(b' ', line)?);
    let target = line.get(first + 1..last).filter(|target| !target.is_empty())?;
    Some((line.get(..first)?, target, line.get(last + 1..)?))
}

/// The version that is spoken with a client of this one: a minor version is answered as the highest that is known (RFC 9110,
/// 2.5), if that is tolerated. `None` is no version, or the preface of HTTP/2.
fn plain_version<'v>(
    method: &[u8],
    version: &'v [u8],
    is_tolerated: bool,
) -> Result<Option<&'v [u8]>, Fault> {
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(Some(version)),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] if is_tolerated => {
            Ok(Some(b"HTTP/1.1"))
        }
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] if method != b"PRI" => {
            Err(Fault::client(Kind::UnknownVersion, "not HTTP/1.0 or HTTP/1.1"))
        }
        _ => Ok(None),
    }
}

/// What a target asks for.
struct Asked<'t> {
    /// Where, if it says so.
    authority: Option<&'t [u8]>,
    /// Path and query.
    uri: Vec<u8>,
}

/// Takes `target` apart. `None` is neither a path nor an absolute URI.
fn asked<'t>(method: &[u8], target: &'t [u8]) -> Result<Option<Asked<'t>>, Fault> {
    if target.starts_with(b"/") || target == b"*" {
        return Ok(Some(Asked { authority: None, uri: target.to_vec() }));
    }
    let Some(behind) = behind_scheme(target).filter(|_| method != b"CONNECT") else {
        return Ok(None);
    };
    let end = memchr::memchr2(b'/', b'?', behind).unwrap_or(behind.len());
    let (authority, rest) = behind.split_at(end);
    if host::name(authority).is_none() {
        return Err(Fault::client(Kind::BadRequest, "invalid authority in request target"));
    }
    let uri = match rest {
        // About the server as a whole (RFC 9112, 3.2.4).
        b"" if method == b"OPTIONS" => b"*".to_vec(),
        [b'/', ..] => rest.to_vec(),
        _ => [b"/", rest].concat(),
    };
    Ok(Some(Asked { authority: Some(authority), uri }))
}

/// What stands behind `http://` or `https://`, in any case.
fn behind_scheme(target: &[u8]) -> Option<&[u8]> {
    let (scheme, behind) = target.split_at(memchr::memmem::find(target, b"://")?);
    let is_known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    behind.get(3..).filter(|_| is_known)
}

impl Unusual {
    /// `head` with the plain line in place of this one.
    pub(super) fn in_plain(&self, head: &[u8]) -> Vec<u8> {
        [&self.plain, head.get(self.length..).unwrap_or_default()].concat()
    }

    /// The same limits for the plain line, whose target was judged as received.
    pub(super) fn limits(&self, limits: &ListenerLimits) -> ListenerLimits {
        ListenerLimits { target: limits.target.max(self.plain.len() as u64), ..*limits }
    }

    /// How many bytes were received for `length` bytes of the head in plain.
    pub(super) fn received(&self, length: usize) -> usize {
        length - self.plain.len() + self.length
    }

    /// The authority of its target, if that was in absolute form.
    pub(super) fn authority(&self) -> Option<&[u8]> {
        self.authority.as_deref()
    }

    /// Refuses a head that names another host than its target (RFC 9112, 3.2.2).
    pub(super) fn same_host(&self, plain: &[u8]) -> Result<(), Fault> {
        let Some(authority) = &self.authority else { return Ok(()) };
        let mut hosts = plain.split(|byte| *byte == b'\n').filter(|line| is_host(line));
        let named = |line: &[u8]| {
            line.get(5..).is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(authority))
        };
        if hosts.all(named) {
            return Ok(());
        }
        Err(Fault::client(Kind::BadRequest, "request target and Host name different hosts"))
    }

    /// The whole head `plain` as it goes on, and the line as received.
    pub(super) fn into_parts(self, plain: Vec<u8>) -> (Vec<u8>, FirstLine) {
        (self.with_host(plain), self.first_line)
    }

    /// `plain` with the authority of the target for `Host`, whatever that said (RFC 9112, 3.2.2).
    fn with_host(&self, plain: Vec<u8>) -> Vec<u8> {
        let Some(authority) = &self.authority else { return plain };
        let mut lines = plain.split_inclusive(|byte| *byte == b'\n');
        let mut head = lines.next().unwrap_or_default().to_vec();
        head.extend_from_slice(b"Host: ");
        head.extend_from_slice(authority);
        head.extend_from_slice(b"\r\n");
        lines.filter(|line| !is_host(line)).for_each(|line| head.extend_from_slice(line));
        head
    }
}

fn is_host(line: &[u8]) -> bool {
    line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"host:"))
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
        tolerate: Tolerances::NONE
            .with(Tolerance::TargetBytes)
            .with(Tolerance::MinorVersion)
            .with(Tolerance::OtherHost),
    };

    fn unusual_in(line: &str) -> Option<Unusual> {
        unusual(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), &LIMITS).unwrap()
    }

    /// The line that goes on, the authority, and what `$request_uri` says.
    fn plain(line: &str) -> (String, Option<String>, String) {
        let unusual = unusual_in(line).unwrap();
        assert_eq!(&*unusual.first_line.whole, line.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let authority = unusual.authority.as_deref().map(text);
        (text(&unusual.plain), authority, text(&unusual.first_line.uri))
    }

    fn refusal(line: &str) -> u16 {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        unusual(head.as_bytes(), &LIMITS).unwrap_err().status().as_u16()
    }

    #[test]
    fn a_usual_line_is_left_alone() {
        for line in [
            "GET / HTTP/1.1",
            "GET /a%20b?c=d&e=/~[x]:@!$'()*+,; HTTP/1.0",
            "OPTIONS * HTTP/1.1",
            "GET / HTTP/11",
            "GET / http/1.1",
            "GET /a b HTTP/1.1",
            "GET /a\u{7f} HTTP/1.1",
            "GET /<#f HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "CONNECT http://a/ HTTP/1.1",
            "PRI * HTTP/2.0",
            "GET",
            "",
        ] {
            assert!(unusual_in(line).is_none(), "{line}");
        }
        assert!(unusual(b"GET http://a/ HT", &LIMITS).unwrap().is_none());
    }

    #[test]
    fn an_absolute_target_becomes_a_path_and_a_host() {
        let absolute = |target: &str| plain(&format!("GET {target} HTTP/1.1"));
        for (target, path, authority) in [
            ("http://b:80/page?x=/", "/page?x=/", "b:80"),
            ("HTTPS://B", "/", "B"),
            ("http://b?a=b", "/?a=b", "b"),
            ("http://[::1]:8080/a//b", "/a//b", "[::1]:8080"),
        ] {
            let line = format!("GET {path} HTTP/1.1");
            assert_eq!(absolute(target), (line, Some(authority.into()), path.into()), "{target}");
        }
        assert_eq!(plain("OPTIONS http://b HTTP/1.1").0, "OPTIONS * HTTP/1.1");
        for target in ["http://u@b/", "http:///x", "http://", "http://b\\c/", "http://b:x/"] {
            assert_eq!(refusal(&format!("GET {target} HTTP/1.1")), 400, "{target}");
        }
    }

    #[test]
    fn what_no_uri_may_have_is_encoded() {
        let (line, authority, uri) = plain("GET /<b>\"`{|}^\\\u{e9}?q=<%3C HTTP/1.1");
        assert_eq!(line, "GET /%3Cb%3E%22%60%7B%7C%7D%5E%5C%C3%A9?q=%3C%3C HTTP/1.1");
        assert_eq!((authority, uri.as_str()), (None, "/<b>\"`{|}^\\\u{e9}?q=<%3C"));
        assert_eq!(refusal(&format!("GET /{} HTTP/1.1", "<".repeat(100))), 414);
    }

    #[test]
    fn minor_versions_are_answered_as_1_1_and_others_not_at_all() {
        for version in ["1.2", "1.9"] {
            assert_eq!(plain(&format!("GET /a HTTP/{version}")).0, "GET /a HTTP/1.1");
        }
        for version in ["0.9", "2.0", "3.0", "9.9"] {
            assert_eq!(refusal(&format!("GET /a HTTP/{version}")), 505, "{version}");
        }
    }

    #[test]
    fn what_is_not_tolerated_is_refused() {
        let strict = ListenerLimits { tolerate: Tolerances::NONE, ..LIMITS };
        let status = |line: &str| {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            match unusual(head.as_bytes(), &strict) {
                Ok(Some(unusual)) => unusual
                    .same_host(head.as_bytes())
                    .map_or_else(|fault| fault.status().as_u16(), |()| 200),
                Ok(None) => 0,
                Err(fault) => fault.status().as_u16(),
            }
        };
        for byte in "\"<>\\^`{|}\u{e9}".chars() {
            assert_eq!(status(&format!("GET /?{byte} HTTP/1.1")), 400, "{byte}");
            assert_eq!(status(&format!("GET http://a/?{byte} HTTP/1.1")), 400, "{byte}");
        }
        assert_eq!(status("GET / HTTP/1.2"), 505);
        assert_eq!(status("GET http://A/ HTTP/1.1"), 200);
        assert_eq!(status("GET http://b/ HTTP/1.1"), 400);
        assert_eq!(status("GET http://a:80/ HTTP/1.1"), 400);
    }

    #[test]
    fn the_host_of_the_target_takes_the_place_of_all_others() {
        let head = b"\r\nGET http://b/ HTTP/1.1\r\nA: 1\r\nhOST: a\r\nHostile: 2\r\n\r\n";
        let unusual = unusual(head, &LIMITS).unwrap().unwrap();
        let plain = unusual.in_plain(head);
        assert_eq!(unusual.received(plain.len()), head.len());
        let wanted = b"GET / HTTP/1.1\r\nHost: b\r\nA: 1\r\nHostile: 2\r\n\r\n";
        assert_eq!(unusual.with_host(plain), wanted);
    }

    proptest! {
        #[test]
        fn a_plain_line_is_never_unusual(line in "[A-Z]{1,7} [ -~\u{80}-\u{200}]{0,40} HTTP/[0-3][.][0-9]") {
            if let Ok(Some(found)) = unusual(format!("{line}\r\n").as_bytes(), &LIMITS) {
                let again = [&found.plain[..], b"\r\n"].concat();
                prop_assert!(unusual(&again, &found.limits(&LIMITS)).unwrap().is_none());
            }
        }
    }
}
