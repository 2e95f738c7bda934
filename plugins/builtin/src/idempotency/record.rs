//! What the store has under a key.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use switchback_plugin::{Answer, Response};

/// What is known of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// It was sent on, and has not been answered. Two of the same request differ.
    UnderWay { chance: u64 },
    /// What it was answered with.
    Answered(Answer),
    /// It was answered, and nobody has the answer any more.
    Lost,
}

/// The head of an answer, until its body is there.
pub(super) struct Head {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

/// What is said anew with every answer.
const NOT_KEPT: [&str; 8] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "age",
];

impl Head {
    pub(super) fn of(response: &Response<'_>) -> Self {
        let mut headers = Vec::new();
        response.headers(|name, value| {
            if !NOT_KEPT.contains(&name) {
                headers.push((name.to_owned(), value.to_vec()));
            }
        });
        Self { status: response.status(), headers }
    }

    /// Whether all of the answer is known, when the last piece of a body was never seen: because there was none.
    pub(super) fn has_no_body(&self, seen: Option<&[u8]>) -> bool {
        seen.is_some_and(<[u8]>::is_empty)
    }

    pub(super) fn write(&self, fingerprint: [u8; 32], body: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(256 + body.len());
        out.put_u8(b'A');
        out.put_slice(&fingerprint);
        out.put_u16(self.status);
        // A head has fewer fields than that, and shorter ones: the proxy bounds it.
        out.put_u32(u32::try_from(self.headers.len()).unwrap_or(0));
        for (name, value) in &self.headers {
            for part in [name.as_bytes(), value] {
                out.put_u32(u32::try_from(part.len()).unwrap_or(0));
                out.put_slice(part);
            }
        }
        out.put_slice(body);
        out.freeze()
    }
}

impl Record {
    pub(super) fn write(&self, fingerprint: [u8; 32]) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        match self {
            Self::UnderWay { chance } => {
                out.put_u8(b'U');
                out.put_slice(&fingerprint);
                out.put_u64(*chance);
            }
            Self::Lost => {
                out.put_u8(b'L');
                out.put_slice(&fingerprint);
            }
            Self::Answered(answer) => {
                let headers = answer.headers.iter();
                let headers = headers
                    .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
                let head = Head { status: answer.status.as_u16(), headers: headers.collect() };
                return head.write(fingerprint, &answer.body);
            }
        }
        out.freeze()
    }

    /// What was written, and of which request; `None` of what nobody has written here.
    pub(super) fn read(value: &Bytes) -> Option<([u8; 32], Self)> {
        let mut rest = value.clone();
        let kind = rest.try_get_u8().ok()?;
        let mut fingerprint = [0; 32];
        rest.try_copy_to_slice(&mut fingerprint).ok()?;
        let record = match kind {
            b'U' => Self::UnderWay { chance: rest.try_get_u64().ok()? },
            b'L' => Self::Lost,
            b'A' => Self::Answered(answer(rest)?),
            _ => return None,
        };
        Some((fingerprint, record))
    }
}

fn answer(mut rest: Bytes) -> Option<Answer> {
    let mut answer = Answer::new(rest.try_get_u16().ok()?);
    let count = rest.try_get_u32().ok()?;
    for _ in 0..count {
        let name = part(&mut rest)?;
        let value = part(&mut rest)?;
        answer = answer.with_header(std::str::from_utf8(&name).ok()?, value);
    }
    Some(answer.with_body(rest))
}

fn part(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32().ok()? as usize;
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            fingerprint: [u8; 32],
            status in 200_u16..600,
            headers in proptest::collection::vec(("[a-z]{1,12}", "[ -~]{0,20}"), 0..5),
            body: Vec<u8>,
            chance: u64,
        ) {
            let mut answer = Answer::new(status).with_body(body);
            for (name, value) in &headers {
                answer = answer.with_header(name, value);
            }
            for record in [Record::Answered(answer.clone()), Record::Lost, Record::UnderWay { chance }] {
                let (read, again) = Record::read(&record.write(fingerprint)).unwrap();
                prop_assert_eq!(read, fingerprint);
                prop_assert_eq!(again, record);
            }
        }

        #[test]
        fn no_value_is_too_strange(value: Vec<u8>) {
            let _ = Record::read(&value.into());
        }
    }
}
