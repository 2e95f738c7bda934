//! The patterns of a table but for its regexes, in one piece of memory.

mod encode;
mod hash;
mod number;

use std::hint::black_box;

use super::{RouteId, index};

pub(super) use encode::{HeadDraft, LevelAt, TreeBuilder};

/// The patterns of a table but for its regexes.
///
/// A pattern is a chain of heads, each one level deeper, with a captured segment between them:
/// `/users/{id}/posts/{post}` is `/users/`, `/posts/` and the empty head.
///
/// A level of more than a few heads is indexed by hash: of every length that its heads have, the beginning of the path
/// is looked up, so that the number of routes hardly matters.
///
/// A server of many sites finds none of this in its caches, and the time goes into waiting for memory. So it is small
/// and in one piece, and a look-up reads few places of it: a slot, and the head, which has its text and its candidates
/// with it.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Level,
    /// Levels and heads. `encode` says what is where.
    bytes: Box<[u8]>,
}

/// What may stand at some place of a path: at its start, or behind a captured segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// Which lengths the heads have, in bytes: a bit for each, and the highest bit for all from [`LONG`] on.
    lengths: u64,
    longest: u32,
    /// The lowest rank on this level or below.
    pub(super) least: u32,
    /// Where the slots begin, or the heads where there are none.
    at: u32,
    /// How long the heads are, which follow the slots.
    heads_len: u32,
    /// There are two to the power of this slots; 0 says that there are none.
    slot_bits: u32,
}

/// Literal text at the start of what is left of a path, with what may follow it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'t> {
    pub(super) text: &'t [u8],
    /// The lowest rank of the shorter heads of the same level that this one begins with, with all below them.
    pub(super) above: u32,
    /// Where the level behind a captured segment begins, or [`NONE`](super::NONE).
    level: u32,
    closed: &'t [u8],
    open: &'t [u8],
}

/// One path of one route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Its place in the order; the lowest that fits wins.
    pub(super) rank: u32,
    pub(super) route: RouteId,
    /// The index of a condition, or [`NONE`](super::NONE).
    pub(super) condition: u32,
}

impl Tree {
    pub(super) fn root(&self) -> Level {
        self.root
    }

    /// Asks memory for all of a small tree at once. A search would ask for one part when it has read the one before,
    /// and wait each time: `cargo bench --bench route` took 690 ns with this and 1,000 ns without, on a machine whose
    /// memory takes 180 ns.
    pub(super) fn fetch(&self) {
        if self.bytes.len() <= SMALL {
            black_box(self.bytes.iter().step_by(CACHE_LINE).fold(0, |all, byte| all ^ byte));
        }
    }

    /// The level behind a captured segment that follows `head`.
    pub(super) fn below(&self, head: &Head<'_>) -> Option<Level> {
        let bytes = self.bytes.get(index(head.level)..)?;
        Some(Level::decode(bytes, head.level))
    }

    /// The heads of `level` that `rest` begins with, the longest first.
    pub(super) fn matching<'t>(&'t self, level: Level, rest: &'t str) -> Matching<'t> {
        let rest = rest.as_bytes();
        let (slots, heads) = self.parts(level);
        if level.slot_bits == 0 {
            return Matching {
                few: heads,
                rest,
                lengths: Lengths::none(),
                hash: 0,
                slots: Slots::default(),
            };
        }
        let hashed = rest.get(..index(level.longest)).unwrap_or(rest);
        let lengths = Lengths { bits: level.lengths, limit: Some(hashed.len()) };
        let slots = Slots { slots, heads, slot_bits: level.slot_bits };
        Matching { few: &[], rest: hashed, lengths, hash: hash::hash_of(hashed), slots }
    }

