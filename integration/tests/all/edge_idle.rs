//! Connections that wait, over several processes.

use switchback_integration::{Feature, IdlePlan, idle_connections};

/// With few connections: that all are held and counted, and what they carry. `make show-edge` measures memory.
#[test]
fn idle_connections_of_several_processes_are_held_and_answered_again() {
    for tls in [false, true] {
        let found = idle_connections(&IdlePlan { processes: 2, steps: vec![20, 60], tls });
        assert!(found.shared || !Feature::SharedAddress.is_required(), "{found:?}");
        assert_eq!((found.failed, found.answered), (0, 120), "{found:?}");
        assert_eq!(found.steps.last().map(|step| step.connections), Some(120), "{found:?}");
        assert_eq!(found.spread.0 + found.spread.1, 120, "{found:?}");
        assert!(found.opening.packets > 4.0 && found.asking.packets >= 2.0, "{found:?}");
        assert!(found.opening.bytes > 1000.0 && found.asking.bytes > 200.0, "{found:?}");
        assert!(found.not_modified > 0 && found.not_modified < 200, "{found:?}");
    }
}
