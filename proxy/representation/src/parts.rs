//! What an answer with ranges says, and what stands between them (RFC 9110 sections 14.4 and 14.6).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;

use crate::short::Short;

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands between ranges.
    Bytes(Bytes),
    /// A piece of the representation, never empty, within the size that is known of it.
    Range(Range<u64>),
}

impl Part {
    /// Its bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// `bytes 0-9/20`, or `bytes */20` of what cannot be had.
#[must_use]
pub fn content_range(range: Option<&Range<u64>>, size: u64) -> Short {
    match range {
        Some(range) => Short::of(format_args!("bytes {}-{}/{size}", range.start, range.end - 1)),
        None => Short::of(format_args!("bytes */{size}")),
    }
}

/// Several ranges in one body (RFC 9110 section 14.6), line by line as nginx writes it.
#[derive(Clone, Debug)]
pub struct Multipart {
    /// Its own `Content-Type`, which names the boundary.
    pub content_type: HeaderValue,
    /// In the order in which they are sent.
    pub parts: Vec<Part>,
    /// Of all parts together.
    pub length: u64,
}

impl Multipart {
    /// `ranges` of a representation of `size` bytes and this type, where it has one.
    #[must_use]
    pub fn of(ranges: &[Range<u64>], content_type: Option<&HeaderValue>, size: u64) -> Self {
        let boundary = boundary();
        let boundary = boundary.as_bytes();
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        let mut length = 0;
        let mut text = BytesMut::new();
        for range in ranges {
            for piece in [b"\r\n--", boundary] {
                text.put_slice(piece);
            }
            if let Some(content_type) = content_type {
                text.put_slice(b"\r\nContent-Type: ");
                text.put_slice(content_type.as_bytes());
            }
            text.put_slice(b"\r\nContent-Range: ");
            text.put_slice(content_range(Some(range), size).as_bytes());
            text.put_slice(b"\r\n\r\n");
            length += text.len() as u64 + (range.end - range.start);
            parts.push(Part::Bytes(text.split().freeze()));
            parts.push(Part::Range(range.clone()));
        }
        for piece in [b"\r\n--", boundary, b"--\r\n"] {
            text.put_slice(piece);
        }
        length += text.len() as u64;
        parts.push(Part::Bytes(text.freeze()));

        let content_type = [b"multipart/byteranges; boundary=", boundary].concat();
        let content_type = HeaderValue::from_maybe_shared(Bytes::from(content_type));
        let fallback = || HeaderValue::from_static("multipart/byteranges");
        Self { content_type: content_type.unwrap_or_else(|_| fallback()), parts, length }
    }
}

/// Twenty digits, as many as any 64 bits need, that no body can foresee.
fn boundary() -> Short {
    let chance = RandomState::new().build_hasher().finish();
    Short::of(format_args!("{chance:020}"))
}
