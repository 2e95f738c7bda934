//! Slow clients are cut, and nobody else notices.

use std::time::Duration;

use switchback_integration::{Feature, NotPlayed, Slow, SlowPlan, Tool, slow_clients};

/// With few connections and short deadlines; `make show-edge` opens thousands and takes the times.
#[test]
fn slow_clients_are_cut_and_another_site_answers_meanwhile() {
    if Tool::Slowhttptest.command().is_none() {
        return;
    }
    for slow in Slow::ALL {
        let (deadline, grace) = (Duration::from_secs(2), Duration::from_secs(10));
        let plan = SlowPlan { slow, connections: 100, deadline, grace, runs: 1 };
        match slow_clients(&plan) {
            Ok(runs) => {
                assert!(runs.iter().all(|run| run.opened == 100), "{slow:?}: {runs:?}");
                assert!(runs.iter().all(|run| run.late == 0), "{slow:?}: {runs:?}");
            }
            Err(NotPlayed::Refused(why)) => {
                let awaited = slow != Slow::Header && !Feature::LeastRate.is_required();
                assert!(awaited && why.contains("min_rate"), "{slow:?}: {why}");
            }
            Err(NotPlayed::NoTool) => panic!("it was there a moment ago"),
        }
    }
}
