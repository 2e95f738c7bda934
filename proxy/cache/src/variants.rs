//! All that is stored for one key.

use std::sync::Arc;

use http::HeaderMap;

use crate::compact::weight;
use crate::entry::{Entry, Meta};
use crate::policy::selects;
use crate::purge::{Labels, Purges, Seen, Standing};

/// The stored responses of one key, the newest first. Never changed but for what its entries were seen to be: a change makes
/// another.
#[derive(Clone, Debug)]
pub(crate) struct Variants {
    stored: Box<[Stored]>,
    /// The bytes of all.
    weight: u64,
}

/// A stored response, and what purges say of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    entry: Arc<Entry>,
    labels: Labels,
    seen: Seen,
    weight: u64,
}

/// What the variants of a key have for a request.
#[derive(Debug)]
pub(crate) enum Selected {
    /// This, and what purges say of it, which is not [`Standing::Void`].
    Entry(Arc<Entry>, Standing),
    /// Nothing.
    Nothing,
}

impl Variants {
    /// `stored` in front of those of `old` that it does not replace and that still hold, as many as `limit` and `room` let.
    pub(crate) fn with(
        stored: Stored,
        old: Option<&Self>,
        purges: &Purges,
        limit: usize,
        room: u64,
    ) -> Self {
        let mut left = room.saturating_sub(stored.weight);
        let mut all = vec![stored];
        for other in old.into_iter().flat_map(Self::iter) {
            if all.iter().any(|stored| other.answers_like(&stored.entry.meta))
                || other.standing(purges) == Standing::Void
            {
                continue;
            }
            if all.len() >= limit || other.weight > left {
                break;
            }
            left -= other.weight;
            all.push(other.clone());
        }
        Self::of(all)
    }

    /// Those that `keeps` says yes to; nothing where none is left.
    pub(crate) fn only(&self, keeps: impl Fn(&Stored) -> bool) -> Option<Self> {
        let kept: Vec<Stored> = self.iter().filter(|stored| keeps(stored)).cloned().collect();
        (!kept.is_empty()).then(|| Self::of(kept))
    }

    fn of(stored: Vec<Stored>) -> Self {
        let weight = PER_KEY + stored.iter().map(|stored| stored.weight).sum::<u64>();
        Self { stored: stored.into(), weight }
    }

    /// The newest that `request` selects and that no purge made void (RFC 9111, 4.1): of those that say what selects them, and
    /// only then the one that does not, if no newer one says that fields matter.
    pub(crate) fn select(&self, request: &HeaderMap, purges: &Purges) -> Selected {
        let (mut plain, mut fields_matter) = (None, false);
        for stored in &self.stored {
            let standing = stored.standing(purges);
            if standing == Standing::Void {
                continue;
            }
            if !stored.is_selected_by(request) {
                fields_matter |= plain.is_none();
            } else if !stored.entry.meta.vary.is_empty() {
                return Selected::Entry(Arc::clone(&stored.entry), standing);
            } else if plain.is_none() {
                plain = Some((stored, standing));
            }
        }
        match plain {
            Some((stored, standing)) if !fields_matter => {
                Selected::Entry(Arc::clone(&stored.entry), standing)
            }
            _ => Selected::Nothing,
        }
    }

    /// Whether purges leave anything of them.
    pub(crate) fn hold(&self, purges: &Purges) -> bool {
        self.iter().any(|stored| stored.standing(purges) != Standing::Void)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.stored.iter()
    }

    /// The bytes they take, with the key.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }
}

impl Stored {
    pub(crate) fn new(entry: Arc<Entry>) -> Self {
        let (labels, seen) = (Labels::of(&entry.meta), Seen::from(&entry.meta));
        let weight = weight(&entry) + (size_of::<Self>() + labels.weight()) as u64;
        Self { entry, labels, seen, weight }
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// The bytes it takes.
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    /// What purges say of it.
    pub(crate) fn standing(&self, purges: &Purges) -> Standing {
        purges.look(&self.entry.meta, &self.labels, &self.seen)
    }

    fn is_selected_by(&self, request: &HeaderMap) -> bool {
        let meta = &self.entry.meta;
        meta.vary.is_empty() || selects(&meta.vary, &meta.selected_by, request)
    }

    /// Whether it answers the same requests as one with this head.
    pub(crate) fn answers_like(&self, other: &Meta) -> bool {
        let this = &self.entry.meta;
        this.vary == other.vary && this.selected_by == other.selected_by
    }
}

/// What tables take for each key: its hash, its place in a queue, what points to key and variants, and what admission remembers.
const PER_KEY: u64 = 160;
