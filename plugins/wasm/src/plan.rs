//! What all instances of one configured module share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use switchback_plugin::{Meter, Metering, MetricKind, Refused, Services};

use crate::limits::Limits;
use crate::shared::Shared;
use crate::status::Status;

/// Metrics of one configured module; and how many there may be for it to define one more while it runs, by names that perhaps come from
/// requests.
const MAX_METERS: usize = 1024;
const MAX_LATE_METERS: usize = 256;
/// Names of upstreams and variables that a module may ask about.
const MAX_ANSWERS: usize = 4096;

/// What all instances of one configured module share.
pub(crate) struct Plan {
    /// The name by which the plugin is configured.
    pub(crate) name: String,
    /// Who shares data: the module's name.
    pub(crate) owner: String,
    /// Whether it was made with our own SDK.
    pub(crate) is_ours: bool,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: Option<String>,
    meters: RwLock<Vec<Arc<Metered>>>,
    /// Where metrics are defined while it runs.
    metering: Option<Arc<dyn Metering>>,
    answers: Mutex<HashMap<String, bool>>,
    /// Instances that are alive, also those that only old requests use.
    alive: AtomicUsize,
    /// Instances that were made anew.
    pub(crate) restarts: AtomicUsize,
    crashes: Mutex<Crashes>,
}

/// What a module is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) configuration: Bytes,
    pub(crate) vm_configuration: Bytes,
    pub(crate) root_id: String,
}

impl Settings {
    /// Of a module for Envoy. `options` are the configuration as they are, or as Envoy names its parts: a text, or a table with
    /// `configuration` and perhaps `vm_configuration` and `root_id`, each a text or a table.
    pub(crate) fn of(options: &str) -> Self {
        let plain = || Self {
            configuration: Bytes::copy_from_slice(options.as_bytes()),
            ..Self::default()
        };
        match serde_json::from_str(options) {
            Ok(serde_json::Value::String(text)) => {
                Self { configuration: text.into(), ..Self::default() }
            }
            Ok(serde_json::Value::Object(table)) if table.is_empty() => Self::default(),
            Ok(serde_json::Value::Object(table)) => {
                let known = ["configuration", "vm_configuration", "root_id"];
                if table.keys().any(|key| !known.contains(&key.as_str())) {
                    return plain();
                }
                let text = |key: &str| match table.get(key) {
                    None => String::new(),
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                Self {
                    configuration: text("configuration").into(),
                    vm_configuration: text("vm_configuration").into(),
                    root_id: text("root_id"),
                }
            }
            _ => plain(),
        }
    }
}

/// How often instances ended before their time.
#[derive(Default)]
struct Crashes {
    recent: u32,
    last: Option<Instant>,
    not_before: Option<Instant>,
}

/// So many are followed by a new instance at once; then one has to wait, each time twice as long.
const AT_ONCE: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After that long without one, they begin to count anew.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl Crashes {
    fn note(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) > FORGOTTEN) {
            self.recent = 0;
        }
        self.recent = self.recent.saturating_add(1);
        self.last = Some(now);
        self.not_before = self.recent.checked_sub(AT_ONCE + 1).map(|times| {
            let wait = FIRST_WAIT.saturating_mul(1 << times.min(16));
            now + wait.min(LONGEST_WAIT)
        });
    }
}

/// An instance that counts as alive, as long as this is there.
pub(crate) struct Alive(Arc<Plan>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A metric, with the value that the module can ask for.
pub(crate) struct Metered {
    pub(crate) kind: MetricKind,
    name: String,
    labels: Vec<(String, String)>,
    pub(crate) meter: Arc<dyn Meter>,
    value: AtomicI64,
}

impl Metered {
    /// Adds to a counter or a gauge; notes one value of a histogram.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and metrics are doubles")]
    pub(crate) fn add(&self, value: i64) {
        self.value.fetch_add(value, Ordering::Relaxed);
        self.meter.add(value as f64);
    }

    /// Sets a gauge.
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and metrics are doubles")]
    pub(crate) fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
        self.meter.set(value as f64);
    }

    /// What was added or set.
    pub(crate) fn value(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// What a module calls the metric at that place.
fn numbered(index: usize) -> Result<u32, Status> {
    u32::try_from(index + 1).map_err(|_| Status::InternalFailure)
}

/// A metric that is asked for.
pub(crate) struct Definition<'a> {
    pub(crate) kind: MetricKind,
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) labels: &'a [(&'a str, &'a str)],
}

impl Definition<'_> {
    fn find(&self, meters: &[Arc<Metered>]) -> Option<usize> {
        let is_same =
            |(one, other): (&(String, String), &(&str, &str))| one.0 == other.0 && one.1 == other.1;
        meters.iter().position(|known| {
            known.kind == self.kind
                && known.name == self.name
                && known.labels.len() == self.labels.len()
                && known.labels.iter().zip(self.labels).all(is_same)
        })
    }
}

impl Plan {
    /// Of a plugin that is being made, or of a module that is only asked what it is.
    pub(crate) fn new(owner: &str, is_ours: bool, limits: Limits, shared: Arc<Shared>) -> Self {
        Self {
            name: owner.to_owned(),
            owner: owner.to_owned(),
            is_ours,
            settings: Settings::default(),
            limits,
            shared,
            folder: None,
            meters: RwLock::default(),
            metering: None,
            answers: Mutex::default(),
            alive: AtomicUsize::new(0),
            restarts: AtomicUsize::new(0),
            crashes: Mutex::default(),
        }
    }

