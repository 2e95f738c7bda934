//! Parts of a whole that are stored together, as the body of one entry.
//!
//! The head of such an entry is that of a 206; its `Content-Range` says which parts of which whole follow each other in the body, as
//! [`Held::to_value`] writes them. It never reaches a client.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::{Answered, Asked, answered, slices, whole};
use crate::entry::{Body, Entry, Meta};
use crate::key::Key;
use crate::policy::partial::{ContentRange, Held, combined, combines};
use crate::policy::{self, Freshness, Rules};

/// What is stored of a response that is not whole.
#[derive(Clone, Debug)]
pub struct Parts {
    /// As it is stored.
    pub entry: Arc<Entry>,
    /// The length of the whole.
    pub complete: u64,
    held: Held,
}

/// A part that has come.
#[derive(Clone, Copy, Debug)]
pub struct Came<'c> {
    /// What it is stored with, alone.
    pub meta: &'c Meta,
    /// Which part it is.
    pub range: ContentRange,
    /// Its bytes.
    pub body: &'c [Bytes],
    /// The fields of the request that it answers.
    pub asked: &'c HeaderMap,
    /// By which rules.
    pub rules: &'c Rules,
}

impl Parts {
    /// Those of an entry, if it is one of parts.
    #[must_use]
    pub fn of(entry: &Arc<Entry>) -> Option<Self> {
        let (held, complete) = Held::of(&entry.meta.head)?;
        Some(Self { entry: Arc::clone(entry), complete, held })
    }

    /// What the whole would be stored with, but for its key.
    #[must_use]
    pub fn whole(&self) -> Meta {
        let meta = &self.entry.meta;
        Meta { head: whole(&meta.head), ..meta.clone() }
    }

    /// Whether a request asks for ranges that are here, and for nothing else (RFC 9111, 3.3).
    #[must_use]
    pub fn answer(&self, asked: Asked<'_>) -> bool {
        if !asked.headers.contains_key(header::RANGE) {
            return false;
        }
        let meta = &self.entry.meta;
        let head = whole(&meta.head);
        match answered(&head, meta.times.response, Some(self.complete), asked) {
            Answered::Range(range) => self.held.has(&range),
            Answered::Ranges(ranges) => ranges.iter().all(|range| self.held.has(range)),
            _ => false,
        }
    }

    /// From the first byte of the whole that is not here to the last; none where that is all of it.
    #[must_use]
    pub fn gap(&self) -> Option<Range<u64>> {
        let lacking = self.held.lacks(0..self.complete);
        let gap = lacking.first()?.start..lacking.last()?.end;
        (gap != (0..self.complete)).then_some(gap)
    }

    /// What is here of a range of the whole, in order.
    pub fn bytes(&self, range: Range<u64>) -> impl Iterator<Item = Bytes> {
        let body = match &self.entry.body {
            Body::Memory(body) => &**body,
            Body::Disk(_) => &[],
        };
        let mut before = 0;
        self.held.ranges().iter().flat_map(move |held| {
            let from = range.start.clamp(held.start, held.end) - held.start;
            let to = range.end.clamp(held.start, held.end) - held.start;
            let of_body = before + from..before + to.max(from);
            before += held.end - held.start;
            slices(body, of_body)
        })
    }

    /// The same, and no piece is part of a larger buffer.
    fn own_bytes(&self, range: Range<u64>) -> Vec<Bytes> {
        let whole = |piece: &Bytes| match &self.entry.body {
            Body::Memory(body) => body.iter().any(|own| own.as_ptr_range() == piece.as_ptr_range()),
            Body::Disk(_) => false,
        };
        let own = |piece: Bytes| if whole(&piece) { piece } else { Bytes::copy_from_slice(&piece) };
        self.bytes(range).map(own).collect()
    }
}

