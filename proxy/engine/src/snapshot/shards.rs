//! Upstreams whose keys are divided: which shard has a key, and what is known of each shard.

mod made;
mod metrics;
pub(crate) mod moving;
mod sketches;
pub(crate) mod steps;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora_core::upstreams::peer::HttpPeer;
use switchback_conf::plan::{EndpointPlan, EndpointRole, MappingPlan, ShardPlan, ShardsPlan};
use switchback_conf::{Code, Diagnostic};
use switchback_upstream::Pool;
use switchback_upstream::shard::{KeyForm, KeyPart, MapError, Normal, ShardMap, Shuffle};
use switchback_value::{Piece, Template};

use super::live::{LivePart, Source};
use super::resident::Resident;
use super::sticky::{Places, Stays};
use super::{pools, sticky};
use crate::adapt;
use crate::http::overload::Guard;
use crate::metrics::ShardCounters;
pub(crate) use made::Made;
use made::told;
pub(crate) use metrics::render;
use moving::Moving;
use steps::Kept;
use table::TableFile;

/// Endpoints that are chosen from, each with a peer that is complete but for the address.
#[derive(Debug)]
pub(crate) struct Group {
    /// The endpoints, shared with other snapshots.
    pub(crate) pool: Pool,
    /// A peer for each.
    pub(crate) peers: Box<[HttpPeer]>,
    /// Which of them a tenant has, where that is not all.
    pub(crate) shuffle: Option<Shuffle>,
    /// What stands for each of them, where that is said.
    pub(crate) stays: Option<Stays>,
}

/// The endpoints of an upstream, or of one of its shards, as they are at some moment.
#[derive(Debug)]
pub(crate) struct Part {
    /// What is said of each; those that names stand for are named by their addresses.
    pub(super) plans: Box<[EndpointPlan]>,
    /// All of them.
    all: Group,
    /// Those that have what is written; `None` where that is all.
    primaries: Option<Group>,
}

/// An upstream whose keys are divided.
#[derive(Debug)]
pub(crate) struct Sharding {
    /// Its settings.
    pub(crate) plan: Arc<ShardsPlan>,
    /// What is in force.
    pub(crate) epoch: ArcSwap<Epoch>,
    /// How values become a key.
    pub(crate) form: KeyForm,
    upstream: Box<str>,
    /// What the configuration says.
    configured: Arc<Made>,
    table: Option<TableFile>,
}

/// The numbers of mappings. No number is ever that of two.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<HashMap<Box<str>, Numbered>>);

/// A mapping with its number.
#[derive(Debug)]
struct Numbered {
    number: u64,
    made: Arc<Made>,
    /// The highest number that a mapping was ever given: also one that never came into force.
    last: u64,
}

impl Epochs {
    /// The number that a mapping has, or is to have.
    fn number(&self, upstream: &str, made: &Arc<Made>) -> u64 {
        match self.0.lock().get(upstream) {
            Some(known) if *known.made == **made => known.number,
            Some(known) => known.last + 1,
            None => 1,
        }
    }

    /// This mapping is in force from now on.
    fn begin(&self, upstream: &str, number: u64, made: &Arc<Made>) {
        let mut all = self.0.lock();
        let last = all.get(upstream).map_or(number, |known| known.last.max(number));
        all.insert(upstream.into(), Numbered { number, made: Arc::clone(made), last });
    }

    /// Requests are told this number from now on, whether or not it comes into force.
    fn announce(&self, upstream: &str, number: u64) {
        if let Some(known) = self.0.lock().get_mut(upstream) {
            known.last = known.last.max(number);
        }
    }
}

/// One state of a mapping.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Its number: the first is 1.
    pub(crate) number: u64,
    /// In the order of the map.
    pub(crate) shards: Arc<[Arc<Shard>]>,
    /// The next mapping, while keys move to it.
    pub(crate) moving: Option<Arc<Moving>>,
    map: ShardMap,
    made: Arc<Made>,
    /// What stands for each of the shards, where clients say where they stay.
    places: Arc<Places>,
}

/// A part of an upstream that owns some of its keys.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its endpoints.
    pub(crate) part: LivePart,
    /// What it has had to do.
    pub(crate) counters: Arc<ShardCounters>,
    /// What stands for it, where clients say where they stay. The first is what they are told.
    pub(crate) tokens: Vec<Box<str>>,
    /// What keeps it from being asked for more than it can do: others are not sent away for it.
    pub(crate) guard: Arc<Guard>,
}

