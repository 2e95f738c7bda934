//! Plugins: which there are, and what is made of them when a configuration is put in force. What they do to requests is in
//! `http/filter.rs`.

pub(crate) mod keeping;
mod loading;
pub(crate) mod meters;
mod services;
pub(crate) mod store;
pub(crate) mod ticks;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::Module;

/// The plugins that a program has, and how it loads others from files. A clone has the same.
#[derive(Clone, Default)]
pub struct Plugins {
    modules: BTreeMap<Box<str>, Arc<dyn Module>>,
    loaders: BTreeMap<&'static str, Arc<dyn Load>>,
}

/// Makes a plugin of a file.
pub trait Load: Send + Sync + 'static {
    /// The plugin that is in `file`. Asked when a configuration is read or checked, once for each content; it may block.
    ///
    /// # Errors
    /// Why it cannot be used, for the operator.
    fn load(&self, file: &ModuleFile<'_>) -> Result<Arc<dyn Module>, String>;
}

/// A file with a plugin.
#[derive(Clone, Copy, Debug)]
pub struct ModuleFile<'f> {
    /// Where it is.
    pub path: &'f Path,
    /// Its content, as it was read once: what was checked is what is loaded.
    pub content: &'f [u8],
    /// The SHA-256 of that.
    pub sha256: [u8; 32],
    /// What the plugin may use.
    pub limits: Limits,
}

/// What a plugin may use; `None` is what is usual. The plan has refused them where they cannot be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of memory of each instance.
    pub memory: Option<u64>,
    /// How long it may compute at one hook.
    pub cpu: Option<Duration>,
    /// How many instances there are.
    pub instances: Option<u32>,
}

impl Plugins {
    /// Adds a plugin, in place of another of its name.
    pub fn insert(&mut self, module: Arc<dyn Module>) {
        self.modules.insert(module.name().into(), module);
    }

    /// Has `loader` load files whose names end with `.` and `ending`.
    pub fn load_with(&mut self, ending: &'static str, loader: impl Load) {
        self.loaders.insert(ending, Arc::new(loader));
    }

    /// The plugins, by name.
    pub fn modules(&self) -> impl Iterator<Item = &Arc<dyn Module>> {
        self.modules.values()
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Module>> {
        self.modules.get(name)
    }

    fn loader(&self, path: &Path) -> Option<&Arc<dyn Load>> {
        self.loaders.get(path.extension()?.to_str()?)
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.modules.keys()).finish()
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