    /// All heads of `level`.
    pub(super) fn heads(&self, level: Level) -> impl Iterator<Item = Head<'_>> {
        let (_, mut heads) = self.parts(level);
        std::iter::from_fn(move || (!heads.is_empty()).then(|| Head::take(&mut heads)))
    }

    /// The slots and the heads of `level`.
    fn parts(&self, level: Level) -> (&[u8], &[u8]) {
        let slots = slots_len(level.slot_bits, level.heads_len);
        let behind = self.bytes.get(index(level.at)..).unwrap_or_default();
        let (slots, behind) = behind.split_at_checked(slots).unwrap_or_default();
        (slots, behind.get(..index(level.heads_len)).unwrap_or_default())
    }
}

/// More than most sites need, and no more than memory brings at a time.
const SMALL: usize = 16 * CACHE_LINE;
const CACHE_LINE: usize = 64;

impl<'t> Head<'t> {
    /// Those for which the path must end here, by rank.
    pub(super) fn closed(&self) -> Candidates<'t> {
        Candidates(self.closed)
    }

    /// Those for which anything may follow, by rank.
    pub(super) fn open(&self) -> Candidates<'t> {
        Candidates(self.open)
    }
}

/// Candidates that stand side by side.
pub(super) struct Candidates<'t>(&'t [u8]);

impl Iterator for Candidates<'_> {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        (!self.0.is_empty()).then(|| Candidate::take(&mut self.0))
    }
}

/// The heads that a text begins with.
pub(super) struct Matching<'t> {
    /// Heads that have no index, the longest first.
    few: &'t [u8],
    /// The text; where there is an index, as much of it as `hash` is of.
    rest: &'t [u8],
    /// Those still to look up.
    lengths: Lengths,
    hash: u64,
    slots: Slots<'t>,
}

impl<'t> Iterator for Matching<'t> {
    type Item = Head<'t>;

    fn next(&mut self) -> Option<Head<'t>> {
        while !self.few.is_empty() {
            let head = Head::take(&mut self.few);
            if self.rest.starts_with(head.text) {
                return Some(head);
            }
        }
        for length in self.lengths.by_ref() {
            while let Some((last, shorter)) =
                self.rest.split_last().filter(|(_, shorter)| shorter.len() >= length)
            {
                self.hash = hash::hash_without(self.hash, *last);
                self.rest = shorter;
            }
            if let Some(head) = self.slots.look_up(self.rest, self.hash) {
                return Some(head);
            }
        }
        None
    }
}

/// From this length on a head's length is not told from others.
const LONG: usize = 63;

/// The lengths of heads, descending.
struct Lengths {
    bits: u64,
    /// The next is not greater.
    limit: Option<usize>,
}

impl Lengths {
    fn none() -> Self {
        Self { bits: 0, limit: None }
    }
}

impl Iterator for Lengths {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let limit = self.limit?;
        let length = match limit < LONG {
            true => index((self.bits & ((2 << limit) - 1)).checked_ilog2()?),
            false => limit,
        };
        self.limit = length.checked_sub(1);
        Some(length)
    }
}

/// The index of a level.
#[derive(Clone, Copy, Default)]
struct Slots<'t> {
    slots: &'t [u8],
    heads: &'t [u8],
    slot_bits: u32,
}

impl<'t> Slots<'t> {
    /// The head with this text, whose hash is `hash`.
    fn look_up(&self, text: &[u8], hash: u64) -> Option<Head<'t>> {
        match slot_layout(self.heads.len()) {
            (NARROW, head_bits) => self.look_up_in::<NARROW>(head_bits, text, hash),
            (_, head_bits) => self.look_up_in::<WIDE>(head_bits, text, hash),
        }
    }

    #[inline]
    fn look_up_in<const WIDTH: usize>(
        &self,
        head_bits: u32,
        text: &[u8],
        hash: u64,
    ) -> Option<Head<'t>> {
        let (slots, _) = self.slots.as_chunks::<WIDTH>();
        let tag = tag(hash, WIDTH, head_bits);
        let mut slot = first_slot(hash, self.slot_bits);
        loop {
            let filled = number_of(*slots.get(slot)?);
            if filled == 0 {
                return None;
            }
            let place = filled & low_bits(head_bits);
            if filled - place == tag {
                let mut from = self.heads.get(index(place).checked_sub(1)?..)?;
                let head = Head::take(&mut from);
                if head.text == text {
                    return Some(head);
                }
            }
            slot = next_slot(slot, self.slot_bits);
        }
    }
}

