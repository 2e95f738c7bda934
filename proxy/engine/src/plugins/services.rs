//! What a plugin finds when it is made.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use switchback_conf::plan::Plan;
use switchback_plugin::{Level, Meter, Metering, MetricKind, Refused, Services};
use switchback_value::Variable;

use super::meters::Meters;

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

/// Offered to one plugin.
pub(super) struct Offer<'o> {
    pub(super) name: &'o str,
    pub(super) names: &'o Names,
    pub(super) meters: &'o Arc<Meters>,
    /// Where relative paths of options start.
    pub(super) folder: Option<PathBuf>,
    pub(super) needs: parking_lot::Mutex<Needs>,
    pub(super) tick: Option<Duration>,
    pub(super) timeout: Option<Duration>,
}

/// What one plugin defines once it is made.
struct Later {
    name: Box<str>,
    meters: Arc<Meters>,
}

impl Metering for Later {
    fn define(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        self.meters.define(&self.name, kind, (name, help), labels)
    }
}

/// More often than that, the control thread would do nothing else.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

impl Services for Offer<'_> {
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        self.meters.define(self.name, kind, (name, help), labels)
    }

    fn metering(&self) -> Option<Arc<dyn Metering>> {
        Some(Arc::new(Later { name: self.name.into(), meters: Arc::clone(self.meters) }))
    }

    fn every(&mut self, period: Duration) {
        self.tick = Some(period.max(SHORTEST_TICK));
    }

    fn timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

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

    fn instance_name(&self) -> &str {
        self.name
    }

    fn log(&self, level: Level, message: &str) {
        super::log(level, self.name, None, message);
    }
}
