//! Dictionaries for compression (RFC 9842).
//!
//! A response whose URL matches a [`Pattern`] is kept as a dictionary for later versions of itself. It is announced with
//! `Use-As-Dictionary` ([`Announcement`]); a client that has it says so by its hash, and gets the next version coded with it.

use std::fmt;

use aws_lc_rs::digest::{self, Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

mod announce;
mod pattern;
mod store;

pub use announce::{Announcement, BadAnnouncement};
pub use pattern::{BadPattern, Pattern};
pub use store::{Dictionary, Draft, NotKept, Scope, Store};

/// The SHA-256 of a dictionary, by which client and server speak of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u8; Self::LENGTH]);

impl Digest {
    /// Bytes.
    pub const LENGTH: usize = 32;

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from(digest::digest(&SHA256, bytes))
    }

    /// The value of `Available-Dictionary`: a byte sequence of that length (RFC 8941 section 3.3.5), perhaps with parameters,
    /// which say nothing. Allocates nothing.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let item = value.split(|&byte| byte == b';').next().unwrap_or_default();
        let [b':', text @ .., b':'] = item.trim_ascii() else { return None };
        // The decoder wants room for the padding as well.
        let mut hash = [0; Self::LENGTH + 1];
        let length = STANDARD.decode_slice(text, &mut hash).ok()?;
        (length == Self::LENGTH).then(|| hash.first_chunk().copied().map(Self)).flatten()
    }

    /// The hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// What stands before a body that was coded with this dictionary (RFC 9842 sections 4 and 5).
    #[must_use]
    pub fn preamble(&self, coding: crate::Coding) -> Option<Preamble> {
        let magic: &[u8] = match coding {
            crate::Coding::Dcb => &[0xff, 0x44, 0x43, 0x42],
            // A frame that every decoder skips, of 32 bytes.
            crate::Coding::Dcz => &[0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0],
            _ => return None,
        };
        let mut preamble = Preamble { bytes: [0; 40], length: magic.len() + Self::LENGTH };
        for (place, byte) in preamble.bytes.iter_mut().zip(magic.iter().chain(&self.0)) {
            *place = *byte;
        }
        Some(preamble)
    }
}

impl From<digest::Digest> for Digest {
    fn from(hash: digest::Digest) -> Self {
        let mut bytes = [0; Self::LENGTH];
        for (place, byte) in bytes.iter_mut().zip(hash.as_ref()) {
            *place = *byte;
        }
        Self(bytes)
    }
}

/// A digest of bytes that come one after the other.
pub(crate) struct Hashing(Context);

impl Hashing {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        self.0.finish().into()
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashing")
    }
}

/// The first bytes of a body that was coded with a dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Preamble {
    bytes: [u8; 40],
    length: usize,
}

impl Preamble {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Coding;

    #[test]
    fn a_hash_is_read_as_structured_fields_write_it() {
        let text = b":ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
        assert_eq!(Digest::parse(text), Some(Digest::of(b"abc")));
        assert_eq!(Digest::parse(&[text, &b"; x"[..]].concat()), Some(Digest::of(b"abc")));
        for bad in [
            "",
            ":",
            "::",
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
            ":ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa==:",
            ":ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0AAAA=:",
            ":ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=:",
            ":ungW v48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:",
        ] {
            assert_eq!(Digest::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_body_begins_with_a_magic_number_and_the_hash() {
        let hash = Digest::of(b"abc");
        let dcz = hash.preamble(Coding::Dcz).unwrap();
        assert_eq!(dcz.as_bytes()[..8], [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0]);
        assert_eq!(&dcz.as_bytes()[8..], hash.as_bytes());
        let dcb = hash.preamble(Coding::Dcb).unwrap();
        assert_eq!(dcb.as_bytes()[..4], [0xff, 0x44, 0x43, 0x42]);
        assert_eq!(&dcb.as_bytes()[4..], hash.as_bytes());
        assert!(hash.preamble(Coding::Br).is_none());
    }
}
