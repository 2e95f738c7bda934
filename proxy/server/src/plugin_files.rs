//! The plugins that every server has, and the kinds of files that it loads others from.

use switchback_engine::plugins::Registry;

/// What a server begins with; programs add their own.
pub(crate) fn registry() -> Registry {
    // Built-in plugins and loaders of `.so` and `.wasm` are registered here, one line each.
    Registry::new()
}
