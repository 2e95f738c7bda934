//! Makes modules of files, each content once.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use switchback_plugin::{Kind, Module};
use switchback_plugin_abi as abi;

use super::library;
use super::module::NativeModule;
use crate::registry::{Digest, Loader, ModuleFile};

/// More plugins in one module are a mistake of its entry.
const MOST_PLUGINS: u32 = 64;

/// Why a module cannot be loaded, in words for whoever named it; the file's name comes before.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it {0}")]
    Kind(&'static str),
    #[error("there is no place in memory for a copy of it: {0}")]
    Copy(io::Error),
    #[error("the system says: {0}")]
    Open(String),
    #[error(
        "it has no `switchback_plugin_v1`: it is no plugin, or was built without `plugin!` and the feature `module`"
    )]
    Entry,
    #[error(
        "it was built for version {major} of the plugin interface, and this is version {}: build it again with this version's SDK",
        abi::ABI_MAJOR
    )]
    Major { major: u16 },
    #[error(
        "its plugin table has {size} bytes, and that of version 1.0 has {}: build it again with switchback.h or the SDK as they are",
        abi::layout::PLUGIN_SIZE_1_0
    )]
    Size { size: u32 },
    #[error("it needs what this version has not ({0}): update Switchback")]
    Newer(String),
    #[error("its plugin table makes no sense: {0}")]
    Table(String),
    #[error(
        "it has several plugins ({0}), and this version takes modules with one: build one of each"
    )]
    Several(String),
}

/// Loads native modules, each content once for as long as the program runs: they are never unloaded.
///
/// A file that was replaced is another module, beside the one that runs: old instances keep their code. Have one loader for a program.
#[derive(Default)]
pub struct NativeLoader {
    loaded: Mutex<HashMap<Digest, Plugins>>,
}

/// In the order of the module; at least one.
type Plugins = Arc<[Arc<dyn Module>]>;

impl NativeLoader {
    /// Has loaded nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All plugins of a module, in its own order; at least one.
    ///
    /// # Errors
    ///
    /// As [`Loader::load`].
    pub fn plugins(&self, file: &ModuleFile<'_>) -> Result<Plugins, String> {
        self.find(file).map_err(|trouble| trouble.to_string())
    }

    fn find(&self, file: &ModuleFile<'_>) -> Result<Plugins, Trouble> {
        let mut loaded = self.loaded.lock();
        if let Some(plugins) = loaded.get(&file.digest) {
            return Ok(Arc::clone(plugins));
        }
        let plugins: Plugins = plugins(library::open(file.path, file.bytes)?)?.into();
        loaded.insert(file.digest, Arc::clone(&plugins));
        Ok(plugins)
    }
}

impl Loader for NativeLoader {
    fn extension(&self) -> &str {
        "so"
    }

    fn kind(&self) -> Kind {
        Kind::Native
    }

    fn load(&self, file: &ModuleFile<'_>) -> Result<Arc<dyn Module>, String> {
        let plugins = self.plugins(file)?;
        match &*plugins {
            [plugin] => Ok(Arc::clone(plugin)),
            several => {
                let names: Vec<&str> = several.iter().map(|plugin| plugin.name()).collect();
                Err(Trouble::Several(names.join(", ")).to_string())
            }
        }
    }
}

fn plugins(entry: abi::Entry) -> Result<Vec<Arc<dyn Module>>, Trouble> {
    let mut plugins: Vec<Arc<dyn Module>> = Vec::new();
    for index in 0..=MOST_PLUGINS {
        // SAFETY: the module's own function, which is there as long as the program runs.
        let plugin = unsafe { entry(index) };
        if plugin.is_null() {
            break;
        }
        if index == MOST_PLUGINS {
            return Err(Trouble::Table(format!("there is no end after {MOST_PLUGINS} plugins")));
        }
        if !plugin.is_aligned() {
            return Err(Trouble::Table("its address is none".to_owned()));
        }
        // SAFETY: what the entry gave.
        let plugin = unsafe { NativeModule::read(plugin) }?;
        if plugins.iter().any(|other| other.name() == plugin.name()) {
            let name = plugin.name();
            return Err(Trouble::Table(format!("two plugins are called `{name}`")));
        }
        plugins.push(Arc::new(plugin));
    }
    if plugins.is_empty() {
        return Err(Trouble::Table("there is no plugin in it".to_owned()));
    }
    Ok(plugins)
}
