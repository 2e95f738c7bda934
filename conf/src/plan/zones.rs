//! Named caches.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use ipnet::IpNet;

use super::build::Findings;
use super::{RoutePlan, ZoneId};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Config, Name, Zone, ZoneDisk};
use crate::units::Bytes;

/// A named cache.
#[derive(Clone, Debug)]
pub struct ZonePlan {
    /// Its name.
    pub name: Box<str>,
    /// Bytes in memory.
    pub memory: u64,
    /// The directory that it has beside memory.
    pub disk: Option<ZoneDiskPlan>,
    /// Larger bodies are not stored.
    pub max_object: u64,
    /// How many variants of one key are kept.
    pub variants: u32,
    /// Who may purge with PURGE; `None` has the method mean nothing.
    pub purge: Option<Box<[IpNet]>>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// The directory of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneDiskPlan {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of files in it.
    pub size: u64,
    /// Bytes left free on its file system.
    pub min_free: u64,
}

/// With memory alone, this part of it is the most that one body may take.
const LARGEST_PART: u64 = 8;

pub(super) fn zones<'a>(
    config: &'a Config,
    findings: &mut Findings<'_>,
) -> (Vec<ZonePlan>, HashMap<&'a str, ZoneId>) {
    let mut plans = Vec::with_capacity(config.zones.len());
    let mut names = HashMap::with_capacity(config.zones.len());
    for ((name, zone), id) in config.zones.iter().zip((0..).map(ZoneId)) {
        plans.push(plan(name, zone, findings));
        names.insert(&**name, id);
    }
    check_directories(config, findings);
    (plans, names)
}

fn plan(name: &Name, zone: &At<Zone>, findings: &mut Findings<'_>) -> ZonePlan {
    let purge = zone.purge.as_ref().map(|purge| {
        if purge.allow.is_empty() {
            let message = "nobody may purge here, as without `purge`";
            let diagnostic = Diagnostic::warning(Code::NoEffect, purge.at.clone(), message);
            findings.report(diagnostic.hint("`allow` names the networks of those who may"));
        }
        purge.allow.clone().into_boxed_slice()
    });
    ZonePlan {
        name: (**name).into(),
        memory: zone.memory.bytes(),
        disk: zone.disk.as_ref().map(|disk| plan_disk(disk, findings)),
        max_object: max_object(zone, findings),
        variants: zone.variants.value(),
        purge,
        at: zone.at.clone(),
    }
}

fn max_object(zone: &At<Zone>, findings: &mut Findings<'_>) -> u64 {
    const DEFAULT: u64 = 1 << 30;
    let wanted = zone.max_object.as_ref().map_or(DEFAULT, |size| size.bytes());
    if zone.disk.is_some() {
        return wanted;
    }
    let most = (zone.memory.bytes() / LARGEST_PART).max(1);
    if let Some(size) = zone.max_object.as_ref().filter(|size| size.bytes() > most) {
        let message = format!(
            "`max_object` has no effect: without `disk`, bodies larger than {}, an eighth of `memory`, are not stored",
            Bytes(most)
        );
        findings.report(Diagnostic::warning(Code::NoEffect, size.at.clone(), message));
    }
    wanted.min(most)
}

fn plan_disk(disk: &At<ZoneDisk>, findings: &mut Findings<'_>) -> ZoneDiskPlan {
    let path = &disk.path;
    if path.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        let message = format!("{} is not a directory", path.display());
        findings.error(Code::NoDirectory, &path.at, message);
    }
    ZoneDiskPlan { path: path.value.clone(), size: disk.size.bytes(), min_free: disk.min_free.0 }
}

/// No two zones write into one directory, nor one into that of another.
fn check_directories(config: &Config, findings: &mut Findings<'_>) {
    let mut seen: Vec<(&Name, &At<PathBuf>)> = Vec::new();
    for (name, zone) in config.zones.iter() {
        let Some(disk) = &zone.disk else { continue };
        let path = &disk.path;
        let other = seen
            .iter()
            .find(|(_, other)| path.starts_with(&other.value) || other.starts_with(&path.value));
        if let Some((other, _)) = other {
            let message = format!("the directories of the zones `{other}` and `{name}` overlap");
            let diagnostic = Diagnostic::error(Code::Duplicate, path.at.clone(), message);
            findings.report(diagnostic.hint("each zone has a directory of its own"));
        }
        seen.push((name, path));
    }
}

/// A zone that nothing is kept in is probably forgotten.
pub(super) fn check_use(config: &Config, routes: &[RoutePlan], findings: &mut Findings<'_>) {
    let used: HashSet<_> =
        routes.iter().filter_map(|route| Some(route.cache.as_ref()?.zone)).collect();
    for ((name, zone), id) in config.zones.iter().zip((0..).map(ZoneId)) {
        if used.contains(&id) {
            continue;
        }
        let message = format!("the zone `{name}` has no effect: no route keeps anything in it");
        let hint = format!("`cache = \"{name}\"` on a route that has `proxy`, or on its site");
        let diagnostic = Diagnostic::warning(Code::NoEffect, zone.at.clone(), message);
        findings.missing(diagnostic.hint(hint));
    }
}
