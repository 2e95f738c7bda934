//! What plugins count, and what is counted of plugins, in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use switchback_plugin::{Cause, Hook, Meter, MetricKind, Refused};

use crate::amount::{Amount, Histogram, SIZES, TIMES};
use crate::calls::Calls;
use crate::observer::{Failed, Observer};

/// How many series one plugin has at most: it cannot fill it for others.
const MOST_OF_ONE: usize = 1000;

/// How many all of them have at most, whatever they are called: who scrapes them has to keep them.
const MOST: usize = 10_000;

/// Names after `switchback_plugin_` that are the host's own.
const OWN: [&str; 8] = [
    "calls_total",
    "failures_total",
    "instances",
    "left_alone",
    "seconds",
    "seconds_bucket",
    "seconds_count",
    "seconds_sum",
];

/// All that is counted. Outlives configurations: what has the same name is the same, until no configuration has it any more.
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
    /// By hook.
    times: [Histogram<{ TIMES.len() }>; Hook::ALL.len()],
    is_left_alone: AtomicU64,
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
    Histogram(Arc<Histogram<{ SIZES.len() }>>),
}

impl Metrics {
    /// The metric of that name and labels of a plugin: the same as before if there was one.
    ///
    /// # Errors
    ///
    /// [`Refused::Invalid`] for a name or label that is none, or that means something else already; [`Refused::Full`] for one too many: each
    /// plugin has 1,000 at most, labels counted, and all together 10,000.
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
        let key = (plugin.into(), shown(plugin, labels));
        if let Some(family) = families.get(name) {
            if family.kind != kind {
                return Err(Refused::Invalid);
            }
            if let Some(series) = family.series.get(&key) {
                return Ok(series.meter());
            }
        }
        let own = |family: &Family| family.series.keys().filter(|(of, _)| **of == *plugin).count();
        let all: usize = families.values().map(|family| family.series.len()).sum();
        if all >= MOST || families.values().map(own).sum::<usize>() >= MOST_OF_ONE {
            return Err(Refused::Full);
        }
        let family = families.entry(name.into()).or_insert_with(|| Family {
            kind,
            help: help.replace(['\n', '\\'], " ").into(),
            series: BTreeMap::new(),
        });
        let series = Series::new(kind);
        let meter = series.meter();
        family.series.insert(key, series);
        Ok(meter)
    }

    /// Lets go of what was counted of plugins that nobody has any more, and of what they counted.
    pub fn forget_unused(&self) {
        let mut plugins = self.plugins.write();
        plugins.retain(|_, own| Arc::strong_count(own) > 1 || Arc::strong_count(&own.calls) > 1);
        let mut families = self.families.write();
        for family in families.values_mut() {
            family
                .series
                .retain(|(plugin, _), series| plugins.contains_key(plugin) || series.is_held());
        }
        families.retain(|_, family| !family.series.is_empty());
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
                    Series::Histogram(histogram) => histogram.render(&SIZES, out, (name, labels)),
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

    fn took(&self, plugin: &str, hook: Hook, time: u64) {
        if let Some(times) = self.plugin(plugin).times.get(hook as usize) {
            times.note(&TIMES, Duration::from_nanos(time).as_secs_f64());
        }
    }

    fn breaker(&self, plugin: &str, open: bool) {
        self.plugin(plugin).is_left_alone.store(u64::from(open), Ordering::Relaxed);
    }
}

