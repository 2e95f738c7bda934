//! What plugins count, and what is counted of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use switchback_plugin::{Cause, Hook, Meter, MetricKind, Refused};
use switchback_plugin_host::{Calls, Failed, Observer};

/// The most metrics that all plugins together may define, labels counted.
const MOST: usize = 10_000;

/// Upper bounds of the buckets of histograms.
const BUCKETS: [f64; 14] =
    [1e-6, 1e-5, 1e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0, 100.0];

/// All metrics of plugins. They outlive configurations.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    own: Mutex<BTreeMap<Box<str>, Arc<Own>>>,
    defined: Mutex<BTreeMap<Box<str>, Family>>,
}

/// What is counted of one plugin.
#[derive(Default)]
struct Own {
    calls: Arc<Calls>,
    failures: [AtomicU64; Cause::ALL.len()],
    /// By hook: how many calls were timed, and nanoseconds.
    times: [(AtomicU64, AtomicU64); Hook::ALL.len()],
    is_left_alone: AtomicU64,
}

impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

/// A metric that a plugin defined, with all its labels.
#[derive(Debug)]
struct Family {
    kind: MetricKind,
    help: Box<str>,
    series: BTreeMap<Box<str>, Arc<Series>>,
}

/// One of its values.
#[derive(Debug)]
struct Series {
    kind: MetricKind,
    /// The bits of a number.
    value: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
}

impl Meters {
    /// A metric of the plugin called `plugin`; the same once more is the same metric.
    pub(super) fn define(
        &self,
        plugin: &str,
        kind: MetricKind,
        (name, help): (&str, &str),
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let is_label =
            |(name, _): &(&str, &str)| is_name(name) && *name != "plugin" && *name != "le";
        if !is_name(name) || OURS.contains(&name) || !labels.iter().all(is_label) {
            return Err(Refused::Invalid);
        }
        let mut shown = format!("plugin=\"{}\"", escaped(plugin));
        for (name, value) in labels {
            let _ = write!(shown, ",{name}=\"{}\"", escaped(value));
        }
        let mut defined = self.defined.lock();
        let count: usize = defined.values().map(|family| family.series.len()).sum();
        let family = defined.entry(name.into()).or_insert_with(|| Family {
            kind,
            help: help.replace(['\n', '\\'], " ").into(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            return Err(Refused::Invalid);
        }
        if !family.series.contains_key(&*shown) && count >= MOST {
            return Err(Refused::Full);
        }
        let series =
            family.series.entry(shown.into()).or_insert_with(|| Arc::new(Series::new(kind)));
        Ok(Arc::clone(series) as Arc<dyn Meter>)
    }

    fn own(&self, plugin: &str) -> Arc<Own> {
        let mut own = self.own.lock();
        match own.get(plugin) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(own.entry(plugin.into()).or_default()),
        }
    }

    /// Appends all of them in the Prometheus text format.
    pub(crate) fn render(&self, out: &mut String) {
        let own: Vec<_> =
            self.own.lock().iter().map(|(name, own)| (escaped(name), Arc::clone(own))).collect();
        if !own.is_empty() {
            render_own(&own, out);
        }
        for (name, family) in &*self.defined.lock() {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            header(out, name, &family.help, kind);
            for (labels, series) in &family.series {
                series.render(name, labels, out);
            }
        }
    }
}

/// Names of metrics that are ours.
const OURS: [&str; 5] = ["calls_total", "failures_total", "seconds", "left_alone", "instances"];

fn header(out: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "# HELP switchback_plugin_{name} {help}\n# TYPE switchback_plugin_{name} {kind}"
    );
}

fn render_own(all: &[(String, Arc<Own>)], out: &mut String) {
    header(out, "calls_total", "Calls of plugins.", "counter");
    for (name, own) in all {
        let _ = writeln!(
            out,
            "switchback_plugin_calls_total{{plugin=\"{name}\"}} {}",
            own.calls.count()
        );
    }
    header(
        out,
        "failures_total",
        "Calls of plugins that failed, and requests that plugins left alone did not see.",
        "counter",
    );
    for (name, own) in all {
        for (cause, count) in Cause::ALL.into_iter().zip(&own.failures) {
            let (kind, count) = (cause.name(), count.load(Ordering::Relaxed));
            let _ = writeln!(
                out,
                "switchback_plugin_failures_total{{plugin=\"{name}\",kind=\"{kind}\"}} {count}"
            );
        }
    }
    header(out, "seconds", "What calls of plugins took, of one in 64.", "summary");
    for (name, own) in all {
        for (hook, (count, time)) in Hook::ALL.into_iter().zip(&own.times) {
            let count = count.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            let labels = format!("plugin=\"{name}\",hook=\"{}\"", hook.name());
            let time = std::time::Duration::from_nanos(time.load(Ordering::Relaxed)).as_secs_f64();
            let _ = writeln!(out, "switchback_plugin_seconds_sum{{{labels}}} {time}");
            let _ = writeln!(out, "switchback_plugin_seconds_count{{{labels}}} {count}");
        }
    }
    header(
        out,
        "left_alone",
        "Whether a plugin is not asked for a while, because it failed too often.",
        "gauge",
    );
    for (name, own) in all {
        let is = own.is_left_alone.load(Ordering::Relaxed);
        let _ = writeln!(out, "switchback_plugin_left_alone{{plugin=\"{name}\"}} {is}");
    }
}