impl Came<'_> {
    /// What is stored of it: with those of `old`, if they are of the same state (RFC 9111, 3.4), else alone. Under the key that it
    /// came with; under that of the `whole`, where nothing of that is missing any more. Nothing, if it has more than `most` bytes.
    #[must_use]
    pub fn with(&self, old: Option<&Parts>, whole: &Key, most: u64) -> Option<Entry> {
        let complete = self.range.complete?;
        let (held, body, meta) =
            old.and_then(|old| self.joined(old, complete, most)).or_else(|| self.alone(most))?;
        if held.has(&(0..complete)) {
            return self.as_whole(meta, whole, body, complete);
        }
        let length = held.length();
        let mut meta = meta;
        meta.head.headers.insert(header::CONTENT_RANGE, held.to_value(complete));
        Some(Entry::new(meta, Body::Memory(body.into()), length))
    }

    fn alone(&self, most: u64) -> Option<(Held, Vec<Bytes>, Meta)> {
        let mut held = Held::default();
        let is_held = held.add(self.range.bytes()) && held.length() <= most;
        is_held.then(|| (held, self.body.to_vec(), self.meta.clone()))
    }

    fn joined(&self, old: &Parts, complete: u64, most: u64) -> Option<(Held, Vec<Bytes>, Meta)> {
        let range = self.range.bytes();
        let (was, is) = (&old.entry.meta, self.meta);
        let mut held = old.held.clone();
        if old.complete != complete
            || !combines(&was.head, &is.head)
            || !held.add(range.clone())
            || held.length() > most
        {
            return None;
        }
        let before = old.own_bytes(0..range.start);
        let after = old.own_bytes(range.end..complete);
        let body = [before.as_slice(), self.body, &after].concat();
        let head = combined(&was.head, &is.head, None, is.times, self.rules);
        let generation = is.generation.min(was.generation);
        Some((held, body, Meta { head, generation, ..is.clone() }))
    }

    /// As the response that a request without ranges would have brought.
    fn as_whole(&self, meta: Meta, key: &Key, body: Vec<Bytes>, complete: u64) -> Option<Entry> {
        let head = whole(&meta.head);
        let asked = policy::Asked { method: &Method::GET, headers: self.asked };
        let storable = policy::storable(asked, &head, meta.times, self.rules).ok()?;
        let initial_age = meta.freshness.initial_age;
        let freshness = Freshness { initial_age, ..storable.freshness };
        let meta = Meta { head, key: key.clone(), freshness, ..meta };
        Some(Entry::new(meta, Body::Memory(body.into()), complete))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    const TEXT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    fn key(name: &str) -> Key {
        testing::key(name)
    }

    /// These bytes of [`TEXT`], as they come with this tag, at a time on the purge clock.
    fn came(
        range: Range<usize>,
        etag: &str,
        generation: u64,
        old: Option<&Arc<Entry>>,
    ) -> Arc<Entry> {
        try_came(range, etag, generation, old).unwrap()
    }

    fn try_came(
        range: Range<usize>,
        etag: &str,
        generation: u64,
        old: Option<&Arc<Entry>>,
    ) -> Option<Arc<Entry>> {
        let content = format!("bytes {}-{}/{}", range.start, range.end - 1, TEXT.len());
        let mut meta = testing::at(generation, testing::entry(&key("/parts"), b"")).meta;
        meta.head.status = http::StatusCode::PARTIAL_CONTENT;
        for (name, value) in [("cache-control", "max-age=60"), ("content-range", &content)] {
            meta.head.headers.insert(name, value.parse().unwrap());
        }
        if !etag.is_empty() {
            meta.head.headers.insert(header::ETAG, etag.parse().unwrap());
        }
        let body: Vec<_> = TEXT[range].chunks(3).map(Bytes::copy_from_slice).collect();
        let (asked, rules) = (HeaderMap::new(), Rules::default());
        let range = ContentRange::of(&meta.head.headers)?;
        let came = Came { meta: &meta, range, body: &body, asked: &asked, rules: &rules };
        let old = old.and_then(Parts::of);
        came.with(old.as_ref(), &key("/whole"), 30).map(Arc::new)
    }

    fn all(parts: &Parts) -> Vec<u8> {
        parts.bytes(0..u64::MAX).flatten().collect()
    }

    #[test]
    fn parts_of_the_same_are_stored_together() {
        let first = came(0..4, "\"a\"", 7, None);
        let both = came(8..10, "\"a\"", 9, Some(&first));
        let parts = Parts::of(&both).unwrap();
        assert_eq!((all(&parts), parts.complete), (b"012389".to_vec(), 36));
        assert_eq!(both.meta.head.headers[header::CONTENT_RANGE], "bytes 0-3,8-9/36");
        assert_eq!((both.length, both.meta.generation), (6, 7), "what was purged since stays so");
        assert_eq!(parts.gap(), Some(4..36));
        assert_eq!(Parts::of(&came(8..10, "\"a\"", 9, None)).unwrap().gap(), None);
        let between = came(2..9, "\"a\"", 9, Some(&both));
        assert_eq!(testing::body(&between), b"0123456789");
        assert_eq!(between.meta.head.headers[header::CONTENT_RANGE], "bytes 0-9/36");
        assert!(!parts.whole().head.headers.contains_key(header::CONTENT_RANGE));
    }

    #[test]
    fn parts_of_another_state_are_not() {
        let first = came(0..4, "\"a\"", 0, None);
        for etag in ["\"b\"", "W/\"a\"", ""] {
            let other = came(8..10, etag, 0, Some(&first));
            assert_eq!(testing::body(&other), b"89", "{etag}");
        }
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let first = came(0..20, "\"a\"", 0, None);
        assert_eq!(testing::body(&came(20..31, "\"a\"", 0, Some(&first))), &TEXT[20..31]);
        assert!(try_came(0..31, "\"a\"", 0, None).is_none());
    }

    #[test]
    fn ranges_are_answered_that_are_here() {
        let first = came(2..8, "\"a\"", 0, None);
        let parts = Parts::of(&came(30..36, "\"a\"", 0, Some(&first))).unwrap();
        for (fields, expected) in [
            (&[("range", "bytes=2-7")][..], true),
            (&[("range", "bytes=3-5")], true),
            (&[("range", "bytes=3-5,32-")], true),
            (&[("range", "bytes=-6")], true),
            (&[("range", "bytes=30-99")], true),
            (&[("range", "bytes=-7")], false),
            (&[("range", "bytes=1-5")], false),
            (&[("range", "bytes=3-5,9-9")], false),
            (&[("range", "bytes=36-")], false),
            (&[("range", "lines=3-5")], false),
            (&[("range", "bytes=3-5"), ("if-range", "\"a\"")], true),
            (&[("range", "bytes=3-5"), ("if-range", "\"b\"")], false),
            (&[("range", "bytes=3-5"), ("if-none-match", "\"a\"")], false),
            (&[("if-none-match", "\"a\"")], false),
            (&[], false),
        ] {
            let headers: HeaderMap = fields
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let asks = |method| parts.answer(Asked { method, headers: &headers });
            assert_eq!(asks(&Method::GET), expected, "{fields:?}");
            assert!(!asks(&Method::HEAD), "RFC 9110, 14.2");
        }
    }

    proptest! {
        #[test]
        fn parts_become_the_whole(
            ranges in prop::collection::vec((0_usize..30, 1_usize..6), 1..12),
            asked in (0_usize..36, 1_usize..36),
        ) {
            let mut held = [false; 36];
            let mut stored: Option<Arc<Entry>> = None;
            for (start, length) in ranges {
                let range = start..start + length;
                held[range.clone()].fill(true);
                if held.iter().filter(|held| **held).count() > 30 {
                    break;
                }
                stored = Some(came(range.clone(), "\"a\"", 0, stored.as_ref()));
                let parts = stored.as_ref().and_then(Parts::of).unwrap();
                let expected: Vec<u8> =
                    (0..36).filter(|at| held[*at]).map(|at| TEXT[at]).collect();
                prop_assert_eq!(all(&parts), &*expected);
                let asked = asked.0..36.min(asked.0 + asked.1);
                let expected: Vec<u8> = asked.clone().filter(|at| held[*at]).map(|at| TEXT[at]).collect();
                let taken: Vec<u8> = parts.bytes(asked.start as u64..asked.end as u64).flatten().collect();
                prop_assert_eq!(taken, expected);
            }
        }
    }

    #[test]
    fn nothing_is_missing_of_the_whole() {
        let body: Vec<_> = [Bytes::from_static(&TEXT[..20])].into();
        let (asked, rules) = (HeaderMap::new(), Rules::default());
        let first = came(20..36, "\"a\"", 0, None);
        let meta = came(0..20, "\"a\"", 0, None).meta.clone();
        let range = ContentRange { first: 0, last: 19, complete: Some(36) };
        let came = Came { meta: &meta, range, body: &body, asked: &asked, rules: &rules };
        let whole = came.with(Parts::of(&first).as_ref(), &key("/whole"), 36).unwrap();
        assert_eq!((whole.meta.head.status.as_u16(), whole.length), (200, 36));
        assert_eq!(whole.meta.key, key("/whole"));
        assert!(!whole.meta.head.headers.contains_key(header::CONTENT_RANGE));
        assert_eq!(testing::body(&Arc::new(whole)), TEXT);
    }
}
