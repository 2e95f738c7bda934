//! What a header of version 2 says beside addresses: types, lengths and values (section 2.2), and those of TLS within (2.2.6).

use super::parse::Malformed;

/// `PP2_TYPE_ALPN`.
pub(crate) const ALPN: u8 = 0x01;
/// `PP2_TYPE_AUTHORITY`.
pub(crate) const AUTHORITY: u8 = 0x02;
/// `PP2_TYPE_CRC32C`.
pub(crate) const CRC32C: u8 = 0x03;
/// `PP2_TYPE_UNIQUE_ID`.
pub(crate) const UNIQUE_ID: u8 = 0x05;
/// `PP2_TYPE_SSL`.
pub(crate) const SSL: u8 = 0x20;
/// `PP2_SUBTYPE_SSL_VERSION`.
pub(crate) const SSL_VERSION: u8 = 0x21;
/// `PP2_SUBTYPE_SSL_CIPHER`.
pub(crate) const SSL_CIPHER: u8 = 0x23;

/// `PP2_CLIENT_SSL`: the client came over TLS.
pub(super) const CLIENT_SSL: u8 = 0x01;

/// The longest unique id (section 2.2.5).
pub(super) const MOST_ID: usize = 128;

/// Types, lengths and values that fill their block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tlvs<'h>(&'h [u8]);

/// What is known of the client's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ssl<'h> {
    client: u8,
    /// 0 when the client had a certificate and it was found good.
    pub(crate) verify: u32,
    /// Version, names and algorithms.
    pub(crate) parts: Tlvs<'h>,
}

impl<'h> Tlvs<'h> {
    /// The block, if it is made of nothing else and those that have a form have it.
    pub(super) fn parse(block: &'h [u8]) -> Result<Self, Malformed> {
        let tlvs = Self::fill(block)?;
        for (kind, value) in tlvs.iter() {
            let is_well_formed = match kind {
                CRC32C => value.len() == 4,
                UNIQUE_ID => value.len() <= MOST_ID,
                SSL => ssl(value).is_some(),
                _ => true,
            };
            if !is_well_formed {
                return Err(Malformed::Tlv);
            }
        }
        if tlvs.iter().filter(|(kind, _)| *kind == CRC32C).count() > 1 {
            return Err(Malformed::Tlv);
        }
        Ok(tlvs)
    }

    fn fill(block: &'h [u8]) -> Result<Self, Malformed> {
        let mut rest = block;
        while !rest.is_empty() {
            rest = split(rest).ok_or(Malformed::Tlv)?.2;
        }
        Ok(Self(block))
    }

    /// A block that was found good before.
    pub(super) fn known(block: &'h [u8]) -> Self {
        Self(block)
    }

    /// The block as it came.
    pub(super) fn bytes(self) -> &'h [u8] {
        self.0
    }

    /// Every type with its value, in the order in which they came.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u8, &'h [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (kind, value, after) = split(rest)?;
            rest = after;
            Some((kind, value))
        })
    }

    /// The first value of this type.
    pub(crate) fn find(self, kind: u8) -> Option<&'h [u8]> {
        self.iter().find(|(own, _)| *own == kind).map(|(_, value)| value)
    }

    /// What is known of the client's TLS.
    pub(crate) fn ssl(self) -> Option<Ssl<'h>> {
        ssl(self.find(SSL)?)
    }
}

impl Ssl<'_> {
    /// Whether the client came over TLS.
    pub(crate) fn is_tls(self) -> bool {
        self.client & CLIENT_SSL != 0
    }
}

/// Type and value at the beginning of `block`, and what follows.
fn split(block: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, high, low], rest) = block.split_first_chunk::<3>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((*kind, value, rest))
}

fn ssl(value: &[u8]) -> Option<Ssl<'_>> {
    let ([client, verify @ ..], parts) = value.split_first_chunk::<5>()?;
    let parts = Tlvs::fill(parts).ok()?;
    Some(Ssl { client: *client, verify: u32::from_be_bytes(*verify), parts })
}

/// Holds `header`, of which `tlvs` is the end, to its checksum, if it has one (section 2.2.3).
pub(super) fn verify(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), Malformed> {
    let Some(expected) = tlvs.find(CRC32C) else { return Ok(()) };
    let mut at = header.len() - tlvs.0.len();
    for (kind, value) in tlvs.iter() {
        if kind == CRC32C {
            break;
        }
        at += 3 + value.len();
    }
    let sum = checksum(header, at + 3);
    if expected == sum.to_be_bytes() { Ok(()) } else { Err(Malformed::Checksum) }
}

/// CRC-32C (RFC 3720, appendix B.4) of `header` with the four bytes from `at` on taken for zeros.
///
/// Bit by bit: a header has at most 536 bytes, and comes once in a connection.
pub(super) fn checksum(header: &[u8], at: usize) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for (index, byte) in header.iter().enumerate() {
        let byte = if (at..at + 4).contains(&index) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}
