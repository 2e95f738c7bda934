//! Which shard has which key.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::EndpointPlan;
use super::build::Findings;
use super::shard_keys::check_key;
use super::upstreams::plan_endpoints;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Count, Mapping, MissingKey, Name, Shard, Upstream};

/// The shards of a service, and what decides among them.
#[derive(Clone, Debug)]
pub struct ShardsPlan {
    /// In written order. Never empty.
    pub shards: Vec<ShardPlan>,
    /// What the key is made of, as it was written. Each route has it compiled: [`ProxyPlan::shard_key`](super::ProxyPlan::shard_key).
    pub key: Box<str>,
    /// Whether ASCII letters are folded.
    pub lowercase: bool,
    /// Whether percent signs are decoded.
    pub decode: bool,
    /// What decides without a key.
    pub missing: MissingPlan,
    /// Which shard has which key.
    pub mapping: MappingPlan,
    /// Keys that have their shard whatever the mapping says.
    pub pins: Vec<(Box<str>, Box<str>)>,
    /// Where the mapping is said, or else the whole.
    pub mapping_at: Location,
    /// Whether clients are told who has answered.
    pub header: bool,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// A part of a service that owns some of its keys.
#[derive(Clone, Debug)]
pub struct ShardPlan {
    /// Its name.
    pub name: Box<str>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointPlan>,
    /// Its share of the keys.
    pub weight: u32,
    /// Its ranges of keys, as they were written.
    pub ranges: Vec<At<Box<str>>>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What decides in place of a key that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingPlan {
    /// The client's address.
    Client,
    /// The request is refused with 400.
    Refuse,
    /// This shard has it.
    Shard(usize),
}

/// How keys are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingBy {
    /// By the hash modulo the number of shards.
    Modulo,
    /// By the key itself, a number, modulo the number of shards.
    Remainder,
    /// By anchor hashing.
    Anchor,
    /// By the highest of a hash for each shard.
    Rendezvous,
    /// By a Maglev table.
    Maglev,
    /// By a ring as nginx makes it.
    Ketama,
    /// By ranges.
    Ranges,
    /// By a table.
    Table,
}

/// What ranges are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOf {
    /// Text, byte by byte.
    Text,
    /// Numbers of 64 bits.
    Numbers,
    /// A hash of the key.
    Hash,
}

/// The same with all it needs.
#[derive(Clone, Debug)]
pub enum MappingPlan {
    /// By the hash modulo the number of shards.
    Modulo,
    /// By the key itself, a number, modulo the number of shards.
    Remainder,
    /// By anchor hashing.
    Anchor,
    /// By the highest of a hash for each shard.
    Rendezvous,
    /// By a Maglev table with so many places.
    Maglev(u32),
    /// By a ring as nginx makes it.
    Ketama,
    /// By ranges. Whether they are whole is found when the plan is assembled.
    Ranges(RangeOf),
    /// By a table.
    Table {
        /// The file. What is in it is looked at when the plan is assembled.
        file: At<PathBuf>,
        /// Who has all other keys.
        default: Option<Box<str>>,
    },
}

/// The places of a Maglev table where nothing else is said.
const MAGLEV_PLACES: u32 = 65_537;

