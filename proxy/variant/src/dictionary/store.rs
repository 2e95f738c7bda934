//! The dictionaries that are at hand, bounded in bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use thiserror::Error;

use crate::dictionary::{Digest, Hashing, Pattern};

/// Where a dictionary may be used: one origin, as the operator has divided them. A client that knows the hash of what another
/// origin keeps is not sent anything that was made with it, since that would tell what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope(pub u64);

/// A response that serves as a dictionary.
#[derive(Debug)]
pub struct Dictionary {
    digest: Digest,
    bytes: Bytes,
}

/// A dictionary whose bytes come one after the other, for those who may not hash all of them at once.
#[derive(Debug)]
pub struct Draft {
    bytes: Vec<u8>,
    hashing: Hashing,
}

/// The dictionaries of all origins, of at most so many bytes together. Of several, those go that were not asked for longest.
pub struct Store {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    kept: HashMap<(Scope, Digest), Kept>,
    /// Of all that is kept, with what each costs beside its bytes.
    bytes: usize,
    most: usize,
    /// Counts what has been asked for.
    clock: u64,
}

struct Kept {
    dictionary: Arc<Dictionary>,
    pattern: Arc<Pattern>,
    until: Instant,
    used: u64,
}

/// Why a response is not kept as a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotKept {
    /// There is nothing in it.
    #[error("an empty response is no dictionary")]
    Empty,
    /// It would take more than a quarter of the room, or 8 MiB: more than a window of Zstandard holds.
    #[error("the response is too large to be a dictionary")]
    TooLarge,
    /// It looks like a dictionary that was made for Zstandard, which that would not take as plain bytes.
    #[error("the response looks like a dictionary of another kind")]
    Prepared,
}

/// What a dictionary costs beside its bytes, roughly.
const OVERHEAD: usize = 512;
const LARGEST: usize = 8 << 20;
const PREPARED: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];

impl Dictionary {
    /// Of these bytes; hashes them all.
    ///
    /// # Errors
    /// When they are none, or not plain ones.
    pub fn new(bytes: Bytes) -> Result<Self, NotKept> {
        check(&bytes)?;
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }

    /// By which it is known.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it is made of.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Draft {
    /// Of so many bytes, where that is known.
    #[must_use]
    pub fn new(length: Option<u64>) -> Self {
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        Self { bytes: Vec::with_capacity(length.min(LARGEST)), hashing: Hashing::default() }
    }

    /// Takes some more, and hashes them.
    ///
    /// # Errors
    /// When they are too many.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), NotKept> {
        if self.bytes.len() + bytes.len() > LARGEST {
            return Err(NotKept::TooLarge);
        }
        self.hashing.push(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// All have come.
    ///
    /// # Errors
    /// When they are none, or not plain ones.
    pub fn finish(self) -> Result<Dictionary, NotKept> {
        check(&self.bytes)?;
        Ok(Dictionary { digest: self.hashing.finish(), bytes: self.bytes.into() })
    }
}

/// Whether bytes can serve.
fn check(bytes: &[u8]) -> Result<(), NotKept> {
    match () {
        () if bytes.is_empty() => Err(NotKept::Empty),
        () if bytes.len() > LARGEST => Err(NotKept::TooLarge),
        () if bytes.starts_with(&PREPARED) => Err(NotKept::Prepared),
        () => Ok(()),
    }
}

impl Store {
    /// Of at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { table: Mutex::new(Table { most, ..Table::default() }) }
    }

    /// Changes how many bytes it has at most.
    pub fn set_limit(&self, most: usize) {
        let mut table = self.table.lock();
        table.most = most;
        table.shrink();
    }