fn render_plugins(plugins: &BTreeMap<Box<str>, Arc<Plugin>>, out: &mut String) {
    header(out, ("calls_total", "Calls of plugins."), MetricKind::Counter);
    for (name, plugin) in plugins {
        sample(out, ("calls_total", &shown(name, &[])), plugin.calls.count());
    }
    let help = "Calls of plugins that failed, and requests that plugins left alone did not see.";
    header(out, ("failures_total", help), MetricKind::Counter);
    for (name, plugin) in plugins {
        for (cause, count) in Cause::ALL.iter().zip(&plugin.failures) {
            let labels = shown(name, &[("kind", cause.name())]);
            sample(out, ("failures_total", &labels), count.load(Ordering::Relaxed));
        }
    }
    let help = "How long calls of plugins took with all that they awaited; of one in 64.";
    header(out, ("seconds", help), MetricKind::Histogram);
    for (name, plugin) in plugins {
        let hooks = Hook::ALL.into_iter().zip(&plugin.times);
        for (hook, times) in hooks.filter(|(_, times)| !times.is_empty()) {
            let labels = shown(name, &[("hook", hook.name())]);
            times.render(&TIMES, out, ("seconds", &labels));
        }
    }
    let help = "Whether a plugin is not asked for a while, because it failed too often.";
    header(out, ("left_alone", help), MetricKind::Gauge);
    for (name, plugin) in plugins {
        let is = plugin.is_left_alone.load(Ordering::Relaxed);
        sample(out, ("left_alone", &shown(name, &[])), is);
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

pub(crate) fn sample(out: &mut String, (name, labels): (&str, &str), value: impl Display) {
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
    fn new(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Counter | MetricKind::Gauge => Self::Amount(Arc::new(Amount::new(kind))),
            MetricKind::Histogram => Self::Histogram(Arc::default()),
        }
    }

    fn meter(&self) -> Arc<dyn Meter> {
        match self {
            Self::Amount(amount) => Arc::clone(amount) as Arc<dyn Meter>,
            Self::Histogram(histogram) => Arc::clone(histogram) as Arc<dyn Meter>,
        }
    }

    /// Whether somebody may still count in it.
    fn is_held(&self) -> bool {
        match self {
            Self::Amount(amount) => Arc::strong_count(amount) > 1,
            Self::Histogram(histogram) => Arc::strong_count(histogram) > 1,
        }
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
    fn a_histogram_is_shown_with_its_labels() {
        let metrics = Metrics::default();
        let define = || {
            metrics.define("gate", MetricKind::Histogram, ("sizes", "Said\nhow."), &[("a", "b")])
        };
        define().unwrap().add(0.3);
        define().unwrap().add(2.0);
        let text = rendered(&metrics);
        for line in [
            "# HELP switchback_plugin_sizes Said how.\n",
            "# TYPE switchback_plugin_sizes histogram\n",
            "sizes_bucket{plugin=\"gate\",a=\"b\",le=\"0.5\"} 1\n",
            "sizes_bucket{plugin=\"gate\",a=\"b\",le=\"+Inf\"} 2\n",
            "sizes_sum{plugin=\"gate\",a=\"b\"} 2.3\n",
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
        for name in ["", "1a", "a-b", "a b", "calls_total", "left_alone", "seconds_sum"] {
            assert_eq!(define(name, counter, &[]), Err(Refused::Invalid), "{name}");
        }
        for label in ["", "a-b", "plugin", "le", "__name__"] {
            assert_eq!(define("a", counter, &[(label, "")]), Err(Refused::Invalid), "{label}");
        }
        define("a", counter, &[]).unwrap();
        assert_eq!(define("a", MetricKind::Gauge, &[]), Err(Refused::Invalid));
    }

    #[test]
    fn one_plugin_cannot_fill_it_for_others_and_all_together_have_a_bound() {
        let metrics = Metrics::default();
        let define = |plugin: &str, name: &str, value: &str| {
            let labels = [("value", value)];
            metrics.define(plugin, MetricKind::Counter, (name, ""), &labels).map(drop)
        };
        let fill = |plugin: &str| {
            for value in 0..MOST_OF_ONE {
                define(plugin, "a", &value.to_string()).unwrap();
            }
        };
        fill("0");
        assert_eq!(define("0", "a", "more"), Err(Refused::Full));
        assert_eq!(define("0", "a", "0"), Ok(()));
        assert_eq!(define("0", "b", "0"), Err(Refused::Full));
        assert!(!rendered(&metrics).contains("_b"), "what was refused leaves nothing behind");
        (1..MOST / MOST_OF_ONE).for_each(|plugin| fill(&plugin.to_string()));
        assert_eq!(define("last", "a", "0"), Err(Refused::Full));
        assert_eq!(define("0", "a", "0"), Ok(()));
    }

    #[test]
    fn calls_failures_and_times_are_told_of_each_plugin() {
        let metrics = Metrics::default();
        metrics.calls("gate").add();
        metrics.calls("gate").add();
        let failed =
            Failed { plugin: "gate", hook: Hook::Request, cause: Cause::Panic, message: "" };
        metrics.failed(failed);
        metrics.took("gate", Hook::Request, 1_500_000_000);
        metrics.took("gate", Hook::Request, 2_000_000);
        metrics.breaker("gate", true);
        let text = rendered(&metrics);
        for line in [
            "switchback_plugin_calls_total{plugin=\"gate\"} 2",
            "switchback_plugin_failures_total{plugin=\"gate\",kind=\"panic\"} 1",
            "switchback_plugin_failures_total{plugin=\"gate\",kind=\"timeout\"} 0",
            "switchback_plugin_left_alone{plugin=\"gate\"} 1",
            "switchback_plugin_seconds_bucket{plugin=\"gate\",hook=\"on_request\",le=\"0.001\"} 0",
            "switchback_plugin_seconds_bucket{plugin=\"gate\",hook=\"on_request\",le=\"0.01\"} 1",
            "switchback_plugin_seconds_sum{plugin=\"gate\",hook=\"on_request\"} 1.502",
            "switchback_plugin_seconds_count{plugin=\"gate\",hook=\"on_request\"} 2",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        assert!(!text.contains("on_log"), "only hooks that were timed are shown\n{text}");
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let metrics = Metrics::default();
        let define = |plugin, name| {
            metrics.define(plugin, MetricKind::Counter, (name, "Said."), &[]).unwrap()
        };
        let (kept, gone) = (metrics.calls("kept"), metrics.calls("gone"));
        // That a plugin holds no handle of it says nothing: it may have set it once.
        define("kept", "once").add(1.0);
        let (held, dropped) = (define("gone", "held"), define("gone", "dropped"));
        metrics.forget_unused();
        assert_eq!(rendered(&metrics).matches("plugin=\"gone\"").count(), 2 + Cause::ALL.len() + 2);
        drop((gone, dropped));
        metrics.forget_unused();
        let text = rendered(&metrics);
        assert!(text.contains("switchback_plugin_once{plugin=\"kept\"} 1\n"), "{text}");
        assert!(text.contains("switchback_plugin_calls_total{plugin=\"kept\"} 0\n"), "{text}");
        assert!(text.contains("switchback_plugin_held{plugin=\"gone\"} 0\n"), "{text}");
        assert_eq!(text.matches("gone").count(), 1, "{text}");
        drop((held, kept));
        metrics.forget_unused();
        assert_eq!(rendered(&metrics), "");
    }
}
