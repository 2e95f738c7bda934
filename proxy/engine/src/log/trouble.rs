//! When a target is tried again, and what is told of it: rarely, because the error log may be the one in trouble.

use std::io;
use std::time::{Duration, Instant};

use switchback_conf::plan::LogTarget;

/// What is wrong with a target, and what was told of it.
#[derive(Default)]
pub(super) struct Trouble {
    state: State,
    /// Failures in a row.
    failures: u32,
    told: Option<Instant>,
    is_failure_told: bool,
    refused: u64,
    is_rotation_told: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    None,
    Blocked,
    /// Until then nothing is tried.
    Failing(Instant),
}

/// The first pause after a failure; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Between two messages about one target.
const QUIET: Duration = Duration::from_secs(60);

impl Trouble {
    pub(super) fn is_stuck(&self) -> bool {
        self.state != State::None
    }

    pub(super) fn is_failing(&self) -> bool {
        matches!(self.state, State::Failing(_))
    }

    pub(super) fn next_try(&self) -> Instant {
        match self.state {
            State::Failing(until) => until,
            State::None | State::Blocked => Instant::now(),
        }
    }

    pub(super) fn blocked(&mut self) {
        self.state = State::Blocked;
    }

    pub(super) fn failed(&mut self, target: &LogTarget, error: &io::Error) {
        let pause = pause(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Failing(Instant::now() + pause);
        if self.may_tell() {
            self.is_failure_told = true;
            tracing::error!(%target, %error, "the log cannot be written, its lines wait as long as there is room");
        }
    }

    pub(super) fn over(&mut self, target: &LogTarget) {
        if std::mem::take(&mut self.is_failure_told) {
            tracing::warn!(%target, "the log is written again");
        }
        self.failures = 0;
        self.state = State::None;
    }

    /// Lines found no room.
    pub(super) fn refused(&mut self, target: &LogTarget, lines: u64) {
        self.refused += lines;
        if self.refused > 0 && self.may_tell() {
            let lines = std::mem::take(&mut self.refused);
            tracing::warn!(%target, lines, "lines of the log are lost: it cannot keep up");
        }
    }

    pub(super) fn rotated(&mut self) {
        self.is_rotation_told = false;
    }

    pub(super) fn not_rotated(&mut self, target: &LogTarget, error: &io::Error) {
        if !self.is_rotation_told {
            self.is_rotation_told = true;
            tracing::error!(%target, %error, "the log cannot be put aside, it goes on in the same file");
        }
    }

    fn may_tell(&mut self) -> bool {
        let may_tell = self.told.is_none_or(|told| told.elapsed() >= QUIET);
        if may_tell {
            self.told = Some(Instant::now());
        }
        may_tell
    }
}

/// How long nothing is tried after so many failures in a row.
fn pause(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        assert_eq!((pause(0), pause(1)), (FIRST_PAUSE, FIRST_PAUSE * 2));
        assert_eq!((pause(30), pause(u32::MAX)), (LONGEST_PAUSE, LONGEST_PAUSE));
    }

    #[test]
    fn one_trouble_is_told_once_a_while() {
        let mut trouble = Trouble::default();
        assert!(trouble.may_tell());
        assert!(!trouble.may_tell());
        trouble.refused(&LogTarget::Stderr, 3);
        trouble.refused(&LogTarget::Stderr, 4);
        assert_eq!(trouble.refused, 7, "told together, later");
    }
}
