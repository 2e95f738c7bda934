//! What an operator asks of a running engine.

use std::sync::Arc;

use super::control::State;
use super::purge::{self, Heard, KeyPage, Purge, PurgeError, PurgeRelay, Purged, ZoneStatus};
use super::reshard::{ReshardError, ReshardStatus, Step};
use super::{Engine, EngineStatus, health, http, metrics, snapshot};

impl Engine {
    /// Counts and addresses.
    #[must_use]
    pub fn status(&self) -> EngineStatus {
        let metrics = &self.shared.resident.metrics;
        let connections = metrics.open_connections.value();
        EngineStatus {
            generation: self.shared.cell.generation(),
            state: self.state(connections),
            workers: self.workers.lock().running.len(),
            listeners: self.listeners.status(),
            connections,
            requests_in_flight: metrics.in_flight.value(),
            requests: metrics.requests.value(),
            log_lines_lost: self.shared.resident.log_losses.lines(),
        }
    }

    /// Purges, in memory and on disk: it holds for whatever was asked for before. Blocks until it is kept for good.
    ///
    /// # Errors
    /// It cannot be understood, or could not be kept.
    pub fn purge(&self, wanted: &Purge, heard: Heard) -> Result<Purged, PurgeError> {
        let (done, purged) = std::sync::mpsc::sync_channel(1);
        let (wanted, shared) = (wanted.clone(), Arc::clone(&self.shared));
        // Not `block_on`: the caller may be inside a runtime.
        self.control.as_ref().ok_or(PurgeError::NoZones)?.spawn(async move {
            let snapshot = shared.cell.load();
            let result = http::cache::purge::purge(&wanted, heard, &snapshot, &shared.resident);
            let _ = done.send(result.await);
        });
        purged.recv().unwrap_or(Err(PurgeError::NoZones))
    }

    /// Has others told of what is purged here. The first that is set stays.
    pub fn on_purge(&self, relay: Arc<dyn PurgeRelay>) {
        let _ = self.shared.resident.relay.set(purge::Relay(relay));
    }

    /// What the caches hold.
    #[must_use]
    pub fn zones(&self) -> Vec<ZoneStatus> {
        self.shared.cell.load().zones.iter().map(snapshot::zones::NamedZone::status).collect()
    }

    /// At most `most` keys of a zone's memory, after the one with this hash; `None` where there is no such zone.
    #[must_use]
    pub fn keys(&self, zone: &str, after: Option<u128>, most: usize) -> Option<KeyPage> {
        let snapshot = self.shared.cell.load();
        let zone = snapshot.zones.iter().find(|own| &*own.plan.name == zone)?;
        Some(zone.keys(after, most))
    }

    /// Takes a step in giving keys of an upstream to other shards.
    ///
    /// # Errors
    /// It cannot be taken now, or not at all.
    pub fn reshard(&self, upstream: &str, step: &Step) -> Result<ReshardStatus, ReshardError> {
        let _one_at_a_time = self.listeners.hold();
        let snapshot = self.shared.cell.load();
        let mut all = snapshot.upstreams.iter();
        let found = all.find(|own| &*own.plan.name == upstream);
        let found = found.ok_or_else(|| ReshardError::UnknownUpstream(upstream.to_owned()))?;
        let taken = snapshot::shards::steps::take(found, step, &self.shared.resident);
        self.resolve_now.notify_one();
        self.shared.resident.endpoints_changed();
        taken
    }

    /// Appends the counters in the Prometheus text format.
    pub fn metrics(&self, out: &mut String) {
        let resident = &self.shared.resident;
        resident.metrics.render(out);
        resident.encoders.render(out);
        resident.dictionaries.render(out);
        resident.pictures.render(out);
        resident.plugins.metrics.render(out);
        resident.plugins.living.render(out);
        metrics::log_losses(out, &resident.log_losses);
        let snapshot = self.shared.cell.load();
        health::render(out, &snapshot);
        http::cache::counters::render(out, &snapshot.zones);
        http::overload::counters::render(out, &snapshot.upstreams);
        snapshot::shards::render(out, &snapshot.upstreams);
        metrics::sample(
            out,
            ("generation", "Configurations put in force so far.", "gauge"),
            self.shared.cell.generation(),
        );
    }

    /// Has each worker call `then`, on its own thread, once most connections of a burst are gone: the moment to give memory back
    /// to the system, where the allocator does so only when asked. It must be quick. The first that is set stays.
    pub fn on_burst_over(&self, then: fn()) {
        let _ = self.shared.burst_over.set(then);
    }

    /// Opens all log files again. Blocks until nothing more goes to the old ones, at most a second for each that takes no lines.
    pub fn reopen_logs(&self) {
        self.shared.resident.reopen_logs();
    }

    fn state(&self, connections: u64) -> State {
        match (*self.shared.drain.borrow(), connections) {
            (false, _) => State::Serving,
            (true, 0) => State::Stopped,
            (true, _) => State::Draining,
        }
    }
}
