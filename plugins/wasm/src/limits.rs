//! What a module may use.

use std::time::Duration;

use switchback_plugin_host::Isolation;

/// What an instance of a module may use. More ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, for each instance.
    pub memory: u64,
    /// How long one call may compute. A call that is given a piece of a body may take four times as long.
    pub cpu: Duration,
    /// How long making an instance may compute: its start and its configuration.
    pub start: Duration,
    /// How many instances there are: each is used by one thread at a time. Where each request has its own, how many there may be at once;
    /// a request beyond that is one that the plugin fails at.
    pub instances: usize,
    /// Who shares an instance.
    pub isolation: Isolation,
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
            isolation: Isolation::Worker,
        }
    }

    /// How long a call of that kind may compute.
    pub(crate) fn time(&self, work: Work) -> Duration {
        match work {
            Work::Head => self.cpu,
            Work::Body => self.cpu.saturating_mul(4),
            Work::Start => self.start,
        }
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

/// How much of its time a call has used. The clock of the engine is that of the wall, and a thread that has to wait for a processor must not
/// pay for it: so the thread's own time is asked for, but only by calls that are still there at the engine's next tick, because that takes as
/// long as many a call.
pub(crate) struct Budget {
    time: Duration,
    since: Option<Duration>,
}

/// What becomes of a call that the engine's clock has stopped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may go on for so many ticks; then it is asked again.
    Continue(u64),
    /// Its time is used up.
    Over,
}

impl Budget {
    /// Of a call that begins.
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, since: None }
    }

    /// What becomes of the call when its thread has computed for `now` in all.
    pub(crate) fn judge(&mut self, now: Duration) -> Verdict {
        let since = *self.since.get_or_insert(now);
        match self.time.checked_sub(now.saturating_sub(since)) {
            Some(rest) if !rest.is_zero() => {
                Verdict::Continue(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX / 2) + 1)
            }
            _ => Verdict::Over,
        }
    }
}

/// How long this thread has computed.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_body_has_four_times_as_long() {
        let limits = Limits { cpu: Duration::from_micros(4500), ..Limits::new(0) };
        assert_eq!(limits.instances, 1);
        assert_eq!(limits.time(Work::Head), Duration::from_micros(4500));
        assert_eq!(limits.time(Work::Body), Duration::from_millis(18));
        assert_eq!(limits.time(Work::Start), Duration::from_secs(1));
    }

    #[test]
    fn only_time_that_was_computed_counts() {
        let ms = Duration::from_millis;
        let mut budget = Budget::new(ms(5));
        assert_eq!(budget.judge(ms(1000)), Verdict::Continue(6));
        assert_eq!(budget.judge(ms(1000)), Verdict::Continue(6), "it had to wait");
        assert_eq!(budget.judge(ms(1003)), Verdict::Continue(3));
        assert_eq!(budget.judge(Duration::from_micros(1_004_500)), Verdict::Continue(1));
        assert_eq!(budget.judge(ms(1005)), Verdict::Over);
    }
}
