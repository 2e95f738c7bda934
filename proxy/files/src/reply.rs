//! The answer that a file makes: status, headers, and which of its bytes.

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use switchback_representation::{Multipart, Validators, Verdict, content_range, date, number};

use crate::beneath::RegularFile;
use crate::entity_tag::EntityTag;
use crate::search::Representation;
use crate::{Answer, Asked, Body, Part, Ranges, Settings};

/// As many headers as a 206 of a coded file has.
const MOST_HEADERS: usize = 8;

/// Answers with a file, or with why it is not sent.
pub(crate) fn of_file(settings: &Settings, asked: &Asked<'_>, found: Representation<'_>) -> Answer {
    let RegularFile { file, size, modified } = found.opened;
    let etag = settings.etag.then(|| EntityTag::of(modified, size));
    let validators = Validators {
        etag: etag.as_ref().map(EntityTag::as_bytes),
        modified: Some(modified),
        sent: None,
    };

    let mut head = Head { headers: Vec::with_capacity(MOST_HEADERS) };
    if !settings.precompressed.is_empty() {
        head.push(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    match validators.judge(asked.headers) {
        Verdict::Failed => return head.refuse(StatusCode::PRECONDITION_FAILED),
        Verdict::NotModified => {
            head.push_validators(etag, modified);
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
    head.push_validators(etag, modified);
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

    fn push_validators(&mut self, etag: Option<EntityTag>, modified: i64) {
        if let Some(value) = date::last_modified(modified) {
            self.push(LAST_MODIFIED, value);
        }
        if let Some(etag) = etag {
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
                self.push(CONTENT_LENGTH, number(size));
                self.push(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
                (StatusCode::OK, vec![Part::Range(0..size)])
            }
            [range] => {
                self.push(CONTENT_TYPE, content_type.clone());
                self.push(CONTENT_LENGTH, number(range.end - range.start));
                self.push(CONTENT_RANGE, content_range(Some(range), size).to_value());
                (StatusCode::PARTIAL_CONTENT, vec![Part::Range(range.clone())])
            }
            ranges => {
                let multipart = Multipart::of(ranges, Some(content_type), size);
                self.push(CONTENT_TYPE, multipart.content_type);
                self.push(CONTENT_LENGTH, number(multipart.length));
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