    /// Keeps a response, for later versions that match, until its clients have forgotten it. Kept once more, it is kept as is said
    /// last. Hashes the bytes: not for a thread that others wait for.
    ///
    /// # Errors
    /// When it cannot serve, or there is no room for one so large.
    pub fn keep(
        &self,
        scope: Scope,
        pattern: &Arc<Pattern>,
        bytes: Bytes,
        until: Instant,
    ) -> Result<Arc<Dictionary>, NotKept> {
        // Looked at before the bytes are hashed, and again when the lock is held.
        if bytes.len() > self.largest() {
            return Err(NotKept::TooLarge);
        }
        self.keep_made(scope, pattern, Dictionary::new(bytes)?, until)
    }

    /// The same with a dictionary whose bytes have been hashed already.
    ///
    /// # Errors
    /// When there is no room for one so large.
    pub fn keep_made(
        &self,
        scope: Scope,
        pattern: &Arc<Pattern>,
        dictionary: Dictionary,
        until: Instant,
    ) -> Result<Arc<Dictionary>, NotKept> {
        let dictionary = Arc::new(dictionary);
        if dictionary.bytes.len() > self.largest() {
            return Err(NotKept::TooLarge);
        }
        let mut table = self.table.lock();
        table.clock += 1;
        let kept = Kept {
            dictionary: Arc::clone(&dictionary),
            pattern: Arc::clone(pattern),
            until,
            used: table.clock,
        };
        table.bytes += dictionary.bytes.len() + OVERHEAD;
        if let Some(before) = table.kept.insert((scope, dictionary.digest), kept) {
            table.bytes -= before.dictionary.bytes.len() + OVERHEAD;
        }
        table.shrink();
        Ok(dictionary)
    }

    /// The dictionary that a client names, if it is at hand and was announced for this target.
    #[must_use]
    pub fn find(
        &self,
        scope: Scope,
        digest: &Digest,
        target: &[u8],
        now: Instant,
    ) -> Option<Arc<Dictionary>> {
        let mut table = self.table.lock();
        table.clock += 1;
        let clock = table.clock;
        let kept = table.kept.get_mut(&(scope, *digest))?;
        if kept.until <= now || !kept.pattern.matches(target) {
            return None;
        }
        kept.used = clock;
        Some(Arc::clone(&kept.dictionary))
    }

    /// How many bytes a dictionary may have.
    #[must_use]
    pub fn largest(&self) -> usize {
        (self.table.lock().most / 4).saturating_sub(OVERHEAD).min(LARGEST)
    }

    /// Keeps one that is at hand for longer, since its clients were just told of it again. Whether it is at hand.
    pub fn renew(&self, scope: Scope, digest: &Digest, until: Instant) -> bool {
        let mut table = self.table.lock();
        let kept = table.kept.get_mut(&(scope, *digest));
        kept.map(|kept| kept.until = kept.until.max(until)).is_some()
    }

    /// How many dictionaries there are, and how many bytes they take.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.kept.len(), table.bytes)
    }
}

