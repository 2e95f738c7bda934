//! Whether the disk is to be asked at all.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::io::Errno;

/// As many errors in a row make the tier rest.
const TOO_MANY: u32 = 3;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// For want of room: eviction needs a moment, and others may clear theirs. The same where nothing may be written.
const WRITES_REST: Duration = Duration::from_secs(5);

/// Errors in a row pause the tier; afterwards each error pauses it for twice as long, and each success ends that. A disk that is
/// full, or may only be read, pauses writing alone.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    rests: u32,
    until: Option<Instant>,
    writes_until: Option<Instant>,
    last_error: Option<String>,
}

/// What was going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Write,
}

impl Health {
    pub(super) fn allows(&self, action: Action, now: Instant) -> bool {
        let state = self.state.lock();
        let is_over = |until: Option<Instant>| until.is_none_or(|until| until <= now);
        is_over(state.until) && (action == Action::Read || is_over(state.writes_until))
    }

    pub(super) fn succeeded(&self, action: Action) {
        let mut state = self.state.lock();
        state.in_a_row = 0;
        state.rests = 0;
        if action == Action::Write {
            state.writes_until = None;
        }
    }

    pub(super) fn failed(&self, action: Action, error: &std::io::Error, now: Instant) {
        let mut state = self.state.lock();
        state.last_error = Some(error.to_string());
        if is_about_writing(action, error) {
            state.writes_until = Some(now + WRITES_REST);
            return;
        }
        state.in_a_row += 1;
        if state.in_a_row >= TOO_MANY || state.rests > 0 {
            let rest = FIRST_REST.saturating_mul(1 << state.rests.min(6)).min(LONGEST_REST);
            state.until = Some(now + rest);
            state.rests += 1;
        }
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.state.lock().last_error.clone()
    }
}

/// Whether there was no room, as opposed to a disk that is broken.
pub(super) fn is_full(error: &std::io::Error) -> bool {
    is_one_of(error, &[Errno::NOSPC, Errno::DQUOT, Errno::FBIG])
}

/// Whether what is there can still be read, as far as this error tells.
fn is_about_writing(action: Action, error: &std::io::Error) -> bool {
    // A file system that may only be read also says so to whoever opens a file to look at it and change it.
    is_one_of(error, &[Errno::ROFS])
        || action == Action::Write
            && (is_full(error) || is_one_of(error, &[Errno::ACCESS, Errno::PERM]))
}

fn is_one_of(error: &std::io::Error, several: &[Errno]) -> bool {
    several.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_a_row_make_it_rest_ever_longer_and_success_ends_that() {
        let health = Health::default();
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let broken = || std::io::Error::from(Errno::IO);
        health.failed(Action::Read, &broken(), start);
        health.failed(Action::Write, &broken(), start);
        assert!(health.allows(Action::Read, start), "two are no pattern");
        health.failed(Action::Read, &broken(), start);
        assert!(
            !health.allows(Action::Read, after(0.9)) && !health.allows(Action::Write, after(0.9))
        );
        assert!(health.allows(Action::Read, after(1.0)), "the probe");
        health.failed(Action::Read, &broken(), after(1.0));
        assert!(
            !health.allows(Action::Read, after(2.9)) && health.allows(Action::Read, after(3.0))
        );
        for _ in 0..20 {
            health.failed(Action::Read, &broken(), after(3.0));
        }
        assert!(health.allows(Action::Read, after(63.0)), "never longer than a minute");
        health.succeeded(Action::Read);
        health.failed(Action::Read, &broken(), after(70.0));
        assert!(health.allows(Action::Read, after(70.0)), "it starts from one again");
    }

    #[test]
    fn a_disk_that_takes_nothing_is_still_read() {
        let takes_nothing = [
            (Action::Write, Errno::NOSPC),
            (Action::Write, Errno::ACCESS),
            (Action::Write, Errno::ROFS),
            (Action::Read, Errno::ROFS),
        ];
        for (action, errno) in takes_nothing {
            let health = Health::default();
            let now = Instant::now();
            (0..5).for_each(|_| health.failed(action, &errno.into(), now));
            assert!(!health.allows(Action::Write, now), "{errno}");
            assert!(health.allows(Action::Read, now), "{errno}");
            assert!(health.allows(Action::Write, now + WRITES_REST), "{errno}");
        }
    }

    #[test]
    fn a_disk_that_may_not_be_read_rests() {
        let health = Health::default();
        let now = Instant::now();
        (0..TOO_MANY).for_each(|_| health.failed(Action::Read, &Errno::ACCESS.into(), now));
        assert!(!health.allows(Action::Read, now) && !health.allows(Action::Write, now));
    }
}