/// The bytes of a slot, where few of its bits are needed to tell heads apart, and elsewhere.
const NARROW: usize = 2;
const WIDE: usize = 4;

/// How many bytes a slot has, and how many of its bits tell where the head begins. The others compare hashes.
///
/// A slot is 0, or one more than the place of a head among the heads, with bits of the head's hash above.
fn slot_layout(heads_len: usize) -> (usize, u32) {
    let head_bits = usize::BITS - heads_len.leading_zeros();
    if head_bits <= 10 { (NARROW, head_bits) } else { (WIDE, head_bits) }
}

fn slots_len(slot_bits: u32, heads_len: u32) -> usize {
    let (width, _) = slot_layout(index(heads_len));
    if slot_bits == 0 { 0 } else { width << slot_bits }
}

/// The slot at which a look-up begins.
fn first_slot(hash: u64, slot_bits: u32) -> usize {
    usize::try_from(hash >> (u64::BITS - slot_bits)).unwrap_or_default()
}

fn next_slot(slot: usize, slot_bits: u32) -> usize {
    (slot + 1) & ((1 << slot_bits) - 1)
}

/// The bits of the hash that a slot has room for.
fn tag(hash: u64, width: usize, head_bits: u32) -> u32 {
    let [_, _, a, b, c, d, _, _] = hash.to_le_bytes();
    let bits = if width == NARROW {
        u32::from_le_bytes([c, d, 0, 0])
    } else {
        u32::from_le_bytes([a, b, c, d])
    };
    bits & !low_bits(head_bits)
}

