//! A machine that is short of time: what is due waits until whoever does it has the processor.

use std::time::Duration;

/// How much of the processor a program gets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// What each thing takes that it does.
    pub(super) each: Duration,
    /// It is without the processor for about so long, ...
    pub(super) away: Duration,
    /// ... after it had it for about so long.
    pub(super) there: Duration,
}

/// One program, which does one thing after the other.
pub(super) struct Program {
    share: Share,
    seed: u64,
    free: Duration,
    /// When it is without the processor next.
    away: (Duration, Duration),
}

impl Program {
    pub(super) fn new(share: Share, seed: u64) -> Self {
        let mut program =
            Self { share, seed, free: Duration::ZERO, away: (Duration::ZERO, Duration::ZERO) };
        program.goes_away(Duration::ZERO);
        program
    }

    /// When it has done what is due at this time.
    pub(super) fn does(&mut self, due: Duration) -> Duration {
        let mut at = due.max(self.free);
        if !self.share.away.is_zero() {
            while at >= self.away.1 {
                self.goes_away(self.away.1);
            }
            if at >= self.away.0 {
                at = self.away.1;
            }
        }
        self.free = at + self.share.each;
        self.free
    }

    fn goes_away(&mut self, now: Duration) {
        let from = now + self.about(self.share.there);
        self.away = (from, from + self.about(self.share.away));
    }

    /// From nothing to twice as long.
    fn about(&mut self, time: Duration) -> Duration {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        time.mul_f64(2.0 * (self.seed >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
