//! Watches the files of maps and of TLS, on the control thread; requests and handshakes only ever see what was read.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::SnapshotCell;
use crate::snapshot::map::LiveMap;
use crate::snapshot::resident::Resident;

/// How often it is looked whether a file has changed.
const TICK: Duration = Duration::from_secs(1);

/// Keeps maps, certificates, keys and lists of the snapshot in force as their files are, until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>, resident: Arc<Resident>) {
    loop {
        tokio::time::sleep(TICK).await;
        let snapshot = cell.load();
        let has_tls = snapshot.listeners.values().any(|listener| listener.tls.is_some());
        if !has_tls && !snapshot.maps.iter().any(LiveMap::is_watched) {
            continue;
        }
        let resident = Arc::clone(&resident);
        let look = move || {
            for map in &snapshot.maps {
                map.look();
            }
            resident.tls.look();
            for tls in snapshot.listeners.values().filter_map(|listener| listener.tls.as_ref()) {
                tls.look();
            }
        };
        // A slow disk must not keep names from being resolved.
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(%error, "cannot look at files that may have changed");
        }
    }
}
