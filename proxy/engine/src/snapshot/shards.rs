//! Upstreams whose keys are divided: which shard has a key, and what is known of each shard.

mod table;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use switchback_conf::plan::{
    EndpointPlan, EndpointRole, MappingPlan, RangeOf, ShardPlan, ShardsPlan, UpstreamPlan,
};
use switchback_conf::{Code, Diagnostic, Location};
use switchback_upstream::shard::{
    KeyForm, KeyPart, MapError, Mapping, Normal, Of, Said, Shard as Named, ShardMap, Shuffle, Table,
};
use switchback_upstream::{Balance, Endpoint, Pool};
use switchback_value::{Piece, Template};

use super::assemble::address_of;
use super::resident::Resident;
use crate::adapt;
use crate::metrics::{Counter, ShardCounters};
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
}

/// The endpoints of an upstream, or of one of its shards.
#[derive(Debug)]
pub(crate) struct Part {
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
    table: Option<TableFile>,
}

/// The numbers of mappings, each of which is one more than the one before it.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<HashMap<Box<str>, Numbered>>);

/// A mapping with its number.
type Numbered = (u64, Arc<Made>);

impl Epochs {
    /// The number that a mapping has, or is to have.
    fn number(&self, upstream: &str, made: &Arc<Made>) -> u64 {
        match self.0.lock().get(upstream) {
            Some((number, known)) if *known == *made => *number,
            Some((number, _)) => number + 1,
            None => 1,
        }
    }

    fn begin(&self, upstream: &str, number: u64, made: &Arc<Made>) {
        self.0.lock().insert(upstream.into(), (number, Arc::clone(made)));
    }
}

/// One state of a mapping.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Its number: the first is 1.
    pub(crate) number: u64,
    /// In the order of the map.
    pub(crate) shards: Arc<[Arc<Shard>]>,
    map: ShardMap,
    made: Arc<Made>,
}

/// What a map is made of: maps of the same have the same keys at the same shards.
#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    mapping: Mapping,
    shards: Vec<Named>,
    pins: Vec<(Box<str>, Box<str>)>,
}

/// A part of an upstream that owns some of its keys.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its endpoints.
    pub(crate) part: Part,
    /// What it has had to do.
    pub(crate) counters: Arc<ShardCounters>,
}

/// With what parts are made.
#[derive(Clone, Copy)]
pub(super) struct Maker<'a> {
    pub(super) upstream: &'a UpstreamPlan,
    pub(super) resident: &'a Resident,
    pub(super) ca: Option<&'a Arc<CaType>>,
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

    /// Its endpoints.
    pub(crate) fn endpoints(&self) -> &[Arc<Endpoint>] {
        self.all.pool.endpoints()
    }
}

