//! One of those that share the requests.

use std::time::Duration;

use switchback_plugin::{BuildError, Counter, Histogram, Setup};
use twox_hash::XxHash3_64;

use super::ArmOptions;

/// One of those that share the requests.
pub(super) struct Arm {
    name: String,
    upstream: Option<String>,
    weight: f64,
    seed: u64,
    requests: Counter,
    failures: Counter,
    seconds: Histogram,
}

impl Arm {
    pub(super) fn new(
        path: &str,
        options: &ArmOptions,
        setup: &mut Setup<'_>,
    ) -> Result<Self, BuildError> {
        if let Some(upstream) = &options.upstream {
            setup.upstream(&format!("{path}.upstream"), upstream)?;
        }
        let labels = [("arm", options.name.as_str())];
        Ok(Self {
            requests: setup.counter("canary_requests_total", "Requests of an arm.", &labels)?,
            failures: setup.counter(
                "canary_failures_total",
                "Requests of an arm that were answered with 5xx, or not at all.",
                &labels,
            )?,
            seconds: setup.histogram(
                "canary_seconds",
                "How long requests of an arm took.",
                &labels,
            )?,
            seed: XxHash3_64::oneshot(options.name.as_bytes()),
            weight: f64::from(options.weight),
            upstream: options.upstream.clone(),
            name: options.name.clone(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    pub(super) fn weighs(&self) -> bool {
        self.weight > 0.0
    }

    pub(super) fn chosen(&self) {
        self.requests.add(1);
    }

    pub(super) fn done(&self, status: u16, elapsed: Duration) {
        if status == 0 || status >= 500 {
            self.failures.add(1);
        }
        self.seconds.observe(elapsed.as_secs_f64());
    }
}

/// The arm that has the most of `place`: weighted rendezvous. When a weight changes, places move to that arm or away from it, and never
/// between two others.
pub(super) fn choose(arms: &[Arm], place: u64) -> usize {
    let weights = arms.iter().map(|arm| (arm.seed, arm.weight));
    heaviest(weights, place)
}

fn heaviest(arms: impl Iterator<Item = (u64, f64)>, place: u64) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, (seed, weight)) in arms.enumerate() {
        if weight <= 0.0 {
            continue;
        }
        let drawn = XxHash3_64::oneshot_with_seed(seed, &place.to_le_bytes());
        // 53 bits, and never 0: between 0 and 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let drawn = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let score = -weight / drawn.ln();
        if score > best.1 {
            best = (index, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(weights: &[u32], place: u64) -> usize {
        let arms = weights.iter().zip(1_u64..).map(|(weight, seed)| (seed, f64::from(*weight)));
        heaviest(arms, place)
    }

    fn shares(weights: &[u32], places: u64) -> Vec<usize> {
        let mut shares = vec![0; weights.len()];
        for place in 0..places {
            shares[chosen(weights, XxHash3_64::oneshot(&place.to_le_bytes()))] += 1;
        }
        shares
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_arm_has_its_share(weights in proptest::collection::vec(0_u32..100, 2..6)) {
            let sum: u32 = weights.iter().sum();
            prop_assume!(sum > 0);
            let count = 10_000;
            for (weight, share) in weights.iter().zip(shares(&weights, count)) {
                let expected = count as f64 * f64::from(*weight) / f64::from(sum);
                // Five standard deviations of a binomial, at most 50 each.
                prop_assert!((share as f64 - expected).abs() <= 250.0, "{weights:?}: {share} of {expected}");
                prop_assert!(*weight > 0 || share == 0);
            }
        }
    }

    proptest! {
        #[test]
        fn a_weight_that_grows_only_draws_to_its_own_arm(
            mut weights in proptest::collection::vec(1_u32..100, 2..6),
            more in 1_u32..100,
            which: prop::sample::Index,
            place: u64,
        ) {
            let before = chosen(&weights, place);
            let grown = which.index(weights.len());
            weights[grown] += more;
            let after = chosen(&weights, place);
            prop_assert!(after == before || after == grown);
        }
    }
}
