//! When plugins are called that want to be called from time to time.

use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::Hook;

use crate::configured::Configured;

/// Plugins that have [`Hook::Tick`] and a period, and when each is due. Driven by whoever has a thread for it:
///
/// ```text
/// loop {
///     sleep until ticker.next(); for plugin in ticker.due(now) { spawn(plugin.tick(exchange without a request)) }
/// }
/// ```
///
/// Times are nanoseconds of one clock.
#[derive(Default)]
pub struct Ticker {
    entries: Vec<Entry>,
}

struct Entry {
    plugin: Arc<Configured>,
    period: u64,
    due: u64,
}

/// Plugins are called no more often.
const SHORTEST: Duration = Duration::from_millis(10);

impl Ticker {
    /// Those of `plugins` that want it, due at `now`: when the configuration is in force. One that is there more than once counts once.
    pub fn new(plugins: impl IntoIterator<Item = Arc<Configured>>, now: u64) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for plugin in plugins {
            let Some(period) = plugin.policy().tick else { continue };
            let is_there = entries.iter().any(|entry| Arc::ptr_eq(&entry.plugin, &plugin));
            if plugin.hooks().contains(Hook::Tick) && !is_there {
                let period = u64::try_from(period.max(SHORTEST).as_nanos()).unwrap_or(u64::MAX);
                entries.push(Entry { plugin, period, due: now });
            }
        }
        Self { entries }
    }

    /// When the first is due; `None` if there is none.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// Those that are due, each to be [called](Configured::tick) beside the others. Their next time is a period from `now`: what was missed is
    /// not made up for.
    pub fn due(&mut self, now: u64) -> Vec<Arc<Configured>> {
        let mut due = Vec::new();
        for entry in &mut self.entries {
            if entry.due <= now {
                entry.due = now.saturating_add(entry.period);
                due.push(Arc::clone(&entry.plugin));
            }
        }
        due
    }
}
