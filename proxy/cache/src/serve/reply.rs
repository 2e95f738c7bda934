//! The head of an answer made of a stored response.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use switchback_representation::{content_range, number};

use crate::entry::Head;
use crate::policy::CacheStatus;
use crate::serve::wire::{Form, Wire, put_field};

/// What an answer says beside what is stored.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What of the stored head is sent.
    pub form: Form,
    /// `Age`, in seconds; `None` where the origin has just made or validated it (RFC 9111, 5.1).
    pub age: Option<u64>,
    /// `Content-Length`; `None` where nobody knows it, and of a 304.
    pub length: Option<u64>,
    /// `Content-Range`: one range of a whole of so many bytes.
    pub range: Option<(Range<u64>, u64)>,
    /// The type of a body of several ranges, which names their boundary.
    pub content_type: Option<HeaderValue>,
    /// `Cache-Status`, behind those of caches nearer to the origin.
    pub cache_status: Option<CacheStatus<'static>>,
    /// `Use-As-Dictionary`, if all of it is sent (RFC 9842, 2.1).
    pub use_as_dictionary: Option<HeaderValue>,
    /// Lines that somebody has [added](Self::add).
    pub added: Vec<(HeaderName, HeaderValue)>,
}

/// What an answer over HTTP/1 says of its own hop.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'h> {
    /// What becomes of the connection.
    pub connection: &'h str,
    /// Whether the client takes that for granted: a 304 does not say it then.
    pub is_granted: bool,
    /// Whether the body is in chunks.
    pub is_chunked: bool,
}

/// A 304 is shorter than this: `Cache-Status` is left out where it would make it longer.
const NOT_MODIFIED_LIMIT: usize = 200;

/// What a response says that may serve as a dictionary for others (RFC 9842, 2.1).
pub const USE_AS_DICTIONARY: HeaderName = HeaderName::from_static("use-as-dictionary");

/// See [`Reply::add`].
pub const MOST_ADDED: usize = 32;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Fields that an answer says of itself or of its hop.
const MADE: [HeaderName; 7] = [
    header::AGE,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    CACHE_STATUS,
    USE_AS_DICTIONARY,
];

impl Reply {
    /// 304.
    #[must_use]
    pub fn not_modified(age: Option<u64>, cache_status: Option<CacheStatus<'static>>) -> Self {
        Self { cache_status, ..Self::whole(age, None) }.of(Form::NotModified)
    }

    /// The stored response as it is.
    #[must_use]
    pub fn whole(age: Option<u64>, length: Option<u64>) -> Self {
        let form = Form::Whole;
        Self {
            form,
            age,
            length,
            range: None,
            content_type: None,
            cache_status: None,
            use_as_dictionary: None,
            added: Vec::new(),
        }
    }

    /// Adds a line, or has it take the place of one that was added; not where the reply says something of that name by itself, nor
    /// beside [`MOST_ADDED`] others, among which it would be long looked for.
    ///
    /// # Errors
    /// The value, where it was not added.
    pub fn add(
        &mut self,
        head: &Head,
        name: &HeaderName,
        value: HeaderValue,
    ) -> Result<(), HeaderValue> {
        if self.says_by_itself(head, name) {
            return Err(value);
        }
        let count = self.added.len();
        match self.added.iter_mut().find(|(added, _)| added == name) {
            Some((_, before)) => *before = value,
            None if count < MOST_ADDED => self.added.push((name.clone(), value)),
            None => return Err(value),
        }
        Ok(())
    }

    /// Takes back a line that was added. Returns whether the reply says nothing of that name now.
    pub fn take_back(&mut self, head: &Head, name: &HeaderName) -> bool {
        self.added.retain(|(added, _)| added != name);
        !self.says_by_itself(head, name)
    }

    /// Whether there is a field that nobody has added, or may be one.
    fn says_by_itself(&self, head: &Head, name: &HeaderName) -> bool {
        self.makes(name) || head.headers.contains_key(name) && self.form.sends(name, head)
    }

    /// Whether the field is not, or not only, what is stored.
    fn makes(&self, name: &HeaderName) -> bool {
        MADE.contains(name) || *name == header::CONTENT_TYPE && self.content_type.is_some()
    }

    /// The first line of a field, of the stored ones as they are.
    #[must_use]
    pub fn value<'r>(&'r self, head: &'r Head, name: &HeaderName) -> Option<Cow<'r, [u8]>> {
        if self.makes(name) {
            let made = self.to_headers(head, None).remove(name)?;
            return Some(Cow::Owned(made.as_bytes().to_vec()));
        }
        let stored = head.headers.get(name).filter(|_| self.form.sends(name, head));
        let added = || self.added.iter().find(|(added, _)| added == name);
        let value = stored.or_else(|| added().map(|(_, value)| value))?;
        Some(Cow::Borrowed(value.as_bytes()))
    }

