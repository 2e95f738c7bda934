//! What a plugin finds while it is made of its options.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::{BuildError, Level, Meter, MetricKind, Module, Refused, Services};

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

/// A plugin that is being made.
pub struct Build<'b> {
    around: &'b dyn Around,
    metrics: &'b Metrics,
    name: &'b str,
    period: Option<Duration>,
    timeout: Option<Duration>,
}

impl<'b> Build<'b> {
    /// Under that name.
    #[must_use]
    pub fn new(name: &'b str, around: &'b dyn Around, metrics: &'b Metrics) -> Self {
        Self { around, metrics, name, period: None, timeout: None }
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
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Configured>, BuildError> {
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
        Ok(Configured::new(self.name, instance, policy, observer))
    }
}

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

    fn every(&mut self, period: Duration) {
        self.period = Some(period);
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
}