pub(super) fn plan(
    upstream: &At<Upstream>,
    findings: &mut Findings<'_>,
) -> Option<Arc<ShardsPlan>> {
    if upstream.shards.is_empty() {
        without_shards(upstream, findings);
        return None;
    }
    if let Some(first) = upstream.endpoints.first() {
        let message = "an upstream has either `endpoints` or `shards`";
        let found = Diagnostic::error(Code::ShardUnfit, first.address.at.clone(), message);
        findings.report(found.hint("each shard has `endpoints` of its own"));
    }
    let names = names(&upstream.shards, findings);
    let shards: Vec<_> =
        upstream.shards.iter().map(|shard| plan_shard(shard, upstream, findings)).collect();
    let Some(by) = &upstream.shard_by else {
        let message = "nothing says which shard has a request";
        let found = Diagnostic::error(Code::ShardUnfit, upstream.at.clone(), message);
        findings.report(found.hint("such as shard_by = \"{id}\" or shard_by = \"$http_x_tenant\""));
        return None;
    };
    check_key(&by.key, findings);
    let missing = match &by.missing.value {
        MissingKey::Client => Some(MissingPlan::Client),
        MissingKey::Refuse => Some(MissingPlan::Refuse),
        MissingKey::Shard(name) => {
            let name = At::new(name.clone(), by.missing.at.clone());
            names.find(&name, findings).map(MissingPlan::Shard)
        }
    };
    let pins = upstream.pins.entries();
    let pins: Vec<_> = pins
        .filter_map(|(key, name)| {
            names.find(name, findings).map(|_| (key.value.clone(), Box::from(&***name)))
        })
        .collect();
    let mapping = plan_mapping(upstream, &names, findings);
    Some(Arc::new(ShardsPlan {
        shards,
        key: by.key.value.as_ref().into(),
        lowercase: by.lowercase,
        decode: by.decode,
        missing: missing?,
        mapping: mapping?,
        mapping_at: upstream.mapping.as_ref().map_or(&upstream.at, |mapping| &mapping.at).clone(),
        pins,
        header: upstream.shard_header.as_ref().is_some_and(|header| header.value),
        at: upstream.at.clone(),
    }))
}

/// What only shards can use.
fn without_shards(upstream: &At<Upstream>, findings: &mut Findings<'_>) {
    let written = [
        ("shard_by", upstream.shard_by.as_ref().map(|by| &by.at)),
        ("mapping", upstream.mapping.as_ref().map(|mapping| &mapping.at)),
        ("pins", upstream.pins.entries().next().map(|(key, _)| &key.at)),
        ("shard_header", upstream.shard_header.as_ref().map(|header| &header.at)),
    ];
    for (key, at) in written {
        let Some(at) = at else { continue };
        let message = format!("`{key}` is about shards, and this upstream has none");
        let found = Diagnostic::error(Code::ShardUnfit, at.clone(), message);
        findings
            .report(found.hint("write [[upstreams.NAME.shards]] with a `name` and `endpoints`"));
    }
}

fn plan_shard(shard: &At<Shard>, upstream: &Upstream, findings: &mut Findings<'_>) -> ShardPlan {
    if shard.endpoints.is_empty() {
        let message = format!("the shard `{}` needs at least one endpoint", shard.name.value);
        findings.error(Code::Empty, &shard.at, message);
    }
    ShardPlan {
        name: (**shard.name).into(),
        endpoints: plan_endpoints(&shard.endpoints, &shard.at, upstream, findings),
        weight: shard.weight.value.value(),
        ranges: shard.ranges.to_vec(),
        at: shard.at.clone(),
    }
}

/// The numbers of shards by their names.
pub(super) struct ShardNames<'a>(HashMap<&'a str, usize>);

fn names<'a>(shards: &'a [At<Shard>], findings: &mut Findings<'_>) -> ShardNames<'a> {
    let mut names = HashMap::with_capacity(shards.len());
    for (index, shard) in shards.iter().enumerate() {
        let name = &shard.name;
        if names.insert(&***name, index).is_some() {
            let message = format!("there are two shards called `{}`", name.value);
            findings.error(Code::Duplicate, &name.at, message);
        }
        if matches!(&***name, "client" | "400") || !is_plain(name) {
            let message = format!("`{}` cannot be the name of a shard", name.value);
            let found = Diagnostic::error(Code::BadValue, name.at.clone(), message);
            findings
                .report(found.hint("letters, digits, `_`, `-` and `.`, but not `client` or `400`"));
        }
    }
    ShardNames(names)
}

/// It stands in headers, logs and labels of metrics.
fn is_plain(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

impl ShardNames<'_> {
    /// The number of the shard called `name`, or the complaint that there is none.
    pub(super) fn find(&self, name: &At<Name>, findings: &mut Findings<'_>) -> Option<usize> {
        let found = self.0.get(&***name).copied();
        if found.is_none() {
            let defined = self.0.keys().copied();
            findings.unknown_name(Code::UnknownShard, name, ("shard", "shards"), defined);
        }
        found
    }
}

