//! Ids for requests.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of request ids: 32 hexadecimal digits, as nginx's `$request_id`; unpredictable without its keys, never repeated.
#[derive(Debug)]
pub(crate) struct RequestIds {
    /// Keyed by the operating system's randomness.
    keys: [RandomState; 2],
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], next: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// An id that was not given before.
    pub(crate) fn next(&self) -> Arc<str> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let [high, low] = &self.keys;
        format!("{:016x}{:016x}", high.hash_one(number), low.hash_one(number)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_and_differ() {
        let ids = RequestIds::default();
        let (first, second) = (ids.next(), ids.next());
        assert_eq!(first.len(), 32);
        assert!(first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(first, second);
        assert_ne!(first, RequestIds::default().next());
    }
}
