//! Reloads that swap modules while requests are answered.

use switchback_integration::{SwapPlan, Swapped, swaps};

/// A twentieth of the reloads that `make show-plugins` makes.
#[test]
fn modules_are_swapped_under_load_and_old_ones_go() {
    let plan = SwapPlan { reloads: 5, requests: 2_000, swapped: Swapped::Both };
    let played = swaps(&plan);
    assert!(played.failures.is_empty(), "{:#?}", played.failures);
    assert!(played.answered >= plan.requests, "{}", played.answered);
    assert_eq!(played.acted, plan.reloads);
    assert_eq!((played.alive, played.counted), (2, Some(1.0)));
}
