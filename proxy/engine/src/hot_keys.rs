//! Puts together what workers have counted of hot keys, on the control thread.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::SnapshotCell;

/// How often, where there are any.
const OFTEN: Duration = Duration::from_millis(100);
/// How often it is looked whether there are.
const SELDOM: Duration = Duration::from_secs(2);

/// Until the runtime ends.
pub(crate) async fn merge(cell: Arc<SnapshotCell>) {
    loop {
        let snapshot = cell.load();
        let pools = snapshot.upstreams.iter().map(|upstream| &upstream.pool);
        let mut count = 0_usize;
        for pool in pools.filter(|pool| pool.has_hot_keys()) {
            pool.merge_hot_keys();
            count += 1;
        }
        drop(snapshot);
        tokio::time::sleep(if count > 0 { OFTEN } else { SELDOM }).await;
    }
}
