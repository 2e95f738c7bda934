//! Plugins: what is made of them when a configuration is put in force, and kept. What they do to requests is in `http/filter.rs`.

pub(crate) mod keeping;
pub(crate) mod living;
mod successors;
mod surroundings;
pub(crate) mod ticks;

use std::sync::Arc;

pub use switchback_plugin_host::Registry;

use crate::action::Actions;

/// What the program that the engine is built into adds to it. A clone has the same.
#[derive(Clone, Default)]
pub struct Additions {
    /// What answers routes with `action`.
    pub actions: Actions,
    /// The plugins that there are, and how others are loaded.
    pub plugins: Arc<Registry>,
}

impl std::fmt::Debug for Additions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Additions").field("actions", &self.actions).finish_non_exhaustive()
    }
}

/// Writes a line of a plugin to the error log.
pub(crate) fn log(
    level: switchback_plugin::Level,
    plugin: &str,
    request: Option<&str>,
    message: &str,
) {
    use switchback_plugin::Level;
    macro_rules! write {
        ($level:ident) => {
            match request {
                Some(request) => tracing::$level!(plugin, request, "{message}"),
                None => tracing::$level!(plugin, "{message}"),
            }
        };
    }
    match level {
        Level::Trace => write!(trace),
        Level::Debug => write!(debug),
        Level::Info => write!(info),
        Level::Warn => write!(warn),
        Level::Error => write!(error),
    }
}
