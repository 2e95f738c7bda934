//! From what is said of shards to their map.

use std::sync::Arc;

use switchback_conf::plan::{MappingPlan, RangeOf, ShardPlan, ShardsPlan};
use switchback_conf::{Code, Diagnostic, Location};
use switchback_upstream::shard::{MapError, Mapping, Of, Said, Shard, ShardMap, Table};

use super::table::TableFile;

/// What a map is made of: maps of the same have the same keys at the same shards.
#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    mapping: Mapping,
    shards: Vec<Shard>,
    pins: Vec<(Box<str>, Box<str>)>,
}

impl Made {
    /// What a plan says, and a table where the plan asks for one.
    pub(super) fn of(plan: &ShardsPlan, table: Arc<Table>) -> Self {
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
        let shard = |shard: &ShardPlan| Shard {
            name: shard.name.clone(),
            weight: shard.weight,
            ranges: shard.ranges.iter().map(|range| range.value.clone()).collect(),
        };
        let shards = plan.shards.iter().map(shard).collect();
        Self { mapping, shards, pins: plan.pins.clone() }
    }

    pub(super) fn build(&self) -> Result<ShardMap, Vec<MapError>> {
        let map = ShardMap::build(&self.mapping, &self.shards)?;
        map.pin(self.pins.iter().map(|(key, shard)| (key.as_bytes(), &**shard)))
    }
}

/// What is wrong with a mapping, and where that stands.
pub(super) fn told(error: &MapError, plan: &ShardsPlan, file: Option<&TableFile>) -> Diagnostic {
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
