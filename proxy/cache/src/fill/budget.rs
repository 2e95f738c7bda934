//! How many bytes of what arrives are held in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the fills of a zone may hold in memory together.
///
/// It is asked for in steps. Whoever gets no more holds less: no fill is refused, so that all of them together may be over by
/// [`LEAST`] each, and by what is on its way to a disk.
#[derive(Debug)]
pub struct Budget {
    most: AtomicU64,
    claimed: AtomicU64,
}

/// What one fill has claimed; given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Share {
    of: Option<Arc<Budget>>,
    claimed: u64,
}

/// A fill may hold so much unasked: small responses are stored whatever else arrives.
pub const LEAST: u64 = 64 * 1024;
/// Claims grow by so much, so that what is not larger has all it needs from the beginning.
const STEP: u64 = 1024 * 1024;

impl Budget {
    /// Of so many bytes.
    #[must_use]
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most: AtomicU64::new(most), claimed: AtomicU64::new(0) })
    }

    /// Takes another limit; what is claimed beyond it is given back in its time.
    pub fn set_most(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Bytes that are claimed now.
    #[must_use]
    pub fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    fn claim(&self, more: u64, part: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed) / part;
        let within = |claimed: u64| claimed.checked_add(more).filter(|sum| *sum <= most);
        self.claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.claimed.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Share {
    pub(super) fn of(budget: Arc<Budget>) -> Self {
        Self { of: Some(budget), claimed: 0 }
    }

    /// Whether so many bytes may be held, of a body that has `length` if that is known.
    pub(super) fn allows(&mut self, bytes: u64, length: Option<u64>) -> bool {
        self.claims(bytes, length, 1)
    }

    /// The same of bytes that are held for the sake of speed alone: half is left to those that will be stored, however many
    /// clients are slow.
    pub(super) fn spares(&mut self, bytes: u64) -> bool {
        self.claims(bytes, None, 2)
    }

    fn claims(&mut self, bytes: u64, length: Option<u64>, part: u64) -> bool {
        let Some(budget) = &self.of else { return true };
        if bytes <= LEAST.max(self.claimed) {
            return true;
        }
        let steps = bytes.next_multiple_of(STEP);
        let wanted = length.map_or(steps, |length| steps.min(length.max(bytes)));
        let is_allowed = budget.claim(wanted - self.claimed, part);
        if is_allowed {
            self.claimed = wanted;
        }
        is_allowed
    }

    /// So many bytes are held, and no more: gives back what that does not need.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let needed = if bytes <= LEAST { 0 } else { bytes.next_multiple_of(STEP) };
        let surplus = self.claimed.saturating_sub(needed);
        if let Some(budget) = self.of.as_ref().filter(|_| surplus > 0) {
            budget.give_back(surplus);
            self.claimed -= surplus;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn claims_are_bounded_together_and_given_back() {
        let budget = Budget::new(3 * MIB);
        let mut one = Share::of(Arc::clone(&budget));
        let mut other = Share::of(Arc::clone(&budget));
        assert!(one.allows(LEAST, None) && budget.claimed() == 0, "so much needs no asking");
        assert!(one.allows(LEAST + 1, None) && budget.claimed() == MIB);
        assert!(one.allows(MIB, None) && budget.claimed() == MIB, "it is had already");
        assert!(one.allows(MIB + 1, None) && budget.claimed() == 2 * MIB);
        assert!(!other.allows(MIB + 1, None) && budget.claimed() == 2 * MIB);
        assert!(other.allows(MIB, None) && budget.claimed() == 3 * MIB);
        one.shrink_to(MIB + 1);
        assert_eq!(budget.claimed(), 3 * MIB, "all of it is needed");
        one.shrink_to(LEAST);
        assert_eq!(budget.claimed(), MIB);
        drop(other);
        assert_eq!(budget.claimed(), 0);
    }

    #[test]
    fn no_more_is_claimed_than_a_body_is_long() {
        let budget = Budget::new(MIB);
        let mut share = Share::of(Arc::clone(&budget));
        assert!(share.allows(LEAST + 1, Some(100_000)) && budget.claimed() == 100_000);
        assert!(share.allows(100_000, Some(100_000)) && budget.claimed() == 100_000);
        assert!(share.allows(100_001, Some(100_000)), "it is longer than it should be");
        assert_eq!(budget.claimed(), 100_001);
        assert!(!share.allows(MIB + 1, Some(2 * MIB)));
    }

    #[test]
    fn half_is_left_to_what_will_be_stored() {
        let budget = Budget::new(2 * MIB);
        let (mut one, mut other) = (Share::of(Arc::clone(&budget)), Share::of(budget));
        assert!(one.spares(MIB) && !one.spares(MIB + 1) && !other.spares(MIB));
        assert!(other.spares(LEAST) && other.allows(MIB, None));
    }

    #[test]
    fn a_smaller_limit_holds_for_what_is_claimed_from_then_on() {
        let budget = Budget::new(2 * MIB);
        let mut share = Share::of(Arc::clone(&budget));
        assert!(share.allows(2 * MIB, None));
        budget.set_most(MIB);
        assert!(share.allows(2 * MIB, None), "what is held is held");
        assert!(!share.allows(2 * MIB + 1, None));
        share.shrink_to(0);
        assert!(!share.allows(MIB + 1, None) && share.allows(MIB, None));
    }
}
