//! When a worker wakes its connections: one table of deadlines and one task that walks it, instead of timers in each
//! connection. Idle connections are many, and none of them should hold more than a row here.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::drain::{EXPECTED, Window};
use super::lane::Lane;

/// The rows of one worker's connections.
#[derive(Debug)]
pub(crate) struct Seats {
    rows: Mutex<Rows>,
    /// Where those take turns who could keep others waiting.
    pub(crate) lane: Arc<Lane>,
    /// Told when the next walk has to be earlier than was thought.
    earlier: Notify,
    epoch: Instant,
}

/// A connection's row. It is free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    row: u32,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// Nothing that is counted here.
    No,
    /// Its first request to begin. A drain ends that.
    First,
    /// Another request to begin. A drain ends that sooner.
    Idle,
    /// The rest of a head.
    Head,
    /// Its client, to send more of a body or to take more of an answer.
    Client,
}

#[derive(Debug)]
struct Row {
    /// Milliseconds since the epoch of the table; [`NEVER`] while nothing is waited for.
    deadline: u64,
    /// When its wait began: the lower half of that.
    since: u32,
    waits: Waits,
    is_over: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    free: Vec<u32>,
    /// No deadline is earlier.
    next: u64,
    /// Set by a drain: when those are let go who wait for a request.
    window: Option<Window>,
    /// The most connections since memory was last given back.
    peak: usize,
    /// When to give it back.
    tidy_at: Option<u64>,
}

const NEVER: u64 = u64::MAX;
/// The table is walked at most this often: deadlines are this late at worst.
const STEP: u64 = 50;
/// A burst is at least this many connections.
const BURST: usize = 256;
/// After a burst has ended, what else ends is waited for.
const SETTLE: u64 = 1_000;

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Whose deadline has passed.
    pub(crate) over: Vec<Waker>,
    /// Whether most connections of a burst are gone.
    pub(crate) is_burst_over: bool,
}

impl Seats {
    /// An empty table.
    pub(crate) fn new() -> Arc<Self> {
        let rows = Rows { next: NEVER, ..Rows::default() };
        Arc::new(Self {
            rows: Mutex::new(rows),
            lane: Arc::default(),
            earlier: Notify::new(),
            epoch: Instant::now(),
        })
    }

