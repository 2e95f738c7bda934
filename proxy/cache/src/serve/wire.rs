//! The head of a stored response as HTTP/1.1 writes it, made once.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::entry::Head;

/// Status line and fields, ready to be sent: a hit adds what is its own (`Age`, `Content-Length` ...) and parses nothing.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Status line, range, type, other fields; all lines are whole.
    bytes: Bytes,
    /// Where the lines end that only the whole response has: its status, and the range it says that it is of.
    of_whole: usize,
    /// Where the lines of the type end.
    content_type: usize,
    /// Status line and fields of a 304.
    not_modified: Bytes,
}

/// What of a stored head is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    Whole,
    /// All of it, as 206.
    Partial,
    /// All but the type, which a body of several ranges names itself, as 206.
    Multipart,
    /// What a 304 says (RFC 9110, 15.4.5).
    NotModified,
}

impl Wire {
    /// Of a head without fields of a single hop.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        let mut bytes = BytesMut::with_capacity(64 + 48 * head.headers.len());
        put_status_line(&mut bytes, head.status);
        put_fields(&mut bytes, head, |name| *name == header::CONTENT_RANGE);
        let of_whole = bytes.len();
        put_fields(&mut bytes, head, |name| *name == header::CONTENT_TYPE);
        let content_type = bytes.len();
        put_fields(&mut bytes, head, |name| *name != header::CONTENT_TYPE && !is_made_anew(name));
        let mut not_modified = BytesMut::with_capacity(160);
        put_status_line(&mut not_modified, StatusCode::NOT_MODIFIED);
        put_fields(&mut not_modified, head, |name| is_of_not_modified(name, head));
        Self {
            bytes: Bytes::from(bytes.to_vec()),
            of_whole,
            content_type,
            not_modified: Bytes::from(not_modified.to_vec()),
        }
    }

    /// Appends whole lines: status and fields. What is computed for each answer is not among them: `Age`, the length, the range,
    /// the type of several ranges; nor is the empty line at the end.
    pub fn write(&self, form: Form, out: &mut Vec<u8>) {
        let from = match form {
            Form::Whole => return out.extend_from_slice(&self.bytes),
            Form::NotModified => return out.extend_from_slice(&self.not_modified),
            Form::Partial => self.of_whole,
            Form::Multipart => self.content_type,
        };
        out.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n");
        out.extend_from_slice(self.bytes.get(from..).unwrap_or_default());
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len() + self.not_modified.len()
    }

    /// How long the lines of a form are, at most.
    #[must_use]
    pub fn length(&self, form: Form) -> usize {
        match form {
            Form::NotModified => self.not_modified.len(),
            Form::Whole | Form::Partial | Form::Multipart => self.bytes.len() + 16,
        }
    }
}

impl Form {
    /// Whether a stored field is sent in this form.
    #[must_use]
    pub fn sends(self, name: &HeaderName, head: &Head) -> bool {
        match self {
            Self::NotModified => is_of_not_modified(name, head),
            Self::Multipart if *name == header::CONTENT_TYPE => false,
            Self::Whole => *name == header::CONTENT_RANGE || !is_made_anew(name),
            Self::Partial | Self::Multipart => !is_made_anew(name),
        }
    }

    /// The status that is sent.
    #[must_use]
    pub fn status(self, stored: StatusCode) -> StatusCode {
        match self {
            Self::Whole => stored,
            Self::Partial | Self::Multipart => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
        }
    }
}

/// Whether each answer has its own, and each part its range.
fn is_made_anew(name: &HeaderName) -> bool {
    [header::AGE, header::CONTENT_LENGTH, header::CONTENT_RANGE].contains(name)
}

/// The fields that a 304 must have where the 200 has them; and `Last-Modified` where no tag says more (RFC 9110, 15.4.5).
fn is_of_not_modified(name: &HeaderName, head: &Head) -> bool {
    let always = [
        header::CACHE_CONTROL,
        header::CONTENT_LOCATION,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::VARY,
    ];
    always.contains(name)
        || *name == header::LAST_MODIFIED && !head.headers.contains_key(header::ETAG)
}

fn put_status_line(out: &mut BytesMut, status: StatusCode) {
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default()] {
        out.put_slice(part.as_bytes());
    }
    out.put_slice(b"\r\n");
}

