//! What a plugin finds when it is made.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::exchange::{Level, Refused};

/// Why a plugin cannot be made of its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// Where in the options, as in `rules[1].rate`; empty for all of them.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do, where that can be said.
    pub help: Option<String>,
}

impl BuildError {
    /// What is wrong with the option at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), help: None }
    }

    /// And what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for BuildError {}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MetricKind {
    /// Only grows.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
    /// How often which sizes were seen.
    Histogram = 2,
}

/// One metric, as the host keeps it.
pub trait Meter: Send + Sync {
    /// Adds to a counter or a gauge; notes one value of a histogram.
    fn add(&self, value: f64);
    /// Sets a gauge.
    fn set(&self, value: f64);
}

/// Where a plugin that is made already finds metrics: for modules that define one when they count it first.
pub trait Metering: Send + Sync {
    /// As [`Services::define`].
    ///
    /// # Errors
    ///
    /// As there.
    fn define(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused>;
}

/// Something that a plugin goes on with when it is made anew of other options.
pub type Carried = Arc<dyn Any + Send + Sync>;

/// What runs plugins offers one that is being made.
pub trait Services {
    /// Defines a metric. It is shown as `switchback_plugin_NAME` with a label `plugin`, and `labels`. The same once more is the same metric.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] for a name or label that is none, [`Refused::Full`]
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused>;

    /// What defines metrics later on, where that can be done.
    fn metering(&self) -> Option<Arc<dyn Metering>> {
        None
    }

    /// Has [`Hook::Tick`](crate::Hook) called that often; not below 10 ms.
    fn every(&mut self, period: Duration);

    /// How long one hook of this plugin may take with all it awaits, where the operator says nothing.
    fn timeout(&mut self, timeout: Duration);

    /// Whether the configuration has an upstream of that name.
    fn has_upstream(&self, name: &str) -> bool;

    /// Whether there is a variable of that name.
    fn has_variable(&self, name: &str) -> bool;

    /// The folder of the configuration file; relative paths of options are meant from there.
    fn folder(&self) -> Option<&Path>;

    /// The name by which the plugin is configured.
    fn instance_name(&self) -> &str;

    /// Writes a line to the error log, or to whoever checks a configuration.
    fn log(&self, level: Level, message: &str);

    /// What the plugin that this one takes the place of has left under `key`. Nothing for modules: theirs is memory of another build.
    fn left(&self, key: &str) -> Option<Carried> {
        let _ = key;
        None
    }

    /// Leaves something to the plugin that takes the place of this one.
    fn leave(&mut self, key: &str, carried: Carried) {
        let _ = (key, carried);
    }
}

/// What a plugin finds when it is made.
pub struct Setup<'a> {
    services: &'a mut dyn Services,
}

impl<'a> Setup<'a> {
    /// Of what runs the plugin.
    pub fn new(services: &'a mut dyn Services) -> Self {
        Self { services }
    }

    /// A number that only grows.
    ///
    /// # Errors
    ///
    /// A name or a label that is none, or too many metrics.
    pub fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Counter, BuildError> {
        self.meter(MetricKind::Counter, name, help, labels).map(Counter)
    }

    /// A number that goes up and down.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter).
    pub fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Gauge, BuildError> {
        self.meter(MetricKind::Gauge, name, help, labels).map(Gauge)
    }

    /// How often which sizes were seen.
    ///
    /// # Errors
    ///
    /// As [`counter`](Self::counter).
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Histogram, BuildError> {
        self.meter(MetricKind::Histogram, name, help, labels).map(Histogram)
    }

    fn meter(
        &mut self,
        kind: MetricKind,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, BuildError> {
        self.services
            .define(kind, name, help, labels)
            .map_err(|refused| BuildError::new("", format!("metric `{name}`: {refused}")))
    }

    /// Has [`on_tick`](crate::Plugin::on_tick) called that often, and once at the beginning; not below 10 ms.
    pub fn every(&mut self, period: Duration) {
        self.services.every(period);
    }

    /// How long one hook may take with all it awaits, where the operator says nothing: 50 ms without this.
    pub fn timeout(&mut self, timeout: Duration) {
        self.services.timeout(timeout);
    }

    /// Makes sure that the configuration has the upstream which the option at `path` names.
    ///
    /// # Errors
    ///
    /// It has not.
    pub fn upstream(&self, path: &str, name: &str) -> Result<(), BuildError> {
        if self.services.has_upstream(name) {
            return Ok(());
        }
        Err(BuildError::new(path, format!("upstream `{name}` is not defined"))
            .with_help(format!("add [upstreams.{name}]")))
    }

    /// Makes sure that there is the variable which the option at `path` names (without `$`).
    ///
    /// # Errors
    ///
    /// There is not.
    pub fn variable(&self, path: &str, name: &str) -> Result<(), BuildError> {
        if self.services.has_variable(name) {
            return Ok(());
        }
        Err(BuildError::new(path, format!("there is no variable `${name}`")))
    }

    /// `path` as it is meant: from the folder of the configuration file.
    #[must_use]
    pub fn path(&self, path: &Path) -> std::path::PathBuf {
        self.services.folder().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }

    /// Something that the plugin goes on with when its options change: what the one before had under `key`, or what `make` makes if there
    /// was none, or of another type.
    ///
    /// While requests are with both, both have the same: so it must mean the same to both. Whatever changes what it means belongs into
    /// `key`. Plugins that are linked in have this; modules begin anew, and have the stores
    /// ([`Operation::Store`](crate::Operation::Store)) for what must stay. Where several plugins of one name change at once, each has what
    /// the one in its place had; if they are more or fewer than before, they begin anew.
    pub fn carry<T: Any + Send + Sync>(&mut self, key: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let left = self.services.left(key).and_then(|left| left.downcast().ok());
        let carried: Arc<T> = left.unwrap_or_else(|| Arc::new(make()));
        self.services.leave(key, Arc::clone(&carried) as Carried);
        carried
    }

    /// The name by which the plugin is configured.
    #[must_use]
    pub fn instance_name(&self) -> &str {
        self.services.instance_name()
    }

    /// Writes a line to the error log, or to whoever checks a configuration.
    pub fn log(&self, level: Level, message: &str) {
        self.services.log(level, message);
    }
}

/// A number that only grows.
#[derive(Clone)]
pub struct Counter(Arc<dyn Meter>);

impl Counter {
    /// Adds `value`.
    pub fn add(&self, value: u64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to 2^53, and metrics are doubles"
        )]
        self.0.add(value as f64);
    }
}

/// A number that goes up and down.
#[derive(Clone)]
pub struct Gauge(Arc<dyn Meter>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds to it; negative numbers take away.
    pub fn add(&self, value: f64) {
        self.0.add(value);
    }
}

/// How often which sizes were seen.
#[derive(Clone)]
pub struct Histogram(Arc<dyn Meter>);

impl Histogram {
    /// Notes one.
    pub fn observe(&self, value: f64) {
        self.0.add(value);
    }
}