    fn of(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The status.
    #[must_use]
    pub fn status(&self, stored: StatusCode) -> StatusCode {
        self.form.status(stored)
    }

    /// Appends the head as HTTP/1.1 writes it.
    pub fn write(&self, wire: &Wire, hop: Hop<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(wire.length(self.form) + 192);
        wire.write(self.form, out);
        // Nothing that is written to a vector fails.
        if let Some(age) = self.age {
            let _ = write!(out, "Age: {age}\r\n");
        }
        if let Some(length) = self.length {
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        if let Some((range, size)) = &self.range {
            put(out, b"Content-Range: ", content_range(Some(range), *size).as_bytes());
        }
        if let Some(content_type) = &self.content_type {
            put(out, b"Content-Type: ", content_type.as_bytes());
        }
        if let Some(announced) = self.announced() {
            put(out, b"Use-As-Dictionary: ", announced.as_bytes());
        }
        if hop.is_chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if self.says_connection(hop) {
            put(out, b"Connection: ", hop.connection.as_bytes());
        }
        for (name, value) in &self.added {
            put_field(out, name, value);
        }
        if let Some(status) = self.said_status() {
            let before = out.len();
            out.extend_from_slice(b"Cache-Status: ");
            status.write(out);
            out.extend_from_slice(b"\r\n");
            if self.form == Form::NotModified && out.len() + 2 - start >= NOT_MODIFIED_LIMIT {
                out.truncate(before);
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn says_connection(&self, hop: Hop<'_>) -> bool {
        self.form != Form::NotModified || !hop.is_granted
    }

    /// The same as a map, for those who work on it or write it otherwise; with what it says of this hop, where that is known.
    /// `Cache-Status` is among them also where HTTP/1 leaves it out.
    #[must_use]
    pub fn to_headers(&self, head: &Head, hop: Option<Hop<'static>>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(head.headers.len() + 4 + self.added.len());
        for (name, value) in &head.headers {
            if self.form.sends(name, head) {
                headers.append(name, value.clone());
            }
        }
        if let Some(age) = self.age {
            headers.insert(header::AGE, number(age));
        }
        if let Some(length) = self.length {
            headers.insert(header::CONTENT_LENGTH, number(length));
        }
        if let Some((range, size)) = &self.range {
            headers.insert(header::CONTENT_RANGE, content_range(Some(range), *size).to_value());
        }
        if let Some(content_type) = &self.content_type {
            headers.insert(header::CONTENT_TYPE, content_type.clone());
        }
        if let Some(announced) = self.announced() {
            headers.insert(USE_AS_DICTIONARY, announced.clone());
        }
        for (name, value) in &self.added {
            headers.insert(name, value.clone());
        }
        if let Some(status) = self.said_status() {
            headers.append(CACHE_STATUS, status.to_value());
        }
        let Some(hop) = hop else { return headers };
        if hop.is_chunked {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if self.says_connection(hop) {
            headers.insert(header::CONNECTION, HeaderValue::from_static(hop.connection));
        }
        headers
    }

    /// A part is no dictionary, and who has the whole has been told.
    fn announced(&self) -> Option<&HeaderValue> {
        self.use_as_dictionary.as_ref().filter(|_| self.form == Form::Whole)
    }

    /// A 304 tells that it is a hit and no more: that is the same each time, so that HTTP/2 sends it once.
    fn said_status(&self) -> Option<CacheStatus<'static>> {
        let status = self.cache_status?;
        if self.form != Form::NotModified {
            return Some(status);
        }
        Some(CacheStatus { ttl: None, ..status })
    }
}

fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> Head {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Head { status: StatusCode::OK, headers: lines.iter().map(line).collect() }
    }

    fn hit(ttl: i64) -> Option<CacheStatus<'static>> {
        Some(CacheStatus { ttl: Some(ttl), ..CacheStatus::hit("switchback") })
    }

    const OPEN: Hop<'_> = Hop { connection: "keep-alive", is_granted: true, is_chunked: false };

    fn written(reply: &Reply, head: &Head, hop: Hop<'_>) -> String {
        let mut out = Vec::new();
        reply.write(&Wire::of(head), hop, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// What an ordinary page says, and some more that a 304 need not.
    const ORDINARY: [(&str, &str); 9] = [
        ("cache-control", "public, max-age=3600"),
        ("content-type", "text/html; charset=utf-8"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"33a64df551425fcc\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:36 GMT"),
        ("server", "Apache/2.4.62 (Unix)"),
        ("vary", "Accept-Encoding"),
        ("x-request-id", "0123456789abcdef"),
        ("cache-status", "\"Far\"; hit"),
    ];

    #[test]
    fn the_range_that_a_whole_response_says_goes_with_it_and_not_with_its_parts() {
        let stored = head(&[("content-range", "bytes 4-8/10"), ("x-a", "1")]);
        let whole = Reply::whole(None, Some(5));
        assert!(written(&whole, &stored, OPEN).contains("\r\nContent-Range: bytes 4-8/10\r\n"));
        assert_eq!(whole.to_headers(&stored, None)[header::CONTENT_RANGE], "bytes 4-8/10");
        let part =
            Reply { range: Some((4..6, 10)), ..Reply::whole(None, Some(2)) }.of(Form::Partial);
        let sent = written(&part, &stored, OPEN);
        assert_eq!(sent.matches("Content-Range").count(), 1, "{sent}");
        assert!(sent.contains("\r\nX-A: 1\r\n"), "{sent}");
        assert_eq!(part.to_headers(&stored, None)[header::CONTENT_RANGE], "bytes 4-5/10");
    }

    #[test]
    fn an_ordinary_304_is_shorter_than_200_bytes() {
        let reply = Reply::not_modified(Some(31_536_000), hit(3600));
        let short = written(&reply, &head(&ORDINARY), OPEN);
        assert!(short.len() < 200, "{}: {short}", short.len());
        assert!(short.contains("Cache-Status: switchback"), "{short}");
        let closing = Hop { connection: "close", is_granted: false, is_chunked: false };
        let closing = written(&reply, &head(&ORDINARY), closing);
        assert!(closing.len() < 200 && closing.contains("Connection: close\r\n"), "{closing}");
    }

    #[test]
    fn a_304_that_would_be_long_leaves_out_what_a_client_can_do_without() {
        let long = ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\"");
        let mut fields = ORDINARY.to_vec();
        fields[3] = long;
        let short = written(&Reply::not_modified(Some(100), hit(3600)), &head(&fields), OPEN);
        assert!(short.len() < 200, "{}: {short}", short.len());
        assert!(short.contains(long.1) && !short.contains("Cache-Status"), "{short}");
    }

    #[test]
    fn a_hit_is_what_is_stored_and_what_is_its_own() {
        let reply = Reply { cache_status: hit(9), ..Reply::whole(Some(7), Some(12)) };
        let head = head(&[("content-type", "text/plain"), ("cache-status", "far; hit")]);
        let mut status = Vec::new();
        reply.cache_status.unwrap().write(&mut status);
        let status = String::from_utf8(status).unwrap();
        assert_eq!(
            written(&reply, &head, OPEN),
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Status: far; hit\r\nAge: 7\r\n\
                 Content-Length: 12\r\nConnection: keep-alive\r\nCache-Status: {status}\r\n\r\n"
            )
        );
    }

    const FRAMES: HeaderName = HeaderName::from_static("x-frame-options");
    const DENY: HeaderValue = HeaderValue::from_static("DENY");

    #[test]
    fn what_is_added_takes_the_place_of_what_was_and_of_nothing_else() {
        let head = head(&ORDINARY);
        let mut reply = Reply { cache_status: hit(9), ..Reply::whole(Some(7), Some(12)) };
        reply.add(&head, &FRAMES, HeaderValue::from_static("SAMEORIGIN")).unwrap();
        reply.add(&head, &FRAMES, DENY).unwrap();
        assert_eq!(reply.value(&head, &FRAMES).as_deref(), Some(&b"DENY"[..]));
        let sent = written(&reply, &head, OPEN);
        assert_eq!(sent.matches("X-Frame-Options: DENY\r\n").count(), 1, "{sent}");
        assert!(!sent.contains("SAMEORIGIN") && sent.ends_with("\r\n\r\n"), "{sent}");
        for name in MADE.iter().chain([&header::ETAG, &header::VARY]) {
            assert_eq!(reply.add(&head, name, DENY), Err(DENY), "{name}");
            assert!(!reply.take_back(&head, name), "{name}");
        }
        for number in 1..MOST_ADDED {
            let name = HeaderName::try_from(format!("x-{number}")).unwrap();
            reply.add(&head, &name, DENY).unwrap();
        }
        assert_eq!(reply.add(&head, &HeaderName::from_static("x-0"), DENY), Err(DENY));
        assert!(reply.take_back(&head, &FRAMES));
        assert!(!written(&reply, &head, OPEN).contains("X-Frame-Options"));
        assert_eq!(reply.value(&head, &FRAMES), None);
    }

    #[test]
    fn values_are_those_that_are_sent() {
        let stored = head(&ORDINARY);
        let several = HeaderValue::from_static("multipart/byteranges; boundary=b");
        let mut replies = [
            Reply { cache_status: hit(9), ..Reply::whole(Some(7), Some(12)) },
            Reply { range: Some((2..5, 12)), ..Reply::whole(None, Some(3)) }.of(Form::Partial),
            Reply { content_type: Some(several), ..Reply::whole(Some(7), Some(90)) }
                .of(Form::Multipart),
            Reply::not_modified(Some(8), hit(9)),
        ];
        for reply in &mut replies {
            reply.add(&stored, &FRAMES, DENY).unwrap();
            let map = reply.to_headers(&stored, None);
            let names = ORDINARY.map(|(name, _)| HeaderName::from_static(name));
            for name in names.iter().chain(&MADE).chain([&FRAMES]) {
                let value = map.get(name).map(HeaderValue::as_bytes);
                assert_eq!(reply.value(&stored, name).as_deref(), value, "{name}");
            }
        }
        // A 304 says no type, so that one may be added.
        let not_modified = replies.last_mut().unwrap();
        not_modified.add(&stored, &header::CONTENT_TYPE, DENY).unwrap();
        assert!(written(not_modified, &stored, OPEN).contains("Content-Type: DENY\r\n"));
    }

    #[test]
    fn both_ways_to_write_a_reply_say_the_same_of_its_hop() {
        let (stored, whole) = (head(&ORDINARY), Reply::whole(None, None));
        let said = |reply: &Reply, hop: Hop<'static>| {
            let (text, map) = (written(reply, &stored, hop), reply.to_headers(&stored, Some(hop)));
            for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
                let line = text.lines().find_map(|line| {
                    let (said, value) = line.split_once(": ")?;
                    said.eq_ignore_ascii_case(name.as_str()).then_some(value)
                });
                assert_eq!(map.get(&name).map(|value| value.to_str().unwrap()), line, "{name}");
            }
            [header::CONNECTION, header::TRANSFER_ENCODING].map(|name| map.contains_key(name))
        };
        let closing = Hop { connection: "close", is_granted: false, is_chunked: false };
        assert_eq!(said(&whole, OPEN), [true, false]);
        assert_eq!(said(&whole, Hop { is_chunked: true, ..closing }), [true, true]);
        assert_eq!(said(&Reply::not_modified(None, None), OPEN), [false, false]);
        assert_eq!(said(&Reply::not_modified(None, None), closing), [true, false]);
        assert!(!whole.to_headers(&stored, None).contains_key(header::CONNECTION));
    }

    #[test]
    fn both_ways_to_write_a_reply_say_the_same() {
        let several = HeaderValue::from_static("multipart/byteranges; boundary=b");
        let pattern = HeaderValue::from_static("match=\"/a.*.js\"");
        let dropped = pattern.clone();
        let replies = [
            Reply { cache_status: hit(9), ..Reply::whole(Some(7), Some(12)) },
            Reply { range: Some((2..5, 12)), ..Reply::whole(Some(7), Some(3)) }.of(Form::Partial),
            Reply { content_type: Some(several), ..Reply::whole(Some(7), Some(90)) }
                .of(Form::Multipart),
            Reply { use_as_dictionary: Some(pattern), ..Reply::whole(None, Some(12)) },
            Reply { use_as_dictionary: Some(dropped), ..Reply::not_modified(None, None) },
            Reply::whole(None, None),
        ];
        for mut reply in replies {
            let head = head(&ORDINARY);
            reply.add(&head, &FRAMES, DENY).unwrap();
            let text = written(&reply, &head, OPEN);
            let fields = text.trim_end().lines().skip(1);
            let mut lines: Vec<_> = fields.map(str::to_lowercase).collect();
            let map = reply.to_headers(&head, Some(OPEN));
            let line = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().unwrap()).to_lowercase()
            };
            let mut mapped: Vec<_> = map.iter().map(line).collect();
            lines.sort();
            mapped.sort();
            assert_eq!(lines, mapped);
            let is_told = reply.use_as_dictionary.is_some() && reply.form == Form::Whole;
            assert_eq!(map.contains_key(USE_AS_DICTIONARY), is_told);
            let status = format!("HTTP/1.1 {} ", reply.status(head.status).as_str());
            assert!(text.starts_with(&status), "{text}");
        }
    }
}