fn put_fields(out: &mut BytesMut, head: &Head, sends: impl Fn(&HeaderName) -> bool) {
    for (name, value) in head.headers.iter().filter(|(name, _)| sends(name)) {
        put_field(out, name, value);
    }
}

/// A line of its own.
pub(super) fn put_field(out: &mut impl BufMut, name: &HeaderName, value: &HeaderValue) {
    put_name(out, name);
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

/// The name as people write it, for those who look at HTTP/1 by eye.
fn put_name(out: &mut impl BufMut, name: &HeaderName) {
    if *name == header::ETAG {
        return out.put_slice(b"ETag");
    }
    let mut begins = true;
    for byte in name.as_str().bytes() {
        out.put_u8(if begins { byte.to_ascii_uppercase() } else { byte });
        begins = byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn head(status: u16, lines: &[(&'static str, &'static str)]) -> Head {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers: HeaderMap = lines.iter().map(line).collect();
        Head { status: StatusCode::from_u16(status).unwrap(), headers }
    }

    fn written(head: &Head, form: Form) -> String {
        let (wire, mut out) = (Wire::of(head), Vec::new());
        wire.write(form, &mut out);
        assert!(out.len() <= wire.length(form) && out.len() <= wire.size() + 16);
        String::from_utf8(out).unwrap()
    }

    const FIELDS: [(&str, &str); 9] = [
        ("server", "origin"),
        ("content-type", "text/plain"),
        ("age", "7"),
        ("content-length", "12"),
        ("content-range", "bytes 0-11/12"),
        ("etag", "\"a\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-two", "1"),
        ("x-two", "2"),
    ];

    #[test]
    fn a_stored_head_is_written_with_what_holds_for_every_answer() {
        assert_eq!(
            written(&head(200, &FIELDS), Form::Whole),
            "HTTP/1.1 200 OK\r\nContent-Range: bytes 0-11/12\r\nContent-Type: text/plain\r\n\
             Server: origin\r\nETag: \"a\"\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Two: 1\r\nX-Two: 2\r\n"
        );
        assert_eq!(
            written(&head(404, &[("x-a", "b")]), Form::Whole),
            "HTTP/1.1 404 Not Found\r\nX-A: b\r\n"
        );
    }

    #[test]
    fn a_part_says_the_same_and_several_parts_all_but_the_type() {
        let whole = written(&head(200, &FIELDS), Form::Whole);
        let partial = whole.replace("200 OK", "206 Partial Content");
        let partial = partial.replace("Content-Range: bytes 0-11/12\r\n", "");
        assert_eq!(written(&head(200, &FIELDS), Form::Partial), partial);
        let several = partial.replace("Content-Type: text/plain\r\n", "");
        assert_eq!(written(&head(200, &FIELDS), Form::Multipart), several);
    }

    #[test]
    fn a_304_says_what_the_rfc_lists_and_no_more() {
        let listed = [
            ("cache-control", "max-age=1"),
            ("content-location", "/a"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("etag", "\"a\""),
            ("expires", "0"),
            ("vary", "Accept"),
        ];
        let more =
            [("last-modified", "x"), ("content-type", "a/b"), ("server", "s"), ("set-cookie", "c")];
        let head = head(200, &[&listed[..], &more[..]].concat());
        assert_eq!(
            written(&head, Form::NotModified),
            "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=1\r\nContent-Location: /a\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"a\"\r\nExpires: 0\r\nVary: Accept\r\n"
        );
    }

    #[test]
    fn a_304_without_a_tag_says_when_the_last_change_was() {
        let head = head(200, &[("last-modified", "x"), ("content-type", "a/b")]);
        let expected = "HTTP/1.1 304 Not Modified\r\nLast-Modified: x\r\n";
        assert_eq!(written(&head, Form::NotModified), expected);
    }

    #[test]
    fn each_form_as_a_map_has_the_fields_that_are_written() {
        let head = head(200, &FIELDS);
        for form in [Form::Whole, Form::Partial, Form::Multipart, Form::NotModified] {
            let sent = head.headers.iter().filter(|(name, _)| form.sends(name, &head)).count();
            assert_eq!(written(&head, form).lines().count(), 1 + sent, "{form:?}");
            let status = written(&head, form).split(' ').nth(1).unwrap().to_owned();
            assert_eq!(form.status(head.status).as_str(), status);
        }
    }
}
