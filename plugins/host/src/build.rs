//! What a plugin finds while it is made of its options.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::{
    BuildError, Carried, Level, Meter, Metering, MetricKind, Module, Refused, Services,
};

use crate::configured::{Configured, OnError, Policy};
use crate::metrics::Metrics;
use crate::observer::Observer;

/// What the configuration has, for a plugin that is made.
pub trait Around {
    /// Whether there is an upstream of that name.
    fn has_upstream(&self, name: &str) -> bool;

    /// Whether there is a variable of that name, without `$`.
    fn has_variable(&self, name: &str) -> bool;

    /// The folder of the configuration file.
    fn folder(&self) -> Option<&Path>;

    /// Writes a line to the error log, or to whoever checks a configuration.
    fn log(&self, plugin: &str, level: Level, message: &str);
}

/// What an operator says of a plugin, beside its options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What becomes of a request when it fails.
    pub on_error: OnError,
    /// How long a hook may take; as the plugin thinks right, if absent.
    pub timeout: Option<Duration>,
}

/// What a plugin leaves to the one that takes its place when its options change, by the names that it gave it.
#[derive(Clone, Default)]
pub struct Estate(HashMap<Box<str>, Carried>);

/// A plugin that was made.
pub struct Built {
    /// The plugin.
    pub plugin: Arc<Configured>,
    /// What it will leave.
    pub estate: Estate,
}

/// A plugin that is being made.
pub struct Build<'b> {
    around: &'b dyn Around,
    metrics: &'b Arc<Metrics>,
    name: &'b str,
    /// Of the one before.
    left: Estate,
    /// Of this one.
    estate: Estate,
    period: Option<Duration>,
    timeout: Option<Duration>,
}

impl<'b> Build<'b> {
    /// Under that name, which is also what its metrics are of.
    #[must_use]
    pub fn new(name: &'b str, around: &'b dyn Around, metrics: &'b Arc<Metrics>) -> Self {
        let (left, estate) = (Estate::default(), Estate::default());
        Self { around, metrics, name, left, estate, period: None, timeout: None }
    }

    /// In the place of one with other options, which has left that.
    #[must_use]
    pub fn after(self, left: Estate) -> Self {
        Self { left, ..self }
    }

    /// Makes the plugin of `options`, a JSON object.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where. A plugin that panics has something wrong with all of them.
    pub fn configured(
        mut self,
        module: &dyn Module,
        options: &str,
        said: Said,
    ) -> Result<Built, BuildError> {
        // As long as this is held, what it defines is not taken for what is left of one that is gone.
        let _calls = self.metrics.calls(self.name);
        let built = crate::guard::caught(|| module.build(options, &mut self));
        let instance = built.unwrap_or_else(|failure| {
            Err(BuildError::new("", format!("the plugin panicked: {}", failure.message)))
        })?;
        let standard = Policy::default();
        let policy = Policy {
            on_error: said.on_error,
            timeout: said.timeout.or(self.timeout).unwrap_or(standard.timeout),
            tick: self.period,
            ..standard
        };
        let observer = Arc::clone(self.metrics) as Arc<dyn Observer>;
        let plugin = Configured::new(self.name, instance, policy, observer);
        Ok(Built { plugin, estate: self.estate })
    }
}

/// What a plugin defines once it is made.
struct Later {
    plugin: Box<str>,
    metrics: Arc<Metrics>,
}

impl Metering for Later {
    fn define(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        self.metrics.define(&self.plugin, kind, (name, help), labels)
    }
}

/// More often than that, who ticks would do nothing else.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

impl Services for Build<'_> {
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        self.metrics.define(self.name, kind, (name, help), labels)
    }

    fn metering(&self) -> Option<Arc<dyn Metering>> {
        Some(Arc::new(Later { plugin: self.name.into(), metrics: Arc::clone(self.metrics) }))
    }

    fn every(&mut self, period: Duration) {
        self.period = Some(period.max(SHORTEST_TICK));
    }

    fn timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    fn has_upstream(&self, name: &str) -> bool {
        self.around.has_upstream(name)
    }

    fn has_variable(&self, name: &str) -> bool {
        self.around.has_variable(name)
    }

    fn folder(&self) -> Option<&Path> {
        self.around.folder()
    }

    fn instance_name(&self) -> &str {
        self.name
    }

    fn log(&self, level: Level, message: &str) {
        self.around.log(self.name, level, message);
    }

    fn left(&self, key: &str) -> Option<Carried> {
        self.left.0.get(key).cloned()
    }

    fn leave(&mut self, key: &str, carried: Carried) {
        self.estate.0.insert(key.into(), carried);
    }
}