fn plan_mapping(
    upstream: &Upstream,
    names: &ShardNames<'_>,
    findings: &mut Findings<'_>,
) -> Option<MappingPlan> {
    let Some(mapping) = &upstream.mapping else {
        unused_ranges(upstream, findings);
        return Some(MappingPlan::Anchor);
    };
    let by = mapping.by.value;
    unused_options(mapping, by, findings);
    if by != MappingBy::Ranges {
        unused_ranges(upstream, findings);
    }
    if matches!(by, MappingBy::Ranges | MappingBy::Table) {
        unused_weights(upstream, findings);
    }
    match by {
        MappingBy::Modulo => Some(MappingPlan::Modulo),
        MappingBy::Remainder => Some(MappingPlan::Remainder),
        MappingBy::Anchor => Some(MappingPlan::Anchor),
        MappingBy::Rendezvous => Some(MappingPlan::Rendezvous),
        MappingBy::Ketama => Some(MappingPlan::Ketama),
        MappingBy::Maglev => {
            let places = mapping.size.as_ref().map_or(MAGLEV_PLACES, |size| size.value.value());
            Some(MappingPlan::Maglev(places))
        }
        MappingBy::Ranges => {
            let of = mapping.of.as_ref().map_or(RangeOf::Text, |of| of.value);
            Some(MappingPlan::Ranges(of))
        }
        MappingBy::Table => plan_table(mapping, names, findings),
    }
}

/// Weights where the mapping itself says which keys a shard has.
fn unused_weights(upstream: &Upstream, findings: &mut Findings<'_>) {
    let mut weights = upstream.shards.iter().map(|shard| &shard.weight);
    if let Some(weight) = weights.find(|weight| weight.value != Count::clamped(1)) {
        let message = "`weight` has no effect: the mapping says which keys a shard has";
        findings.report(Diagnostic::warning(Code::NoEffect, weight.at.clone(), message));
    }
}

fn plan_table(
    mapping: &At<impl std::ops::Deref<Target = Mapping>>,
    names: &ShardNames<'_>,
    findings: &mut Findings<'_>,
) -> Option<MappingPlan> {
    if let Some(default) = &mapping.default {
        names.find(default, findings);
    }
    let Some(file) = &mapping.file else {
        let message = "a table needs a `file` with keys and their shards";
        let found = Diagnostic::error(Code::ShardUnfit, mapping.by.at.clone(), message);
        findings.report(found.hint("as in { by = \"table\", file = \"users.map\" }"));
        return None;
    };
    findings.readable(file, &file.at, "table of shards");
    let default = mapping.default.as_ref().map(|name| Box::from(&***name));
    Some(MappingPlan::Table { file: file.clone(), default })
}

/// Options of other mappings.
fn unused_options(mapping: &Mapping, by: MappingBy, findings: &mut Findings<'_>) {
    let written = [
        ("size", MappingBy::Maglev, "maglev", mapping.size.as_ref().map(|size| &size.at)),
        ("of", MappingBy::Ranges, "ranges", mapping.of.as_ref().map(|of| &of.at)),
        ("file", MappingBy::Table, "table", mapping.file.as_ref().map(|file| &file.at)),
        ("default", MappingBy::Table, "table", mapping.default.as_ref().map(|name| &name.at)),
    ];
    for (key, owner, word, at) in written {
        let Some(at) = at.filter(|_| by != owner) else { continue };
        let message = format!("`{key}` belongs to `by = \"{word}\"`");
        findings.error(Code::ShardUnfit, at, message);
    }
}

fn unused_ranges(upstream: &Upstream, findings: &mut Findings<'_>) {
    let ranges = upstream.shards.iter().flat_map(|shard| shard.ranges.iter());
    for range in ranges {
        let message = "ranges belong to `mapping = \"ranges\"`";
        findings.error(Code::ShardUnfit, &range.at, message);
    }
}
