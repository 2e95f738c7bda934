//! What plugins count, and what is counted of plugins, in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use switchback_plugin::{Cause, Hook, Meter, MetricKind, Refused};

use crate::calls::Calls;
use crate::observer::{Failed, Observer};

/// How many series one plugin has at most.
const SERIES: usize = 1000;

/// Names after `switchback_plugin_` that are the host's own.
const OWN: [&str; 4] = ["calls_total", "failures_total", "resting", "seconds"];

/// All that is counted. Outlives configurations: what has the same name is the same.
#[derive(Default)]
pub struct Metrics {
    plugins: RwLock<BTreeMap<Box<str>, Arc<Plugin>>>,
    families: RwLock<BTreeMap<Box<str>, Family>>,
}

/// What is counted of one plugin.
#[derive(Default)]
struct Plugin {
    calls: Arc<Calls>,
    failures: [AtomicU64; Cause::ALL.len()],
    time: Histogram,
    is_resting: AtomicU64,
}

/// A metric with all its labels.
struct Family {
    kind: MetricKind,
    help: Box<str>,
    /// By plugin, then by labels as they are shown.
    series: BTreeMap<(Box<str>, Box<str>), Series>,
}

enum Series {
    Amount(Arc<Amount>),
    Histogram(Arc<Histogram>),
}

