//! Which answers may be coded, and what else of their heads has to change then.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::types::Types;

/// Which answers of a route are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of these types.
    pub types: Types,
    /// With at least so many bytes, where the length is known.
    pub min_length: u64,
    /// Event streams too; each of their pieces is then flushed at once.
    pub events: bool,
}

/// What is done with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be coded, and is flushed so.
    Code(Flush),
    /// It stays as it is, and nothing was negotiated.
    Leave(Reason),
}

/// When what has come in has to be out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// When nothing more comes for a moment.
    WhenQuiet,
    /// With each piece: a client waits for it.
    Always,
}

/// Why an answer stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has no body, or a part of one: 1xx, 204, 205, 206, 304, the answer to a CONNECT.
    Status,
    /// Somebody forbids it: `no-transform`.
    NoTransform,
    /// It is coded already.
    Coded,
    /// Its type is not among those that are worth it, or not known.
    Type,
    /// Its length is below the least.
    Short,
}

impl Default for Rules {
    fn default() -> Self {
        Self { types: Types::default(), min_length: 256, events: true }
    }
}

impl Rules {
    /// What is done with an answer. HEAD is judged like GET, since its head says what that of a GET would say. Allocates nothing.
    #[must_use]
    pub fn judge(&self, method: &Method, status: StatusCode, headers: &HeaderMap) -> Verdict {
        if !has_whole_body(method, status) || headers.contains_key(CONTENT_RANGE) {
            return Verdict::Leave(Reason::Status);
        }
        if is_coded(headers) {
            return Verdict::Leave(Reason::Coded);
        }
        if forbids_transforming(headers) {
            return Verdict::Leave(Reason::NoTransform);
        }
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
        let Some(content_type) = content_type.filter(|value| self.types.contain(value)) else {
            return Verdict::Leave(Reason::Type);
        };
        if length(headers).is_some_and(|length| length < self.min_length) {
            return Verdict::Leave(Reason::Short);
        }
        match is_event_stream(content_type) {
            true if self.events => Verdict::Code(Flush::Always),
            true => Verdict::Leave(Reason::Type),
            false => Verdict::Code(Flush::WhenQuiet),
        }
    }
}

/// Whether a request or an answer forbids what changes its body (RFC 9111 section 5.2).
#[must_use]
pub fn forbids_transforming(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter();
    let mut directives = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// What has to go from the head of an answer whose body changes: lengths and digests of the bytes that were, and the promise to
/// send parts of bytes that nobody has yet.
pub const NO_LONGER_TRUE: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

fn has_whole_body(method: &Method, status: StatusCode) -> bool {
    let without = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    method != Method::CONNECT && !status.is_informational() && !without.contains(&status)
}

fn is_coded(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_ENCODING).into_iter();
    lines.any(|line| {
        let mut names = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
    })
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judge(method: &Method, status: u16, lines: &[(&'static str, &'static str)]) -> Verdict {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let status = StatusCode::from_u16(status).unwrap();
        Rules::default().judge(method, status, &lines.iter().map(line).collect())
    }

    const HTML: (&str, &str) = ("content-type", "text/html");

    #[test]
    fn whole_texts_are_coded() {
        use Verdict::{Code, Leave};
        for (lines, expected) in [
            (&[HTML][..], Code(Flush::WhenQuiet)),
            (&[HTML, ("content-length", "256")], Code(Flush::WhenQuiet)),
            (&[HTML, ("content-length", "255")], Leave(Reason::Short)),
            (&[HTML, ("content-length", "0")], Leave(Reason::Short)),
            (&[HTML, ("content-encoding", "identity")], Code(Flush::WhenQuiet)),
            (&[HTML, ("content-encoding", "gzip")], Leave(Reason::Coded)),
            (&[HTML, ("content-encoding", "identity, x")], Leave(Reason::Coded)),
            (&[HTML, ("cache-control", "public, No-Transform")], Leave(Reason::NoTransform)),
            (&[HTML, ("cache-control", "x-no-transform")], Code(Flush::WhenQuiet)),
            (&[HTML, ("content-range", "bytes 0-1/2")], Leave(Reason::Status)),
            (&[("content-type", "image/png")], Leave(Reason::Type)),
            (&[], Leave(Reason::Type)),
            (&[("content-type", "Text/Event-Stream;charset=utf-8")], Code(Flush::Always)),
        ] {
            assert_eq!(judge(&Method::GET, 200, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_has_no_whole_body_stays_as_it_is() {
        for status in [101, 103, 204, 205, 206, 304] {
            let verdict = judge(&Method::GET, status, &[HTML]);
            assert_eq!(verdict, Verdict::Leave(Reason::Status), "{status}");
        }
        for status in [200, 201, 301, 404, 500] {
            let verdict = judge(&Method::POST, status, &[HTML]);
            assert_eq!(verdict, Verdict::Code(Flush::WhenQuiet), "{status}");
        }
        assert_eq!(judge(&Method::HEAD, 200, &[HTML]), judge(&Method::GET, 200, &[HTML]));
        assert_eq!(judge(&Method::CONNECT, 200, &[HTML]), Verdict::Leave(Reason::Status));
    }

    #[test]
    fn event_streams_stay_as_they_are_where_the_rules_say_so() {
        let rules = Rules { events: false, ..Rules::default() };
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
        let verdict = rules.judge(&Method::GET, StatusCode::OK, &headers);
        assert_eq!(verdict, Verdict::Leave(Reason::Type));
    }
}
