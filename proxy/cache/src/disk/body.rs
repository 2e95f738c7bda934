//! The body of an entry on disk.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::format::{self, BLOCK, BodyFacts, Broken};
use super::health::Action;
use super::name::Name;
use super::pool::Kind;
use super::tier::{EntryFile, Tier, read_at};

/// What is read at once.
pub(super) const PIECE: u64 = 4 * BLOCK;

/// Why a body could not be read to its end: the receiver must not take what came for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A checksum is wrong; the entry is gone.
    #[error("the stored response is damaged")]
    Corrupt,
    /// The disk failed, or is too busy.
    #[error("the disk does not answer")]
    Failed,
}

/// The body of an entry on disk; every byte that comes out of it was verified. A handle: clones read the same file, which
/// stays readable when the entry is replaced or evicted.
#[derive(Clone, Debug)]
pub struct DiskBody(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Whole(Bytes),
    File(Arc<Content>),
}

/// A body in an open file.
pub(super) struct Content {
    pub(super) tier: Arc<Tier>,
    pub(super) name: Name,
    pub(super) file: Arc<File>,
    /// Where it begins in the file.
    pub(super) begins: u64,
    pub(super) facts: BodyFacts,
    /// Of the blocks, read when they are first needed.
    pub(super) digests: OnceLock<Box<[u64]>>,
}

impl DiskBody {
    pub(super) fn in_memory(bytes: Bytes) -> Self {
        Self(Inner::Whole(bytes))
    }

    pub(super) fn in_file(content: Content) -> Self {
        Self(Inner::File(Arc::new(content)))
    }

    /// In bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match &self.0 {
            Inner::Whole(bytes) => bytes.len() as u64,
            Inner::File(content) => content.facts.length,
        }
    }

    /// The whole body where it came along with the head: nothing is left to wait for.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Whole(bytes) => Some(bytes),
            Inner::File(_) => None,
        }
    }

    /// The next piece from `offset` on: at least one byte and at most `most`, and as the disk gives it at most 256 KiB; empty
    /// at the end. Cancelling is safe.
    ///
    /// # Errors
    /// When it cannot be read as it was written.
    pub async fn read(&self, offset: u64, most: usize) -> Result<Bytes, ReadError> {
        match &self.0 {
            Inner::Whole(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(from..from.saturating_add(most).min(bytes.len())))
            }
            Inner::File(content) => {
                let content = Arc::clone(content);
                let tier = Arc::clone(&content.tier);
                let read = tier.pool.run(Kind::Read, move || content.read(offset, most));
                read.await.unwrap_or(Err(ReadError::Failed))
            }
        }
    }
}

impl Content {
    fn read(&self, offset: u64, most: usize) -> Result<Bytes, ReadError> {
        let Some(span) = Span::of(offset, most, self.facts.length) else { return Ok(Bytes::new()) };
        let digests = self.digests()?;
        let bytes = read_at(&self.file, self.begins + span.begins, span.length());
        let bytes = self.tier.noted(Action::Read, bytes).ok_or(ReadError::Failed)?;
        let expected = digests.get(span.first_block()..).unwrap_or_default();
        match span.verified(bytes, expected) {
            Some(bytes) => Ok(bytes),
            None => Err(self.is_corrupt()),
        }
    }

    fn digests(&self) -> Result<&[u64], ReadError> {
        if let Some(digests) = self.digests.get() {
            return Ok(digests);
        }
        let length = usize::try_from(self.facts.digests_length()).unwrap_or(0);
        let bytes = read_at(&self.file, self.begins + self.facts.length, length);
        let bytes = self.tier.noted(Action::Read, bytes).ok_or(ReadError::Failed)?;
        match self.facts.digests(&bytes) {
            Some(digests) => Ok(self.digests.get_or_init(|| digests)),
            None => Err(self.is_corrupt()),
        }
    }

    fn is_corrupt(&self) -> ReadError {
        self.tier.drop_broken(self.name, Broken::Corrupt);
        ReadError::Corrupt
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.facts.length)
    }
}

/// The blocks that a reading touches, and what of them is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Of the first block.
    pub(super) begins: u64,
    /// Of the last block; the end of the body at most.
    pub(super) ends: u64,
    wanted: (u64, u64),
}

impl Span {
    /// For at most `most` bytes from `offset` on, of a body that is so long; `None` for no bytes.
    pub(super) fn of(offset: u64, most: usize, length: u64) -> Option<Self> {
        let begins = offset / BLOCK * BLOCK;
        let wanted_end =
            offset.saturating_add(most as u64).min(begins.saturating_add(PIECE)).min(length);
        let ends = wanted_end.next_multiple_of(BLOCK).min(length);
        (offset < wanted_end).then_some(Self { begins, ends, wanted: (offset, wanted_end) })
    }

    pub(super) fn first_block(self) -> usize {
        usize::try_from(self.begins / BLOCK).unwrap_or(usize::MAX)
    }

    pub(super) fn length(self) -> usize {
        // At most a piece.
        (self.ends - self.begins) as usize
    }

    /// What is wanted of the blocks' bytes, if each has its digest.
    pub(super) fn verified(self, bytes: Vec<u8>, digests: &[u64]) -> Option<Bytes> {
        if bytes.len() != self.length() {
            return None;
        }
        let mut blocks = bytes.chunks(BLOCK as usize).enumerate();
        if !blocks.all(|(at, block)| digests.get(at) == Some(&format::digest(block))) {
            return None;
        }
        let at = |offset: u64| (offset - self.begins) as usize;
        Some(Bytes::from(bytes).slice(at(self.wanted.0)..at(self.wanted.1)))
    }
}

/// The body of an entry whose head was read: in memory if what was read with the head is all of it.
pub(super) fn of_entry(tier: &Arc<Tier>, name: Name, entry: EntryFile) -> Option<DiskBody> {
    let facts = entry.record.body;
    let begins = entry.preamble.body_at as usize;
    let end = begins + usize::try_from(facts.length).unwrap_or(usize::MAX - begins);
    let whole = entry.start.get(begins..end).filter(|_| facts.blocks() <= 1);
    let Some(whole) = whole else {
        return Some(DiskBody::in_file(Content {
            tier: Arc::clone(tier),
            name,
            file: Arc::new(entry.file),
            begins: begins as u64,
            facts,
            digests: OnceLock::new(),
        }));
    };
    if format::digest(whole) != facts.digest {
        tier.drop_broken(name, Broken::Corrupt);
        return None;
    }
    let bytes = Bytes::from(entry.start);
    Some(DiskBody::in_memory(bytes.slice(begins..end)))
}
