//! Sessions that endpoints have begun, and who has them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::endpoint::Endpoint;

/// Which endpoint has which session: a bounded table, of which the sessions go first that were not asked for lately.
///
/// It keeps no endpoint alive, and no name of a session: only a hash of 128 bits that nobody outside can foresee.
#[derive(Debug, Default)]
pub struct Learned {
    parts: [Mutex<Part>; PARTS],
    /// Two, of 64 bits each.
    seeds: [RandomState; 2],
}

/// What is remembered, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The most sessions.
    pub most: usize,
    /// How long one is remembered that nobody asks for.
    pub forget: Duration,
}

/// So that threads seldom wait for one another.
const PARTS: usize = 16;

/// Sessions of two ages: those that were not asked for while the young became too many, or too old, are let go all at once.
#[derive(Debug, Default)]
struct Part {
    young: HashMap<[u64; 2], Session>,
    old: HashMap<[u64; 2], Session>,
    /// When the young ones began.
    turned: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    endpoint: Weak<Endpoint>,
    seen: Instant,
}

impl Learned {
    /// Who has a session, if that is known and it is there still. Its time begins anew.
    #[must_use]
    pub fn find(&self, session: &[u8], memory: Memory, now: Instant) -> Option<Arc<Endpoint>> {
        let (part, hash) = self.place(session)?;
        let mut part = part.lock();
        let found = part.take(hash)?;
        let is_over = now.saturating_duration_since(found.seen) >= memory.forget;
        let endpoint = found.endpoint.upgrade().filter(|_| !is_over)?;
        part.put(hash, Session { seen: now, ..found }, memory);
        Some(endpoint)
    }

    /// An endpoint has begun a session, or goes on with it.
    pub fn learn(
        &self,
        session: &[u8],
        endpoint: &Arc<Endpoint>,
        (memory, now): (Memory, Instant),
    ) {
        let Some((part, hash)) = self.place(session) else { return };
        let mut part = part.lock();
        part.take(hash);
        part.put(hash, Session { endpoint: Arc::downgrade(endpoint), seen: now }, memory);
    }

    /// How many are remembered, those included whose time is over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&self, session: &[u8]) -> Option<(&Mutex<Part>, [u64; 2])> {
        let hash = self.seeds.each_ref().map(|seed| seed.hash_one(session));
        let [index, _] = hash;
        let part = usize::try_from(index % PARTS as u64).ok()?;
        Some((self.parts.get(part)?, hash))
    }
}

impl Part {
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn take(&mut self, hash: [u64; 2]) -> Option<Session> {
        self.young.remove(&hash).or_else(|| self.old.remove(&hash))
    }

    fn put(&mut self, hash: [u64; 2], session: Session, memory: Memory) {
        let now = session.seen;
        let most = (memory.most / PARTS / 2).max(1);
        let turned = *self.turned.get_or_insert(now);
        let is_time = now.saturating_duration_since(turned) >= memory.forget;
        if self.young.len() >= most || is_time {
            self.old = std::mem::take(&mut self.young);
            self.turned = Some(now);
        }
        self.young.insert(hash, session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Address;

    const MEMORY: Memory = Memory { most: 1_600, forget: Duration::from_secs(60) };

    fn endpoint(port: u16) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(Address::Ip(([127, 0, 0, 1], port).into())))
    }

    #[test]
    fn a_session_is_known_for_as_long_as_somebody_asks_for_it() {
        let (learned, one, start) = (Learned::default(), endpoint(1), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        learned.learn(b"a", &one, (MEMORY, start));
        learned.learn(b"b", &one, (MEMORY, start));
        for seconds in [50, 100, 159] {
            let found = learned.find(b"a", MEMORY, at(seconds));
            assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &one)), "{seconds}");
        }
        assert!(learned.find(b"b", MEMORY, at(60)).is_none());
        assert!(learned.find(b"a", MEMORY, at(219)).is_none());
        assert!(learned.find(b"c", MEMORY, at(0)).is_none());
    }

    #[test]
    fn a_session_goes_over_to_whom_has_it_now_and_ends_with_its_endpoint() {
        let (learned, start) = (Learned::default(), Instant::now());
        let (one, other) = (endpoint(1), endpoint(2));
        learned.learn(b"a", &one, (MEMORY, start));
        learned.learn(b"a", &other, (MEMORY, start));
        assert!(learned.find(b"a", MEMORY, start).is_some_and(|found| Arc::ptr_eq(&found, &other)));
        assert_eq!(learned.len(), 1);
        drop(other);
        assert!(learned.find(b"a", MEMORY, start).is_none());
        assert!(learned.is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_may_be_and_those_asked_for_stay() {
        let (learned, one, now) = (Learned::default(), endpoint(1), Instant::now());
        learned.learn(b"kept", &one, (MEMORY, now));
        for number in 0..20_000_u32 {
            learned.learn(&number.to_le_bytes(), &one, (MEMORY, now));
            assert!(learned.find(b"kept", MEMORY, now).is_some(), "{number}");
        }
        let len = learned.len();
        assert!((800..=1_600).contains(&len), "{len}");
    }

    #[test]
    fn what_nobody_asks_for_is_let_go_in_time() {
        let (learned, one, start) = (Learned::default(), endpoint(1), Instant::now());
        for number in 0..500_u32 {
            learned.learn(&number.to_le_bytes(), &one, (MEMORY, start));
        }
        for (round, number) in (1..=2).flat_map(|round| (1_000..1_200_u32).map(move |n| (round, n)))
        {
            learned.learn(&number.to_le_bytes(), &one, (MEMORY, start + round * MEMORY.forget));
        }
        assert_eq!(learned.len(), 200);
    }
}
