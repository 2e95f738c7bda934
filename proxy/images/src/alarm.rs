//! When a job has to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Reason;
use crate::outcome::Refusal;

/// When a job has to stop: at a moment, or when nobody waits any more.
#[derive(Clone, Debug)]
pub struct Alarm {
    until: Option<Instant>,
    abandoned: Arc<AtomicBool>,
}

impl Alarm {
    /// Rings after `time`, or when `abandoned` is set.
    pub fn after(time: Duration, abandoned: Arc<AtomicBool>) -> Self {
        Self { until: Instant::now().checked_add(time), abandoned }
    }

    /// Never rings by itself.
    pub fn never() -> Self {
        Self { until: None, abandoned: Arc::default() }
    }

    /// Why to stop now, if so.
    pub(crate) fn rings(&self) -> Option<Reason> {
        if self.abandoned.load(Ordering::Relaxed) {
            return Some(Reason::Abandoned);
        }
        let late = self.until.is_some_and(|until| Instant::now() >= until);
        late.then_some(Reason::Slow)
    }

    /// An error when it is time to stop.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.rings().map_or(Ok(()), |reason| Err(reason.into()))
    }
}
