//! Where the body of an answer ends that did not agree to a tunnel.

use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header};
use pingora_http::ResponseHeader;

use crate::http::fault::{Fault, Kind};
use crate::listen::chunked::{ChunkedScan, Malformed, Scanned};

/// Where the body of an answer ends.
#[derive(Debug)]
pub(super) enum Frame {
    /// After so many bytes.
    Bytes(u64),
    /// With the last chunk.
    Chunks(ChunkedScan),
    /// With the connection.
    UntilClose,
    /// It has ended.
    Over,
}

impl Frame {
    /// As the head says.
    pub(super) fn of(head: &ResponseHeader) -> Result<Self, Fault> {
        if head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED {
            return Ok(Self::Over);
        }
        let chunked = head
            .headers
            .get(header::TRANSFER_ENCODING)
            .map(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        let lengths: Vec<&HeaderValue> =
            head.headers.get_all(header::CONTENT_LENGTH).into_iter().collect();
        match (chunked, lengths.as_slice()) {
            (Some(true), []) => Ok(Self::Chunks(ChunkedScan::default())),
            (None, []) => Ok(Self::UntilClose),
            (None, [length]) => {
                let length = length.to_str().ok().and_then(|text| text.parse().ok());
                length
                    .map(Self::Bytes)
                    .ok_or_else(|| Fault::upstream(Kind::BadAnswer, "invalid Content-Length"))
            }
            _ => Err(Fault::upstream(Kind::BadAnswer, "ambiguous framing of the answer")),
        }
    }

    /// Splits off what belongs to the body.
    pub(super) fn take(&mut self, received: &mut BytesMut) -> Result<BytesMut, Fault> {
        match self {
            Self::Over => Ok(BytesMut::new()),
            Self::UntilClose => Ok(received.split()),
            Self::Bytes(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                *left -= here as u64;
                Ok(received.split_to(here))
            }
            Self::Chunks(scan) => {
                let scanned = scan
                    .scan(received)
                    .map_err(|error| Fault::upstream(Kind::BadAnswer, error.to_string()))?;
                Ok(match scanned {
                    Scanned::Open => received.split(),
                    Scanned::End(end) => {
                        *self = Self::Over;
                        received.split_to(end)
                    }
                })
            }
        }
    }

    /// Whether nothing follows.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over | Self::Bytes(0))
    }
}

/// What is within the chunks of `bytes`, the next ones of a body that `scan` goes over.
pub(super) fn unchunked(scan: &mut ChunkedScan, mut bytes: &[u8]) -> Result<BytesMut, Malformed> {
    let mut data = BytesMut::new();
    while !bytes.is_empty() {
        let left = usize::try_from(scan.data_left()).unwrap_or(usize::MAX);
        let (piece, rest) = bytes.split_at(left.clamp(1, bytes.len()));
        scan.scan(piece)?;
        if left > 0 {
            data.extend_from_slice(piece);
        }
        bytes = rest;
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_out_however_they_are_cut() {
        let body = b"5;x=y\r\nhello\r\n1\r\n \r\n00a\r\nworld\r\nand\r\n0\r\nA: b\r\n\r\n";
        for size in 1..body.len() {
            let mut scan = ChunkedScan::default();
            let pieces = body.chunks(size).map(|piece| unchunked(&mut scan, piece).unwrap());
            let data: Vec<u8> = pieces.flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(data, b"hello world\r\nand", "cut every {size} bytes");
        }
    }
}