impl Maker<'_> {
    pub(super) fn part(self, endpoints: &[EndpointPlan]) -> Part {
        let is_primary = |endpoint: &&EndpointPlan| endpoint.role == EndpointRole::Primary;
        let all: Vec<_> = endpoints.iter().collect();
        let primaries: Vec<_> = all.iter().copied().filter(is_primary).collect();
        let primaries = (primaries.len() < all.len()).then(|| self.group(&primaries));
        Part { all: self.group(&all), primaries }
    }

    fn group(self, endpoints: &[&EndpointPlan]) -> Group {
        let Self { upstream, resident, ca } = self;
        let peer =
            |endpoint: &&EndpointPlan| adapt::peer::template(upstream, endpoint, ca.cloned());
        let live = |endpoint: &&EndpointPlan| {
            let known = resident.endpoint(&upstream.name, address_of(&endpoint.address));
            (known, endpoint.weight)
        };
        let peers = endpoints.iter().map(peer).collect();
        let live = endpoints.iter().map(live).collect();
        let names: Vec<String> = match upstream.shuffle {
            Some(_) => endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect(),
            None => Vec::new(),
        };
        let take = upstream.shuffle.as_ref().map(|shuffle| shuffle.take);
        // Of fewer, everybody has all.
        let shuffle =
            take.and_then(|take| Shuffle::new(names.iter().map(|name| &**name), take).ok());
        Group { pool: Pool::new(Balance::RoundRobin, live, upstream.tries), peers, shuffle }
    }

    /// The shards of an upstream that has them.
    ///
    /// `key` is the key of one of its routes; all have the same form.
    pub(super) fn sharding(
        self,
        key: Option<&Template>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Box<Sharding>> {
        let plan = self.upstream.shards.as_ref()?;
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
        let shard = |shard: &ShardPlan| {
            Arc::new(Shard {
                name: Arc::from(&*shard.name),
                part: self.part(&shard.endpoints),
                counters: self.resident.shard(&self.upstream.name, &shard.name),
            })
        };
        let shards: Arc<[_]> = plan.shards.iter().map(shard).collect();
        let number = self.resident.epochs.number(&self.upstream.name, &made);
        Some(Box::new(Sharding {
            plan: Arc::clone(plan),
            epoch: ArcSwap::from_pointee(Epoch { number, shards, map, made }),
            form: form(key, plan),
            upstream: self.upstream.name.clone(),
            table: file,
        }))
    }
}

impl Epoch {
    /// The shard that has `key`, if any has.
    pub(crate) fn shard(&self, key: &[u8]) -> Option<&Arc<Shard>> {
        self.shards.get(self.map.shard(key)?)
    }
}

impl Sharding {
    /// Its mapping is in force from now on.
    pub(super) fn take_over(&self, resident: &Resident) {
        let epoch = self.epoch.load();
        resident.epochs.begin(&self.upstream, epoch.number, &epoch.made);
    }

    /// Whether it has a file to look at.
    pub(crate) fn is_watched(&self) -> bool {
        self.table.is_some()
    }

