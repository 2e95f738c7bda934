//! What a plugin finds when it is made.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use switchback_conf::plan::Plan;
use switchback_plugin::Level;
use switchback_plugin_host::Around;
use switchback_value::Variable;

/// What a configuration has that plugins may name.
#[derive(Debug, Default)]
pub(super) struct Names {
    upstreams: HashSet<Box<str>>,
    maps: HashSet<Box<str>>,
}

impl Names {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            upstreams: plan.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
            maps: plan.maps.iter().map(|map| map.name.clone()).collect(),
        }
    }

    fn has_variable(&self, name: &str) -> bool {
        match name.strip_prefix("map_") {
            Some(map) => self.maps.contains(map),
            None => Variable::from_name(name).is_some(),
        }
    }

    /// Whether all that `needs` found is there.
    pub(super) fn have(&self, needs: &Needs) -> bool {
        needs.upstreams.iter().all(|name| self.upstreams.contains(name))
            && needs.variables.iter().all(|name| self.has_variable(name))
    }
}

/// What a plugin asked for when it was made, and was told that there is.
#[derive(Debug, Default)]
pub(super) struct Needs {
    upstreams: HashSet<Box<str>>,
    variables: HashSet<Box<str>>,
}

/// A configuration, as one plugin sees it that is made.
pub(super) struct Surroundings<'n> {
    pub(super) names: &'n Names,
    /// Where relative paths of options start.
    pub(super) folder: Option<PathBuf>,
    pub(super) needs: Mutex<Needs>,
}

impl Around for Surroundings<'_> {
    fn has_upstream(&self, name: &str) -> bool {
        let has = self.names.upstreams.contains(name);
        if has {
            self.needs.lock().upstreams.insert(name.into());
        }
        has
    }

    fn has_variable(&self, name: &str) -> bool {
        let has = self.names.has_variable(name);
        if has {
            self.needs.lock().variables.insert(name.into());
        }
        has
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn log(&self, plugin: &str, level: Level, message: &str) {
        super::log(level, plugin, None, message);
    }
}
