//! Numbers taken from the front of a slice.

use crate::Flaw;
use crate::header::Unread;

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(all: &'a [u8], at: usize) -> Self {
        Self { all, at }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether everything has been read.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.all.len()
    }

    /// Everything that is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..).unwrap_or_default()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Unread> {
        let end = self.at.checked_add(count).ok_or(TRUNCATED)?;
        let taken = self.all.get(self.at..end).ok_or(TRUNCATED)?;
        self.at = end;
        Ok(taken)
    }

    /// Passes over `count` bytes.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Unread> {
        self.take(count).map(drop)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        self.take(N)?.try_into().map_err(|_| TRUNCATED)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Unread> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16_be(&mut self) -> Result<u16, Unread> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Result<u32, Unread> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u16_le(&mut self) -> Result<u16, Unread> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u24_le(&mut self) -> Result<u32, Unread> {
        let [low, middle, high] = self.array()?;
        Ok(u32::from_le_bytes([low, middle, high, 0]))
    }

    pub(super) fn u32_le(&mut self) -> Result<u32, Unread> {
        self.array().map(u32::from_le_bytes)
    }
}

const TRUNCATED: Unread = Unread::Flaw(Flaw::Truncated);
