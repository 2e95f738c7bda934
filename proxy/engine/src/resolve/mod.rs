//! Resolves the names of endpoints, on the control thread; requests only ever see addresses.

mod dns;
mod lookup;
pub(crate) mod names;
mod system;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_conf::plan::ResolvePlan;
use switchback_upstream::Address;
use tokio::sync::{Notify, mpsc};

use crate::snapshot::resident::Resident;
use crate::snapshot::{Snapshot, SnapshotCell};
use lookup::{Lookup, lookup};

/// How often it is looked who is due, at least.
const TICK: Duration = Duration::from_secs(1);
/// When a name that could not be resolved is asked for again, if its bounds allow it.
const RETRY: Duration = Duration::from_secs(5);
/// Names that are asked for at once.
const AT_ONCE: usize = 64;

/// Keeps the addresses of all names fresh.
#[derive(Debug)]
pub(crate) struct Resolver {
    cell: Arc<SnapshotCell>,
    resident: Arc<Resident>,
    nudge: Arc<Notify>,
    known: HashMap<Address, Known>,
    sender: mpsc::Sender<Answered>,
    answers: mpsc::Receiver<Answered>,
}

type Answered = (Address, Result<Lookup, String>);

/// What is known of a name.
#[derive(Debug)]
struct Known {
    bounds: ResolvePlan,
    /// When it is asked for; `None` while it is.
    due: Option<Instant>,
    /// Whether the last answer was none: that is told once.
    is_failing: bool,
}

impl Resolver {
    /// A resolver for the endpoints of the snapshot in force; `nudge` makes it look at once.
    pub(crate) fn new(
        cell: Arc<SnapshotCell>,
        resident: Arc<Resident>,
        nudge: Arc<Notify>,
    ) -> Self {
        let (sender, answers) = mpsc::channel(AT_ONCE);
        Self { cell, resident, nudge, known: HashMap::new(), sender, answers }
    }

    /// Until the runtime ends.
    pub(crate) async fn run(mut self) {
        loop {
            let snapshot = self.cell.load();
            self.follow(&snapshot);
            let next = self.ask_who_is_due(&snapshot);
            tokio::select! {
                Some((name, answer)) = self.answers.recv() => self.take(&name, answer),
                // There may be a snapshot that was made before the last answers.
                () = self.nudge.notified() => self.refresh(),
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Knows the names of `snapshot`, and no others.
    fn follow(&mut self, snapshot: &Snapshot) {
        let wanted = names(snapshot);
        if self.known.len() != wanted.len()
            || self.known.keys().any(|name| !wanted.contains_key(name))
        {
            self.known.retain(|name, _| wanted.contains_key(name));
            self.resident.names.keep(|name| wanted.contains_key(name));
        }
        for (name, bounds) in wanted {
            // What a start or a reload has waited for needs no second question.
            let due = || self.resident.names.due(&name, bounds).unwrap_or_else(Instant::now);
            match self.known.get_mut(&name) {
                Some(known) if known.bounds == bounds => {}
                Some(known) => {
                    known.bounds = bounds;
                    known.due = known.due.map(|_| due());
                }
                None => {
                    let due = Some(due());
                    self.known.insert(name, Known { bounds, due, is_failing: false });
                }
            }
        }
    }

    /// How long until the next one is.
    fn ask_who_is_due(&mut self, snapshot: &Snapshot) -> Duration {
        let now = Instant::now();
        let mut asked = self.known.values().filter(|known| known.due.is_none()).count();
        let mut next = TICK;
        for (name, known) in &mut self.known {
            let Some(due) = known.due else { continue };
            if due > now {
                next = next.min(due - now);
            } else if asked < AT_ONCE {
                asked += 1;
                known.due = None;
                let (name, servers) = (name.clone(), Arc::clone(&snapshot.resolvers));
                let sender = self.sender.clone();
                tokio::spawn(async move {
                    let answer = lookup(&name, &servers).await;
                    // It fails when the process ends.
                    let _ = sender.send((name, answer)).await;
                });
            }
        }
        next
    }

    fn refresh(&self) {
        self.cell.load().refresh(&self.resident, Some(Instant::now()));
    }

    /// An answer that does not come, or is empty, leaves the last good one in force.
    fn take(&mut self, name: &Address, answer: Result<Lookup, String>) {
        let Some(known) = self.known.get_mut(name) else { return };
        let pause = match &answer {
            Ok(lookup) => lookup.holds.clamp(known.bounds.min, known.bounds.max),
            Err(_) => RETRY.clamp(known.bounds.min, known.bounds.max),
        };
        known.due = Some(Instant::now() + pause);
        match answer {
            Ok(lookup) => {
                if std::mem::take(&mut known.is_failing) {
                    tracing::info!(%name, "the name of an endpoint can be resolved again");
                }
                if take_over(name, lookup, &self.resident) {
                    self.refresh();
                }
            }
            Err(reason) => {
                if !std::mem::replace(&mut known.is_failing, true) {
                    let reason = &*reason;
                    tracing::warn!(%name, reason, "cannot resolve an endpoint's name");
                }
            }
        }
    }
}

/// Whether it says anything new.
fn take_over(name: &Address, lookup: Lookup, resident: &Resident) -> bool {
    let count = lookup.found.len();
    let is_new = resident.names.take(name, lookup.found, lookup.holds);
    if is_new {
        tracing::info!(%name, count, "the name of an endpoint stands for other addresses");
    }
    is_new
}

/// The addresses of a name, asked for now; none if there is no such name.
pub(crate) async fn addresses(name: &str, servers: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
    lookup::addresses(name, servers).await
}

/// The names of an address, asked for now; without the dot at their end. None if nobody has named it.
pub(crate) async fn names_of(
    address: IpAddr,
    servers: &[SocketAddr],
) -> Result<Vec<String>, String> {
    let names = lookup::names_of(address, servers).await?;
    Ok(names.into_iter().map(|name| name.trim_end_matches('.').to_owned()).collect())
}

/// The names of all endpoints; of several bounds the narrower ones.
fn names(snapshot: &Snapshot) -> HashMap<Address, ResolvePlan> {
    let mut names: HashMap<Address, ResolvePlan> = HashMap::new();
    for upstream in &snapshot.upstreams {
        upstream.each_part(|part| {
            let bounds = part.bounds();
            for name in part.names() {
                let known = names.entry(name).or_insert(bounds);
                known.max = known.max.min(bounds.max);
                known.min = known.min.min(bounds.min).min(known.max);
            }
        });
    }
    names
}

/// Resolves what `snapshot` names and nobody has resolved yet, waiting no longer than `patience`, so that its first requests
/// find addresses.
pub(crate) fn resolve_new(
    snapshot: &Snapshot,
    resident: &Arc<Resident>,
    patience: Duration,
) -> impl Future<Output = ()> + use<> {
    let unknown = |name: &Address| resident.names.find(name).is_none();
    let new: Vec<Address> = names(snapshot).into_keys().filter(unknown).collect();
    let (servers, resident): (Arc<[SocketAddr]>, _) =
        (Arc::clone(&snapshot.resolvers), Arc::clone(resident));
    async move {
        let lookups = new.iter().map(async |name| {
            if let Ok(lookup) = lookup(name, &servers).await {
                take_over(name, lookup, &resident);
            }
        });
        // What is late is asked for again by the resolver.
        let _ = tokio::time::timeout(patience, futures::future::join_all(lookups)).await;
    }
}
