//! Plugins that do something from time to time, on the control thread.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use switchback_plugin::Hook;

use super::keeping::Kept;
use crate::http::filter::background::Background;
use crate::http::filter::client::Client;
use crate::snapshot::SnapshotCell;
use crate::snapshot::resident::Resident;

/// Has the plugins in use ticked, those of each configuration from the moment that it is in force; until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>, resident: Arc<Resident>) {
    let client = Arc::new(Client::default());
    loop {
        for kept in resident.plugins.all() {
            let configured = &kept.configured;
            let Some(period) = configured.policy().tick else { continue };
            let is_new = configured.hooks().contains(Hook::Tick)
                && !kept.is_ticking.swap(true, Ordering::AcqRel);
            if is_new {
                let host = Host {
                    cell: Arc::clone(&cell),
                    resident: Arc::clone(&resident),
                    client: Arc::clone(&client),
                };
                tokio::spawn(tick(Arc::downgrade(&kept), period, host));
            }
        }
        resident.plugins.changed.notified().await;
    }
}

struct Host {
    cell: Arc<SnapshotCell>,
    resident: Arc<Resident>,
    client: Arc<Client>,
}

/// Ticks one plugin until no configuration has it any more.
async fn tick(plugin: Weak<Kept>, period: Duration, host: Host) {
    while let Some(kept) = plugin.upgrade() {
        let (snapshot, resident) = (host.cell.load(), Arc::clone(&host.resident));
        let name = Arc::clone(kept.configured.name());
        let mut background = Background::new(name, snapshot, resident, Arc::clone(&host.client));
        kept.configured.tick(&mut background).await;
        drop((background, kept));
        tokio::time::sleep(period).await;
    }
}
