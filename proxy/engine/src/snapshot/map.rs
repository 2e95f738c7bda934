//! Maps that are looked up while requests run, and renewed when their file changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use switchback_conf::plan::{FileStamp, MapFilePlan, MapPlan};
use switchback_conf::{Diagnostic, Severity};
use switchback_value::{Facts, MapTable, Template, Variable};

/// What a text about the request becomes.
#[derive(Debug)]
pub(crate) struct LiveMap {
    /// Whether a request has one value of it from its arrival to its end.
    pub(crate) is_settled: bool,
    name: Box<str>,
    key: Template,
    table: ArcSwap<MapTable>,
    watched: Option<Watched>,
}

/// The file of a map.
#[derive(Debug)]
struct Watched {
    plan: MapFilePlan,
    /// The state in which it was read last; only the watcher asks.
    stamp: Mutex<Option<FileStamp>>,
}

impl LiveMap {
    /// Whether that is its name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        *self.name == *name
    }

    /// The map of `plan`.
    pub(crate) fn new(plan: MapPlan) -> Self {
        let watched = plan.file.map(|(plan, stamp)| Watched { plan, stamp: Mutex::new(stamp) });
        Self {
            is_settled: plan.is_settled,
            name: plan.name,
            key: plan.key,
            table: ArcSwap::new(plan.table),
            watched,
        }
    }

    /// What it makes of a request; `None` when nothing is said of its key.
    pub(crate) fn value(&self, facts: &dyn Facts) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        self.key.render(facts, &mut key);
        let table = self.table.load();
        let mut value = Vec::new();
        table.find(&key)?.render(facts, &mut value);
        Some(value)
    }

    /// Whether it has a file.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// Whether it may ask for such a variable by itself.
    pub(crate) fn asks_for(&self, is_sought: fn(&Variable) -> bool) -> bool {
        self.key.variables().any(is_sought) || self.table.load().variables().any(is_sought)
    }

    /// Reads the file again if it has changed. Blocks.
    pub(crate) fn look(&self) {
        let Some(Watched { plan, stamp }) = &self.watched else { return };
        let mut stamp = stamp.lock();
        if FileStamp::of(&plan.path) == *stamp {
            return;
        }
        let read = plan.read_again();
        *stamp = read.stamp;
        match read.table {
            Some(table) => {
                tracing::info!(
                    map = &*self.name,
                    entries = table.len(),
                    "the file of a map was read again"
                );
                self.table.store(Arc::new(table));
            }
            None => self.warn(&read.diagnostics),
        }
    }

    /// One line for one change, however much is wrong.
    fn warn(&self, found: &[Diagnostic]) {
        let errors = || found.iter().filter(|found| found.severity == Severity::Error);
        let Some(first) = errors().next() else { return };
        let (at, more) = (&first.at, errors().count() - 1);
        tracing::warn!(map = &*self.name, more, "the map stays as it was: {at}: {}", first.message);
    }
}
