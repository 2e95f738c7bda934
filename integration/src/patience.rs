//! Waiting for events, never for time to pass.

use std::thread;
use std::time::{Duration, Instant};

/// How long any wait lasts before its test fails. Generous: it is only ever spent in full by a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// The moment at which a wait gives up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The usual patience from now.
    #[must_use]
    pub fn soon() -> Self {
        Self::after(PATIENCE)
    }

    /// `duration` from now.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// What is left of it; never zero, because sockets take zero for "for ever".
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// The instant itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}

/// The first `Some` of `look`, asked again every millisecond: for facts that another process does not announce, such as
/// that it listens.
///
/// # Panics
/// When the deadline passes first; `what` says what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Deadline, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!deadline.has_passed(), "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}
