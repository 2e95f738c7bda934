//! What a client has done on its HTTP/2 connection, against what it may do. Pure: frames and the time come from outside.

use std::time::{Duration, Instant};

use switchback_conf::plan::Http2Limits;

/// Over which seconds rates are counted.
const SECOND: Duration = Duration::from_secs(1);
/// Frames of a kind in one second that cost nothing: what a good client may do for days must not add up.
const FREE: u32 = 10;
/// The most frames that a client may have earned and not used.
const MOST_CREDIT: u32 = 1_000;
/// A DATA frame earns the client its answers if it is as long, or the last: frames of a byte are what a hostile window asks for.
const EARNING: u32 = 256;

/// What a client has overdone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// Requests cancelled, in a second or in all.
    Resets,
    /// Requests cancelled before their answer began.
    EarlyResets,
    /// Requests that had to be reset by this side.
    FaultyStreams,
    /// CONTINUATION frames of one request.
    Continuations,
    /// Bytes of one request's headers.
    HeaderBytes,
    /// Headers of one request.
    Fields,
    /// Time for a frame, or for the frames of one request's headers.
    HeaderTime,
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// PRIORITY and unknown frames.
    Priorities,
    /// DATA without a byte.
    EmptyData,
    /// WINDOW_UPDATE.
    WindowUpdates,
    /// Answers not taken in time.
    StalledStreams,
    /// Requests that are malformed, or more than the codec bears.
    Malformed,
}

impl Excess {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::Resets,
        Self::EarlyResets,
        Self::FaultyStreams,
        Self::Continuations,
        Self::HeaderBytes,
        Self::Fields,
        Self::HeaderTime,
        Self::Pings,
        Self::Settings,
        Self::Priorities,
        Self::EmptyData,
        Self::WindowUpdates,
        Self::StalledStreams,
        Self::Malformed,
    ];

    /// For metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::EarlyResets => "early_resets",
            Self::FaultyStreams => "faulty_streams",
            Self::Continuations => "continuations",
            Self::HeaderBytes => "header_bytes",
            Self::Fields => "fields",
            Self::HeaderTime => "header_time",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::Priorities => "priorities",
            Self::EmptyData => "empty_data",
            Self::WindowUpdates => "window_updates",
            Self::StalledStreams => "stalled_streams",
            Self::Malformed => "malformed",
        }
    }
}

/// A frame from the client, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// HEADERS: a request, or the trailers of one.
    Headers(u32),
    /// RST_STREAM.
    Reset(u32),
    /// SETTINGS, or its acknowledgement.
    Settings,
    /// PING, or the answer to one.
    Ping,
    /// WINDOW_UPDATE.
    WindowUpdate,
    /// DATA that neither has a byte nor ends a request.
    EmptyData,
    /// PRIORITY, and what is ignored.
    Other,
}

/// A frame to the client, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// HEADERS, and whether they end the answer.
    Headers(u32, bool),
    /// DATA of this many bytes, and whether it ends the answer.
    Data(u32, u32, bool),
    /// RST_STREAM.
    Reset(u32),
}

/// The kinds that have a rate.
#[derive(Clone, Copy)]
enum Kind {
    Resets,
    Pings,
    Settings,
    Priorities,
    EmptyData,
    WindowUpdates,
}

/// How often something came.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    this_second: u32,
    in_all: u32,
}

/// A request whose answer has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    stream: u32,
    /// Whether its answer has begun.
    answered: bool,
}

/// What one connection has used up.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Http2Limits,
    second: Instant,
    tallies: [Tally; 6],
    early_resets: u32,
    faulty_streams: u32,
    ping_credit: u32,
    update_credit: u32,
    priority_credit: u32,
    reset_credit: u32,
    newest: u32,
    /// As many as there may be at once; never grows beyond that.
    open: Vec<Open>,
}

impl Budget {
    /// Nothing used.
    pub(crate) fn new(limits: Http2Limits, now: Instant) -> Self {
        Self {
            limits,
            second: now,
            tallies: [Tally::default(); 6],
            early_resets: 0,
            faulty_streams: 0,
            ping_credit: 0,
            update_credit: 0,
            priority_credit: 0,
            reset_credit: 0,
            newest: 0,
            open: Vec::new(),
        }
    }

