//! How a module that was made with this SDK and its host write what proxy-wasm has no words for: as numbers of fixed size, least byte
//! first, and texts with their length before them.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, Outcome, StoreAction, StoreOperation,
};
use crate::steer::Steer;

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

/// Writes an operation; `None` for one that a module does itself.
#[must_use]
pub fn write_operation(operation: &Operation) -> Option<Vec<u8>> {
    let mut writer = Writer::default();
    match operation {
        Operation::Http(request) => {
            writer
                .byte(0)
                .text(&request.upstream)
                .text(request.method.as_str())
                .text(&request.target)
                .headers(&request.headers)
                .text(&request.body)
                .maybe_time(request.timeout)
                .number(request.body_limit as u64)
                .maybe(request.shard_key.as_ref());
        }
        Operation::Sleep(time) => {
            writer.byte(1).time(*time);
        }
        Operation::Store(StoreOperation { store, key, action }) => {
            writer.byte(2).text(store).text(key);
            write_action(&mut writer, action);
        }
        Operation::Body { limit } => {
            writer.byte(3).number(*limit as u64);
        }
        Operation::Resolve(name) => {
            writer.byte(4).text(name);
        }
        Operation::ResolveAddress(address) => {
            writer.byte(5).text(address.to_string());
        }
        Operation::Blocking(_) => return None,
    }
    Some(writer.bytes())
}

/// Reads an operation; `None` for what is none.
#[must_use]
pub fn read_operation(bytes: &[u8]) -> Option<Operation> {
    let mut reader = Reader::new(bytes);
    Some(match reader.byte()? {
        0 => Operation::Http(Box::new(HttpRequest {
            upstream: reader.text()?.to_owned(),
            method: Method::from_bytes(reader.bytes()?).ok()?,
            target: reader.text()?.to_owned(),
            headers: reader.headers()?,
            body: reader.owned()?,
            timeout: reader.maybe_time()?,
            body_limit: usize::try_from(reader.number()?).ok()?,
            shard_key: reader.maybe_owned()?,
        })),
        1 => Operation::Sleep(reader.time()?),
        2 => Operation::Store(StoreOperation {
            store: reader.text()?.to_owned(),
            key: reader.owned()?,
            action: read_action(&mut reader)?,
        }),
        3 => Operation::Body { limit: usize::try_from(reader.number()?).ok()? },
        4 => Operation::Resolve(reader.text()?.to_owned()),
        5 => Operation::ResolveAddress(reader.text()?.parse().ok()?),
        _ => return None,
    })
}

fn write_action(writer: &mut Writer, action: &StoreAction) {
    match action {
        StoreAction::Get => writer.byte(0),
        StoreAction::Put { value, ttl } => writer.byte(1).text(value).maybe_time(*ttl),
        StoreAction::Swap { expected, value, ttl } => {
            writer.byte(2).maybe(expected.as_ref()).text(value).maybe_time(*ttl)
        }
        StoreAction::Add { delta, ttl } => {
            writer.byte(3).number(delta.cast_unsigned()).maybe_time(*ttl)
        }
        StoreAction::Remove => writer.byte(4),
    };
}

fn read_action(reader: &mut Reader<'_>) -> Option<StoreAction> {
    Some(match reader.byte()? {
        0 => StoreAction::Get,
        1 => StoreAction::Put { value: reader.owned()?, ttl: reader.maybe_time()? },
        2 => StoreAction::Swap {
            expected: reader.maybe_owned()?,
            value: reader.owned()?,
            ttl: reader.maybe_time()?,
        },
        3 => StoreAction::Add { delta: reader.number()?.cast_signed(), ttl: reader.maybe_time()? },
        4 => StoreAction::Remove,
        _ => return None,
    })
}