impl Metrics {
    /// The metric of that name and labels of a plugin: the same as before if there was one.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] for a name or label that is none, or that means something else already; [`Refused::Full`] for one too many.
    pub fn define(
        &self,
        plugin: &str,
        kind: MetricKind,
        (name, help): (&str, &str),
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        let is_label = |name: &str| {
            is_name(name) && !name.starts_with("__") && !["plugin", "le"].contains(&name)
        };
        if !is_name(name) || OWN.contains(&name) || !labels.iter().all(|(name, _)| is_label(name)) {
            return Err(Refused::Invalid);
        }
        let mut families = self.families.write();
        let own = |family: &Family| family.series.keys().filter(|(of, _)| **of == *plugin).count();
        let count: usize = families.values().map(own).sum();
        let family = families.entry(name.into()).or_insert_with(|| Family {
            kind,
            help: help.replace(['\n', '\\'], " ").into(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            return Err(Refused::Invalid);
        }
        let key = (plugin.into(), shown(plugin, labels));
        if let Some(series) = family.series.get(&key) {
            return Ok(series.meter());
        }
        if count >= SERIES {
            return Err(Refused::Full);
        }
        let series = match kind {
            MetricKind::Counter | MetricKind::Gauge => Series::Amount(Arc::new(Amount::new(kind))),
            MetricKind::Histogram => Series::Histogram(Arc::default()),
        };
        let meter = series.meter();
        family.series.insert(key, series);
        Ok(meter)
    }

    /// Appends everything.
    pub fn render(&self, out: &mut String) {
        let plugins = self.plugins.read();
        if !plugins.is_empty() {
            render_plugins(&plugins, out);
        }
        for (name, family) in &*self.families.read() {
            header(out, (name, &family.help), family.kind);
            for ((_, labels), series) in &family.series {
                match series {
                    Series::Amount(amount) => sample(out, (name, labels), amount.value()),
                    Series::Histogram(histogram) => histogram.render(out, name, labels),
                }
            }
        }
    }

    fn plugin(&self, name: &str) -> Arc<Plugin> {
        if let Some(plugin) = self.plugins.read().get(name) {
            return Arc::clone(plugin);
        }
        Arc::clone(self.plugins.write().entry(name.into()).or_default())
    }
}

impl Observer for Metrics {
    fn calls(&self, plugin: &str) -> Arc<Calls> {
        Arc::clone(&self.plugin(plugin).calls)
    }

    fn failed(&self, failed: Failed<'_>) {
        let plugin = self.plugin(failed.plugin);
        let mut counts = Cause::ALL.iter().zip(&plugin.failures);
        if let Some((_, count)) = counts.find(|(cause, _)| **cause == failed.cause) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn took(&self, plugin: &str, _hook: Hook, time: u64) {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of months are still exact")]
        self.plugin(plugin).time.add(time as f64 / 1e9);
    }

    fn breaker(&self, plugin: &str, open: bool) {
        self.plugin(plugin).is_resting.store(u64::from(open), Ordering::Relaxed);
    }
}

fn render_plugins(plugins: &BTreeMap<Box<str>, Arc<Plugin>>, out: &mut String) {
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    let number = |count: u64| count as f64;
    header(out, ("calls_total", "Calls of hooks of plugins."), MetricKind::Counter);
    for (name, plugin) in plugins {
        sample(out, ("calls_total", &shown(name, &[])), number(plugin.calls.count()));
    }
    let help = "Times that a plugin was of no use, by kind.";
    header(out, ("failures_total", help), MetricKind::Counter);
    for (name, plugin) in plugins {
        for (cause, count) in Cause::ALL.iter().zip(&plugin.failures) {
            let labels = shown(name, &[("kind", cause.name())]);
            sample(out, ("failures_total", &labels), number(count.load(Ordering::Relaxed)));
        }
    }
    let help = "Whether a plugin is not asked for a while, because it failed too often.";
    header(out, ("resting", help), MetricKind::Gauge);
    for (name, plugin) in plugins {
        let value = plugin.is_resting.load(Ordering::Relaxed);
        sample(out, ("resting", &shown(name, &[])), number(value));
    }
    let help = "How long hooks took with all that they awaited; of one call in 64.";
    header(out, ("seconds", help), MetricKind::Histogram);
    for (name, plugin) in plugins {
        plugin.time.render(out, "seconds", &shown(name, &[]));
    }
}

fn header(out: &mut String, (name, help): (&str, &str), kind: MetricKind) {
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    // Writing to a String cannot fail; so below.
    let _ = writeln!(out, "# HELP switchback_plugin_{name} {help}");
    let _ = writeln!(out, "# TYPE switchback_plugin_{name} {kind}");
}

fn sample(out: &mut String, (name, labels): (&str, &str), value: f64) {
    let _ = writeln!(out, "switchback_plugin_{name}{{{labels}}} {value}");
}

/// Labels as they stand between braces.
fn shown(plugin: &str, labels: &[(&str, &str)]) -> Box<str> {
    let mut shown = String::new();
    for (name, value) in [("plugin", plugin)].iter().chain(labels) {
        if !shown.is_empty() {
            shown.push(',');
        }
        let _ = write!(shown, "{name}=\"");
        for letter in value.chars() {
            match letter {
                '\\' => shown.push_str("\\\\"),
                '"' => shown.push_str("\\\""),
                '\n' => shown.push_str("\\n"),
                other => shown.push(other),
            }
        }
        shown.push('"');
    }
    shown.into()
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

impl Series {
    fn meter(&self) -> Arc<dyn Meter> {
        match self {
            Self::Amount(amount) => Arc::clone(amount) as Arc<dyn Meter>,
            Self::Histogram(histogram) => Arc::clone(histogram) as Arc<dyn Meter>,
        }
    }
}

/// A counter or a gauge.
struct Amount {
    kind: MetricKind,
    /// Bits of a double.
    value: AtomicU64,
}

impl Amount {
    fn new(kind: MetricKind) -> Self {
        Self { kind, value: AtomicU64::new(0) }
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }
}

impl Meter for Amount {
    fn add(&self, value: f64) {
        // What a counter has counted stays.
        if self.kind == MetricKind::Gauge || value >= 0.0 {
            add(&self.value, value);
        }
    }

    fn set(&self, value: f64) {
        if self.kind == MetricKind::Gauge {
            self.value.store(value.to_bits(), Ordering::Relaxed);
        }
    }
}

fn add(sum: &AtomicU64, value: f64) {
    let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
    // It always has something to put there.
    let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
}

/// What the buckets of a histogram hold at most: from microseconds to millions, so that it is right for times in seconds as for sizes.
const BUCKETS: [f64; 27] = [
    0.000_001,
    0.000_002_5,
    0.000_01,
    0.000_025,
    0.000_1,
    0.000_25,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    25.0,
    100.0,
    1e3,
    1e4,
    1e5,
    1e6,
    1e7,
    1e8,
];

#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    /// Above the last one.
    rest: AtomicU64,
    /// Bits of a double.
    sum: AtomicU64,
}

impl Meter for Histogram {
    fn add(&self, value: f64) {
        let mut buckets = BUCKETS.iter().zip(&self.buckets);
        let bucket =
            buckets.find(|(most, _)| value <= **most).map_or(&self.rest, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
        add(&self.sum, value);
    }

    fn set(&self, _value: f64) {}
}

impl Histogram {
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let mut count = 0;
        for (most, bucket) in BUCKETS.iter().zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            let _ =
                writeln!(out, "switchback_plugin_{name}_bucket{{{labels},le=\"{most}\"}} {count}");
        }
        count += self.rest.load(Ordering::Relaxed);
        let _ = writeln!(out, "switchback_plugin_{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        let _ = writeln!(out, "switchback_plugin_{name}_sum{{{labels}}} {sum}");
        let _ = writeln!(out, "switchback_plugin_{name}_count{{{labels}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(metrics: &Metrics) -> String {
        let mut out = String::new();
        metrics.render(&mut out);
        out
    }

    #[test]
    fn what_a_plugin_counts_is_shown_under_its_name() {
        let metrics = Metrics::default();
        let named = ("denied_total", "Requests denied.");
        let labels = [("why", "a \"b\"\n")];
        let counter = metrics.define("gate", MetricKind::Counter, named, &labels).unwrap();
        counter.add(2.0);
        counter.add(-1.0);
        counter.set(9.0);
        metrics.define("gate", MetricKind::Counter, named, &labels).unwrap().add(1.0);
        let text = rendered(&metrics);
        assert_eq!(
            text,
            "# HELP switchback_plugin_denied_total Requests denied.\n\
             # TYPE switchback_plugin_denied_total counter\n\
             switchback_plugin_denied_total{plugin=\"gate\",why=\"a \\\"b\\\"\\n\"} 3\n"
        );
    }

    #[test]
    fn a_gauge_goes_both_ways() {
        let metrics = Metrics::default();
        let gauge = metrics.define("gate", MetricKind::Gauge, ("open", "Open."), &[]).unwrap();
        gauge.add(3.0);
        gauge.add(-1.5);
        assert!(rendered(&metrics).contains("switchback_plugin_open{plugin=\"gate\"} 1.5\n"));
        gauge.set(7.0);
        assert!(rendered(&metrics).contains("switchback_plugin_open{plugin=\"gate\"} 7\n"));
    }

    #[test]
    fn buckets_hold_all_that_is_less() {
        let metrics = Metrics::default();
        let sizes = metrics.define("gate", MetricKind::Histogram, ("sizes", "S."), &[]).unwrap();
        [0.3, 0.3, 2.0, 1e9].into_iter().for_each(|size| sizes.add(size));
        let text = rendered(&metrics);
        for line in [
            "sizes_bucket{plugin=\"gate\",le=\"0.25\"} 0\n",
            "sizes_bucket{plugin=\"gate\",le=\"0.5\"} 2\n",
            "sizes_bucket{plugin=\"gate\",le=\"2.5\"} 3\n",
            "sizes_bucket{plugin=\"gate\",le=\"+Inf\"} 4\n",
            "sizes_sum{plugin=\"gate\"} 1000000002.6\n",
            "sizes_count{plugin=\"gate\"} 4\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn names_that_are_none_and_meanings_that_change_are_refused() {
        let metrics = Metrics::default();
        let define = |name, kind, labels: &[(&str, &str)]| {
            metrics.define("gate", kind, (name, ""), labels).map(drop)
        };
        let counter = MetricKind::Counter;
        for name in ["", "1a", "a-b", "a b", "calls_total", "seconds"] {
            assert_eq!(define(name, counter, &[]), Err(Refused::Invalid), "{name}");
        }
        for label in ["", "a-b", "plugin", "le", "__name__"] {
            assert_eq!(define("a", counter, &[(label, "")]), Err(Refused::Invalid), "{label}");
        }
        define("a", counter, &[]).unwrap();
        assert_eq!(define("a", MetricKind::Gauge, &[]), Err(Refused::Invalid));
    }

    #[test]
    fn one_plugin_cannot_fill_it_for_others() {
        let metrics = Metrics::default();
        let define = |plugin, value: &str| {
            let labels = [("value", value)];
            metrics.define(plugin, MetricKind::Counter, ("a", ""), &labels).map(drop)
        };
        for value in 0..SERIES {
            define("one", &value.to_string()).unwrap();
        }
        assert_eq!(define("one", "more"), Err(Refused::Full));
        assert_eq!(define("one", "0"), Ok(()));
        assert_eq!(define("other", "0"), Ok(()));
    }

    #[test]
    fn calls_failures_and_rest_are_told_of_each_plugin() {
        let metrics = Metrics::default();
        metrics.calls("gate").add();
        metrics.calls("gate").add();
        let failed =
            Failed { plugin: "gate", hook: Hook::Request, cause: Cause::Panic, message: "" };
        metrics.failed(failed);
        metrics.took("gate", Hook::Request, 2_000_000);
        metrics.breaker("gate", true);
        let text = rendered(&metrics);
        for line in [
            "\nswitchback_plugin_calls_total{plugin=\"gate\"} 2\n",
            "\nswitchback_plugin_failures_total{plugin=\"gate\",kind=\"panic\"} 1\n",
            "\nswitchback_plugin_failures_total{plugin=\"gate\",kind=\"timeout\"} 0\n",
            "\nswitchback_plugin_resting{plugin=\"gate\"} 1\n",
            "\nswitchback_plugin_seconds_bucket{plugin=\"gate\",le=\"0.001\"} 0\n",
            "\nswitchback_plugin_seconds_bucket{plugin=\"gate\",le=\"0.0025\"} 1\n",
            "\nswitchback_plugin_seconds_sum{plugin=\"gate\"} 0.002\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}