    /// With what `services` know of it, and `options`.
    pub(crate) fn configured(mut self, services: &dyn Services, options: &str) -> Self {
        services.instance_name().clone_into(&mut self.name);
        self.metering = services.metering();
        self.folder = services.folder().map(|folder| folder.to_string_lossy().into_owned());
        self.settings = match self.is_ours {
            true => Settings { configuration: options.to_owned().into(), ..Settings::default() },
            false => Settings::of(options),
        };
        self
    }

    /// An instance ended before its time.
    pub(crate) fn crashed(&self) {
        self.crashes.lock().note(Instant::now());
    }

    /// Whether another one may be made yet.
    pub(crate) fn may_start(&self) -> bool {
        self.crashes.lock().not_before.is_none_or(|time| Instant::now() >= time)
    }

    /// How many instances are alive.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// Leave for one instance more; `None` where `most` are alive.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Alive> {
        let more = |alive| (alive < most).then_some(alive + 1);
        let entered = self.alive.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.is_ok().then(|| Alive(Arc::clone(self)))
    }

    /// The number of a metric: the one that is there already, or a new one.
    ///
    /// # Errors
    ///
    /// [`Status::BadArgument`] for a name or label that is none; [`Status::InternalFailure`] when there is no more room, or there are no
    /// `services` any more and nobody else who defines metrics
    pub(crate) fn define(
        &self,
        services: Option<&mut dyn Services>,
        definition: &Definition<'_>,
    ) -> Result<u32, Status> {
        // Some define what they count at each request.
        let known = definition.find(&self.meters.read());
        if let Some(known) = known {
            return numbered(known);
        }
        let meters = &mut *self.meters.write();
        if let Some(known) = definition.find(meters) {
            return numbered(known);
        }
        let Definition { kind, name, help, labels } = *definition;
        let meter = match (services, &self.metering) {
            (Some(services), _) if meters.len() < MAX_METERS => {
                services.define(kind, name, help, labels)
            }
            (None, Some(metering)) if meters.len() < MAX_LATE_METERS => {
                metering.define(kind, name, help, labels)
            }
            _ => Err(Refused::Full),
        };
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        meters.push(Arc::new(Metered {
            kind,
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
            meter: meter?,
            value: AtomicI64::new(0),
        }));
        numbered(meters.len() - 1)
    }

    /// The metric of that number.
    pub(crate) fn meter(&self, id: u32) -> Option<Arc<Metered>> {
        self.meters.read().get((id as usize).checked_sub(1)?).cloned()
    }

    /// What `ask` says of `question`, or said when the plugin was made: instances that are made later ask the same. Nothing is known of
    /// what was not asked then.
    pub(crate) fn answer(
        &self,
        services: Option<&mut dyn Services>,
        question: &str,
        ask: impl FnOnce(&mut dyn Services) -> bool,
    ) -> bool {
        let answers = &mut *self.answers.lock();
        match services {
            None => answers.get(question).copied().unwrap_or(false),
            Some(services) => {
                let answer = ask(services);
                if answers.len() < MAX_ANSWERS {
                    answers.insert(question.to_owned(), answer);
                }
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(configuration: &str, vm_configuration: &str, root_id: &str) -> Settings {
        Settings {
            configuration: Bytes::copy_from_slice(configuration.as_bytes()),
            vm_configuration: Bytes::copy_from_slice(vm_configuration.as_bytes()),
            root_id: root_id.to_owned(),
        }
    }

    #[test]
    fn who_crashes_often_waits_ever_longer() {
        let mut crashes = Crashes::default();
        let start = Instant::now();
        let mut wait = |now| {
            crashes.note(now);
            crashes.not_before.map(|time| time - now)
        };
        assert_eq!([wait(start), wait(start), wait(start)], [None, None, None]);
        assert_eq!(wait(start), Some(FIRST_WAIT));
        assert_eq!(wait(start), Some(FIRST_WAIT * 2));
        for _ in 0..40 {
            assert!(wait(start) <= Some(LONGEST_WAIT));
        }
        assert_eq!(wait(start), Some(LONGEST_WAIT));
        assert_eq!(wait(start + FORGOTTEN * 2), None, "that was long ago");
    }

    #[test]
    fn options_are_the_configuration_or_its_parts_as_envoy_names_them() {
        let cases = [
            ("{}", settings("", "", "")),
            (r#"{"header":"x"}"#, settings(r#"{"header":"x"}"#, "", "")),
            (r#""a text""#, settings("a text", "", "")),
            (r#"{"configuration":"a text"}"#, settings("a text", "", "")),
            (r#"{"configuration":{"a":1},"root_id":"add"}"#, settings(r#"{"a":1}"#, "", "add")),
            (r#"{"vm_configuration":"v"}"#, settings("", "v", "")),
            (
                r#"{"configuration":"c","other":1}"#,
                settings(r#"{"configuration":"c","other":1}"#, "", ""),
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(Settings::of(options), expected, "{options}");
        }
    }
}