    /// The newest request's stream.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// Counts a frame from the client.
    pub(crate) fn received(&mut self, frame: Received, now: Instant) -> Result<(), Excess> {
        match frame {
            Received::Headers(stream) => {
                self.begin(stream);
                Ok(())
            }
            Received::Reset(stream) => self.cancelled(stream, now),
            Received::Settings => self.count(Kind::Settings, now),
            Received::EmptyData => self.count(Kind::EmptyData, now),
            Received::Ping if spend(&mut self.ping_credit) => Ok(()),
            Received::Ping => self.count(Kind::Pings, now),
            Received::WindowUpdate if spend(&mut self.update_credit) => Ok(()),
            Received::WindowUpdate => self.count(Kind::WindowUpdates, now),
            Received::Other if spend(&mut self.priority_credit) => Ok(()),
            Received::Other => self.count(Kind::Priorities, now),
        }
    }

    /// Counts a frame to the client.
    pub(crate) fn sent(&mut self, frame: Sent) -> Result<(), Excess> {
        match frame {
            Sent::Headers(stream, ends) => {
                if let Some(open) = self.open.iter_mut().find(|open| open.stream == stream) {
                    open.answered = true;
                }
                self.ended(stream, ends);
                self.earn_if(ends);
            }
            Sent::Data(stream, length, ends) => {
                self.ended(stream, ends);
                self.earn_if(ends || length >= EARNING);
            }
            Sent::Reset(stream) => {
                self.forget(stream);
                self.faulty_streams += 1;
                if self.faulty_streams > self.limits.faulty_streams {
                    return Err(Excess::FaultyStreams);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, stream: u32) {
        if stream <= self.newest {
            return;
        }
        self.newest = stream;
        earn(&mut self.priority_credit, 1);
        if self.open.len() < self.limits.max_streams as usize {
            self.open.push(Open { stream, answered: false });
        }
    }

    fn earn_if(&mut self, is_worth_it: bool) {
        if is_worth_it {
            earn(&mut self.ping_credit, 1);
            earn(&mut self.update_credit, 2);
        }
    }

    fn cancelled(&mut self, stream: u32, now: Instant) -> Result<(), Excess> {
        let open = self.forget(stream);
        // Some clients reset a stream that its answer has ended: nothing was cancelled.
        if open.is_none() && spend(&mut self.reset_credit) {
            return Ok(());
        }
        if open.is_some_and(|open| !open.answered) {
            self.early_resets += 1;
            if self.early_resets > self.limits.early_resets {
                return Err(Excess::EarlyResets);
            }
        }
        self.count(Kind::Resets, now)
    }

    /// An answer in full makes up for a request without one.
    fn ended(&mut self, stream: u32, ends: bool) {
        if ends && self.forget(stream).is_some() {
            earn(&mut self.reset_credit, 1);
            self.early_resets = self.early_resets.saturating_sub(1);
            self.faulty_streams = self.faulty_streams.saturating_sub(1);
        }
    }

    fn forget(&mut self, stream: u32) -> Option<Open> {
        let at = self.open.iter().position(|open| open.stream == stream)?;
        Some(self.open.swap_remove(at))
    }

    fn count(&mut self, kind: Kind, now: Instant) -> Result<(), Excess> {
        if now.saturating_duration_since(self.second) >= SECOND {
            self.second = now;
            self.tallies.iter_mut().for_each(|tally| tally.this_second = 0);
        }
        let (rate, excess) = kind.limit(&self.limits);
        let Some(tally) = self.tallies.get_mut(kind as usize) else { return Ok(()) };
        tally.this_second += 1;
        if tally.this_second > FREE {
            tally.in_all += 1;
        }
        let is_over = tally.this_second > rate || tally.in_all > self.limits.frames;
        if is_over { Err(excess) } else { Ok(()) }
    }
}

impl Kind {
    fn limit(self, limits: &Http2Limits) -> (u32, Excess) {
        match self {
            Self::Resets => (limits.resets_per_second, Excess::Resets),
            Self::Pings => (limits.pings_per_second, Excess::Pings),
            Self::Settings => (limits.settings_per_second, Excess::Settings),
            Self::Priorities => (limits.priorities_per_second, Excess::Priorities),
            Self::EmptyData => (limits.empty_data_per_second, Excess::EmptyData),
            Self::WindowUpdates => (limits.window_updates_per_second, Excess::WindowUpdates),
        }
    }
}

fn earn(credit: &mut u32, more: u32) {
    *credit = credit.saturating_add(more).min(MOST_CREDIT);
}

fn spend(credit: &mut u32) -> bool {
    let has_any = *credit > 0;
    *credit = credit.saturating_sub(1);
    has_any
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::listen) fn limits() -> Http2Limits {
        Http2Limits {
            max_streams: 100,
            first_streams: 32,
            continuations: 20,
            resets_per_second: 100,
            early_resets: 50,
            faulty_streams: 500,
            pings_per_second: 100,
            settings_per_second: 50,
            priorities_per_second: 100,
            empty_data_per_second: 100,
            window_updates_per_second: 100,
            frames: 10_000,
            stalled_streams: 4,
        }
    }

    /// How many of these frames are borne, `pause` apart, before the first that is not; at most `most`.
    fn borne(
        limits: Http2Limits,
        pause: Duration,
        most: u32,
        frame: impl Fn(u32) -> Received,
    ) -> (u32, Option<Excess>) {
        let mut now = Instant::now();
        let mut budget = Budget::new(limits, now);
        for number in 0..most {
            if let Err(excess) = budget.received(frame(number), now) {
                return (number, Some(excess));
            }
            now += pause;
        }
        (most, None)
    }

    #[test]
    fn floods_are_cut_at_the_rate_of_their_kind() {
        for (frame, rate, excess) in [
            (Received::Ping, 100, Excess::Pings),
            (Received::Settings, 50, Excess::Settings),
            (Received::Other, 100, Excess::Priorities),
            (Received::EmptyData, 100, Excess::EmptyData),
            (Received::WindowUpdate, 100, Excess::WindowUpdates),
            (Received::Reset(1), 100, Excess::Resets),
        ] {
            let flood = borne(limits(), Duration::ZERO, 1_000_000, |_| frame);
            assert_eq!(flood, (rate, Some(excess)), "{frame:?}");
        }
    }

    #[test]
    fn ten_frames_a_second_are_borne_for_ever_and_fifty_are_not() {
        let calm = borne(limits(), Duration::from_millis(100), 200_000, |_| Received::Ping);
        assert_eq!(calm, (200_000, None));
        let (count, excess) =
            borne(limits(), Duration::from_millis(20), 200_000, |_| Received::Ping);
        assert_eq!(excess, Some(Excess::Pings));
        assert!((10_000..15_000).contains(&count), "{count}");
    }

    #[test]
    fn requests_that_are_cancelled_unanswered_are_cut_at_fifty() {
        let now = Instant::now();
        let mut budget = Budget::new(limits(), now);
        let mut cancel = |stream| {
            budget.received(Received::Headers(stream), now)?;
            budget.received(Received::Reset(stream), now)
        };
        let borne = (0..1000).map(|number| 2 * number + 1).take_while(|id| cancel(*id).is_ok());
        assert_eq!(borne.count(), 50);
    }

    #[test]
    fn answers_make_up_for_cancelled_requests() {
        let mut now = Instant::now();
        let mut budget = Budget::new(limits(), now);
        for number in 0..1000 {
            let (cancelled, answered) = (4 * number + 1, 4 * number + 3);
            budget.received(Received::Headers(cancelled), now).unwrap();
            budget.received(Received::Headers(answered), now).unwrap();
            budget.received(Received::Reset(cancelled), now).unwrap();
            budget.sent(Sent::Headers(answered, false)).unwrap();
            budget.sent(Sent::Data(answered, 10, true)).unwrap();
            now += Duration::from_millis(100);
        }
        assert!(budget.open.is_empty());
    }

    #[test]
    fn streams_that_are_reset_behind_their_answers_cost_nothing() {
        let now = Instant::now();
        let mut budget = Budget::new(limits(), now);
        for stream in (0..10_000).map(|number| 2 * number + 1) {
            budget.received(Received::Headers(stream), now).unwrap();
            budget.sent(Sent::Headers(stream, true)).unwrap();
            budget.received(Received::Reset(stream), now).unwrap();
        }
        // Once for each answer, and no more.
        let more = (0..1000).take_while(|_| budget.received(Received::Reset(1), now).is_ok());
        assert_eq!(more.count(), 100);
    }

    #[test]
    fn an_answer_without_a_body_earns_what_any_answer_earns() {
        let now = Instant::now();
        let mut budget = Budget::new(limits(), now);
        for stream in (0..1_000).map(|number| 2 * number + 1) {
            budget.received(Received::Headers(stream), now).unwrap();
            budget.sent(Sent::Headers(stream, true)).unwrap();
            budget.received(Received::Ping, now).unwrap();
        }
    }

    #[test]
    fn a_cancelled_answer_is_not_an_early_reset() {
        let mut now = Instant::now();
        let mut budget = Budget::new(limits(), now);
        for stream in (1..2000).step_by(2) {
            budget.received(Received::Headers(stream), now).unwrap();
            budget.sent(Sent::Headers(stream, false)).unwrap();
            budget.received(Received::Reset(stream), now).unwrap();
            now += Duration::from_millis(100);
        }
        assert_eq!(budget.early_resets, 0);
    }

    #[test]
    fn streams_that_we_must_reset_are_cut_at_five_hundred() {
        let mut budget = Budget::new(limits(), Instant::now());
        let borne = (0..).take_while(|id| budget.sent(Sent::Reset(*id)).is_ok()).count();
        assert_eq!(borne, 500);
    }

    #[test]
    fn whoever_downloads_may_open_the_window_and_whoever_drips_may_not() {
        let now = Instant::now();
        let download = |length: u32| {
            let mut budget = Budget::new(limits(), now);
            (0..10_000).all(|_| {
                budget.sent(Sent::Data(1, length, false)).is_ok()
                    && budget.received(Received::WindowUpdate, now).is_ok()
                    && budget.received(Received::WindowUpdate, now).is_ok()
                    && budget.received(Received::Ping, now).is_ok()
            })
        };
        assert!(download(16_384));
        assert!(!download(1), "a window of one byte at a time");
    }

    fn frame() -> impl Strategy<Value = (u8, u32, u16)> {
        (0_u8..10, 0_u32..40, 0_u16..1000)
    }

    proptest! {
        /// Whatever comes: the table is bounded, and no second passes more frames of a kind than the rate and what was earned.
        #[test]
        fn nothing_grows_without_bound(frames in proptest::collection::vec(frame(), 0..4000)) {
            let mut limits = limits();
            limits.max_streams = 8;
            let mut now = Instant::now();
            let mut budget = Budget::new(limits, now);
            for (kind, stream, pause) in frames {
                now += Duration::from_micros(u64::from(pause));
                let borne = match kind {
                    0 => budget.received(Received::Headers(stream), now),
                    1 => budget.received(Received::Reset(stream), now),
                    2 => budget.received(Received::Settings, now),
                    3 => budget.received(Received::Ping, now),
                    4 => budget.received(Received::WindowUpdate, now),
                    5 => budget.received(Received::EmptyData, now),
                    6 => budget.received(Received::Other, now),
                    7 => budget.sent(Sent::Headers(stream, false)),
                    8 => budget.sent(Sent::Data(stream, u32::from(pause), stream % 3 == 0)),
                    _ => budget.sent(Sent::Reset(stream)),
                };
                prop_assert!(budget.open.len() <= 8);
                prop_assert!(budget.update_credit <= MOST_CREDIT && budget.ping_credit <= MOST_CREDIT);
                if borne.is_err() {
                    break;
                }
                for tally in budget.tallies {
                    prop_assert!(tally.this_second <= 100 && tally.in_all <= limits.frames);
                }
                prop_assert!(budget.early_resets <= limits.early_resets);
            }
        }
    }
}
