//! Reloads and upgrades under load from another process.

use switchback_integration::{ChangePlan, changes};

/// A tenth of the requests that `make show-edge` sends, during as many changes: some twenty seconds without optimisation.
#[test]
fn no_request_fails_while_everything_changes() {
    let plan = ChangePlan { requests: 300_000, reloads: 100, upgrades: 30 };
    let played = changes(&plan);
    let lacking = played.missing.iter().find(|(feature, _)| feature.is_required());
    assert!(lacking.is_none(), "{lacking:?}");
    assert!(played.faults.is_empty(), "{:#?}", played.faults);
    assert_eq!(played.tally.failed, 0, "{:#?}", played.tally.failures);
    assert!(played.tally.answered >= plan.requests, "{:?}", played.tally);
    assert_eq!(played.acted.len(), plan.reloads);
}
