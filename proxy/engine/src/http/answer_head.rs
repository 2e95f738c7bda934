//! The head of an answer made here, in the cheapest form that serves.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;

use super::answer::blank;
use super::cache::head::StoredHead;
use super::fault::Fault;

/// Status and headers of an answer.
#[derive(Debug)]
pub(crate) enum AnswerHead {
    /// As rules and Pingora work on it.
    Whole(Box<ResponseHeader>),
    /// Written as it stands, if nobody wants to work on it: a map of eight headers, made and written, cost a fifth of all
    /// instructions of a request for a file. `Server` is not among the fields.
    Plain(StatusCode, Vec<(HeaderName, HeaderValue)>),
    /// Of a stored response, which has it ready for HTTP/1.
    Stored(Box<StoredHead>),
}

impl From<Box<ResponseHeader>> for AnswerHead {
    fn from(head: Box<ResponseHeader>) -> Self {
        Self::Whole(head)
    }
}

impl AnswerHead {
    /// Its headers, where they are in a map.
    pub(crate) fn headers(&self) -> Option<&HeaderMap> {
        match self {
            Self::Whole(head) => Some(&head.headers),
            Self::Plain(..) | Self::Stored(_) => None,
        }
    }

    /// The first line of this name, where it is not one that is added while it is sent.
    pub(crate) fn line(&self, name: &HeaderName) -> Option<&HeaderValue> {
        match self {
            Self::Whole(head) => head.headers.get(name),
            Self::Stored(head) => head.stored().get(name),
            Self::Plain(_, fields) => {
                fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
            }
        }
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(head) => head.status,
            Self::Plain(status, _) => *status,
            Self::Stored(head) => head.status(),
        }
    }

    /// As a map.
    pub(crate) fn whole(self) -> Result<Box<ResponseHeader>, Fault> {
        let (status, fields) = match self {
            Self::Whole(head) => return Ok(head),
            Self::Plain(status, fields) => (status, fields),
            Self::Stored(head) => return head.whole(),
        };
        let mut head = blank(status)?;
        for (name, value) in fields {
            let added = match spelled(&name) {
                Some(spelled) => head.append_header(spelled, value),
                None => head.append_header(name, value),
            };
            added.map_err(Fault::internal)?;
        }
        Ok(head)
    }
}

/// A plain head as HTTP/1.1 writes it, with what every answer says of itself and of the connection.
pub(crate) fn wire(
    status: StatusCode,
    fields: &[(HeaderName, HeaderValue)],
    connection: &str,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\nServer: switchback\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    for (name, value) in fields {
        let name = spelled(name).unwrap_or(name.as_str());
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    let date = get_cached_date();
    let last =
        [b"Date: ", date.as_bytes(), b"\r\nConnection: ", connection.as_bytes(), b"\r\n\r\n"];
    last.into_iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The name as people write it, for those who look at HTTP/1 by eye.
fn spelled(name: &HeaderName) -> Option<&'static str> {
    Some(match *name {
        header::ACCEPT_RANGES => "Accept-Ranges",
        header::CONTENT_ENCODING => "Content-Encoding",
        header::CONTENT_LENGTH => "Content-Length",
        header::CONTENT_RANGE => "Content-Range",
        header::CONTENT_TYPE => "Content-Type",
        header::ETAG => "ETag",
        header::LAST_MODIFIED => "Last-Modified",
        header::VARY => "Vary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::upgrade;

    #[test]
    fn both_forms_are_written_alike() {
        let fields = || {
            let names = [
                header::ACCEPT_RANGES,
                header::CONTENT_ENCODING,
                header::CONTENT_LENGTH,
                header::CONTENT_RANGE,
                header::CONTENT_TYPE,
                header::ETAG,
                header::LAST_MODIFIED,
                header::VARY,
                HeaderName::from_static("x-other"),
            ];
            names.map(|name| (name, HeaderValue::from_static("v"))).to_vec()
        };
        for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED] {
            let mut whole = AnswerHead::Plain(status, fields()).whole().unwrap();
            whole.insert_header(header::DATE, get_cached_date()).unwrap();
            whole.insert_header(header::CONNECTION, "close").unwrap();
            let written = wire(status, &fields(), "close");
            assert_eq!(String::from_utf8(written), String::from_utf8(upgrade::wire(&whole)));
        }
    }
}
