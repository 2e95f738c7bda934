//! Watches the files of maps, on the control thread; requests only ever see tables.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::SnapshotCell;
use crate::snapshot::map::LiveMap;

/// How often it is looked whether a file has changed.
const TICK: Duration = Duration::from_secs(1);

/// Keeps the maps of the snapshot in force as their files are, until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>) {
    loop {
        tokio::time::sleep(TICK).await;
        let snapshot = cell.load();
        if !snapshot.maps.iter().any(LiveMap::is_watched) {
            continue;
        }
        let look = move || {
            for map in &snapshot.maps {
                map.look();
            }
        };
        // A slow disk must not keep names from being resolved.
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "cannot look at the files of maps");
        }
    }
}
