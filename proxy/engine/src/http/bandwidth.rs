//! How fast an answer is sent: what was sent is paid for in time, before more is sent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora_error::Result;
use pingora_proxy::Session;
use switchback_conf::plan::BandwidthPlan;

use super::context::Context;

/// The pace of one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    plan: BandwidthPlan,
    begun: Instant,
    sent: u64,
}

impl Pace {
    /// Of an answer that begins now.
    pub(crate) fn new(plan: BandwidthPlan) -> Self {
        Self { plan, begun: Instant::now(), sent: 0 }
    }

    /// How long the next piece, which has this length, must wait.
    pub(crate) fn wait(&mut self, length: usize) -> Duration {
        let wait = self.owed();
        self.count(length);
        wait
    }

    /// How long whatever comes next must wait.
    pub(crate) fn owed(&self) -> Duration {
        owed(self.plan, self.sent, self.begun.elapsed())
    }

    /// Notes that so much more is out.
    pub(crate) fn count(&mut self, length: usize) {
        self.sent += length as u64;
    }

    /// The length of the next piece: pieces leave every quarter of a second.
    pub(crate) fn piece(&self) -> usize {
        let fast = self.plan.after.saturating_sub(self.sent);
        let length = if fast > 0 { fast } else { self.plan.rate / 4 };
        usize::try_from(length).unwrap_or(MOST_PIECE).clamp(1, MOST_PIECE)
    }
}

/// What is sent at a time.
const MOST_PIECE: usize = 64 * 1024;
/// No wait is longer: an end that goes away meanwhile is not seen before.
const MOST_WAIT: Duration = Duration::from_secs(60);
/// The head of an answer leaves with the first pieces of its body, and is not held back longer than this.
const MOST_WAIT_FOR_HEAD: Duration = Duration::from_secs(1);

/// How long `sent` bytes must still be paid for, so much time after the first.
fn owed(plan: BandwidthPlan, sent: u64, elapsed: Duration) -> Duration {
    let slow = u128::from(sent.saturating_sub(plan.after));
    let nanoseconds = slow * 1_000_000_000 / u128::from(plan.rate.max(1));
    let due = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
    due.saturating_sub(elapsed).min(MOST_WAIT)
}

/// How long a piece of an upstream's answer must wait.
pub(crate) fn delay(session: &Session, context: &mut Context, length: usize) -> Option<Duration> {
    let plan = context.route()?.bandwidth?;
    let pace = context.pace.get_or_insert_with(|| Pace::new(plan));
    let mut wait = pace.wait(length);
    if session.response_written().is_none() {
        wait = wait.min(MOST_WAIT_FOR_HEAD.saturating_sub(pace.begun.elapsed()));
    }
    Some(wait).filter(|wait| !wait.is_zero())
}

/// Sends a piece of a body that was made here, at the pace of its route.
pub(crate) async fn send(session: &mut Session, mut body: Bytes, pace: &mut Pace) -> Result<()> {
    while !body.is_empty() {
        let piece = body.split_to(pace.piece().min(body.len()));
        tokio::time::sleep(pace.wait(piece.len())).await;
        session.write_response_body(Some(piece), false).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rate: u64, after: u64) -> BandwidthPlan {
        BandwidthPlan { rate, after }
    }

    #[test]
    fn what_was_sent_is_paid_for_in_time() {
        let seconds =
            |plan, sent, elapsed| owed(plan, sent, Duration::from_millis(elapsed)).as_secs_f64();
        for (plan, sent, elapsed, wait) in [
            (plan(1_000, 0), 0, 0, 0.0),
            (plan(1_000, 0), 500, 0, 0.5),
            (plan(1_000, 0), 2_000, 500, 1.5),
            (plan(1_000, 0), 2_000, 2_000, 0.0),
            (plan(1_000, 0), 2_000, 9_000, 0.0),
            (plan(1_000, 1_500), 1_500, 0, 0.0),
            (plan(1_000, 1_500), 2_000, 0, 0.5),
            (plan(1, 0), u64::MAX, 0, 60.0),
            (plan(u64::MAX, 0), u64::MAX, 0, 1.0),
            (plan(0, 0), 1, 0, 1.0),
        ] {
            assert!(
                (seconds(plan, sent, elapsed) - wait).abs() < 1e-6,
                "{plan:?} {sent} {elapsed}"
            );
        }
    }

    #[test]
    fn a_pace_counts_what_it_lets_through() {
        let mut pace = Pace::new(plan(1_000, 0));
        assert_eq!(pace.wait(10_000), Duration::ZERO);
        let second = pace.wait(10_000);
        assert!(second > Duration::from_secs(9) && second <= Duration::from_secs(10));
        assert!(pace.wait(1) > Duration::from_secs(19));
    }

    #[test]
    fn pieces_are_small_where_the_pace_is() {
        let piece = |rate| Pace::new(plan(rate, 0)).piece();
        assert_eq!((piece(1), piece(4_000), piece(u64::MAX)), (1, 1_000, MOST_PIECE));
        let mut pace = Pace::new(plan(4_000, 100_000));
        assert_eq!((pace.piece(), pace.wait(MOST_PIECE)), (MOST_PIECE, Duration::ZERO));
        assert_eq!((pace.piece(), pace.wait(34_464)), (34_464, Duration::ZERO));
        assert_eq!(pace.piece(), 1_000);
    }
}
