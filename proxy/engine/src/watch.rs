//! Watches the files of maps, of shards, of endpoints and of TLS, and clears up after purges, on the control thread; requests and handshakes only ever see what was read.

use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::map::LiveMap;
use crate::snapshot::resident::Resident;
use crate::snapshot::{Snapshot, SnapshotCell, Upstream};

/// How often it is looked whether a file has changed.
const TICK: Duration = Duration::from_secs(1);

/// After so many, memory that purges have freed is given back.
const SWEEP_TICKS: u32 = 10;

/// Keeps maps, certificates, keys and lists of the snapshot in force as their files are, until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>, resident: Arc<Resident>) {
    let mut ticks = 0_u32;
    tend(&cell.load(), false);
    loop {
        tokio::time::sleep(TICK).await;
        let snapshot = cell.load();
        ticks = ticks.wrapping_add(1);
        if !snapshot.zones.is_empty() && ticks.is_multiple_of(SWEEP_TICKS) {
            let snapshot = Arc::clone(&snapshot);
            let sweep = move || snapshot.zones.iter().for_each(|zone| zone.live.sweep());
            // It has a thread of its own, and files are looked at meanwhile.
            drop(tokio::task::spawn_blocking(sweep));
        }
        tend(&snapshot, ticks.is_multiple_of(SWEEP_TICKS));
        let has_tls = snapshot.listeners.values().any(|listener| listener.tls.is_some());
        let is_watched = snapshot.maps.iter().any(LiveMap::is_watched)
            || snapshot.upstreams.iter().any(Upstream::is_watched);
        if !has_tls && !is_watched {
            continue;
        }
        let resident = Arc::clone(&resident);
        let look = move || {
            for map in &snapshot.maps {
                map.look();
            }
            for upstream in &snapshot.upstreams {
                upstream.look(&resident);
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

/// Has what purges leave to do on disk done, of all zones or of those that are new, while files are looked at.
fn tend(snapshot: &Snapshot, all: bool) {
    for zone in &snapshot.zones {
        if zone.live.stored.disk().is_some() && (all || zone.live.is_new_on_disk()) {
            let live = Arc::clone(&zone.live);
            drop(tokio::spawn(async move { live.tend().await }));
        }
    }
}
