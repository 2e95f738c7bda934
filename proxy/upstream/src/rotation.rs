//! Weighted round robin.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Smooth weighted round robin, as nginx orders it: of `a` with weight 5 and `b`, `c` with 1, `a a b a c a a`, not five
/// `a` in a row.
///
/// The order of one full turn is computed once; a choice is one atomic addition.
#[derive(Debug)]
pub struct Rotation {
    order: Box<[u32]>,
    next: AtomicUsize,
}

impl Rotation {
    /// The rotation over those of these indexes; a weight of 0 is never chosen.
    pub(crate) fn of(indexes: &[u32], weights: &[u32]) -> Self {
        let Self { order, next } = Self::new(weights);
        let order = order.iter().filter_map(|at| indexes.get(*at as usize).copied()).collect();
        Self { order, next }
    }

    /// The rotation over `weights`; a weight of 0 is never chosen.
    #[must_use]
    pub fn new(weights: &[u32]) -> Self {
        let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
        let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
        let total: i64 = weights.iter().sum();
        let mut current = vec![0_i64; weights.len()];
        let order = (0..total).filter_map(|_| smoothest(&weights, total, &mut current)).collect();
        Self { order, next: AtomicUsize::new(0) }
    }

    /// The indexes of one full turn, starting at the next one due.
    pub fn turn(&self) -> impl Iterator<Item = usize> + '_ {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let length = self.order.len();
        (0..length).filter_map(move |step| {
            let position = start.wrapping_add(step).checked_rem(length)?;
            self.order.get(position).map(|index| *index as usize)
        })
    }
}

/// The heaviest by current weight, which then pays the total.
fn smoothest(weights: &[i64], total: i64, current: &mut [i64]) -> Option<u32> {
    for (now, weight) in current.iter_mut().zip(weights) {
        *now += weight;
    }
    // The first of equals, as nginx: max_by_key would take the last.
    let best = (0..current.len())
        .reduce(|best, next| if current.get(next) > current.get(best) { next } else { best })?;
    *current.get_mut(best)? -= total;
    u32::try_from(best).ok()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(weights: &[u32], times: usize) -> Vec<usize> {
        let rotation = Rotation::new(weights);
        (0..times).filter_map(|_| rotation.turn().next()).collect()
    }

    #[test]
    fn heavy_endpoints_are_spread_as_nginx_spreads_them() {
        assert_eq!(chosen(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(chosen(&[7, 7, 7], 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn nothing_to_choose_from_gives_nothing() {
        assert!(chosen(&[], 3).is_empty());
        assert!(chosen(&[0, 0], 3).is_empty());
    }

    proptest! {
        #[test]
        fn every_full_turn_gives_each_endpoint_its_weight(weights in proptest::collection::vec(0_u32..20, 1..8)) {
            let total: u32 = weights.iter().sum();
            let rotation = Rotation::new(&weights);
            let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..total / divisor {
                counts[rotation.turn().next().unwrap()] += divisor;
            }
            prop_assert_eq!(counts, weights);
        }
    }
}
