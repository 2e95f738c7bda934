//! Values that are looked up: `$map_NAME`.

use std::sync::Arc;

use switchback_value::{Known, MapKeyError, MapNames, MapTable, Template, Variable, is_wildcard};

use super::build::Findings;
use super::map_file::{FileStamp, MapFilePlan};
use super::map_order::{Trouble, Walk};
use super::matchers::is_late;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Config, Map, Name};

/// What a text about the request becomes.
#[derive(Clone, Debug)]
pub struct MapPlan {
    /// Its name.
    pub name: Box<str>,
    /// What is looked up.
    pub key: Template,
    /// What that becomes.
    pub table: Arc<MapTable>,
    /// Whether a request has one value of it from its arrival to its end.
    pub is_settled: bool,
    /// The file with more values, and the state in which it was read.
    pub file: Option<(MapFilePlan, Option<FileStamp>)>,
}

/// What there is to refer to, and what is behind it.
#[derive(Debug, Default)]
pub(super) struct Maps {
    pub(super) names: MapNames,
    /// The variables that each map asks for, itself or through other maps; none is a map.
    behind: Vec<Vec<Variable>>,
}

impl Maps {
    /// The first variable that is `unfit`: `variable` itself, or one that it depends on.
    pub(super) fn reached(
        &self,
        variable: &Variable,
        unfit: impl Fn(&Variable) -> bool,
    ) -> Option<Variable> {
        let variables = match variable {
            Variable::Map { index, .. } => self.behind.get(*index as usize)?,
            _ => std::slice::from_ref(variable),
        };
        variables.iter().find(|variable| unfit(variable)).cloned()
    }
}

/// The plans of all maps; from here on texts may refer to them.
pub(super) fn maps(config: &Config, findings: &mut Findings<'_>) -> Vec<MapPlan> {
    findings.maps.names = config.maps.iter().map(|(name, _)| &**name).collect();
    let numbered = config.maps.entries().zip(config.files.len()..);
    let plans: Vec<_> =
        numbered.map(|((name, map), number)| plan(name, map, number, findings)).collect();
    let behind = followed(&plans, config, findings);
    let settled = |variables: &Vec<Variable>| variables.iter().all(is_settled);
    let plans = plans.into_iter().zip(&behind).filter_map(|(plan, behind)| {
        plan.map(|plan| MapPlan { is_settled: settled(behind), ..plan })
    });
    let plans = plans.collect();
    findings.maps.behind = behind;
    plans
}

/// Whether a variable has one value from the arrival of a request to its end.
pub(super) fn is_settled(variable: &Variable) -> bool {
    !is_late(variable)
        && !matches!(variable, Variable::Known(Known::RequestTime | Known::RequestLength))
}

fn plan(
    name: &At<Name>,
    map: &At<Map>,
    number: usize,
    findings: &mut Findings<'_>,
) -> Option<MapPlan> {
    check_name(name, findings);
    let key = findings.template(&map.key, &Captures::default());
    let own = Arc::new(own_table(map, findings));
    let (table, file) = match &map.file {
        None => (own, None),
        Some(path) => {
            let file = MapFilePlan::new(path, Arc::clone(&own));
            let read = file.read(number);
            read.diagnostics.into_iter().for_each(|diagnostic| findings.report(diagnostic));
            (read.table.map_or(own, Arc::new), Some((file, read.stamp)))
        }
    };
    Some(MapPlan { name: (***name).into(), key: key?, table, is_settled: false, file })
}

/// What the configuration itself says of a map.
fn own_table(map: &At<Map>, findings: &mut Findings<'_>) -> MapTable {
    let captures = Captures::default();
    let mut table = MapTable::new(map.hosts);
    for (key, text) in map.values.entries() {
        check_key(key, map.hosts, findings);
        if let Some(value) = findings.template(text, &captures)
            && let Err(error) = table.insert(key, value)
        {
            wrong_key(key, &error, findings);
        }
    }
    if let Some(default) = &map.default
        && let Some(default) = findings.template(default, &captures)
    {
        // Nothing has set it before.
        let _ = table.set_default(default);
    }
    if map.values.is_empty() && map.file.is_none() {
        let diagnostic =
            Diagnostic::warning(Code::NoEffect, map.at.clone(), "this map has no values");
        findings.report(diagnostic.hint("they stand in `values`, or in a `file`"));
    }
    table
}

/// A name that no text could write is no name.
fn check_name(name: &At<Name>, findings: &mut Findings<'_>) {
    let is_writable = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !name.bytes().all(is_writable) {
        let message = format!("`{}` cannot be the name of a map", **name);
        let diagnostic = Diagnostic::error(Code::BadValue, name.at.clone(), message);
        findings.report(diagnostic.hint("letters, digits, `_`, `-` and `.`"));
    }
}

/// Keys that mean themselves where something else was probably meant.
fn check_key(key: &At<Box<str>>, hosts: bool, findings: &mut Findings<'_>) {
    let hint = if &*key.value == "default" {
        "the default stands beside `values`, not in it; with `\\` before it, it is this text"
    } else if !hosts && is_wildcard(key) {
        "with `hosts = true` it is a wildcard; with `\\` before it, it is this text"
    } else {
        return;
    };
    let message = format!("`{}` means nothing but this text here", key.value);
    findings.report(Diagnostic::warning(Code::MapKey, key.at.clone(), message).hint(hint));
}

pub(super) fn wrong_key(key: &At<Box<str>>, error: &MapKeyError, findings: &mut Findings<'_>) {
    let code = match error {
        MapKeyError::Taken => Code::Duplicate,
        MapKeyError::TooManyRegexes | MapKeyError::Regex(_) | MapKeyError::Host(_) => Code::MapKey,
    };
    findings.error(code, &key.at, format!("`{}`: {error}", key.value));
}

/// The variables behind each map, after having told of circles.
fn followed(
    plans: &[Option<MapPlan>],
    config: &Config,
    findings: &mut Findings<'_>,
) -> Vec<Vec<Variable>> {
    let mut walk = Walk::new(plans);
    let names: Vec<&At<Name>> = config.maps.entries().map(|(name, _)| name).collect();
    for (index, name) in names.iter().enumerate() {
        match walk.visit(index) {
            Ok(()) => {}
            Err(Trouble::Circle(mut circle)) => {
                circle.extend(circle.first().copied());
                let on_it = circle.iter().filter_map(|index| names.get(*index));
                let path: Vec<_> = on_it.map(|name| format!("`$map_{}`", ***name)).collect();
                let name = circle.first().and_then(|first| names.get(*first)).unwrap_or(name);
                let message =
                    format!("the map `{}` depends on itself: {}", ***name, path.join(" → "));
                findings.error(Code::MapCycle, &name.at, message);
            }
            Err(Trouble::TooDeep(most)) => {
                let message = format!("maps refer to one another more than {most} times in a row");
                findings.error(Code::MapCycle, &name.at, message);
                break;
            }
        }
    }
    walk.into_behind()
}
