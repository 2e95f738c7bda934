//! How a tree is written, and read again where one place of it is concerned.
//!
//! A level is its least rank, the bits of its slots and the length of its heads; where there are slots, its lengths and
//! the longest; then the slots and the heads. Heads without slots stand the longest first.
//!
//! A head is the length of its text, of its closed and of its open candidates, `above`, the place of the level behind a
//! captured segment, the text and the candidates. A candidate is its rank, route and condition.

use super::{
    Candidate, Head, LONG, Level, Tree, first_slot, hash, next_slot, number, slot_layout,
    slots_len, tag,
};
use crate::route_table::{NONE, RouteId, index, narrow};

/// What a [`Tree`] grows from: the levels that stand behind captures first, the root last.
#[derive(Default)]
pub(in crate::route_table) struct TreeBuilder {
    bytes: Vec<u8>,
}

/// Where a level begins.
#[derive(Clone, Copy)]
pub(in crate::route_table) struct LevelAt(u32);

/// A head that is not written yet.
pub(in crate::route_table) struct HeadDraft<'p> {
    pub(in crate::route_table) text: &'p str,
    pub(in crate::route_table) above: u32,
    /// The level behind a captured segment.
    pub(in crate::route_table) below: Option<LevelAt>,
    /// By rank.
    pub(in crate::route_table) closed: Vec<Candidate>,
    /// By rank.
    pub(in crate::route_table) open: Vec<Candidate>,
}

impl TreeBuilder {
    /// Adds a level of `heads` in the order of their texts, whose lowest rank is `least`.
    pub(in crate::route_table) fn add_level(
        &mut self,
        heads: &[HeadDraft<'_>],
        least: u32,
    ) -> LevelAt {
        let start = narrow(self.bytes.len());
        // What begins with another text sorts behind it: turned round, the longest comes first.
        let mut written = Vec::new();
        let places: Vec<u32> = heads.iter().rev().map(|head| head.write(&mut written)).collect();

        let is_few = heads.len() <= FEW;
        // Half of the slots or more stay empty, so that look-ups of what is not there end soon.
        let slot_bits = if is_few { 0 } else { (2 * heads.len()).next_power_of_two().ilog2() };
        number::push(&mut self.bytes, least);
        number::push(&mut self.bytes, slot_bits);
        number::push(&mut self.bytes, narrow(written.len()));
        if !is_few {
            let hashes = heads.iter().rev().map(|head| hash::hash_of(head.text.as_bytes()));
            self.add_lengths(heads);
            self.add_slots(hashes.zip(places), slot_bits, written.len());
        }
        self.bytes.extend(written);
        LevelAt(start)
    }

    pub(in crate::route_table) fn finish(self, LevelAt(root): LevelAt) -> Tree {
        let root = Level::decode(self.bytes.get(index(root)..).unwrap_or_default(), root);
        Tree { root, bytes: self.bytes.into() }
    }

    fn add_lengths(&mut self, heads: &[HeadDraft<'_>]) {
        let lengths = heads.iter().fold(0_u64, |bits, head| bits | 1 << head.text.len().min(LONG));
        let longest = heads.iter().map(|head| head.text.len()).max().unwrap_or_default();
        self.bytes.extend(lengths.to_le_bytes());
        number::push(&mut self.bytes, narrow(longest));
    }

    fn add_slots(
        &mut self,
        heads: impl Iterator<Item = (u64, u32)>,
        slot_bits: u32,
        heads_len: usize,
    ) {
        let (width, head_bits) = slot_layout(heads_len);
        let mut slots = vec![0; slots_len(slot_bits, narrow(heads_len))];
        for (hash, place) in heads {
            let mut slot = first_slot(hash, slot_bits);
            while slots[slot * width..(slot + 1) * width].iter().any(|byte| *byte != 0) {
                slot = next_slot(slot, slot_bits);
            }
            let filled = tag(hash, width, head_bits) | (place + 1);
            slots[slot * width..(slot + 1) * width].copy_from_slice(&filled.to_le_bytes()[..width]);
        }
        self.bytes.extend(slots);
    }
}

/// So many heads are compared one by one.
const FEW: usize = 4;

impl Level {
    /// The level that begins at `at`, where `bytes` begin.
    pub(super) fn decode(bytes: &[u8], at: u32) -> Self {
        let mut rest = bytes;
        let (least, slot_bits, heads_len) =
            (number::take(&mut rest), number::take(&mut rest), number::take(&mut rest));
        let (mut lengths, mut longest) = (0, 0);
        if let Some((bits, behind)) = rest.split_first_chunk().filter(|_| slot_bits > 0) {
            rest = behind;
            (lengths, longest) = (u64::from_le_bytes(*bits), number::take(&mut rest));
        }
        let at = at + narrow(bytes.len() - rest.len());
        Self { lengths, longest, least, at, heads_len, slot_bits }
    }
}

impl HeadDraft<'_> {
    /// Adds it to the end of `heads`, and gives where it begins.
    fn write(&self, heads: &mut Vec<u8>) -> u32 {
        let start = heads.len();
        let [closed, open] = [&self.closed, &self.open].map(|candidates| {
            let mut bytes = Vec::new();
            candidates.iter().for_each(|candidate| candidate.write(&mut bytes));
            bytes
        });
        for length in [self.text.len(), closed.len(), open.len()] {
            number::push(heads, narrow(length));
        }
        number::push_or_none(heads, self.above);
        number::push_or_none(heads, self.below.map_or(NONE, |LevelAt(at)| at));
        heads.extend(self.text.as_bytes());
        heads.extend(closed);
        heads.extend(open);
        narrow(start)
    }
}

impl<'t> Head<'t> {
    /// Takes a head off the front of `heads`.
    pub(super) fn take(heads: &mut &'t [u8]) -> Self {
        let [text, closed, open] = [(); 3].map(|()| index(number::take(heads)));
        let (above, level) = (number::take_or_none(heads), number::take_or_none(heads));
        let mut take = |len| {
            let (taken, behind) = heads.split_at_checked(len).unwrap_or_default();
            *heads = behind;
            taken
        };
        Self { text: take(text), above, level, closed: take(closed), open: take(open) }
    }
}

impl Candidate {
    fn write(self, bytes: &mut Vec<u8>) {
        number::push(bytes, self.rank);
        number::push(bytes, self.route.0);
        number::push_or_none(bytes, self.condition);
    }

    /// Takes a candidate off the front of `candidates`.
    pub(super) fn take(candidates: &mut &[u8]) -> Self {
        let (rank, route) = (number::take(candidates), RouteId(number::take(candidates)));
        Self { rank, route, condition: number::take_or_none(candidates) }
    }
}
