//! Shared libraries, compiled on the spot.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use switchback_plugin::Module;
use switchback_plugin_host::{Limits, LoadError, NativeLoader, Registry};
use tempfile::TempDir;

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The header as it is, and as version 1.0 had it: modules that were built with it must load for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    Today,
    First,
}

impl Header {
    pub(crate) const ALL: [Self; 2] = [Self::Today, Self::First];

    /// A folder with it, under the name by which sources include it.
    fn folder(self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let header = match self {
            Self::Today => "abi/include/switchback.h",
            Self::First => "abi/frozen/switchback-1.0.h",
        };
        std::fs::copy(plugins().join(header), folder.path().join("switchback.h")).unwrap();
        folder
    }
}

/// A library of `source` (a path below `plugins`), with these definitions.
pub(crate) fn compile(source: &str, header: Header, definitions: &[&str]) -> Library {
    let folder = header.folder();
    let file = folder.path().join("libplugin.so");
    let output = Command::new("cc")
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-missing-field-initializers"])
        .args(definitions.iter().map(|definition| format!("-D{definition}")))
        .arg("-I")
        .arg(folder.path())
        .arg(plugins().join(source))
        .arg("-o")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Library { file, _folder: folder }
}

/// A shared library, until it is dropped.
pub(crate) struct Library {
    pub(crate) file: PathBuf,
    _folder: TempDir,
}

impl Library {
    /// The one plugin in it.
    pub(crate) fn plugin(&self) -> Arc<dyn Module> {
        load(&self.file).unwrap()
    }
}

pub(crate) fn registry() -> Registry {
    Registry::new().with_loader(Arc::new(NativeLoader::new()))
}

pub(crate) fn load(file: &Path) -> Result<Arc<dyn Module>, LoadError> {
    registry().load(file, &[], None, Limits::default())
}
