//! A stored response.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::disk::DiskBody;
use crate::forms::Forms;
use crate::key::Key;
use crate::policy::Freshness;
use crate::serve::Wire;

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

/// Which body it is: a number that most likely no other has. What is stored keeps it through validations and restarts, and a body that
/// takes its place has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyId(u64);

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
    /// Which body it is the head of.
    pub body: BodyId,
}

/// The bytes of a stored response.
#[derive(Clone, Debug)]
pub enum Body {
    /// In memory: pieces of at most 1 MiB, none empty, and none part of a buffer that is larger than they are together.
    Memory(Box<[Bytes]>),
    /// On disk, read piece by piece.
    Disk(DiskBody),
}

/// A stored response.
#[derive(Debug)]
pub struct Entry {
    /// All but its body.
    pub meta: Meta,
    /// Its body.
    pub body: Body,
    /// The length of the body in bytes.
    pub length: u64,
    /// Where others are that were made of it.
    pub(crate) forms: Forms,
    wire: OnceLock<Wire>,
}

impl BodyId {
    /// One that has most likely never been.
    #[must_use]
    pub fn fresh() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// The one of this number.
    #[must_use]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Entry {
    /// Of its parts.
    #[must_use]
    pub fn new(meta: Meta, body: Body, length: u64) -> Self {
        Self { meta, body, length, forms: Forms::default(), wire: OnceLock::new() }
    }

    /// Its head as HTTP/1.1 writes it, made when it is first asked for.
    pub fn wire(&self) -> &Wire {
        self.wire.get_or_init(|| Wire::of(&self.meta.head))
    }
}

impl Clone for Entry {
    /// The head of the copy may be changed, so it is not written yet, and nothing was made of it.
    fn clone(&self) -> Self {
        Self::new(self.meta.clone(), self.body.clone(), self.length)
    }
}

impl Body {
    /// A copy of bytes at hand.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self::Memory(bytes.as_ref().chunks(1024 * 1024).map(Bytes::copy_from_slice).collect())
    }

    /// Whether it is in memory.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}
