//! When plugins are called that want to be called from time to time.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use switchback_plugin::Hook;

use crate::configured::Configured;

/// Plugins that have [`Hook::Tick`] and a period, and when each is due. Driven by whoever has a thread for it:
///
/// ```text
/// loop {
///     ticker.set(plugins of the configuration in force, now);
///     for plugin in ticker.due(now) { spawn(plugin.tick(exchange without a request)) }
///     wait until ticker.next(), or for another configuration
/// }
/// ```
///
/// It has no part in how long they live: one that nobody else holds any more is forgotten.
#[derive(Default)]
pub struct Ticker {
    entries: Vec<Entry>,
}

struct Entry {
    plugin: Weak<Configured>,
    period: Duration,
    due: Instant,
}

/// For periods that no clock can add up.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Ticker {
    /// Has those of `plugins` ticked that want it, and nobody else: who is new is due at `now`, who was there before when it was due.
    pub fn set<'p>(
        &mut self,
        plugins: impl IntoIterator<Item = &'p Arc<Configured>>,
        now: Instant,
    ) {
        let before = std::mem::take(&mut self.entries);
        for plugin in plugins {
            let Some(period) = plugin.policy().tick else { continue };
            let is = |entry: &&Entry| std::ptr::eq(entry.plugin.as_ptr(), Arc::as_ptr(plugin));
            if plugin.hooks().contains(Hook::Tick) && !self.entries.iter().any(|own| is(&own)) {
                let due = before.iter().find(is).map_or(now, |entry| entry.due);
                self.entries.push(Entry { plugin: Arc::downgrade(plugin), period, due });
            }
        }
    }

    /// When the first is due; `None` if there is none.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// Those that are due, each to be [called](Configured::tick) beside the others. Their next time is a period from `now`: what was missed is
    /// not made up for.
    pub fn due(&mut self, now: Instant) -> Vec<Arc<Configured>> {
        let mut due = Vec::new();
        self.entries.retain_mut(|entry| {
            let Some(plugin) = entry.plugin.upgrade() else { return false };
            if entry.due <= now {
                due.push(plugin);
                entry.due = now.checked_add(entry.period).unwrap_or(now + FOREVER);
            }
            true
        });
        due
    }
}
