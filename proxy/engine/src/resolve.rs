//! Resolves the host names of endpoints, on the control thread; requests only ever see addresses.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_upstream::{Address, Endpoint};
use tokio::sync::Notify;

use crate::snapshot::{Snapshot, SnapshotCell};

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
        let named = named(&self.cell.load());
        let is_due = |(endpoint, name, every): &Named| {
            let asked = self.asked.get(name);
            endpoint.width() == 0 || asked.is_none_or(|asked| now.duration_since(*asked) >= *every)
        };
        // Judged before any is noted: endpoints of two upstreams may have one name.
        let due: Vec<Named> = named.iter().filter(|named| is_due(named)).cloned().collect();
        let known: HashSet<&(String, u16)> = named.iter().map(|(_, name, _)| name).collect();
        self.asked.retain(|name, _| known.contains(name));
        for (endpoint, name, _) in due {
            self.asked.insert(name.clone(), now);
            tokio::spawn(resolve(endpoint, name));
        }
    }
}

/// Resolves what `snapshot` names and nobody has resolved yet, waiting no longer than `patience`, so that its first requests
/// find addresses.
pub(crate) fn resolve_new(
    snapshot: &Snapshot,
    patience: Duration,
) -> impl Future<Output = ()> + use<> {
    let new = named(snapshot).into_iter().filter(|(endpoint, ..)| endpoint.width() == 0);
    let lookups: Vec<_> = new.map(|(endpoint, name, _)| resolve(endpoint, name)).collect();
    async move {
        // What is late is asked for again by the resolver.
        let _ = tokio::time::timeout(patience, futures::future::join_all(lookups)).await;
    }
}

type Named = (Arc<Endpoint>, (String, u16), Duration);

fn named(snapshot: &Snapshot) -> Vec<Named> {
    let endpoints = snapshot.upstreams.iter().flat_map(|upstream| {
        let every = upstream.plan.resolve_every;
        upstream.endpoints().into_iter().map(move |endpoint| (endpoint, every))
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
