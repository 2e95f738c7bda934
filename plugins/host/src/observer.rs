//! Who is told what plugins do.

use std::sync::Arc;

use switchback_plugin::{Cause, Hook, Level};

use crate::calls::Calls;

/// A failure of a plugin.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The name by which it is configured.
    pub plugin: &'a str,
    /// Where it was called.
    pub hook: Hook,
    /// What made it fail.
    pub cause: Cause,
    /// More of that, for people.
    pub message: &'a str,
}

/// Who is told what plugins do. Called on the request's way: none of it may block.
pub trait Observer: Send + Sync {
    /// Where calls of the plugin of that name are counted. It outlives the configuration, where somebody reads it.
    fn calls(&self, plugin: &str) -> Arc<Calls> {
        let _ = plugin;
        Arc::default()
    }

    /// A plugin failed.
    fn failed(&self, failed: Failed<'_>) {
        let _ = failed;
    }

    /// How long one hook took with all that it awaited, in nanoseconds; for one call in 64.
    fn took(&self, plugin: &str, hook: Hook, time: u64) {
        let _ = (plugin, hook, time);
    }

    /// A plugin is left alone from now on, because it failed too often or does not come back; or it is asked again.
    fn breaker(&self, plugin: &str, open: bool) {
        let _ = (plugin, open);
    }

    /// A line for the error log about a plugin that was said where no request is at hand: by the watchdog, on its own thread.
    fn log(&self, plugin: &str, level: Level, message: &str) {
        match level {
            Level::Trace => tracing::trace!(plugin, "{message}"),
            Level::Debug => tracing::debug!(plugin, "{message}"),
            Level::Info => tracing::info!(plugin, "{message}"),
            Level::Warn => tracing::warn!(plugin, "{message}"),
            Level::Error => tracing::error!(plugin, "{message}"),
        }
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
