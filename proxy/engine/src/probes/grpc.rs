//! `grpc.health.v1.Health/Check`: a question of one field, an answer of one field.

use bytes::Bytes;
use http::HeaderMap;

/// The method.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Field 1 of the question: text.
const SERVICE: u8 = 1 << 3 | 2;
/// `SERVING`.
const SERVING: u64 = 1;
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Asks about `service`; empty is the server.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 8);
    if !service.is_empty() {
        message.push(SERVICE);
        write_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

/// Whether a head, or trailers, tell of an error.
pub(super) fn judge_status(fields: &HeaderMap) -> Result<(), String> {
    match fields.get("grpc-status").map(|status| status.as_bytes()) {
        None | Some(b"0") => Ok(()),
        Some(status) => Err(format!("grpc-status {}", String::from_utf8_lossy(status))),
    }
}

/// Whether the body says that all is well.
pub(super) fn judge(body: &[u8]) -> Result<(), String> {
    match is_serving(body) {
        Some(true) => Ok(()),
        Some(false) => Err("it says that it is not serving".to_owned()),
        None => Err("its answer is not that of grpc.health.v1".to_owned()),
    }
}

/// What a framed answer says; `None` when it is none.
#[must_use]
pub fn is_serving(body: &[u8]) -> Option<bool> {
    let (prefix, rest) = body.split_at_checked(PREFIX)?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if *compressed != 0 {
        return None;
    }
    let mut message = rest.get(..usize::try_from(length).ok()?)?;
    // What is not said is 0: unknown.
    let mut status = 0;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = read_varint(&mut message)?,
            (_, 0) => drop(read_varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status == SERVING)
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (first, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 0, 0, 0, message.len() as u8];
        body.extend_from_slice(message);
        body
    }

    #[test]
    fn questions_are_as_protobuf_has_them() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("app")[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'p', b'p']);
        let long = question(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn one_is_serving_and_nothing_else_is() {
        assert_eq!(is_serving(&framed(&[8, 1])), Some(true));
        for message in [&[][..], &[8, 0], &[8, 2], &[8, 3], &[8, 1, 8, 2], &[16, 1]] {
            assert_eq!(is_serving(&framed(message)), Some(false), "{message:?}");
        }
        // Fields that others have added.
        assert_eq!(is_serving(&framed(&[18, 2, 7, 7, 8, 1, 29, 0, 0, 0, 0])), Some(true));
        for wrong in [&b""[..], &[0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1]] {
            assert_eq!(is_serving(wrong), None, "{wrong:?}");
        }
        for wrong in [&[8][..], &[8, 0x80], &[18, 9], &[11, 1], &[0xff; 12]] {
            assert_eq!(is_serving(&framed(wrong)), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = is_serving(&bytes);
        }

        #[test]
        fn numbers_are_read_as_written(value: u64) {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            let mut rest = &out[..];
            prop_assert_eq!(read_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
