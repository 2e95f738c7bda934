//! Bytes to messages, strictly: what is not exactly HTTP/1.1 is an error, never repaired.

use std::io::{self, Read};

/// Why no whole message could be read.
#[derive(Debug)]
pub enum WireError {
    /// The connection ended before the first byte of a message.
    Closed,
    /// The connection ended inside a message, after these bytes of its body or head.
    Truncated(Vec<u8>),
    /// The bytes are no HTTP/1.1 message.
    Malformed(String),
    /// Nothing came in time.
    TimedOut,
    /// The transport failed, for instance by a reset.
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

/// Header fields in the order they came, names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the only field of this name.
    ///
    /// # Panics
    /// When there are several: a test that expects one would otherwise not see the second.
    #[must_use]
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "several `{name}`: {all:?}");
        all.first().copied()
    }

    /// The values of all fields of this name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// A start line and the fields under it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) headers: Headers,
    pub(crate) raw: Vec<u8>,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilClose,
}

/// A byte stream cut into messages; what came too early stays for the next.
pub(crate) struct Incoming<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Incoming<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn head(&mut self) -> Result<Head, WireError> {
        let mut searched = 0_usize;
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n", searched.saturating_sub(3)) {
                let raw: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return parse_head(raw);
            }
            searched = self.buffer.len();
            if self.fill()? == 0 {
                return Err(self.ended());
            }
        }
    }

    pub(crate) fn body(&mut self, framing: Framing) -> Result<(Vec<u8>, Headers), WireError> {
        match framing {
            Framing::Nothing => Ok((Vec::new(), Headers::default())),
            Framing::Length(length) => Ok((self.exactly(length)?, Headers::default())),
            Framing::Chunked => self.chunks(),
            Framing::UntilClose => Ok((self.until_end()?, Headers::default())),
        }
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, WireError> {
        while self.buffer.len() < length {
            if self.fill()? == 0 {
                return Err(WireError::Truncated(std::mem::take(&mut self.buffer)));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    pub(crate) fn until_end(&mut self) -> Result<Vec<u8>, WireError> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// At least one byte, or nothing at the end.
    pub(crate) fn some(&mut self) -> Result<Vec<u8>, WireError> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    fn chunks(&mut self) -> Result<(Vec<u8>, Headers), WireError> {
        let mut body = Vec::new();
        loop {
            let size = match self.chunk_size() {
                Err(WireError::Truncated(_) | WireError::Closed) => {
                    return Err(WireError::Truncated(body));
                }
                other => other?,
            };
            if size == 0 {
                return Ok((body, self.trailers()?));
            }
            match self.exactly(size + 2) {
                Ok(chunk) if chunk.ends_with(b"\r\n") => body.extend_from_slice(&chunk[..size]),
                Ok(chunk) => return Err(malformed("a chunk does not end in CRLF", &chunk)),
                Err(WireError::Truncated(part)) => {
                    body.extend_from_slice(&part);
                    return Err(WireError::Truncated(body));
                }
                Err(other) => return Err(other),
            }
        }
    }

    fn chunk_size(&mut self) -> Result<usize, WireError> {
        let line = self.line()?;
        let is_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if is_size { usize::from_str_radix(&line, 16).ok() } else { None };
        size.ok_or_else(|| malformed("no chunk size", line.as_bytes()))
    }

    fn trailers(&mut self) -> Result<Headers, WireError> {
        let mut trailers = Headers::default();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.0.push(parse_field(&line)?);
        }
    }

    fn line(&mut self) -> Result<String, WireError> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n", 0) {
                let line = self.buffer.drain(..end + 2).take(end).collect();
                return String::from_utf8(line)
                    .map_err(|error| malformed("not text", error.as_bytes()));
            }
            if self.fill()? == 0 {
                return Err(self.ended());
            }
        }
    }

    fn fill(&mut self) -> Result<usize, WireError> {
        let mut block = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // rustls reports a close without close_notify so; to a peer that reads framed messages it is an end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => {
                    let count = other?;
                    self.buffer.extend_from_slice(&block[..count]);
                    return Ok(count);
                }
            }
        }
    }

    fn ended(&mut self) -> WireError {
        if self.buffer.is_empty() {
            WireError::Closed
        } else {
            WireError::Truncated(std::mem::take(&mut self.buffer))
        }
    }
}

/// How the body under these fields is framed, where one may follow.
pub(crate) fn framing(headers: &Headers, without: Framing) -> Result<Framing, WireError> {
    let codings = headers.all("transfer-encoding");
    let lengths = headers.all("content-length");
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(without),
        ([], [length]) => length
            .parse()
            .map(Framing::Length)
            .map_err(|_| malformed("bad Content-Length", length.as_bytes())),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => Err(WireError::Malformed(format!("ambiguous framing: {codings:?}, {lengths:?}"))),
    }
}

fn parse_head(raw: Vec<u8>) -> Result<Head, WireError> {
    let text = std::str::from_utf8(&raw).map_err(|_| malformed("a head that is not text", &raw))?;
    let bare = text.replace("\r\n", "");
    if bare.contains(['\r', '\n', '\0']) {
        return Err(malformed("a stray CR, LF or NUL in a head", &raw));
    }
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let fields = lines.map(parse_field).collect::<Result<Vec<_>, _>>()?;
    Ok(Head { start, headers: Headers(fields), raw })
}

fn parse_field(line: &str) -> Result<(String, String), WireError> {
    let Some((name, value)) = line.split_once(':') else {
        return Err(malformed("no field", line.as_bytes()));
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(malformed("bad field name", line.as_bytes()));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn malformed(what: &str, bytes: &[u8]) -> WireError {
    WireError::Malformed(format!("{what}: {:?}", String::from_utf8_lossy(bytes)))
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::{Framing, Incoming, WireError, framing};

    #[test]
    fn a_bare_line_feed_is_no_head() {
        let mut incoming = Incoming::new(&b"HTTP/1.1 200 OK\nA: b\r\n\r\n"[..]);
        assert!(matches!(incoming.head(), Err(WireError::Malformed(_))));
    }

    #[test]
    fn a_chunked_body_without_its_last_chunk_is_truncated() {
        let mut incoming = Incoming::new(&b"3\r\nabc\r\n"[..]);
        let Err(WireError::Truncated(got)) = incoming.body(Framing::Chunked) else {
            panic!("presented as complete")
        };
        assert_eq!(got, b"abc");
    }

    #[test]
    fn chunks_and_trailers_are_read_and_the_next_message_is_left() {
        let mut incoming = Incoming::new(&b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\nNEXT"[..]);
        let (body, trailers) = incoming.body(Framing::Chunked).unwrap();
        assert_eq!((body.as_slice(), trailers.get("x")), (&b"abcde"[..], Some("y")));
        assert_eq!(incoming.some().unwrap(), b"NEXT");
    }

    #[test]
    fn length_beside_chunked_is_ambiguous() {
        let mut incoming =
            Incoming::new(&b"A\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"[..]);
        let head = incoming.head().unwrap();
        assert!(framing(&head.headers, Framing::Nothing).is_err());
    }

    #[test]
    fn a_space_before_the_colon_is_malformed() {
        let mut incoming = Incoming::new(&b"A\r\nHost : x\r\n\r\n"[..]);
        assert!(matches!(incoming.head(), Err(WireError::Malformed(_))));
    }
}
