//! What was done with a cache.

use std::fmt::Write as _;

use switchback_cache::Statistics;
use switchback_cache::disk::DiskStats;

use crate::metrics::{self, Counter};
use crate::snapshot::zones::NamedZone;

/// Counts of requests by what the cache did, and of what was asked of origins for it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// By [`Outcome`].
    pub(crate) requests: [Counter; Outcome::ALL.len()],
    /// Fetches begun.
    pub(crate) fills: Counter,
    /// Fetches begun in the background.
    pub(crate) refreshes: Counter,
    /// Requests that another's fetch has answered.
    pub(crate) collapsed: Counter,
    /// Responses stored.
    pub(crate) stored: Counter,
    /// Bytes of their bodies.
    pub(crate) stored_bytes: Counter,
    /// Responses that were not storable.
    pub(crate) unstorable: Counter,
}

/// What a cache did for a request: `$upstream_cache_status`, in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was stored.
    Miss,
    /// It was not asked.
    Bypass,
    /// What was stored is stale, and was fetched anew.
    Expired,
    /// What was stored is stale, and stands in for an error.
    Stale,
    /// What was stored is stale, and is being fetched anew.
    Updating,
    /// What was stored is stale, and the origin says that it still holds.
    Revalidated,
    /// What was stored.
    Hit,
}

impl Outcome {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Miss,
        Self::Bypass,
        Self::Expired,
        Self::Stale,
        Self::Updating,
        Self::Revalidated,
        Self::Hit,
    ];

    /// nginx's word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Miss => "MISS",
            Self::Bypass => "BYPASS",
            Self::Expired => "EXPIRED",
            Self::Stale => "STALE",
            Self::Updating => "UPDATING",
            Self::Revalidated => "REVALIDATED",
            Self::Hit => "HIT",
        }
    }
}

impl Counters {
    /// How many requests had this outcome.
    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.requests.get(outcome as usize).map_or(0, Counter::value)
    }

    /// One more request with this outcome.
    pub(crate) fn request(&self, outcome: Outcome) {
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.add();
        }
    }
}

/// Appends the counters of these zones in the Prometheus text format; nothing when there are none.
pub(crate) fn render(out: &mut String, zones: &[NamedZone]) {
    if zones.is_empty() {
        return;
    }
    requests(out, zones);
    for (name, help, count) in COUNTS {
        metrics::header(out, (name, help, "counter"));
        for zone in zones {
            sample(out, name, &labels(zone), count(&zone.live.counters).value());
        }
    }
    let statistics: Vec<Statistics> =
        zones.iter().map(|zone| zone.live.stored.statistics()).collect();
    for (name, help, kind, value) in HELD {
        metrics::header(out, (name, help, kind));
        for (zone, statistics) in zones.iter().zip(&statistics) {
            sample(out, name, &labels(zone), value(statistics));
        }
    }
    on_disk(out, zones);
    let name = "cache_arriving_bytes";
    metrics::header(out, (name, "Bytes of memory that bodies claim as they arrive.", "gauge"));
    for zone in zones {
        sample(out, name, &labels(zone), zone.live.arriving.claimed());
    }
    let name = "cache_limit_bytes";
    metrics::header(out, (name, "Bytes that a zone may take in memory.", "gauge"));
    for zone in zones {
        sample(out, name, &labels(zone), zone.plan.memory);
    }
}

/// What the directories of zones hold and have done; nothing where there are none.
fn on_disk(out: &mut String, zones: &[NamedZone]) {
    let with_disk = zones.iter().filter_map(|zone| Some((labels(zone), zone.live.stored.disk()?)));
    let disks: Vec<_> = with_disk.map(|(labels, disk)| (labels, disk.stats())).collect();
    if disks.is_empty() {
        return;
    }
    for (name, help, kind, value) in DISK {
        metrics::header(out, (name, help, kind));
        for (labels, stats) in &disks {
            sample(out, name, labels, value(stats));
        }
    }
}

fn requests(out: &mut String, zones: &[NamedZone]) {
    let name = "cache_requests_total";
    let help = "Requests on cached routes, by what the cache did.";
    metrics::header(out, (name, help, "counter"));
    for zone in zones {
        for (outcome, counter) in Outcome::ALL.into_iter().zip(&zone.live.counters.requests) {
            let status = outcome.name().to_ascii_lowercase();
            let labels = format!("{},status=\"{status}\"", labels(zone));
            sample(out, name, &labels, counter.value());
        }
    }
}

type Count = fn(&Counters) -> &Counter;
type Value = fn(&Statistics) -> u64;

const COUNTS: [(&str, &str, Count); 6] = [
    ("cache_fills_total", "Responses fetched for a cache.", |counters| &counters.fills),
    ("cache_refreshes_total", "Those fetched in the background.", |counters| &counters.refreshes),
    ("cache_collapsed_total", "Requests answered by the fetch of another.", |counters| {
        &counters.collapsed
    }),
    ("cache_stored_total", "Responses stored.", |counters| &counters.stored),
    ("cache_stored_bytes_total", "Bytes of their bodies.", |counters| &counters.stored_bytes),
    (
        "cache_unstorable_total",
        "Responses on cached routes that could not be stored.",
        |counters| &counters.unstorable,
    ),
];

type DiskValue = fn(&DiskStats) -> u64;

const DISK: [(&str, &str, &str, DiskValue); 8] = [
    ("cache_disk_entries", "Responses on disk.", "gauge", |disk| disk.entries),
    ("cache_disk_bytes", "Bytes that they take.", "gauge", |disk| disk.bytes),
    ("cache_disk_stored_total", "Responses written to disk.", "counter", |disk| disk.stored),
    ("cache_disk_written_bytes_total", "Bytes written to disk.", "counter", |disk| disk.written),
    (
        "cache_disk_evictions_total",
        "Responses on disk that made room for others.",
        "counter",
        |disk| disk.evicted,
    ),
    (
        "cache_disk_corrupt_total",
        "Files that were removed because they were damaged or foreign.",
        "counter",
        |disk| disk.corrupt + disk.old,
    ),
    ("cache_disk_errors_total", "Calls to the file system that failed.", "counter", |disk| {
        disk.errors
    }),
    (
        "cache_disk_paused",
        "Whether the disk rests after errors, or for want of room.",
        "gauge",
        |disk| u64::from(disk.is_paused),
    ),
];

const HELD: [(&str, &str, &str, Value); 4] = [
    ("cache_entries", "Keys in memory.", "gauge", |held| held.keys),
    ("cache_bytes", "Bytes of them, heads and keys included.", "gauge", |held| held.bytes),
    ("cache_evictions_total", "Keys that made room for others.", "counter", |held| held.evictions),
    ("cache_purges_total", "Purges.", "counter", |held| held.purges),
];

fn labels(zone: &NamedZone) -> String {
    let name = zone.plan.name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("zone=\"{name}\"")
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "switchback_{name}{{{labels}}} {value}");
}