/// With what parts are made.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) resident: &'a Resident,
    /// When endpoints that are new begin; those that are there from the beginning are not.
    pub(super) now: Option<Instant>,
}

impl Part {
    /// Whom a request may go to.
    pub(crate) fn group(&self, primaries_only: bool) -> &Group {
        self.primaries.as_ref().filter(|_| primaries_only).unwrap_or(&self.all)
    }

    /// Whether some endpoints have only what is read.
    pub(crate) fn has_replicas(&self) -> bool {
        self.primaries.is_some()
    }

    /// All its endpoints, each with a peer.
    pub(crate) fn all(&self) -> &Group {
        &self.all
    }

    /// Its pools, which share endpoints.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        std::iter::once(&self.all).chain(&self.primaries).map(|group| &group.pool)
    }
}

impl Maker<'_> {
    /// Of endpoints that are addresses already, or names that stand for nothing yet.
    pub(super) fn part(self, endpoints: Vec<EndpointPlan>) -> Part {
        let is_primary = |endpoint: &&EndpointPlan| endpoint.role == EndpointRole::Primary;
        let all: Vec<_> = endpoints.iter().collect();
        let primaries: Vec<_> = all.iter().copied().filter(is_primary).collect();
        let primaries = (primaries.len() < all.len()).then(|| self.group(&primaries));
        Part { all: self.group(&all), primaries, plans: endpoints.into() }
    }

    /// What keeps the upstream, or one of its shards, from being asked for more than it can do.
    pub(super) fn guard(self, shard: Option<&str>) -> Arc<Guard> {
        let plan = &self.source.plan;
        let service = self.resident.service((&plan.name, shard), &plan.overload);
        Guard::new(service, &plan.overload)
    }

    fn group(self, endpoints: &[&EndpointPlan]) -> Group {
        let Self { source, resident, now } = self;
        let (upstream, ca) = (&*source.plan, source.authorities.as_ref());
        let peer =
            |endpoint: &&EndpointPlan| adapt::peer::template(upstream, endpoint, ca.cloned());
        let peers = endpoints.iter().map(peer).collect();
        let names: Vec<String> = match upstream.shuffle {
            Some(_) => endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect(),
            None => Vec::new(),
        };
        let take = upstream.shuffle.as_ref().map(|shuffle| shuffle.take);
        // Of fewer, everybody has all.
        let shuffle =
            take.and_then(|take| Shuffle::new(names.iter().map(|name| &**name), take).ok());
        Group {
            pool: pools::assemble(upstream, endpoints, (resident, now)),
            peers,
            shuffle,
            stays: source.sticky.as_ref().and_then(|sticky| sticky.stays(endpoints)),
        }
    }

    /// The shards of an upstream that has them.
    ///
    /// `key` is the key of one of its routes; all have the same form.
    pub(super) fn sharding(
        self,
        key: Option<&Template>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Box<Sharding>> {
        let (epoch, table) = self.epoch(found)?;
        let (plan, upstream) = (self.source.plan.shards.as_ref()?, &self.source.plan.name);
        let configured = Arc::clone(&epoch.made);
        let epoch = match self.resident.resharding.kept(upstream, &configured) {
            Kept::No => Arc::new(epoch),
            Kept::Yes(epoch) => epoch,
            Kept::Never => {
                let message = format!(
                    "keys of `{upstream}` move to other shards, and these are neither the old nor the next ones"
                );
                let wrong = Diagnostic::error(Code::ShardUnfit, plan.at.clone(), message);
                found.push(wrong.hint("`switchback reshard cutover` or `abort` ends that"));
                return None;
            }
        };
        Some(Box::new(Sharding {
            plan: Arc::clone(plan),
            epoch: ArcSwap::new(epoch),
            form: form(key, plan),
            upstream: upstream.clone(),
            configured,
            table,
        }))
    }

    /// The mapping that the configuration says, and its file.
    fn epoch(self, found: &mut Vec<Diagnostic>) -> Option<(Epoch, Option<TableFile>)> {
        let upstream = &*self.source.plan;
        let plan = upstream.shards.as_ref()?;
        let (table, file) = match &plan.mapping {
            MappingPlan::Table { file, .. } => {
                let (table, file) = TableFile::open(&file.value, &file.at, found)?;
                (table, Some(file))
            }
            _ => (Arc::default(), None),
        };
        let made = Arc::new(Made::of(plan, table));
        let map = match made.build() {
            Ok(map) => map,
            Err(wrong) => {
                let file = file.as_ref();
                found.extend(wrong.iter().map(|error| told(error, plan, file)));
                return None;
            }
        };
        let sticky = self.source.sticky.as_ref();
        let shard = |shard: &ShardPlan| {
            Arc::new(Shard {
                name: Arc::from(&*shard.name),
                part: LivePart::new(shard.endpoints.clone(), self),
                counters: self.resident.shard(&upstream.name, &shard.name),
                tokens: sticky.map_or_else(Vec::new, |sticky| sticky.of_shard(&shard.name)),
                guard: self.guard(Some(&shard.name)),
            })
        };
        let shards: Arc<[_]> = plan.shards.iter().map(shard).collect();
        let number = self.resident.epochs.number(&upstream.name, &made);
        let places = Arc::new(sticky::places(&shards));
        Some((Epoch { number, shards, moving: None, map, made, places }, file))
    }
}

