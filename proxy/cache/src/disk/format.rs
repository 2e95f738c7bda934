//! What an entry looks like in its file.
//!
//! ```text
//! 0    preamble   magic, version, where the body begins, room of a tail head, identity of the file, checksum (of its birth too)
//! 40   head       length, sequence, checksum; length and digest of the body, then all of `Meta`
//!      body       as it is
//!      digests    one for each block of 64 KiB, where there is more than one block
//!      tail heads two places for heads that replace the first one (after a 304), used in turn
//! ```
//!
//! The head's checksum covers the digest of the digests, and these the body: every byte that is used was verified, and a range
//! is verified by reading the blocks that it touches. A torn tail head leaves the one before it in force.

use twox_hash::XxHash3_64;

use super::directory::Birth;
use super::meta;
use crate::entry::Meta;

/// What the body is verified in.
pub(super) const BLOCK: u64 = 64 << 10;

/// The largest head: fields, key, tags and all.
pub(super) const LARGEST_HEAD: usize = 1 << 20;

/// The largest body: its digests take 8 MiB of memory while it is read.
pub(super) const LARGEST_BODY: u64 = 64 << 30;

const MAGIC: [u8; 8] = *b"SwbCache";
const VERSION: u16 = 1;
const PREAMBLE: usize = 40;
const RECORD: usize = 16;
/// Length and digest of the body.
const BODY_FACTS: usize = 16;

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Torn, cut or flipped.
    Corrupt,
    /// Of another version of this format.
    Version,
}

/// The first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preamble {
    /// Where the body begins.
    pub(super) body_at: u32,
    /// Bytes that each of the two tail heads may take.
    pub(super) tail_room: u32,
    /// That of its body ([`Meta::body`]), which is random: a head of another file is none of this one.
    pub(super) identity: u64,
}

/// What the body is and where its proof is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BodyFacts {
    pub(super) length: u64,
    /// Of the only block, or of the digests of all blocks.
    pub(super) digest: u64,
}

/// A head with what it says of the body.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The highest one is in force; of a tail head, its lowest bit is its place.
    pub(super) sequence: u32,
    pub(super) body: BodyFacts,
    pub(super) meta: Meta,
}

impl Preamble {
    /// For a head that takes so many bytes as a record.
    pub(super) fn for_record(length: usize, identity: u64) -> Option<Self> {
        let body_at = u32::try_from(PREAMBLE + length).ok()?;
        // Twice as much as the first one takes, whole pages: a validation seldom adds fields.
        let tail_room = u32::try_from((length * 2).next_multiple_of(4096)).ok()?;
        Some(Self { body_at, tail_room, identity })
    }

    pub(super) fn write(&self, birth: Birth, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.body_at.to_le_bytes());
        out.extend_from_slice(&self.tail_room.to_le_bytes());
        out.extend_from_slice(&self.identity.to_le_bytes());
        let written = out.get(start..).unwrap_or_default();
        let checksum = XxHash3_64::oneshot_with_seed(birth.0, written);
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    /// Of a file of this birth: the same bytes in another one are none.
    pub(super) fn read(bytes: &[u8], birth: Birth) -> Result<Self, Broken> {
        let bytes = bytes.first_chunk::<PREAMBLE>().ok_or(Broken::Corrupt)?;
        if !bytes.starts_with(&MAGIC) {
            return Err(Broken::Corrupt);
        }
        if u16_at(bytes, 8) != Some(VERSION) {
            return Err(Broken::Version);
        }
        Self::read_current(bytes, birth).ok_or(Broken::Corrupt)
    }

    fn read_current(bytes: &[u8; PREAMBLE], birth: Birth) -> Option<Self> {
        let (facts, checksum) = bytes.split_last_chunk::<8>()?;
        if XxHash3_64::oneshot_with_seed(birth.0, facts) != u64::from_le_bytes(*checksum) {
            return None;
        }
        let found = Self {
            body_at: u32_at(bytes, 16)?,
            tail_room: u32_at(bytes, 20)?,
            identity: u64_at(bytes, 24)?,
        };
        let largest = PREAMBLE + RECORD + BODY_FACTS + LARGEST_HEAD;
        let is_sound = found.body_at as usize >= PREAMBLE + RECORD + BODY_FACTS
            && found.body_at as usize <= largest
            && found.tail_room as usize <= 2 * largest + 4096;
        is_sound.then_some(found)
    }

    /// The head that was written first, from the beginning of the file; `bytes` reach to the body at least.
    pub(super) fn first_record(&self, bytes: &[u8]) -> Result<Record, Broken> {
        let bytes = bytes.get(PREAMBLE..self.body_at as usize).ok_or(Broken::Corrupt)?;
        let record = Record::read(bytes, self.identity).ok_or(Broken::Corrupt)?;
        // It must fill its place: nothing is between it and the body.
        let is_whole =
            u32_at(bytes, 0).is_some_and(|length| length as usize + RECORD == bytes.len());
        if is_whole { Ok(record) } else { Err(Broken::Corrupt) }
    }

