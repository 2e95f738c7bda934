//! What probes have found of an endpoint.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How many probes in a row it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// That pass, until what is down is up.
    pub rise: u32,
    /// That fail, until what is up is down.
    pub fall: u32,
}

/// A change that a probe has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was down, and is up.
    Rises,
    /// It was up, and is down.
    Falls,
    /// It was ejected, and begins to return.
    Returns,
}

/// The state machine: up until `fall` probes in a row have failed, down until `rise` in a row have passed. The very first probe
/// decides alone. One probe of an endpoint runs at a time.
#[derive(Debug, Default)]
pub(super) struct Probed {
    is_down: AtomicBool,
    is_known: AtomicBool,
    passes: AtomicU32,
    failures: AtomicU32,
}

impl Probed {
    /// Whether it is not to be asked.
    pub(super) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    /// Probes that passed in a row.
    pub(super) fn passes(&self) -> u32 {
        self.passes.load(Ordering::Relaxed)
    }

    /// Whether the last one was not as those before.
    pub(super) fn is_in_doubt(&self) -> bool {
        let against = if self.is_down() { &self.passes } else { &self.failures };
        against.load(Ordering::Relaxed) > 0
    }

    /// Counts passes from now on.
    pub(super) fn begin_again(&self) {
        self.passes.store(0, Ordering::Relaxed);
    }

    /// As if there never was a probe.
    pub(super) fn forget(&self) {
        self.begin_again();
        self.failures.store(0, Ordering::Relaxed);
        self.is_known.store(false, Ordering::Relaxed);
        self.is_down.store(false, Ordering::Release);
    }

    /// Takes a result in.
    pub(super) fn told(&self, has_passed: bool, thresholds: Thresholds) -> Option<Turn> {
        let is_first = !self.is_known.swap(true, Ordering::Relaxed);
        let (grows, ends) = if has_passed {
            (&self.passes, &self.failures)
        } else {
            (&self.failures, &self.passes)
        };
        ends.store(0, Ordering::Relaxed);
        let row = grows.load(Ordering::Relaxed).saturating_add(1);
        grows.store(row, Ordering::Relaxed);
        match (self.is_down(), has_passed) {
            (false, false) if is_first || row >= thresholds.fall => {
                self.is_down.store(true, Ordering::Release);
                Some(Turn::Falls)
            }
            (true, true) if row >= thresholds.rise => {
                self.is_down.store(false, Ordering::Release);
                Some(Turn::Rises)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes, it is as a plain reading of the rules says.
        #[test]
        fn results_in_a_row_decide(
            results in proptest::collection::vec(any::<bool>(), 1..60),
            rise in 1_u32..5,
            fall in 1_u32..5,
        ) {
            let probed = Probed::default();
            let mut is_down = false;
            for (index, has_passed) in results.iter().enumerate() {
                let alike = results[..=index].iter().rev().take_while(|one| *one == has_passed);
                let row = alike.count();
                let turns = match (is_down, has_passed) {
                    (false, false) => index == 0 || row >= fall as usize,
                    (true, true) => row >= rise as usize,
                    _ => false,
                };
                let turn = probed.told(*has_passed, Thresholds { rise, fall });
                prop_assert_eq!(turn.is_some(), turns);
                is_down ^= turns;
                prop_assert_eq!(probed.is_down(), is_down);
                prop_assert_eq!(probed.is_in_doubt(), is_down == *has_passed);
            }
        }
    }
}