/// The number whose low bytes these are.
fn number_of<const WIDTH: usize>(bytes: [u8; WIDTH]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn low_bits(count: u32) -> u32 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route_table::NONE;

    /// A tree of one level.
    fn tree(texts: &[&str]) -> Tree {
        let mut texts = texts.to_vec();
        texts.sort_unstable();
        let draft = |text| HeadDraft {
            text,
            above: NONE,
            below: None,
            closed: Vec::new(),
            open: Vec::new(),
        };
        let mut builder = TreeBuilder::default();
        builder.add_level(&[draft("/before")], 0);
        let root = builder.add_level(&texts.into_iter().map(draft).collect::<Vec<_>>(), 7);
        builder.finish(root)
    }

    fn text<'t>(head: Head<'t>) -> &'t str {
        str::from_utf8(head.text).unwrap()
    }

    fn matching<'t>(tree: &'t Tree, rest: &'t str) -> Vec<&'t str> {
        tree.matching(tree.root(), rest).map(text).collect()
    }

    #[test]
    fn few_heads_and_many_are_found_the_longest_first() {
        let few = tree(&["/", "/a", "/a/b"]);
        let many = tree(&["/", "/a", "/a/b", "/b", "/b/c", "/c/d/e/f", "/g"]);
        assert_eq!((few.root().slot_bits, many.root().slot_bits), (0, 4));
        for tree in [few, many] {
            assert_eq!(tree.root().least, 7);
            assert_eq!(matching(&tree, "/a/b/c"), ["/a/b", "/a", "/"]);
            assert_eq!(matching(&tree, "/a/b"), ["/a/b", "/a", "/"]);
            assert_eq!(matching(&tree, "/a/"), ["/a", "/"]);
            assert_eq!(matching(&tree, "/x"), ["/"]);
            assert!(matching(&tree, "").is_empty());
            assert!(matching(&tree, "x/a").is_empty());
        }
    }

    #[test]
    fn the_empty_head_begins_every_rest() {
        for texts in [&["", "/a"][..], &["", "/a", "/b", "/c", "/d", "/e"]] {
            let tree = tree(texts);
            assert_eq!(matching(&tree, ""), [""]);
            assert_eq!(matching(&tree, "/a"), ["/a", ""]);
        }
    }

    #[test]
    fn heads_are_found_on_both_sides_of_the_length_that_counts_as_long() {
        let longest = format!("/{}", "a".repeat(LONG + 10));
        let lengths = [1, 5, LONG - 1, LONG, LONG + 1, LONG + 5, longest.len()];
        let tree = tree(&lengths.map(|length| &longest[..length]));
        for rest in 0..=longest.len() {
            let mut expected: Vec<usize> =
                lengths.into_iter().filter(|length| *length <= rest).collect();
            expected.reverse();
            let found: Vec<usize> =
                matching(&tree, &longest[..rest]).into_iter().map(str::len).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(matching(&tree, &format!("{longest}/b")).len(), lengths.len());
    }

    #[test]
    fn every_head_is_found_of_few_of_many_and_of_thousands() {
        for count in [1, 4, 5, 20, 21, 22, 60, 100, 3000] {
            let texts: Vec<String> = (0..count).map(|number| format!("/{number:b}")).collect();
            let tree = tree(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            for text in &texts {
                let beginnings = (2..=text.len()).rev().map(|end| &text[..end]);
                let expected: Vec<&str> =
                    beginnings.filter(|text| *text == "/0" || text.starts_with("/1")).collect();
                assert_eq!(matching(&tree, text), expected);
            }
            assert!(matching(&tree, "/2").is_empty());

            let mut all: Vec<&str> = tree.heads(tree.root()).map(text).collect();
            all.sort_unstable();
            let mut expected: Vec<&str> = texts.iter().map(String::as_str).collect();
            expected.sort_unstable();
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn a_head_has_what_was_written_with_it() {
        let candidate = |rank, condition| Candidate { rank, route: RouteId(rank + 200), condition };
        let draft = |below| HeadDraft {
            text: "/a",
            above: 300,
            below,
            closed: vec![candidate(1, NONE), candidate(2, 0)],
            open: vec![candidate(400, 500)],
        };
        let mut builder = TreeBuilder::default();
        let below = builder.add_level(&[draft(None)], 9);
        let root = builder.add_level(&[draft(Some(below))], 1);
        let tree = builder.finish(root);

        let seen = |candidates: Candidates<'_>| -> Vec<_> {
            candidates
                .map(|candidate| (candidate.rank, candidate.route.0, candidate.condition))
                .collect()
        };
        let head = tree.matching(tree.root(), "/a/b").next().unwrap();
        assert_eq!((text(head), head.above), ("/a", 300));
        assert_eq!(seen(head.closed()), [(1, 201, NONE), (2, 202, 0)]);
        assert_eq!(seen(head.open()), [(400, 600, 500)]);
        let level = tree.below(&head).unwrap();
        assert_eq!(level.least, 9);
        let head = tree.matching(level, "/a").next().unwrap();
        assert!(tree.below(&head).is_none());
    }

    #[test]
    fn a_slot_tells_heads_apart_by_as_much_of_the_hash_as_it_has_room_for() {
        assert_eq!(slot_layout(1023), (2, 10));
        assert_eq!(slot_layout(1024), (4, 11));
        let hash = 0x8877_6655_4433_2211;
        assert_eq!(tag(hash, 2, 10), 0x6655 & !0x3FF);
        assert_eq!(tag(hash, 4, 11), 0x6655_4433 & !0x7FF);
        assert_eq!(first_slot(hash, 8), 0x88);
        assert_eq!((next_slot(6, 3), next_slot(7, 3)), (7, 0));
    }
}
