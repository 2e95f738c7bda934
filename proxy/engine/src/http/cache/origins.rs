//! Origins that do not answer, so that they are asked seldom.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

/// The upstreams that are dead, as far as caches that are always online know.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    dead: RwLock<HashMap<Box<str>, Instant>>,
}

/// How often a dead origin is asked whether it is back.
const PAUSE: Duration = Duration::from_secs(1);

impl Origins {
    /// Whether it did not answer when it was last asked.
    pub(crate) fn is_dead(&self, upstream: &str) -> bool {
        self.dead.read().contains_key(upstream)
    }

    /// It did not answer.
    pub(crate) fn died(&self, upstream: &str) {
        let next = Instant::now() + PAUSE;
        self.dead.write().insert(upstream.into(), next);
    }

    /// It did.
    pub(crate) fn lives(&self, upstream: &str) {
        if self.is_dead(upstream) {
            self.dead.write().remove(upstream);
        }
    }

    /// Whether it is time to ask it again: whoever is told so does it.
    pub(crate) fn may_probe(&self, upstream: &str) -> bool {
        let now = Instant::now();
        if self.dead.read().get(upstream).is_none_or(|next| now < *next) {
            return false;
        }
        match self.dead.write().get_mut(upstream) {
            Some(next) if now >= *next => {
                *next = now + PAUSE;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_origin_is_asked_by_one_at_a_time() {
        let origins = Origins::default();
        assert!(!origins.is_dead("app") && !origins.may_probe("app"));
        origins.died("app");
        assert!(origins.is_dead("app") && !origins.may_probe("app"));
        let due = Instant::now().checked_sub(PAUSE).unwrap();
        origins.dead.write().insert("app".into(), due);
        assert!(origins.may_probe("app"));
        assert!(!origins.may_probe("app"));
        origins.lives("app");
        assert!(!origins.is_dead("app"));
    }
}