/// Writes what came of an operation.
#[must_use]
pub fn write_outcome(outcome: &Result<Outcome, OperationError>) -> Vec<u8> {
    let mut writer = Writer::default();
    match outcome {
        Err(error) => writer.byte(0).number((-i64::from(*error as i32)).cast_unsigned()),
        Ok(Outcome::Done) => writer.byte(1),
        Ok(Outcome::Http(response)) => writer
            .byte(2)
            .number(u64::from(response.status.as_u16()))
            .headers(&response.headers)
            .text(&response.body),
        Ok(Outcome::Value(value)) => writer.byte(3).text(value),
        Ok(Outcome::Swapped { done, now }) => {
            writer.byte(4).byte(u8::from(*done)).maybe(now.as_ref())
        }
        Ok(Outcome::Addresses(addresses)) => {
            writer.byte(5).number(addresses.len() as u64);
            for address in addresses {
                writer.text(address.to_string());
            }
            &mut writer
        }
        Ok(Outcome::Names(names)) => {
            writer.byte(6).number(names.len() as u64);
            for name in names {
                writer.text(name);
            }
            &mut writer
        }
    }
    .bytes()
}

/// Reads what came of an operation; `None` for what is none.
#[must_use]
pub fn read_outcome(bytes: &[u8]) -> Option<Result<Outcome, OperationError>> {
    let mut reader = Reader::new(bytes);
    Some(Ok(match reader.byte()? {
        0 => return Some(Err(operation_error(reader.number()?))),
        1 => Outcome::Done,
        2 => Outcome::Http(Box::new(HttpResponse {
            status: StatusCode::from_u16(u16::try_from(reader.number()?).ok()?).ok()?,
            headers: reader.headers()?,
            body: reader.owned()?,
        })),
        3 => Outcome::Value(reader.owned()?),
        4 => Outcome::Swapped { done: reader.byte()? != 0, now: reader.maybe_owned()? },
        5 => Outcome::Addresses(reader.list(|reader| reader.text()?.parse::<IpAddr>().ok())?),
        6 => Outcome::Names(reader.list(|reader| reader.text().map(str::to_owned))?),
        _ => return None,
    }))
}

fn operation_error(number: u64) -> OperationError {
    match number {
        10 => OperationError::Timeout,
        12 => OperationError::TooLarge,
        13 => OperationError::Refused,
        14 => OperationError::Cancelled,
        _ => OperationError::Failed,
    }
}

/// Writes a decision.
#[must_use]
pub fn write_steer(steer: Steer<'_>) -> Vec<u8> {
    let mut writer = Writer::default();
    match steer {
        Steer::Site(name) => writer.byte(0).text(name),
        Steer::Upstream(name) => writer.byte(1).text(name),
        Steer::ShardKey(key) => writer.byte(2).text(key),
        Steer::CacheKey(key) => writer.byte(3).text(key),
        Steer::BypassCache => writer.byte(4),
        Steer::ConnectTimeout(time) => writer.byte(5).time(time),
        Steer::ReadTimeout(time) => writer.byte(6).time(time),
        Steer::SendTimeout(time) => writer.byte(7).time(time),
        Steer::Tries(tries) => writer.byte(8).number(u64::from(tries)),
        Steer::Mirror(name) => writer.byte(9).text(name),
        Steer::MirrorBody(bytes) => writer.byte(10).number(bytes),
    }
    .bytes()
}

