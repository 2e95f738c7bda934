//! Resolves the host names of endpoints, on the control thread; requests only ever see addresses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_upstream::{Address, Endpoint};
use tokio::sync::Notify;

use crate::snapshot::SnapshotCell;

/// A name server that does not answer in this time has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked who is due.
const TICK: Duration = Duration::from_secs(1);

/// Keeps the addresses of all named endpoints fresh.
#[derive(Debug)]
pub(crate) struct Resolver {
    cell: Arc<SnapshotCell>,
    nudge: Arc<Notify>,
    asked: HashMap<(String, u16), Instant>,
}

impl Resolver {
    /// A resolver for the endpoints of the snapshot in force; `nudge` makes it look at once.
    pub(crate) fn new(cell: Arc<SnapshotCell>, nudge: Arc<Notify>) -> Self {
        Self { cell, nudge, asked: HashMap::new() }
    }

    /// Until the runtime ends.
    pub(crate) async fn run(mut self) {
        loop {
            self.ask_who_is_due();
            // Either is a reason to look again.
            let _ = tokio::time::timeout(TICK, self.nudge.notified()).await;
        }
    }

    fn ask_who_is_due(&mut self) {
        let now = Instant::now();
        for (endpoint, name, every) in named(&self.cell) {
            let due = self.asked.get(&name).is_none_or(|asked| now.duration_since(*asked) >= every);
            if due || endpoint.width() == 0 {
                self.asked.insert(name.clone(), now);
                tokio::spawn(resolve(endpoint, name));
            }
        }
    }
}

/// Resolves everything once, waiting no longer than `patience`, so that the first requests find addresses.
pub(crate) async fn resolve_all(cell: &SnapshotCell, patience: Duration) {
    let lookups = named(cell).into_iter().map(|(endpoint, name, _)| resolve(endpoint, name));
    // What is late is asked for again by the resolver.
    let _ = tokio::time::timeout(patience, futures::future::join_all(lookups)).await;
}

type Named = (Arc<Endpoint>, (String, u16), Duration);

fn named(cell: &SnapshotCell) -> Vec<Named> {
    let snapshot = cell.load();
    let endpoints = snapshot.upstreams.iter().flat_map(|upstream| {
        let every = upstream.plan.resolve_every;
        upstream.pool.endpoints().iter().map(move |endpoint| (Arc::clone(endpoint), every))
    });
    let named = endpoints.filter_map(|(endpoint, every)| match endpoint.address() {
        Address::Name { host, port } => {
            let name = (host.to_string(), *port);
            Some((endpoint, name, every))
        }
        Address::Ip(_) | Address::Unix(_) => None,
    });
    named.collect()
}

/// An answer that does not come, or is empty, leaves the last good one in force.
async fn resolve(endpoint: Arc<Endpoint>, name: (String, u16)) {
    let lookup = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name.0.as_str(), name.1)));
    match lookup.await {
        Ok(Ok(addresses)) => endpoint.resolved(addresses),
        Ok(Err(error)) => {
            tracing::warn!(host = name.0, %error, "cannot resolve an endpoint's name")
        }
        Err(_) => {
            tracing::warn!(host = name.0, "no answer in 5 s when resolving an endpoint's name")
        }
    }
}
