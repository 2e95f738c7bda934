//! What a module may use.

use std::time::Duration;

/// What an instance of a module may use. More ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, for each instance.
    pub memory: u64,
    /// How long one call may compute. A call that is given a piece of a body may take four times as long.
    pub cpu: Duration,
    /// How long making an instance may compute: its start and its configuration.
    pub start: Duration,
    /// How many instances there are: each is used by one thread at a time.
    pub instances: usize,
}

impl Limits {
    /// The default: 32 MiB, 5 ms (20 ms with a piece of a body), 1 s to start, and one instance for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            memory: 32 << 20,
            cpu: Duration::from_millis(5),
            start: Duration::from_secs(1),
            instances: workers.max(1),
        }
    }

    /// In ticks of a millisecond, for calls of that kind.
    pub(crate) fn ticks(&self, work: Work) -> u64 {
        let time = match work {
            Work::Head => self.cpu,
            Work::Body => self.cpu.saturating_mul(4),
            Work::Start => self.start,
        };
        // One more: the tick at hand has begun already.
        u64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 2).max(1) + 1
    }
}

/// What a call has to do, which says how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Fields, answers, times.
    Head,
    /// A piece of a body.
    Body,
    /// To begin.
    Start,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gets_at_least_the_time_that_was_said() {
        let limits = Limits { cpu: Duration::from_micros(4500), ..Limits::new(0) };
        assert_eq!(limits.instances, 1);
        assert_eq!(limits.ticks(Work::Head), 6);
        assert_eq!(limits.ticks(Work::Body), 19);
        assert_eq!(limits.ticks(Work::Start), 1001);
    }
}
