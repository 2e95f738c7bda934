//! `Cache-Status` (RFC 9211).

use http::{HeaderValue, StatusCode};

use crate::policy::control;

/// Why a request went forward (RFC 9211, 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache was told not to take part.
    Bypass,
    /// The method is not one that is answered from the cache.
    Method,
    /// Nothing is stored for the URI.
    UriMiss,
    /// Something is, but not for these request fields.
    VaryMiss,
    /// It is not known which of the two.
    Miss,
    /// What is stored is fresh, but the request asks for more.
    Request,
    /// What is stored is stale.
    Stale,
    /// A part of it is stored, but not all that is asked for.
    Partial,
}

/// The member of one cache in `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'c> {
    /// The name of the cache.
    pub cache: &'c str,
    /// Answered without going forward; if not, why it went.
    pub outcome: Result<(), Forwarded>,
    /// The status that the origin answered with, if it is not the one that is sent.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness that remain; negative where stale.
    pub ttl: Option<i64>,
    /// Whether the response was stored.
    pub is_stored: bool,
    /// Whether the request shared the fetch of another.
    pub is_collapsed: bool,
    /// What it is stored under.
    pub key: Option<&'c str>,
    /// Anything else: a token.
    pub detail: Option<&'c str>,
}

impl<'c> CacheStatus<'c> {
    /// A hit of the cache named so.
    #[must_use]
    pub fn hit(cache: &'c str) -> Self {
        Self::new(cache, Ok(()))
    }

    /// A request that went forward.
    #[must_use]
    pub fn forwarded(cache: &'c str, why: Forwarded) -> Self {
        Self::new(cache, Err(why))
    }

    fn new(cache: &'c str, outcome: Result<(), Forwarded>) -> Self {
        Self {
            cache,
            outcome,
            forward_status: None,
            ttl: None,
            is_stored: false,
            is_collapsed: false,
            key: None,
            detail: None,
        }
    }

    /// Appends it to `out`, as it is in the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_name(self.cache, out);
        match self.outcome {
            Ok(()) => out.extend_from_slice(b";hit"),
            Err(why) => {
                out.extend_from_slice(b";fwd=");
                out.extend_from_slice(why.as_str().as_bytes());
            }
        }
        if let Some(status) = self.forward_status {
            out.extend_from_slice(b";fwd-status=");
            out.extend_from_slice(status.as_str().as_bytes());
        }
        if self.is_stored {
            out.extend_from_slice(b";stored");
        }
        if self.is_collapsed {
            out.extend_from_slice(b";collapsed");
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b";ttl=");
            write_number(ttl, out);
        }
        if let Some(key) = self.key {
            out.extend_from_slice(b";key=");
            write_string(key, out);
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b";detail=");
            write_name(detail, out);
        }
    }

    /// As a value of the field: to be appended behind those of caches nearer to the origin.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        HeaderValue::from_bytes(&out).unwrap_or(HeaderValue::from_static("cache"))
    }
}

impl Forwarded {
    /// As it is in the field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// A token if it is one (RFC 9651, 3.3.4), else a string.
fn write_name(name: &str, out: &mut Vec<u8>) {
    let is_token = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*')
        && name.bytes().all(|byte| control::is_token(byte) || byte == b':' || byte == b'/');
    if is_token { out.extend_from_slice(name.as_bytes()) } else { write_string(name, out) }
}

/// A string (RFC 9651, 3.3.3); what cannot be in one is a question mark.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.push(u8::try_from(letter).unwrap_or(b'?')),
            _ => out.push(b'?'),
        }
    }
    out.push(b'"');
}

/// An integer, of at most 15 digits (RFC 9651, 3.3.1).
fn write_number(number: i64, out: &mut Vec<u8>) {
    let number = number.clamp(-MOST, MOST);
    if number < 0 {
        out.push(b'-');
    }
    let mut digits = [0; 15];
    let mut rest = number.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    let zeros = digits.iter().take(14).take_while(|digit| **digit == b'0').count();
    out.extend_from_slice(digits.get(zeros..).unwrap_or_default());
}

const MOST: i64 = 999_999_999_999_999;
