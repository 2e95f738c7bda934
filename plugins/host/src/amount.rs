//! The values of metrics.

use std::array;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use switchback_plugin::{Meter, MetricKind};

use crate::metrics::sample;

/// What the buckets of a plugin's histograms hold at most: from microseconds to millions, so that it is right for times in seconds as for
/// sizes.
pub(crate) const SIZES: [f64; 27] = [
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

/// The same of the times that hooks take, in seconds. Few, because there are as many lines for each hook of each plugin.
pub(crate) const TIMES: [f64; 8] = [0.000_001, 0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0];

/// A counter or a gauge.
pub(crate) struct Amount {
    kind: MetricKind,
    /// Bits of a double.
    value: AtomicU64,
}

impl Amount {
    pub(crate) fn new(kind: MetricKind) -> Self {
        Self { kind, value: AtomicU64::new(0) }
    }

    pub(crate) fn value(&self) -> f64 {
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

/// How many values were at most so large, of `N` bounds.
pub(crate) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    /// Above the last bound.
    rest: AtomicU64,
    /// Bits of a double.
    sum: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        let buckets = array::from_fn(|_| AtomicU64::new(0));
        Self { buckets, rest: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    pub(crate) fn note(&self, bounds: &[f64; N], value: f64) {
        let mut buckets = bounds.iter().zip(&self.buckets);
        let bucket =
            buckets.find(|(most, _)| value <= **most).map_or(&self.rest, |(_, bucket)| bucket);
        bucket.fetch_add(1, Ordering::Relaxed);
        add(&self.sum, value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        let mut all = self.buckets.iter().chain([&self.rest]);
        all.all(|bucket| bucket.load(Ordering::Relaxed) == 0)
    }

    pub(crate) fn render(&self, bounds: &[f64; N], out: &mut String, (name, labels): (&str, &str)) {
        let mut count = 0;
        let mut line = |most: &dyn std::fmt::Display, bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            // Writing to a String cannot fail.
            let _ =
                writeln!(out, "switchback_plugin_{name}_bucket{{{labels},le=\"{most}\"}} {count}");
        };
        for (most, bucket) in bounds.iter().zip(&self.buckets) {
            line(most, bucket);
        }
        line(&"+Inf", &self.rest);
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        sample(out, (&format!("{name}_sum"), labels), sum);
        sample(out, (&format!("{name}_count"), labels), count);
    }
}

impl Meter for Histogram<{ SIZES.len() }> {
    fn add(&self, value: f64) {
        self.note(&SIZES, value);
    }

    fn set(&self, _value: f64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_that_is_less() {
        let histogram = Histogram::default();
        assert!(histogram.is_empty());
        [0.003, 0.3, 0.3, 2.0, 1e9].into_iter().for_each(|size| histogram.add(size));
        assert!(!histogram.is_empty());
        let mut text = String::new();
        histogram.render(&SIZES, &mut text, ("sizes", "a=\"b\""));
        for line in [
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"0.0025\"} 0\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"0.005\"} 1\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"0.25\"} 1\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"0.5\"} 3\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"2.5\"} 4\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"100000000\"} 4\n",
            "switchback_plugin_sizes_bucket{a=\"b\",le=\"+Inf\"} 5\n",
            "switchback_plugin_sizes_sum{a=\"b\"} 1000000002.603\n",
            "switchback_plugin_sizes_count{a=\"b\"} 5\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn a_counter_only_grows() {
        let counter = Amount::new(MetricKind::Counter);
        [2.0, -1.0, f64::NAN].into_iter().for_each(|value| counter.add(value));
        counter.set(9.0);
        assert_eq!(counter.value().to_string(), "2");
    }
}