/// Reads a decision; `None` for what is none.
#[must_use]
pub fn read_steer(bytes: &[u8]) -> Option<Steer<'_>> {
    let mut reader = Reader::new(bytes);
    Some(match reader.byte()? {
        0 => Steer::Site(reader.text()?),
        1 => Steer::Upstream(reader.text()?),
        2 => Steer::ShardKey(reader.bytes()?),
        3 => Steer::CacheKey(reader.bytes()?),
        4 => Steer::BypassCache,
        5 => Steer::ConnectTimeout(reader.time()?),
        6 => Steer::ReadTimeout(reader.time()?),
        7 => Steer::SendTimeout(reader.time()?),
        8 => Steer::Tries(reader.small()?),
        9 => Steer::Mirror(reader.text()?),
        10 => Steer::MirrorBody(reader.number()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> Vec<Operation> {
        let store = |action| {
            Operation::Store(StoreOperation { store: "s".to_owned(), key: "k".into(), action })
        };
        let ttl = Some(Duration::from_millis(3));
        vec![
            Operation::Http(Box::new(HttpRequest {
                shard_key: Some("key".into()),
                ..HttpRequest::post("up", "/x?y", "body")
                    .with_header("a", "1")
                    .with_header("a", "2")
                    .with_timeout(Duration::from_secs(2))
            })),
            Operation::Sleep(Duration::from_nanos(7)),
            store(StoreAction::Get),
            store(StoreAction::Put { value: "v".into(), ttl }),
            store(StoreAction::Swap { expected: None, value: "v".into(), ttl: None }),
            store(StoreAction::Swap { expected: Some("e".into()), value: "v".into(), ttl }),
            store(StoreAction::Add { delta: -5, ttl }),
            store(StoreAction::Remove),
            Operation::Body { limit: 77 },
            Operation::Resolve("name".to_owned()),
            Operation::ResolveAddress(IpAddr::from([1, 2, 3, 4])),
        ]
    }

    #[test]
    fn operations_come_as_they_were_sent_and_never_cut_short() {
        for operation in operations() {
            let message = write_operation(&operation).unwrap();
            let read = read_operation(&message).unwrap();
            assert_eq!(format!("{read:?}"), format!("{operation:?}"));
            for cut in 0..message.len() {
                assert!(read_operation(&message[..cut]).is_none(), "{operation:?} cut at {cut}");
            }
        }
        assert!(write_operation(&Operation::Blocking(Box::new(|| {}))).is_none());
    }

    #[test]
    fn outcomes_come_as_they_were_sent_and_never_cut_short() {
        let response = HttpResponse {
            status: StatusCode::NOT_FOUND,
            headers: HttpRequest::get("", "").with_header("x", "y").headers,
            body: "none".into(),
        };
        let outcomes = [
            Ok(Outcome::Done),
            Ok(Outcome::Http(Box::new(response))),
            Ok(Outcome::Value("v".into())),
            Ok(Outcome::Swapped { done: true, now: None }),
            Ok(Outcome::Swapped { done: false, now: Some("n".into()) }),
            Ok(Outcome::Addresses(vec![IpAddr::from([1, 2, 3, 4]), IpAddr::from([0_u16; 8])])),
            Ok(Outcome::Names(vec!["a".to_owned(), "b".to_owned()])),
            Err(OperationError::Timeout),
            Err(OperationError::Failed),
            Err(OperationError::TooLarge),
            Err(OperationError::Refused),
            Err(OperationError::Cancelled),
        ];
        for outcome in outcomes {
            let message = write_outcome(&outcome);
            assert_eq!(read_outcome(&message), Some(outcome));
            for cut in 0..message.len() {
                assert_eq!(read_outcome(&message[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn decisions_come_as_they_were_sent_and_never_cut_short() {
        let time = Duration::from_micros(9);
        let decisions = [
            Steer::Site("s"),
            Steer::Upstream("u"),
            Steer::ShardKey(b"k"),
            Steer::CacheKey(b"c"),
            Steer::BypassCache,
            Steer::ConnectTimeout(time),
            Steer::ReadTimeout(time),
            Steer::SendTimeout(time),
            Steer::Tries(3),
            Steer::Mirror("m"),
            Steer::MirrorBody(1 << 40),
        ];
        for steer in decisions {
            let message = write_steer(steer);
            assert_eq!(read_steer(&message), Some(steer));
            for cut in 0..message.len() {
                assert_eq!(read_steer(&message[..cut]), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_length_that_lies_is_no_message() {
        let mut lie = vec![5];
        lie.extend(u64::MAX.to_le_bytes());
        assert_eq!(read_outcome(&lie), None);
        assert!(read_operation(&[9]).is_none());
    }
}
