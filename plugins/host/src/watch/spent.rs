//! What a thread does with its time, as the system sees it: works, waits, or waits for its turn.

use std::time::Duration;

/// How a thread stood at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    /// Time on a processor, ever.
    worked: Duration,
    /// Whether it waits for something other than a processor.
    waits: bool,
}

/// How a thread of this process stands; `None` where the system does not tell.
pub(super) fn of(thread: i32) -> Option<Spent> {
    let read = |name| std::fs::read_to_string(format!("/proc/self/task/{thread}/{name}")).ok();
    parse(&read("schedstat")?, &read("stat")?)
}

/// proc_pid_stat(5); the first number of `schedstat` is nanoseconds (Linux, Documentation/scheduler/sched-stats.rst).
pub(super) fn parse(schedstat: &str, stat: &str) -> Option<Spent> {
    let worked = schedstat.split(' ').next()?.parse().ok()?;
    // Its name may have anything in it.
    let (_, after) = stat.rsplit_once(") ")?;
    Some(Spent { worked: Duration::from_nanos(worked), waits: !after.starts_with('R') })
}

/// How much of the time that has `passed` since `before` the thread was held up by what it does. The time in which others had its
/// processor is not its own: a busy machine must not look like a plugin that spins.
pub(super) fn held(before: Option<Spent>, now: Option<Spent>, passed: Duration) -> Duration {
    match (before, now) {
        (Some(before), Some(now)) if !now.waits => {
            now.worked.saturating_sub(before.worked).min(passed)
        }
        _ => passed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_the_system_tells_is_read() {
        let stat = "77 (a ) R b) S 1 77 77 0 -1 4194304";
        let spent = Spent { worked: Duration::from_nanos(1500), waits: true };
        assert_eq!(parse("1500 20 3\n", stat), Some(spent));
        assert_eq!(parse("1500 20 3\n", "77 (a) R 1").map(|spent| spent.waits), Some(false));
        assert_eq!(parse("", stat), None);
        assert_eq!(parse("1500 20 3\n", ""), None);
    }

    #[test]
    fn this_thread_works() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let before = of(thread).unwrap();
        assert!(!before.waits);
        let mut now = before;
        while now.worked == before.worked {
            now = of(thread).unwrap();
        }
        assert!(held(Some(before), Some(now), SECOND) > Duration::ZERO);
    }

    #[test]
    fn only_time_that_a_thread_has_taken_counts() {
        let spent =
            |nanoseconds, waits| Some(Spent { worked: Duration::from_nanos(nanoseconds), waits });
        let cases = [
            (spent(0, false), spent(10, false), Duration::from_nanos(10)),
            (spent(0, false), spent(0, false), Duration::ZERO),
            (spent(0, true), spent(0, true), SECOND),
            (spent(0, false), spent(5_000_000_000, false), SECOND),
            (None, None, SECOND),
        ];
        for (before, now, wanted) in cases {
            assert_eq!(held(before, now, SECOND), wanted);
        }
    }
}
