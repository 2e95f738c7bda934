//! What responses have said of the queries of their pages (`No-Vary-Search`).
//!
//! A response that says which differences of queries do not count is stored under its key [as that rule makes it](Key::under), and
//! the rule is remembered for its page. Whoever asks for the page with another query is looked for under that key, too. The rule
//! is part of the key, so that what is remembered is a hint: whatever is found there has said so itself.
//!
//! A purge of one query has to find what is stored under the rule, and reaches it by the rule that is known. So of what holds, no
//! more than that rule's is ever to be met: before another takes its place, everything that is stored under rules of the page is
//! purged ([`Scope::Ruled`]). As long as what is on disk was not looked at, a purge of any query bears on all of that.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};

use crate::entry::Meta;
use crate::key::{Address, Key};
use crate::policy::search::NoVarySearch;
use crate::purge::{Manner, Purges, Scope};

/// The rules of pages: those in use, within [`MOST_BYTES`].
#[derive(Debug)]
pub(crate) struct Searches {
    rules: Cache<u64, Known, Weights, RandomState, Forgotten>,
    hashes: RandomState,
    /// Whether any was ever learnt: where none was, nobody looks.
    is_used: AtomicBool,
    /// Whether what an earlier process stored may still teach one.
    recalls: AtomicBool,
    forgotten: Forgotten,
    /// Held while rules change of the pages whose hashes name it: the last time on the purge clock that a purge of one of them did
    /// not know its rule.
    blind: [Mutex<u64>; 64],
}

/// A rule that is known of a page.
#[derive(Clone, Debug)]
struct Known {
    rule: Arc<NoVarySearch>,
    /// When the response was received that told of it, if an earlier process stored that.
    recalled: Option<SystemTime>,
}

impl Searches {
    /// Of a zone that may have something on disk that it has not looked at.
    pub(crate) fn new(has_disk: bool) -> Self {
        let (hashes, forgotten) = (RandomState::new(), Forgotten::default());
        let (items, bytes) = (MOST_BYTES / 256, MOST_BYTES as u64);
        Self {
            rules: Cache::with(items, bytes, Weights, hashes.clone(), forgotten.clone()),
            hashes,
            is_used: AtomicBool::new(false),
            recalls: AtomicBool::new(has_disk),
            forgotten,
            blind: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Where what is stored under the rule of its page answers a request for `key`, if that has one.
    pub(crate) fn ruled(&self, key: &Key) -> Option<Key> {
        if !self.is_used.load(Ordering::Relaxed) {
            return None;
        }
        let known = self.known(self.page(key.address()))?;
        key.under(&known)
    }

    /// What a response is stored under that says `said` of queries, and was asked for as `key` at the time `generation` of
    /// `purges`.
    ///
    /// A rule that takes the place of another is for the next response, and so is one that may not have been known to a purge
    /// since: this response is stored for its own query.
    pub(crate) fn learn(
        &self,
        key: &Key,
        said: NoVarySearch,
        generation: u64,
        purges: &Purges,
    ) -> Key {
        let Some(ruled) = key.under(&said).filter(|_| !said.is_default()) else {
            return key.clone();
        };
        let page = self.page(key.address());
        let mut blind = self.blind(page).lock();
        if generation < *blind {
            return key.clone();
        }
        match self.known(page) {
            Some(known) if *known == said => return ruled,
            // None of what it may have been is left to be met.
            None if !self.forgotten.0.load(Ordering::Acquire) => {
                self.remember(page, said, None);
                return ruled;
            }
            _ => {}
        }
        // What is kept for the next process follows with all that is: `Zone::tend`.
        drop(purges.purge(Scope::Ruled(key.address()), Manner::Hard));
        *blind = purges.clock();
        self.remember(page, said, None);
        key.clone()
    }

    /// Learns from what an earlier process stored; of several rules of a page, the last.
    pub(crate) fn recall(&self, meta: &Meta) {
        let Some(rule) = meta.key.rule() else { return };
        let page = self.page(meta.key.address());
        let received = meta.times.response;
        let _changing = self.blind(page).lock();
        let is_known = self
            .rules
            .peek(&page)
            .is_some_and(|known| known.recalled.is_none_or(|recalled| recalled >= received));
        if !is_known {
            self.remember(page, rule, Some(received));
        }
    }

    /// Whether what is on disk is still to be looked at.
    pub(crate) fn recalls(&self) -> bool {
        self.recalls.load(Ordering::Acquire)
    }

    /// All that is on disk was looked at.
    pub(crate) fn have_recalled(&self) {
        self.recalls.store(false, Ordering::Release);
    }

    /// Notes the purge of a page in `purges`, for whatever query it was stored that means the same; what is to be kept of it.
    pub(crate) fn purge(
        &self,
        address: Address<'_>,
        manner: Manner,
        purges: &Purges,
    ) -> Vec<Bytes> {
        let page = self.page(address);
        let mut blind = self.blind(page).lock();
        let mut records = vec![purges.purge(Scope::Page(address), manner)];
        match self.known(page) {
            Some(rule) => {
                let query = rule.canonical(address.query);
                let ruled = Scope::Page(Address { query: &query, ..address });
                records.push(purges.purge(ruled, manner));
            }
            None => *blind = purges.clock(),
        }
        if self.recalls() {
            records.push(purges.purge(Scope::Ruled(address), manner));
        }
        records
    }

    fn known(&self, page: u64) -> Option<Arc<NoVarySearch>> {
        self.rules.get(&page).map(|known| known.rule)
    }

    fn remember(&self, page: u64, rule: NoVarySearch, recalled: Option<SystemTime>) {
        // What is replaced is not forgotten.
        self.rules.remove(&page);
        self.rules.insert(page, Known { rule: Arc::new(rule), recalled });
        self.is_used.store(true, Ordering::Relaxed);
    }

    fn page(&self, address: Address<'_>) -> u64 {
        let Address { scheme, host, port, path, .. } = address;
        self.hashes.hash_one((scheme, host, port, path))
    }

    fn blind(&self, page: u64) -> &Mutex<u64> {
        #[expect(clippy::indexing_slicing, reason = "the remainder is within the array")]
        &self.blind[page as usize % self.blind.len()]
    }
}

/// What rules take together: some 15,000 pages with a usual one.
const MOST_BYTES: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug)]
struct Weights;

impl Weighter<u64, Known> for Weights {
    fn weight(&self, _page: &u64, known: &Known) -> u64 {
        /// What tables and allocations take beside it.
        const BESIDE: u64 = 192;
        known.rule.weight() as u64 + BESIDE
    }
}

/// Whether a rule has made room for others.
#[derive(Clone, Debug, Default)]
struct Forgotten(Arc<AtomicBool>);

impl Lifecycle<u64, Known> for Forgotten {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _page: u64, _known: Known) {
        self.0.store(true, Ordering::Release);
    }
}