    /// Where tail head `place` (0 or 1) begins, in a file with such a body.
    pub(super) fn tail_at(&self, body: BodyFacts, place: u64) -> u64 {
        self.digests_at(body) + body.digests_length() + place * u64::from(self.tail_room)
    }

    /// Where the digests of the blocks begin.
    pub(super) fn digests_at(&self, body: BodyFacts) -> u64 {
        u64::from(self.body_at) + body.length
    }

    /// `first`, or the tail head that replaced it; `tails` is what the file holds from the first tail head on.
    pub(super) fn newest(&self, first: Record, tails: &[u8]) -> Record {
        let room = self.tail_room as usize;
        let places = [tails.get(..room.min(tails.len())), tails.get(room..)];
        let heads =
            places.into_iter().flatten().filter_map(|bytes| Record::read(bytes, self.identity));
        let body = first.body;
        let of_this_body = heads.filter(|head| head.body == body);
        of_this_body.fold(
            first,
            |newest, head| {
                if head.sequence > newest.sequence { head } else { newest }
            },
        )
    }
}

impl Record {
    /// Length, sequence and checksum before the rest. `None` when the head is too large.
    pub(super) fn write(&self, identity: u64, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        out.extend_from_slice(&[0; RECORD]);
        out.extend_from_slice(&self.body.length.to_le_bytes());
        out.extend_from_slice(&self.body.digest.to_le_bytes());
        meta::write(&self.meta, out);
        let payload = out.get(start + RECORD..)?;
        if payload.len() > BODY_FACTS + LARGEST_HEAD {
            return None;
        }
        let length = u32::try_from(payload.len()).ok()?;
        let checksum = record_checksum(identity, length, self.sequence, payload);
        let mut head = Vec::with_capacity(RECORD);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&self.sequence.to_le_bytes());
        head.extend_from_slice(&checksum.to_le_bytes());
        out.get_mut(start..start + RECORD)?.copy_from_slice(&head);
        Some(())
    }

    /// What begins here; whatever follows it is not looked at.
    pub(super) fn read(bytes: &[u8], identity: u64) -> Option<Self> {
        let (length, sequence) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?);
        let payload = bytes.get(RECORD..)?.get(..length as usize)?;
        if record_checksum(identity, length, sequence, payload) != u64_at(bytes, 8)? {
            return None;
        }
        let body = BodyFacts { length: u64_at(payload, 0)?, digest: u64_at(payload, 8)? };
        let meta = meta::read(payload.get(BODY_FACTS..)?, identity)?;
        (body.length <= LARGEST_BODY).then_some(Self { sequence, body, meta })
    }
}

impl BodyFacts {
    pub(super) fn blocks(self) -> u64 {
        self.length.div_ceil(BLOCK)
    }

    /// In bytes; none where one block is proof enough.
    pub(super) fn digests_length(self) -> u64 {
        if self.blocks() > 1 { self.blocks() * 8 } else { 0 }
    }

    /// The digests of the blocks, if `bytes` (as they are in the file) are those that the head speaks of.
    pub(super) fn digests(self, bytes: &[u8]) -> Option<Box<[u64]>> {
        if self.blocks() <= 1 {
            return Some([self.digest].into());
        }
        if bytes.len() as u64 != self.digests_length() || digest(bytes) != self.digest {
            return None;
        }
        Some(bytes.as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect())
    }
}

/// What a block is verified by.
pub(super) fn digest(block: &[u8]) -> u64 {
    XxHash3_64::oneshot(block)
}

/// What the digests of the blocks come to for the head, and the bytes that go behind the body.
pub(super) fn seal(digests: &[u64]) -> (u64, Vec<u8>) {
    match digests {
        [] => (digest(&[]), Vec::new()),
        [only] => (*only, Vec::new()),
        many => {
            let bytes: Vec<u8> = many.iter().flat_map(|digest| digest.to_le_bytes()).collect();
            (digest(&bytes), bytes)
        }
    }
}

/// What is read of any bytes is what is written of it. The checksums are taken to be right: they keep a fuzzer out.
pub(super) fn check_head(bytes: &[u8]) {
    let read = Preamble::read(bytes, Birth::default());
    let read = read.and_then(|preamble| preamble.first_record(bytes));
    assert!(read.is_err() || bytes.len() > PREAMBLE + RECORD, "a head of no bytes");
    let Some(found) = meta::read(bytes, 0) else { return };
    let mut written = Vec::new();
    meta::write(&found, &mut written);
    let again = meta::read(&written, 0).map(|meta| format!("{meta:?}"));
    assert_eq!(again, Some(format!("{found:?}")), "written otherwise than read");
}

/// Seeded by the file's identity: a head that the disk kept from another file is none of this one.
fn record_checksum(identity: u64, length: u32, sequence: u32, payload: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::with_seed(identity);
    std::hash::Hasher::write(&mut hasher, &length.to_le_bytes());
    std::hash::Hasher::write(&mut hasher, &sequence.to_le_bytes());
    std::hash::Hasher::write(&mut hasher, payload);
    std::hash::Hasher::finish(&hasher)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
