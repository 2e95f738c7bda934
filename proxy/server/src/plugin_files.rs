//! The plugins that every server has, and the kinds of files that it loads others from.

use std::sync::{Arc, OnceLock};

use switchback_engine::plugins::Registry;
use switchback_plugin_host::{Loader, NativeLoader};

/// What a server begins with; programs add their own.
pub(crate) fn registry() -> Registry {
    let registry = Registry::new().with_loader(native());
    #[cfg(feature = "wasm")]
    let registry = registry.with_loader(wasm());
    #[cfg(feature = "builtin")]
    let registry =
        switchback_plugin_builtin::modules().into_iter().fold(registry, Registry::with_module);
    registry
}

/// One for the process, as what it loads is: shared libraries are never unloaded, so another server must find what is loaded already.
fn native() -> Arc<dyn Loader> {
    static NATIVE: OnceLock<Arc<NativeLoader>> = OnceLock::new();
    let loader = NATIVE.get_or_init(Arc::default);
    Arc::<NativeLoader>::clone(loader)
}

/// One for the process, too: the thread that ends what computes for too long is there once.
#[cfg(feature = "wasm")]
fn wasm() -> Arc<dyn Loader> {
    use switchback_plugin_wasm::WasmLoader;
    static WASM: OnceLock<Arc<WasmLoader>> = OnceLock::new();
    let workers = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let loader = WASM.get_or_init(|| Arc::new(WasmLoader::new(workers())));
    Arc::<WasmLoader>::clone(loader)
}
