//! Modules of plugins, made as their authors make them: compiled on the spot, or the Wasm that is committed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use tempfile::{NamedTempFile, TempDir};

/// A file with a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginModule {
    /// The plugin that does what it is told (`plugins/examples/conformance`), compiled.
    Conformance,
    /// The same as Wasm.
    ConformanceWasm,
    /// The plugin that does one thing for each that can go wrong (`plugins/wasm/tests/guest`), as Wasm.
    GuestWasm,
    /// The example in C (`plugins/examples/c/gate.c`).
    Gate,
}

impl PluginModule {
    /// Where it is: made by the first who asks, and found again by other processes.
    ///
    /// # Panics
    /// When it cannot be made: `cargo` and `cc` are needed for that.
    #[must_use]
    #[track_caller]
    pub fn file(self) -> PathBuf {
        static MADE: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
        let make = || match self {
            Self::Conformance => {
                place("libconformance.so", &built("switchback-example-conformance"))
            }
            Self::ConformanceWasm => place("conformance.wasm", &unpacked("conformance")),
            Self::GuestWasm => place("guest.wasm", &unpacked("guest")),
            Self::Gate => place("libgate.so", &compiled("plugins/examples/c/gate.c", &[])),
        };
        MADE[self as usize].get_or_init(make).clone()
    }

    /// Its SHA-256, as a configuration has it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    #[track_caller]
    pub fn sha256(self) -> String {
        let bytes = fs::read(self.file()).expect("a file that was just made");
        digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The program that has the plugin of `plugins/examples/conformance` linked in.
///
/// # Panics
/// When it was not built.
#[track_caller]
pub(crate) fn linked_program() -> PathBuf {
    let program = beside().join("linked-plugins");
    let how = "cargo build -p switchback-integration --bins";
    assert!(program.is_file(), "no {}: run `{how}` (with the same profile)", program.display());
    program
}

/// The shared library that `cc` makes of `source`, a path from the root of the repository, with these definitions.
///
/// # Panics
/// When it does not.
#[must_use]
#[track_caller]
pub fn compiled(source: &str, definitions: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().expect("a temporary folder");
    let library = folder.path().join("module.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
        .args(definitions.iter().map(|definition| format!("-D{definition}")))
        .arg("-I")
        .arg(root().join("plugins/abi/include"))
        .arg(root().join(source))
        .arg("-o")
        .arg(&library);
    succeed(compiler);
    fs::read(library).expect("a compiler that succeeds has written its file")
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The folder with what was built beside this program: `target/debug` as a rule.
fn beside() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program is in a folder");
    match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap_or(folder).to_owned(),
        _ => folder.to_owned(),
    }
}

/// The shared library of a package, as its author builds it, with the profile that this program has.
#[track_caller]
fn built(package: &str) -> Vec<u8> {
    let folder = beside();
    let target = folder.parent().expect("a profile's folder is in a target folder");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["rustc", "--quiet", "--offline", "--lib", "--crate-type", "cdylib"])
        .args(["--features", "module", "--package", package, "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(root());
    succeed(cargo);
    let library = folder.join(format!("lib{}.so", package.replace('-', "_")));
    fs::read(&library).unwrap_or_else(|error| panic!("{}: {error}", library.display()))
}

/// A module that is committed: few machines have what building it needs.
#[track_caller]
fn unpacked(name: &str) -> Vec<u8> {
    let file = root().join(format!("plugins/wasm/tests/fixtures/{name}.wasm.zst"));
    let packed =
        fs::File::open(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    zstd::decode_all(packed).expect("what is committed can be unpacked")
}

#[track_caller]
fn succeed(mut command: Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A file with these bytes, beside what was built. Others may do the same at this moment: nobody sees half of it.
#[track_caller]
fn place(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = beside().join("plugin-modules");
    fs::create_dir_all(&folder).expect("where a program was built there is room");
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return path;
    }
    let mut file = NamedTempFile::new_in(&folder).expect("a folder takes files");
    file.write_all(bytes).expect("a disk with room");
    file.persist(&path).expect("a file can be renamed in its folder");
    path
}
