//! Plugins that do something from time to time, on the control thread.

use std::sync::Arc;
use std::time::Instant;

use switchback_plugin_host::{Configured, Ticker};

use crate::http::filter::background::Background;
use crate::http::filter::client::Client;
use crate::snapshot::SnapshotCell;
use crate::snapshot::resident::Resident;

/// Has the plugins in use ticked, those of each configuration from the moment that it is in force; until the runtime ends.
pub(crate) async fn run(cell: Arc<SnapshotCell>, resident: Arc<Resident>) {
    let client = Arc::new(Client::default());
    let mut ticker = Ticker::default();
    loop {
        let snapshot = cell.load();
        ticker.set(snapshot.plugins().iter().map(|kept| &kept.configured), Instant::now());
        for plugin in ticker.due(Instant::now()) {
            let (name, snapshot) = (Arc::clone(plugin.name()), Arc::clone(&snapshot));
            let (resident, client) = (Arc::clone(&resident), Arc::clone(&client));
            tokio::spawn(tick(plugin, Background::new(name, snapshot, resident, client)));
        }
        // One that is not in force any more is held by nobody who only waits.
        drop(snapshot);
        let changed = resident.plugins.changed.notified();
        match ticker.next() {
            Some(due) => drop(tokio::time::timeout_at(due.into(), changed).await),
            None => changed.await,
        }
    }
}

async fn tick(plugin: Arc<Configured>, mut background: Background) {
    plugin.tick(&mut background).await;
}
