//! The plugin as each kind, built here and now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use switchback_example_conformance::Conformance;
use switchback_plugin::{Kind, Linked, Module};
use switchback_plugin_host::{Limits, NativeLoader, Registry};
use switchback_plugin_wasm::{Limits as WasmLimits, Wasm};

/// The plugin as each kind; the first is what the others are compared with.
pub(crate) fn kinds() -> Vec<(Kind, Arc<dyn Module>)> {
    vec![
        (Kind::Linked, Linked::<Conformance>::module()),
        (Kind::Native, native()),
        (Kind::Wasm, wasm()),
    ]
}

/// The plugin as a Wasm module: built by `integration/show/wasm-guest.sh` from this very source, because few machines have what that needs.
pub(crate) fn wasm() -> Arc<dyn Module> {
    static MODULE: OnceLock<Arc<dyn Module>> = OnceLock::new();
    let load = || {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasm/tests/fixtures");
        let file = std::fs::File::open(fixtures.join("conformance.wasm.zst")).unwrap();
        let code = zstd::decode_all(file).unwrap();
        let limits = WasmLimits { cpu: Duration::from_secs(1), ..WasmLimits::new(1) };
        Wasm::new().load("conformance", &code, limits).unwrap()
    };
    Arc::clone(MODULE.get_or_init(load))
}

/// The plugin as a native module.
pub(crate) fn native() -> Arc<dyn Module> {
    static MODULE: OnceLock<Arc<dyn Module>> = OnceLock::new();
    let load = || {
        let registry = Registry::new().with_loader(Arc::new(NativeLoader::new()));
        registry.load(&shared_library(), &[], None, Limits::default()).unwrap()
    };
    Arc::clone(MODULE.get_or_init(load))
}

/// Builds the shared library as an author does.
pub(crate) fn shared_library() -> PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build(env!("CARGO_PKG_NAME"))).clone()
}

/// The folder in which this test was built has all that it needs. `cargo rustc` alone makes the library, so that it never takes the place of
/// one that was built without the feature.
fn build(package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--offline", "--lib", "--crate-type", "cdylib"])
        .args(["--features", "module", "--package", package, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug").join(format!("lib{}.so", package.replace('-', "_")))
}
