//! What is stored, page by page, for a person to read.

use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::entry::Entry;
use crate::key::Key;
use crate::purge::{Purges, Standing};
use crate::variants::Variants;

/// Some of what a zone has in memory.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the order of their keys' digests; all variants of a key are on one page.
    pub entries: Vec<Listed>,
    /// What to go on after, where there may be more.
    pub next: Option<u128>,
}

/// A stored response in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// It.
    pub entry: Arc<Entry>,
    /// What purges say of it; never [`Standing::Void`].
    pub standing: Standing,
    /// The bytes it takes.
    pub weight: u64,
}

/// The first `most` keys after `after`. In as much memory as a page takes, however many there are.
pub(crate) fn page(
    all: impl Iterator<Item = (Key, Arc<Variants>)>,
    after: Option<u128>,
    most: usize,
    purges: &Purges,
) -> Page {
    let mut first: BinaryHeap<Numbered> = BinaryHeap::new();
    for (key, variants) in all {
        let digest = key.digest();
        let is_in = first.len() < most || first.peek().is_some_and(|last| digest < last.0);
        if after.is_some_and(|after| digest <= after) || !is_in {
            continue;
        }
        first.push(Numbered(digest, variants));
        if first.len() > most {
            first.pop();
        }
    }
    let next = first.peek().filter(|_| first.len() == most).map(|last| last.0);
    let keys = first.into_sorted_vec();
    let stored = keys.iter().flat_map(|Numbered(_, variants)| variants.iter());
    let listed = stored.map(|stored| Listed {
        entry: Arc::clone(stored.entry()),
        standing: stored.standing(purges),
        weight: stored.weight(),
    });
    Page { entries: listed.filter(|listed| listed.standing != Standing::Void).collect(), next }
}

/// In the order of digests.
struct Numbered(u128, Arc<Variants>);

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Numbered {}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
