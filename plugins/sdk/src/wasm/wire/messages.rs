//! Operations, what comes of them, and decisions, as messages.

use std::net::IpAddr;

use http::{Method, StatusCode};

use super::{Reader, Writer};
use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, Outcome, StoreAction, StoreOperation,
};
use crate::steer::Steer;

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
    use std::time::Duration;

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