impl Epoch {
    /// The same mapping while keys move to another, or do not.
    fn with(&self, moving: Option<Arc<Moving>>) -> Self {
        let (shards, made) = (Arc::clone(&self.shards), Arc::clone(&self.made));
        let (map, places) = (self.map.clone(), Arc::clone(&self.places));
        Self { number: self.number, shards, moving, map, made, places }
    }

    /// The shard that this stands for.
    pub(crate) fn named(&self, token: &[u8]) -> Option<&Arc<Shard>> {
        self.shards.get(*self.places.get(token)?)
    }

    /// All its parts, those of shards to be included.
    pub(super) fn parts(&self) -> impl Iterator<Item = &LivePart> {
        self.with_next().map(|shard| &shard.part)
    }

    /// Its shards, and after them those of the next mapping while keys move; one of both is there twice.
    pub(crate) fn with_next(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let next = self.moving.iter().flat_map(|moving| moving.to.shards.iter());
        self.shards.iter().chain(next)
    }
}

impl Sharding {
    /// Its mapping is in force from now on.
    pub(super) fn take_over(&self, resident: &Resident) {
        let epoch = self.epoch.load();
        resident.epochs.begin(&self.upstream, epoch.number, &epoch.made);
        resident.resharding.settle(&self.upstream, &self.configured);
    }

    /// Whether it has a file to look at.
    pub(crate) fn is_watched(&self) -> bool {
        self.table.is_some()
    }

    /// Reads its file again if it has changed; one that is wrong changes nothing, and is told of once. Blocks.
    pub(crate) fn look(&self, resident: &Resident) {
        let Some(file) = &self.table else { return };
        if resident.resharding.is_under_way(&self.upstream) {
            return;
        }
        let Some(read) = file.read_changed() else { return };
        let map = read.and_then(|table| {
            let told_of = |wrong: Vec<MapError>| {
                wrong.iter().map(|error| told(error, &self.plan, Some(file))).collect::<Vec<_>>()
            };
            let made = Arc::new(Made::of(&self.plan, table));
            made.build().map(|map| (map, made)).map_err(told_of)
        });
        match map {
            Ok((map, made)) => {
                let now = self.epoch.load();
                let (shards, places) = (Arc::clone(&now.shards), Arc::clone(&now.places));
                let number = resident.epochs.number(&self.upstream, &made);
                resident.epochs.begin(&self.upstream, number, &made);
                tracing::info!(
                    upstream = &*self.upstream,
                    epoch = number,
                    "the table of shards was read again"
                );
                let epoch = Epoch { number, shards, moving: None, map, made, places };
                self.epoch.store(Arc::new(epoch));
            }
            Err(wrong) => {
                let Some(first) = wrong.first() else { return };
                let (at, more) = (&first.at, wrong.len() - 1);
                tracing::warn!(
                    upstream = &*self.upstream,
                    more,
                    "keys stay where they were: {at}: {}",
                    first.message
                );
            }
        }
    }
}

/// How values become the key of this form. Without a route nobody asks.
fn form(key: Option<&Template>, plan: &ShardsPlan) -> KeyForm {
    let normal = Normal { decode: plan.decode, lowercase: plan.lowercase };
    let pieces = key.into_iter().flat_map(Template::pieces);
    let parts = pieces.map(|piece| match piece {
        Piece::Literal(text) => KeyPart::Literal(text),
        Piece::Variable(_) => KeyPart::Value,
    });
    KeyForm::new(normal, parts)
}
