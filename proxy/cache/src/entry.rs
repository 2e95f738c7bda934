//! A stored response.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::key::Key;
use crate::policy::Freshness;

/// Status and fields of a response, without those of a single hop (RFC 9111, 3.1).
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
}

/// When a response was asked for and received (RFC 9111, 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// `request_time`.
    pub request: SystemTime,
    /// `response_time`.
    pub response: SystemTime,
}

/// All that is known of a stored response but its body.
#[derive(Clone, Debug)]
pub struct Meta {
    /// What it is found by; without its variant.
    pub key: Key,
    /// As it is to be sent, but for what is computed then (`Age`, `Date`).
    pub head: Head,
    /// When it was last known to be right: a validation renews it.
    pub times: Times,
    /// For how long it may be used.
    pub freshness: Freshness,
    /// The request fields that selected it (`Vary`), in lower case, sorted, each once.
    pub vary: Box<[HeaderName]>,
    /// The values of those fields in the request that it answers, normalised.
    pub selected_by: HeaderMap,
    /// Surrogate keys, for purging.
    pub tags: Box<[Box<str>]>,
    /// The zone's purge clock when it was asked for: what was purged later does not hold.
    pub generation: u64,
}

/// The bytes of a stored response.
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory: pieces of at most 1 MiB, none empty.
    Memory(Box<[Bytes]>),
}

/// A stored response.
#[derive(Clone, Debug)]
pub struct Entry {
    /// All but its body.
    pub meta: Meta,
    /// Its body.
    pub body: Body,
    /// The length of the body in bytes.
    pub length: u64,
}

impl Body {
    /// Of bytes at hand.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Memory(Box::new([])) } else { Self::Memory(Box::new([bytes])) }
    }
}