/// A value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Observer for Meters {
    fn calls(&self, plugin: &str) -> Arc<Calls> {
        Arc::clone(&self.own(plugin).calls)
    }

    fn failed(&self, failed: Failed<'_>) {
        let own = self.own(failed.plugin);
        let mut counters = Cause::ALL.into_iter().zip(&own.failures);
        if let Some((_, count)) = counters.find(|(cause, _)| *cause == failed.cause) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn took(&self, plugin: &str, hook: Hook, time: u64) {
        if let Some((count, sum)) = self.own(plugin).times.get(hook as usize) {
            count.fetch_add(1, Ordering::Relaxed);
            sum.fetch_add(time, Ordering::Relaxed);
        }
    }

    fn breaker(&self, plugin: &str, open: bool) {
        self.own(plugin).is_left_alone.store(u64::from(open), Ordering::Relaxed);
    }
}

impl Series {
    fn new(kind: MetricKind) -> Self {
        Self {
            kind,
            value: AtomicU64::new(0),
            buckets: Default::default(),
            count: AtomicU64::new(0),
        }
    }

    fn add_value(&self, value: f64) {
        let added = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        // It always gives a value.
        let _ = self.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed))
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        if self.kind != MetricKind::Histogram {
            let _ = writeln!(out, "switchback_plugin_{name}{{{labels}}} {}", self.value());
            return;
        }
        let mut below = 0;
        for (bound, bucket) in BUCKETS.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let _ =
                writeln!(out, "switchback_plugin_{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let count = self.count.load(Ordering::Relaxed);
        let _ = writeln!(out, "switchback_plugin_{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "switchback_plugin_{name}_sum{{{labels}}} {}", self.value());
        let _ = writeln!(out, "switchback_plugin_{name}_count{{{labels}}} {count}");
    }
}

impl Meter for Series {
    fn add(&self, value: f64) {
        match self.kind {
            // It only grows.
            MetricKind::Counter if value.is_nan() || value < 0.0 => return,
            MetricKind::Histogram => {
                let mut buckets = BUCKETS.iter().zip(&self.buckets);
                if let Some((_, bucket)) = buckets.find(|(bound, _)| value <= **bound) {
                    bucket.fetch_add(1, Ordering::Relaxed);
                }
                self.count.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.add_value(value);
    }

    fn set(&self, value: f64) {
        if self.kind == MetricKind::Gauge {
            self.value.store(value.to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_plugins_are_shown_with_their_labels() {
        let meters = Meters::default();
        let define = |kind, name, labels: &[(&str, &str)]| {
            meters.define("tier", kind, (name, "Said\nhow."), labels)
        };
        define(MetricKind::Counter, "hits", &[("zone", "a\"b")]).unwrap().add(2.0);
        define(MetricKind::Counter, "hits", &[("zone", "a\"b")]).unwrap().add(1.0);
        define(MetricKind::Counter, "hits", &[("zone", "a\"b")]).unwrap().add(-1.0);
        define(MetricKind::Gauge, "open", &[]).unwrap().set(7.5);
        let times = define(MetricKind::Histogram, "times", &[]).unwrap();
        [0.003, 0.2, 1e9].into_iter().for_each(|time| times.add(time));
        assert_eq!(define(MetricKind::Gauge, "hits", &[]).err(), Some(Refused::Invalid));
        assert_eq!(define(MetricKind::Gauge, "calls_total", &[]).err(), Some(Refused::Invalid));
        assert_eq!(define(MetricKind::Gauge, "a b", &[]).err(), Some(Refused::Invalid));
        let mut out = String::new();
        meters.render(&mut out);
        for line in [
            "# HELP switchback_plugin_hits Said how.",
            "# TYPE switchback_plugin_hits counter",
            "switchback_plugin_hits{plugin=\"tier\",zone=\"a\\\"b\"} 3",
            "switchback_plugin_open{plugin=\"tier\"} 7.5",
            "switchback_plugin_times_bucket{plugin=\"tier\",le=\"0.005\"} 1",
            "switchback_plugin_times_bucket{plugin=\"tier\",le=\"+Inf\"} 3",
            "switchback_plugin_times_count{plugin=\"tier\"} 3",
        ] {
            assert!(out.lines().any(|own| own == line), "{line}\n{out}");
        }
    }

    #[test]
    fn failures_are_counted_by_what_caused_them() {
        let meters = Meters::default();
        let failed = Failed { plugin: "a", hook: Hook::Request, cause: Cause::Panic, message: "" };
        meters.failed(failed);
        meters.took("a", Hook::Request, 1_500_000_000);
        meters.breaker("a", true);
        meters.calls("a").add();
        let mut out = String::new();
        meters.render(&mut out);
        for line in [
            "switchback_plugin_calls_total{plugin=\"a\"} 1",
            "switchback_plugin_failures_total{plugin=\"a\",kind=\"panic\"} 1",
            "switchback_plugin_failures_total{plugin=\"a\",kind=\"timeout\"} 0",
            "switchback_plugin_seconds_sum{plugin=\"a\",hook=\"on_request\"} 1.5",
            "switchback_plugin_left_alone{plugin=\"a\"} 1",
        ] {
            assert!(out.lines().any(|own| own == line), "{line}\n{out}");
        }
    }
}
