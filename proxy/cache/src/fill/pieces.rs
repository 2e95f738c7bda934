//! The bytes that have arrived, as few pieces.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces are put together up to this length.
const MOST: usize = 1024 * 1024;
/// Pieces shorter than this are put together at once: an origin that sends byte by byte costs no more memory than another.
const SMALL: usize = 4 * 1024;

/// What is held of a body: `[start, end)` of it.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// Each with its offset in the body.
    held: VecDeque<(u64, Bytes)>,
    end: u64,
    /// How many of the last ones are not put together yet, and their bytes.
    loose: (usize, usize),
}

impl Pieces {
    /// The bytes that have arrived, held or not.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where what is held begins.
    pub(super) fn start(&self) -> u64 {
        self.held.front().map_or(self.end, |(offset, _)| *offset)
    }

    /// Appends bytes; `keeps` says whether all will be wanted at once, in the end.
    pub(super) fn push(&mut self, bytes: Bytes, keeps: bool) {
        if bytes.is_empty() {
            return;
        }
        self.loose = (self.loose.0 + 1, self.loose.1 + bytes.len());
        let offset = self.end;
        self.end += bytes.len() as u64;
        self.held.push_back((offset, bytes));
        while self.loose.0 > 1 && self.last_two_are_small() {
            self.merge(2);
            self.loose.0 -= 1;
        }
        if keeps && self.loose.1 >= MOST {
            self.settle();
        }
    }

    /// The bytes at `position`, as many as lie together.
    pub(super) fn at(&self, position: u64) -> Option<Bytes> {
        let next = self.held.partition_point(|(offset, _)| *offset <= position);
        let (offset, bytes) = self.held.get(next.checked_sub(1)?)?;
        let skip = usize::try_from(position - offset).ok()?;
        (skip < bytes.len()).then(|| bytes.slice(skip..))
    }

    /// Lets go of what ends at or before `position`.
    pub(super) fn drop_before(&mut self, position: u64) {
        while let Some((offset, bytes)) = self.held.front() {
            if offset + bytes.len() as u64 > position {
                break;
            }
            let length = bytes.len();
            self.held.pop_front();
            if self.held.len() < self.loose.0 {
                self.loose = (self.held.len(), self.loose.1 - length);
            }
        }
    }

    /// All that is held, each byte once and in no buffer larger than it needs.
    pub(super) fn whole(&mut self) -> Box<[Bytes]> {
        self.settle();
        self.held.iter().map(|(_, bytes)| bytes.clone()).collect()
    }

    fn last_two_are_small(&self) -> bool {
        let mut last = self.held.iter().rev().map(|(_, bytes)| bytes.len());
        let (Some(last), Some(before)) = (last.next(), last.next()) else { return false };
        // Lengths fall from one to the next by half at least, so that each byte is moved few times.
        before < SMALL && before < 2 * last
    }

    /// Puts the loose ones together.
    fn settle(&mut self) {
        if self.loose.0 > 0 {
            self.merge(self.loose.0);
        }
        self.loose = (0, 0);
    }

    /// Puts the last `count` together, in a buffer of their own.
    fn merge(&mut self, count: usize) {
        let from = self.held.len().saturating_sub(count);
        let last = self.held.split_off(from);
        let Some((offset, _)) = last.front() else { return };
        let offset = *offset;
        let mut whole = BytesMut::with_capacity(last.iter().map(|(_, bytes)| bytes.len()).sum());
        last.iter().for_each(|(_, bytes)| whole.extend_from_slice(bytes));
        let mut whole = whole.freeze();
        let mut at = offset;
        while !whole.is_empty() {
            let piece = whole.split_to(MOST.min(whole.len()));
            let length = piece.len() as u64;
            self.held.push_back((at, piece));
            at += length;
        }
    }
}