impl Table {
    /// Few are kept, since each is at least some hundred bytes and mostly some hundred thousand, so that all are looked at.
    fn shrink(&mut self) {
        while self.bytes > self.most {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            let Some(gone) = oldest.and_then(|key| self.kept.remove(&key)) else { return };
            self.bytes -= gone.dictionary.bytes.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HERE: Scope = Scope(1);
    const TARGET: &[u8] = b"/app.2.js";

    fn pattern() -> Arc<Pattern> {
        Arc::new(Pattern::parse("/app.*.js").unwrap())
    }

    fn keep(store: &Store, fill: u8, length: usize) -> Result<Digest, NotKept> {
        let until = Instant::now() + Duration::from_secs(60);
        let kept = store.keep(HERE, &pattern(), vec![fill; length].into(), until)?;
        Ok(*kept.digest())
    }

    fn has(store: &Store, digest: &Digest) -> bool {
        store.find(HERE, digest, TARGET, Instant::now()).is_some()
    }

    #[test]
    fn what_is_kept_is_found_by_its_hash_for_what_it_was_announced_for() {
        let store = Store::new(1 << 20);
        let digest = keep(&store, 7, 100).unwrap();
        let now = Instant::now();
        let found = store.find(HERE, &digest, TARGET, now).unwrap();
        assert_eq!(found.bytes(), [7; 100]);
        assert!(store.find(HERE, &digest, b"/other.js", now).is_none());
        assert!(store.find(Scope(2), &digest, TARGET, now).is_none());
        assert!(store.find(HERE, &Digest::of(b"x"), TARGET, now).is_none());
        assert!(store.find(HERE, &digest, TARGET, now + Duration::from_secs(90)).is_none());
    }

    #[test]
    fn the_room_is_never_exceeded_and_what_was_not_asked_for_goes_first() {
        let store = Store::new(8000);
        let digests: Vec<_> = (0..4).map(|fill| keep(&store, fill, 1400).unwrap()).collect();
        assert_eq!(store.size(), (4, 4 * (1400 + OVERHEAD)));
        assert!(has(&store, &digests[0]));
        let last = keep(&store, 9, 1400).unwrap();
        assert!(has(&store, &digests[0]) && has(&store, &last) && !has(&store, &digests[1]));
        store.set_limit(2000);
        assert_eq!(store.size().0, 1);
        assert!(has(&store, &last));
        assert_eq!(keep(&store, 3, 500), Err(NotKept::TooLarge));
        store.set_limit(0);
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn what_is_told_of_again_is_kept_for_longer() {
        let store = Store::new(1 << 20);
        let digest = keep(&store, 7, 100).unwrap();
        let later = Instant::now() + Duration::from_secs(90);
        assert!(store.find(HERE, &digest, TARGET, later).is_none());
        assert!(store.renew(HERE, &digest, later + Duration::from_secs(1)));
        assert!(
            store.renew(HERE, &digest, later - Duration::from_secs(10)),
            "it is never shortened"
        );
        assert!(store.find(HERE, &digest, TARGET, later).is_some());
        assert!(!store.renew(Scope(2), &digest, later));
    }

    #[test]
    fn what_comes_piece_by_piece_is_the_same() {
        let bytes = [7; 1000];
        let mut draft = Draft::new(None);
        bytes.chunks(300).for_each(|piece| draft.push(piece).unwrap());
        let made = draft.finish().unwrap();
        assert_eq!((made.digest(), made.bytes()), (&Digest::of(&bytes), &bytes[..]));
        assert_eq!(Draft::new(Some(9)).finish().err(), Some(NotKept::Empty));
        let mut draft = Draft::new(Some(u64::MAX));
        draft.push(&PREPARED).unwrap();
        assert_eq!(draft.push(&vec![0; LARGEST]), Err(NotKept::TooLarge));
        assert_eq!(draft.finish().err(), Some(NotKept::Prepared));
        let store = Store::new(4 * 900);
        let large = Dictionary::new(vec![1; 400].into()).unwrap();
        let kept = store.keep_made(HERE, &pattern(), large, Instant::now());
        assert_eq!((store.largest(), kept.err()), (900 - OVERHEAD, Some(NotKept::TooLarge)));
    }

    #[test]
    fn the_same_is_kept_once() {
        let store = Store::new(1 << 20);
        assert_eq!(keep(&store, 7, 100), keep(&store, 7, 100));
        assert_eq!(store.size(), (1, 100 + OVERHEAD));
    }

    #[test]
    fn what_cannot_serve_is_not_kept() {
        let store = Store::new(1 << 30);
        assert_eq!(keep(&store, 0, 0), Err(NotKept::Empty));
        assert_eq!(keep(&store, 0, LARGEST + 1), Err(NotKept::TooLarge));
        let prepared = [&PREPARED[..], b"x"].concat();
        let kept = store.keep(HERE, &pattern(), prepared.into(), Instant::now());
        assert_eq!(kept.err(), Some(NotKept::Prepared));
    }
}
