//! Passwords that were right a moment ago, so that bcrypt is not paid for with every request.

use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use quick_cache::sync::Cache;

/// Remembers for a time that a name, a password and a stored hash belong together; only as an HMAC under a key that this process made
/// for itself. Another hash in the file is another entry, so that a changed password counts at once.
pub(super) struct Verified {
    key: hmac::Key,
    /// Until when, in nanoseconds since 1970.
    entries: Option<Cache<[u8; 32], u64>>,
    lifetime: u64,
}

impl Verified {
    /// With room for so many; with none for 0. `None` if the system has no random numbers.
    pub(super) fn new(room: usize, lifetime: Duration) -> Option<Self> {
        let mut secret = [0_u8; 32];
        rand::fill(&mut secret).ok()?;
        let lifetime = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX);
        let entries = (room > 0 && lifetime > 0).then(|| Cache::new(room));
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), entries, lifetime })
    }

    /// What stands for the three.
    pub(super) fn name(&self, user: &str, password: &[u8], stored: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), password, stored.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    /// Whether they were right within the time that counts.
    pub(super) fn contains(&self, name: &[u8; 32], now: u64) -> bool {
        // One that lies further ahead than any was written is from before the clock was set back.
        let entries = self.entries.as_ref();
        entries
            .and_then(|entries| entries.get(name))
            .is_some_and(|until| now < until && until - now <= self.lifetime)
    }

    /// They are right.
    pub(super) fn insert(&self, name: [u8; 32], now: u64) {
        if let Some(entries) = &self.entries {
            entries.insert(name, now.saturating_add(self.lifetime));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_right_is_remembered_for_a_time_and_nothing_else_is() {
        let verified = Verified::new(8, Duration::from_nanos(100)).unwrap();
        let name = verified.name("alice", b"secret", "hash");
        assert!(!verified.contains(&name, 1_000));
        verified.insert(name, 1_000);
        assert!(verified.contains(&name, 1_099));
        assert!(!verified.contains(&name, 1_100), "its time is over");
        assert!(!verified.contains(&name, 10), "the clock was set back");
        for other in [
            verified.name("alice", b"secret", "other"),
            verified.name("alice", b"secre", "thash"),
            verified.name("alices", b"ecret", "hash"),
        ] {
            assert!(!verified.contains(&other, 1_050));
        }
    }

    #[test]
    fn without_room_nothing_is_remembered_and_with_some_no_more_than_that() {
        for (room, lifetime) in [(0, 100), (8, 0)] {
            let verified = Verified::new(room, Duration::from_nanos(lifetime)).unwrap();
            let name = verified.name("a", b"b", "c");
            verified.insert(name, 1);
            assert!(!verified.contains(&name, 1));
        }
        let verified = Verified::new(8, Duration::from_secs(1)).unwrap();
        for user in 0..1_000 {
            verified.insert(verified.name(&user.to_string(), b"", ""), 1);
        }
        assert!(verified.entries.unwrap().len() <= 8);
    }
}
