//! The answer that a file makes: status, headers, and which of its bytes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::beneath::RegularFile;
use crate::conditions::{EntityTag, Validators, Verdict};
use crate::search::Representation;
use crate::short::{self, Short};
use crate::{Answer, Asked, Body, Part, Ranges, Settings, date};

/// As many headers as a 206 of a coded file has.
const MOST_HEADERS: usize = 8;

/// Answers with a file, or with why it is not sent.
pub(crate) fn of_file(settings: &Settings, asked: &Asked<'_>, found: Representation<'_>) -> Answer {
    let RegularFile { file, size, modified } = found.opened;
    let etag = settings.etag.then(|| EntityTag::of(modified, size));
    let validators = Validators { etag, modified };

    let mut head = Head { headers: Vec::with_capacity(MOST_HEADERS) };
    if !settings.precompressed.is_empty() {
        head.push(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    match validators.judge(asked.headers) {
        Verdict::Failed => return head.refuse(StatusCode::PRECONDITION_FAILED),
        Verdict::NotModified => {
            head.push_validators(&validators);
            return head.answer(StatusCode::NOT_MODIFIED, Body::Empty);
        }
        Verdict::Proceed => {}
    }

    let selected = match asked.headers.get(RANGE) {
        Some(line) if validators.allow_ranges(asked.headers) => {
            Ranges::parse(line.as_bytes(), size)
        }
        _ => Ranges::Whole,
    };
    if selected == Ranges::Unsatisfiable {
        head.push(CONTENT_RANGE, content_range(None, size).to_value());
        return head.refuse(StatusCode::RANGE_NOT_SATISFIABLE);
    }
    head.push_validators(&validators);
    if let Some(coding) = found.coding {
        head.push(CONTENT_ENCODING, coding.name());
    }
    let (status, parts) = head.push_selection(&selected, found.content_type, size);
    let is_empty = *asked.method == Method::HEAD || size == 0;
    let body = if is_empty { Body::Empty } else { Body::Parts { file, parts } };
    head.answer(status, body)
}

/// The headers of an answer while it is made.
struct Head {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    fn push(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.push((name, value));
    }

    fn push_validators(&mut self, validators: &Validators) {
        if let Some(value) = date::last_modified(validators.modified) {
            self.push(LAST_MODIFIED, value);
        }
        if let Some(etag) = validators.etag {
            self.push(ETAG, etag.to_value());
        }
    }

    /// Type, length and place of what is sent; gives the status and the parts that say so.
    ///
    /// HEAD is answered like GET, ranges included, as nginx does.
    fn push_selection(
        &mut self,
        selected: &Ranges,
        content_type: &HeaderValue,
        size: u64,
    ) -> (StatusCode, Vec<Part>) {
        let ranges = match selected {
            Ranges::Some(ranges) => ranges.as_slice(),
            Ranges::Whole | Ranges::Unsatisfiable => &[],
        };
        match ranges {
            [] => {
                self.push(CONTENT_TYPE, content_type.clone());
                self.push(CONTENT_LENGTH, short::number(size));
                self.push(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                (StatusCode::OK, vec![Part::Range(0..size)])
            }
            [range] => {
                self.push(CONTENT_TYPE, content_type.clone());
                self.push(CONTENT_LENGTH, short::number(range.end - range.start));
                self.push(CONTENT_RANGE, content_range(Some(range), size).to_value());
                (StatusCode::PARTIAL_CONTENT, vec![Part::Range(range.clone())])
            }
            ranges => {
                let multipart = Multipart::of(ranges, content_type, size);
                self.push(CONTENT_TYPE, multipart.content_type);
                self.push(CONTENT_LENGTH, short::number(multipart.length));
                (StatusCode::PARTIAL_CONTENT, multipart.parts)
            }
        }
    }

    /// A status that a server writes a page for.
    fn refuse(mut self, status: StatusCode) -> Answer {
        self.push(CONTENT_LENGTH, HeaderValue::from(0));
        self.answer(status, Body::Empty)
    }

    fn answer(self, status: StatusCode, body: Body) -> Answer {
        Answer { status, headers: self.headers, body }
    }
}

/// `bytes 0-9/20`, or `bytes */20` of what cannot be had.
fn content_range(range: Option<&Range<u64>>, size: u64) -> Short {
    match range {
        Some(range) => Short::of(format_args!("bytes {}-{}/{size}", range.start, range.end - 1)),
        None => Short::of(format_args!("bytes */{size}")),
    }
}

/// Several ranges in one body (RFC 9110 section 14.6), line by line as nginx writes it.
struct Multipart {
    content_type: HeaderValue,
    parts: Vec<Part>,
    length: u64,
}

impl Multipart {
    fn of(ranges: &[Range<u64>], content_type: &HeaderValue, size: u64) -> Self {
        let boundary = boundary();
        let boundary = boundary.as_bytes();
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        let mut length = 0;
        let mut text = BytesMut::new();
        for range in ranges {
            for piece in [b"\r\n--", boundary, b"\r\nContent-Type: "] {
                text.put_slice(piece);
            }
            text.put_slice(content_type.as_bytes());
            text.put_slice(b"\r\nContent-Range: ");
            text.put_slice(content_range(Some(range), size).as_bytes());
            text.put_slice(b"\r\n\r\n");
            length += text.len() as u64 + (range.end - range.start);
            parts.push(Part::Bytes(text.split().freeze()));
            parts.push(Part::Range(range.clone()));
        }
        for piece in [b"\r\n--", boundary, b"--\r\n"] {
            text.put_slice(piece);
        }
        length += text.len() as u64;
        parts.push(Part::Bytes(text.freeze()));

        let content_type = [b"multipart/byteranges; boundary=", boundary].concat();
        let content_type = HeaderValue::from_maybe_shared(Bytes::from(content_type));
        let fallback = || HeaderValue::from_static("multipart/byteranges");
        Self { content_type: content_type.unwrap_or_else(|_| fallback()), parts, length }
    }
}

/// Twenty digits, as many as any 64 bits need, that no file can foresee.
fn boundary() -> Short {
    let chance = RandomState::new().build_hasher().finish();
    Short::of(format_args!("{chance:020}"))
}
