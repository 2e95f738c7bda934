//! How a module that was made with this SDK and its host write what proxy-wasm has no words for: as numbers of fixed size, least byte
//! first, and texts with their length before them.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

mod messages;

pub use messages::{
    read_operation, read_outcome, read_steer, write_operation, write_outcome, write_steer,
};

/// The version of these messages: another one is another host.
pub const VERSION: u32 = 1;

/// A message that is being written.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// One byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// A number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A text, or any bytes.
    pub fn text(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        self.number(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// Bytes that may be absent.
    pub fn maybe(&mut self, value: Option<impl AsRef<[u8]>>) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(value) => self.byte(1).text(value),
        }
    }

    /// A time.
    pub fn time(&mut self, value: Duration) -> &mut Self {
        self.number(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    /// A time that may be absent.
    pub fn maybe_time(&mut self, value: Option<Duration>) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(value) => self.byte(1).time(value),
        }
    }

    fn headers(&mut self, headers: &HeaderMap) -> &mut Self {
        self.number(headers.len() as u64);
        for (name, value) in headers {
            self.text(name.as_str()).text(value.as_bytes());
        }
        self
    }

    /// The message.
    #[must_use]
    pub fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// A message that is being read.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// A number that fits.
    pub fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Any bytes.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Bytes that may be absent.
    pub fn maybe(&mut self) -> Option<Option<&'a [u8]>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.bytes().map(Some),
        }
    }

    /// A time.
    pub fn time(&mut self) -> Option<Duration> {
        self.number().map(Duration::from_nanos)
    }

    /// A time that may be absent.
    pub fn maybe_time(&mut self) -> Option<Option<Duration>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.time().map(Some),
        }
    }

    /// A list, each of whose parts takes at least one byte.
    pub fn list<T>(&mut self, mut part: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())?;
        (0..count).map(|_| part(self)).collect()
    }

    fn headers(&mut self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        let pairs = self.list(|reader| Some((reader.bytes()?, reader.bytes()?)))?;
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name).ok()?;
            headers.try_append(name, HeaderValue::from_bytes(value).ok()?).ok()?;
        }
        Some(headers)
    }

    fn owned(&mut self) -> Option<Bytes> {
        self.bytes().map(Bytes::copy_from_slice)
    }

    fn maybe_owned(&mut self) -> Option<Option<Bytes>> {
        self.maybe().map(|bytes| bytes.map(Bytes::copy_from_slice))
    }
}
