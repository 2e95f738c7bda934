//! Requests and replies as text to send, and responses as they were read.

use crate::wire::{Framing, Head, Headers, WireError, framing};

/// A request to write down; nothing about it is checked.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunk: Option<usize>,
}

/// A GET of `target` for the host `localhost`.
#[must_use]
pub fn get(target: &str) -> Request {
    request("GET", target)
}

/// A POST with a Content-Length for the host `localhost`.
#[must_use]
pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    request("POST", target).body(body)
}

/// Any request for the host `localhost`.
#[must_use]
pub fn request(method: &str, target: &str) -> Request {
    let (method, target) = (method.to_owned(), target.to_owned());
    Request { method, target, headers: Vec::new(), body: Vec::new(), chunk: None }
}

impl Request {
    /// For another host.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.header("Host", host)
    }

    /// With one more field, written as it stands.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body and its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The body in chunks of this size instead.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunk = Some(size);
        self
    }

    /// Asks for the connection to be closed after the answer.
    #[must_use]
    pub fn close(self) -> Self {
        self.header("Connection", "close")
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        match self.chunk {
            Some(size) => bytes.extend(chunks(&self.body, size)),
            None => bytes.extend_from_slice(&self.body),
        }
        bytes
    }

    /// The head alone, framing fields included.
    #[must_use]
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has_host = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if !has_host {
            text.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.chunk.is_some() {
            text.push_str("Transfer-Encoding: chunked\r\n");
        } else if !self.body.is_empty() || self.method == "POST" {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// An origin's canned answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Length,
    Chunks(usize),
    Close,
}

impl Reply {
    /// 200 with this body and its length.
    #[must_use]
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), end: End::Length }
    }

    /// With another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body in chunks of this size.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        self.end = End::Chunks(size);
        self
    }

    /// The body ended by closing the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    pub(crate) fn closes(&self) -> bool {
        matches!(self.end, End::Close)
    }

    /// As it stands on the wire, in answer to this method.
    #[must_use]
    pub fn to_bytes(&self, method: &str) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Canned\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_body = method != "HEAD" && !matches!(self.status, 204 | 304);
        match self.end {
            End::Length if matches!(self.status, 204 | 304) => {}
            End::Length => text.push_str(&format!("Content-Length: {}\r\n", self.body.len())),
            End::Chunks(_) => text.push_str("Transfer-Encoding: chunked\r\n"),
            End::Close => text.push_str("Connection: close\r\n"),
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        match self.end {
            _ if !has_body => {}
            End::Chunks(size) => bytes.extend(chunks(&self.body, size)),
            End::Length | End::Close => bytes.extend_from_slice(&self.body),
        }
        bytes
    }
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / size.max(1) * 8 + 8);
    for chunk in body.chunks(size.max(1)) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// `length` bytes in which every position can be told from its neighbours, so that lost or doubled parts show.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(pattern_byte).collect()
}

pub(crate) fn pattern_byte(at: usize) -> u8 {
    let word = (at / 4).wrapping_mul(2_654_435_761);
    word.to_le_bytes()[at % 4]
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// From its status line.
    pub status: u16,
    /// What follows the status code.
    pub reason: String,
    /// Its fields in order.
    pub headers: Headers,
    /// Its body with the framing taken off.
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: Headers,
    /// The head as it came.
    pub raw_head: Vec<u8>,
}

impl Response {
    pub(crate) fn from_head(head: Head) -> Result<Self, WireError> {
        let bad = || WireError::Malformed(format!("no status line: {:?}", head.start));
        let rest = head.start.strip_prefix("HTTP/1.1 ").ok_or_else(bad)?;
        let (code, reason) = rest.split_once(' ').ok_or_else(bad)?;
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let status = if is_code { code.parse().map_err(|_| bad())? } else { return Err(bad()) };
        let reason = reason.to_owned();
        let (body, trailers) = (Vec::new(), Headers::default());
        Ok(Self { status, reason, headers: head.headers, body, trailers, raw_head: head.raw })
    }

    /// RFC 9112, 6.3.
    pub(crate) fn framing(&self, method: &str) -> Result<Framing, WireError> {
        let bodyless = method == "HEAD" || matches!(self.status, 100..=199 | 204 | 304);
        if bodyless { Ok(Framing::Nothing) } else { framing(&self.headers, Framing::UntilClose) }
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is no JSON ({error}): {}", self.text()),
        }
    }
}