    /// Reads its file again if it has changed; one that is wrong changes nothing, and is told of once. Blocks.
    pub(crate) fn look(&self, resident: &Resident) {
        let Some(file) = &self.table else { return };
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
                let shards = Arc::clone(&self.epoch.load().shards);
                let number = resident.epochs.number(&self.upstream, &made);
                resident.epochs.begin(&self.upstream, number, &made);
                tracing::info!(
                    upstream = &*self.upstream,
                    epoch = number,
                    "the table of shards was read again"
                );
                self.epoch.store(Arc::new(Epoch { number, shards, map, made }));
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

impl Made {
    /// What a plan says, and a table where the plan asks for one.
    fn of(plan: &ShardsPlan, table: Arc<Table>) -> Self {
        let mapping = match &plan.mapping {
            MappingPlan::Modulo => Mapping::Modulo,
            MappingPlan::Remainder => Mapping::Remainder,
            MappingPlan::Anchor => Mapping::Anchor,
            MappingPlan::Rendezvous => Mapping::Rendezvous,
            MappingPlan::Maglev(size) => Mapping::Maglev { size: *size },
            MappingPlan::Ketama => Mapping::Ketama,
            MappingPlan::Ranges(RangeOf::Text) => Mapping::Ranges(Of::Text),
            MappingPlan::Ranges(RangeOf::Numbers) => Mapping::Ranges(Of::Numbers),
            MappingPlan::Ranges(RangeOf::Hash) => Mapping::Ranges(Of::Hash),
            MappingPlan::Table { default, .. } => {
                Mapping::Table { table, default: default.clone() }
            }
        };
        let shard = |shard: &ShardPlan| Named {
            name: shard.name.clone(),
            weight: shard.weight,
            ranges: shard.ranges.iter().map(|range| range.value.clone()).collect(),
        };
        let shards = plan.shards.iter().map(shard).collect();
        Self { mapping, shards, pins: plan.pins.clone() }
    }

    fn build(&self) -> Result<ShardMap, Vec<MapError>> {
        let map = ShardMap::build(&self.mapping, &self.shards)?;
        map.pin(self.pins.iter().map(|(key, shard)| (key.as_bytes(), &**shard)))
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

/// What is wrong with a mapping, and where that stands.
fn told(error: &MapError, plan: &ShardsPlan, file: Option<&TableFile>) -> Diagnostic {
    let shard = |shard: usize| plan.shards.get(shard);
    let whole = |index: usize| shard(index).map(|shard| shard.at.clone());
    let (code, at) = match error {
        MapError::Range { shard: index, range, .. } => {
            let range = shard(*index).and_then(|shard| shard.ranges.get(*range));
            (Code::ShardRanges, range.map(|range| range.at.clone()))
        }
        MapError::Overlap { shard: index, text, .. } => {
            let ranges = shard(*index).map(|shard| &*shard.ranges).unwrap_or_default();
            let range = ranges.iter().find(|range| range.value == *text);
            (Code::ShardRanges, range.map(|range| range.at.clone()).or_else(|| whole(*index)))
        }
        MapError::NoRange { shard, .. } | MapError::Gap { shard, .. } => {
            (Code::ShardRanges, whole(*shard))
        }
        MapError::NoName { shard }
        | MapError::NameTaken { shard, .. }
        | MapError::NoWeight { shard, .. }
        | MapError::NeedlessRange { shard, .. } => (Code::ShardUnfit, whole(*shard)),
        MapError::UnknownShard { said: Said::Line(line), .. } => {
            (Code::UnknownShard, file.map(|file| file.line(*line)))
        }
        _ => (Code::ShardUnfit, None),
    };
    let at: Location = at.unwrap_or_else(|| plan.mapping_at.clone());
    Diagnostic::error(code, at, error.to_string())
}

/// Appends what shards have had to do. Of more than some hundred, the rest is one.
pub(crate) fn render(out: &mut String, upstreams: &[super::Upstream]) {
    use std::fmt::Write as _;
    let sharded =
        || upstreams.iter().filter_map(|upstream| Some((upstream, upstream.sharding.as_ref()?)));
    if sharded().next().is_none() {
        return;
    }
    type Count = fn(&ShardCounters) -> &Counter;
    const ALL: [(&str, &str, Count); 3] = [
        ("shard_requests_total", "Requests that were sent to a shard.", |shard| &shard.requests),
        (
            "shard_failures_total",
            "Those that it has not answered, or with a status from 500 on.",
            |shard| &shard.failures,
        ),
        ("shard_received_bytes_total", "Bytes of bodies that it has answered.", |shard| {
            &shard.bytes
        }),
    ];
    for (name, help, count) in ALL {
        crate::metrics::header(out, (name, help, "counter"));
        let (mut shown, mut rest) = (0, None);
        for (upstream, sharding) in sharded() {
            for shard in sharding.epoch.load().shards.iter() {
                let value = count(&shard.counters).value();
                if shown == MOST_SERIES {
                    rest = Some(rest.unwrap_or(0) + value);
                    continue;
                }
                shown += 1;
                let labels =
                    format_args!("upstream={:?},shard=\"{}\"", &*upstream.plan.name, shard.name);
                // Writing to a String cannot fail.
                let _ = writeln!(out, "switchback_{name}{{{labels}}} {value}");
            }
        }
        if let Some(rest) = rest {
            let _ = writeln!(out, "switchback_{name}{{upstream=\"\",shard=\"\"}} {rest}");
        }
    }
    crate::metrics::header(out, ("shard_epoch", "The number of the mapping in force.", "gauge"));
    for (upstream, sharding) in sharded().take(MOST_SERIES) {
        let number = sharding.epoch.load().number;
        let _ =
            writeln!(out, "switchback_shard_epoch{{upstream={:?}}} {number}", &*upstream.plan.name);
    }
}

/// Series of one metric.
const MOST_SERIES: usize = 500;