    /// A row for one more connection.
    pub(crate) fn take(self: &Arc<Self>) -> Seat {
        let mut rows = self.rows.lock();
        let row = Row { is_over: false, ..Row::free() };
        let number = match rows.free.pop() {
            Some(number) => number,
            None => {
                rows.rows.push(Row::free());
                u32::try_from(rows.rows.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(free) = rows.rows.get_mut(number as usize) {
            *free = row;
        }
        rows.peak = rows.peak.max(rows.taken());
        Seat { seats: Arc::clone(self), row: number }
    }

    /// Returns when the table has to be walked, at most every [`STEP`].
    pub(crate) async fn due(&self) {
        tokio::time::sleep(Duration::from_millis(STEP)).await;
        loop {
            let next = self.rows.lock().due();
            if next <= self.now() {
                return;
            }
            let at = self.epoch.checked_add(Duration::from_millis(next));
            match at.filter(|_| next != NEVER) {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.earlier.notified() => {}
                },
                None => self.earlier.notified().await,
            }
        }
    }

    /// Finds whose time is up.
    pub(crate) fn walk(&self) -> Walked {
        let now = self.now();
        let mut rows = self.rows.lock();
        let mut walked = Walked::default();
        let mut next = NEVER;
        for row in &mut rows.rows {
            if row.deadline <= now {
                row.deadline = NEVER;
                row.is_over = true;
                walked.over.extend(row.waker.take());
            }
            next = next.min(row.deadline);
        }
        rows.next = next;
        if rows.tidy_at.is_some_and(|at| at <= now) {
            rows.tidy();
            self.lane.tidy();
            walked.is_burst_over = true;
        }
        walked
    }

    /// From now on whoever waits for a request to begin is let go within `window`, each at a moment of its own. Who was answered
    /// just now, and told that another may follow, has as much time for it as who is answered from now on.
    pub(crate) fn end_idle(&self, window: Window) {
        let now = self.now();
        let mut rows = self.rows.lock();
        rows.window = Some(window);
        for (number, row) in rows.rows.iter_mut().enumerate() {
            let most = row.waits.most(window, number).max(row.is_expected_for(now));
            row.deadline = row.deadline.min(now.saturating_add(most));
        }
        rows.next = now;
        drop(rows);
        self.earlier.notify_one();
    }

    fn now(&self) -> u64 {
        milliseconds(self.epoch.elapsed())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

impl Rows {
    fn taken(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    fn due(&self) -> u64 {
        self.next.min(self.tidy_at.unwrap_or(NEVER))
    }

    /// Gives back the room of rows that nobody has, as far as they are at the end.
    fn tidy(&mut self) {
        self.tidy_at = None;
        self.peak = self.taken();
        let used = self.rows.iter().rposition(|row| !row.is_free()).map_or(0, |last| last + 1);
        self.rows.truncate(used);
        self.rows.shrink_to_fit();
        self.free.retain(|row| (*row as usize) < used);
        self.free.shrink_to_fit();
    }
}

impl Waits {
    /// The longest wait that a drain leaves to row `number`, in milliseconds.
    fn most(self, window: Window, number: usize) -> u64 {
        match self {
            Self::First | Self::Idle => {
                let is_first = self == Self::First;
                milliseconds(window.patience(number as u64, is_first, Instant::now()))
            }
            Self::No | Self::Head | Self::Client => NEVER,
        }
    }
}

impl Row {
    fn free() -> Self {
        Self { deadline: NEVER, since: 0, waits: Waits::No, is_over: true, waker: None }
    }

    /// For how many milliseconds more a request may be on its way that an answer has asked for.
    fn is_expected_for(&self, now: u64) -> u64 {
        let waited = (now as u32).wrapping_sub(self.since);
        milliseconds(EXPECTED).saturating_sub(waited.into())
    }

    /// A row that is over and waits for nothing is nobody's.
    fn is_free(&self) -> bool {
        self.is_over && self.waits == Waits::No
    }
}

impl Seat {
    /// Begins a wait of at most `patience`, for the task in hand.
    pub(crate) fn wait(&self, waits: Waits, patience: Duration, cx: &Context<'_>) {
        let now = self.seats.now();
        let mut rows = self.seats.rows.lock();
        let most = rows.window.map_or(NEVER, |window| {
            waits.most(window, self.row as usize).max(milliseconds(EXPECTED))
        });
        let deadline = now.saturating_add(milliseconds(patience).min(most));
        let Some(row) = rows.rows.get_mut(self.row as usize) else { return };
        (row.waits, row.deadline, row.is_over) = (waits, deadline, false);
        row.since = now as u32;
        row.wake(cx);
        if deadline < rows.next {
            rows.next = deadline;
            drop(rows);
            self.seats.earlier.notify_one();
        }
    }

    /// Whether the wait has lasted too long; if not, it goes on, for the task in hand.
    pub(crate) fn is_over(&self, cx: &Context<'_>) -> bool {
        let mut rows = self.seats.rows.lock();
        let Some(row) = rows.rows.get_mut(self.row as usize) else { return true };
        row.wake(cx);
        row.is_over
    }

    /// Ends the wait.
    pub(crate) fn rest(&self) {
        if let Some(row) = self.seats.rows.lock().rows.get_mut(self.row as usize) {
            (row.waits, row.deadline, row.is_over) = (Waits::No, NEVER, false);
        }
    }

    /// Where its worker's connections take turns.
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.seats.lane
    }

    /// The time by the table's clock, in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.seats.now()
    }
}

impl Row {
    fn wake(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rows = self.seats.rows.lock();
        let Some(row) = rows.rows.get_mut(self.row as usize) else { return };
        let waker = std::mem::replace(row, Row::free()).waker;
        rows.free.push(self.row);
        if rows.peak >= BURST && rows.taken() < rows.peak / 2 && rows.tidy_at.is_none() {
            rows.tidy_at = Some(self.seats.now() + SETTLE);
            drop(rows);
            self.seats.earlier.notify_one();
        }
        // Not under the lock: it may be the last that holds its task.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_wait_is_over_once_its_time_is_up() {
        let seats = Seats::new();
        let (short, long) = (seats.take(), seats.take());
        let cx = Context::from_waker(Waker::noop());
        short.wait(Waits::Head, Duration::ZERO, &cx);
        long.wait(Waits::Head, LONG, &cx);
        let walked = seats.walk();
        assert_eq!((walked.over.len(), walked.is_burst_over), (1, false));
        assert!(short.is_over(&cx) && !long.is_over(&cx));
        assert_eq!(seats.walk().over.len(), 0);
        short.rest();
        assert!(!short.is_over(&cx));
    }

    #[test]
    fn a_drain_ends_the_wait_for_a_request_alone() {
        let seats = Seats::new();
        let cx = Context::from_waker(Waker::noop());
        let (idle, head, later) = (seats.take(), seats.take(), seats.take());
        idle.wait(Waits::Idle, LONG, &cx);
        head.wait(Waits::Head, LONG, &cx);
        seats.end_idle(Window::new(Duration::ZERO));
        later.wait(Waits::First, LONG, &cx);
        let soon = |seat: &Seat| {
            let rows = seats.rows.lock();
            rows.rows[seat.row as usize].deadline < seats.now() + milliseconds(LONG) / 2
        };
        assert!(soon(&idle) && soon(&later) && !soon(&head));
    }

    #[test]
    fn who_was_told_in_a_drain_that_more_may_follow_has_time_for_it() {
        let seats = Seats::new();
        let cx = Context::from_waker(Waker::noop());
        let (idle, before, answered) = (seats.take(), seats.take(), seats.take());
        idle.wait(Waits::Idle, LONG, &cx);
        before.wait(Waits::Idle, LONG, &cx);
        // As if that was long ago.
        seats.rows.lock().rows[idle.row as usize].since = 0_u32.wrapping_sub(2000);
        seats.end_idle(Window::new(Duration::ZERO));
        answered.wait(Waits::Idle, LONG, &cx);
        let left = |seat: &Seat| seats.rows.lock().rows[seat.row as usize].deadline - seats.now();
        assert!(left(&idle) < 100 && left(&answered) > 900);
        assert!(left(&before) > 900, "its request may be under way");
    }

    #[test]
    fn rows_are_used_again_and_given_back_after_a_burst() {
        let seats = Seats::new();
        let first = seats.take();
        let burst: Vec<Seat> = (0..2 * BURST).map(|_| seats.take()).collect();
        assert_eq!(seats.rows.lock().rows.len(), 2 * BURST + 1);
        drop(burst);
        let again = seats.take();
        assert_eq!(seats.rows.lock().rows.len(), 2 * BURST + 1);
        assert!(seats.rows.lock().tidy_at.is_some());
        seats.rows.lock().tidy_at = Some(0);
        drop(again);
        assert!(seats.walk().is_burst_over);
        assert_eq!(seats.rows.lock().rows.len(), 1);
        assert!(seats.rows.lock().free.is_empty());
        let second = seats.take();
        assert_eq!((first.row, second.row), (0, 1));
        assert!(!seats.walk().is_burst_over);
    }
}
