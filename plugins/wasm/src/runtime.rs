//! Where modules are loaded: one place for the whole program, that outlives reloads.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use switchback_plugin::{Kind, Module};
use switchback_plugin_host::{Isolation, Loader, ModuleFile};

use crate::compiled::{Compiled, LoadError, Named};
use crate::limits::Limits;
use crate::shared::Shared;
use crate::ticker::Ticking;

/// The longest module.
const MAX_CODE: usize = 64 << 20;

/// Loads modules, and keeps what they share. There is no engine, no thread and no compiled code before the first one, nor after the last.
#[derive(Default)]
pub struct Wasm {
    loaded: Mutex<Loaded>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Loaded {
    ticking: Weak<Ticking>,
    /// By what they hold, so that no module is compiled twice.
    modules: HashMap<[u8; 32], Weak<Compiled>>,
}

impl Wasm {
    /// With nothing loaded.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a plugin of the bytes of a `.wasm` file. `name` is its name where it does not say one itself, as those for Envoy do not.
    ///
    /// Compiling takes some 100 ms for each 100 KB; a module that is loaded already is not compiled again.
    ///
    /// # Errors
    ///
    /// It is no Wasm, no plugin, or wants what the proxy does not have.
    pub fn load(
        &self,
        name: &str,
        code: &[u8],
        limits: Limits,
    ) -> Result<Arc<dyn Module>, LoadError> {
        let compiled = self.compiled(code, limits)?;
        let shared = Arc::clone(&self.shared);
        Ok(Arc::new(Named { compiled, name: name.to_owned(), limits, shared }))
    }

    fn compiled(&self, code: &[u8], limits: Limits) -> Result<Arc<Compiled>, LoadError> {
        if code.len() > MAX_CODE {
            return Err(LoadError::new(format!("it has more than {} MiB", MAX_CODE >> 20)));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, code).as_ref());
        // Whoever loads a module waits for who loads another one: both do so beside the way of requests.
        let loaded = &mut *self.loaded.lock();
        if let Some(compiled) = loaded.modules.get(&hash).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        let ticking = match loaded.ticking.upgrade() {
            Some(ticking) => ticking,
            None => Arc::new(Ticking::start().map_err(LoadError::new)?),
        };
        loaded.ticking = Arc::downgrade(&ticking);
        let compiled = Arc::new(Compiled::new(ticking, code)?.described(limits)?);
        loaded.modules.retain(|_, module| module.strong_count() > 0);
        loaded.modules.insert(hash, Arc::downgrade(&compiled));
        Ok(compiled)
    }

    /// How many modules are loaded: those of old configurations too, as long as requests are in them.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.loaded.lock().modules.values().filter(|module| module.strong_count() > 0).count()
    }
}

/// How many instances there may be at once where each request has its own and nobody has said: of small modules, some 100 MiB.
const AT_ONCE: usize = 1024;

/// What makes plugins of `.wasm` files.
pub struct WasmLoader {
    wasm: Wasm,
    workers: usize,
}

impl WasmLoader {
    /// For a program with so many worker threads: a module has as many instances, unless its limits say otherwise.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { wasm: Wasm::new(), workers }
    }
}

impl Loader for WasmLoader {
    fn extension(&self) -> &'static str {
        "wasm"
    }

    fn kind(&self) -> Kind {
        Kind::Wasm
    }

    fn has_limits(&self) -> bool {
        true
    }

    fn load(&self, file: &ModuleFile<'_>) -> Result<Arc<dyn Module>, String> {
        let name = file.path.file_stem().unwrap_or_default().to_string_lossy();
        let usual = Limits::new(self.workers);
        let instances = match file.limits.isolation {
            Isolation::Worker => usual.instances,
            Isolation::Request => AT_ONCE,
        };
        let limits = Limits {
            memory: file.limits.memory.map_or(usual.memory, |memory| memory as u64),
            cpu: file.limits.cpu.unwrap_or(usual.cpu),
            instances: file.limits.instances.unwrap_or(instances).max(1),
            isolation: file.limits.isolation,
            ..usual
        };
        self.wasm.load(&name, file.bytes, limits).map_err(|error| error.to_string())
    }
}
