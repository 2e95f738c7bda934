//! Modules whose versions can be told apart by what they do to an answer.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The header of responses by which the Wasm module is known; the last letter of its name is that of the version.
const HEADER: &[u8] = b"x-hooks";

/// Files of modules, until they are dropped.
pub(super) struct Modules {
    folder: TempDir,
    /// As it was built.
    wasm: Vec<u8>,
}

impl Modules {
    /// None yet.
    ///
    /// # Panics
    /// When the fixture is not there, or is another one than this knows.
    pub(super) fn new() -> Self {
        let fixture = repository().join("plugins/wasm/tests/fixtures/guest.wasm.zst");
        let read = std::fs::File::open(&fixture).and_then(zstd::decode_all);
        let wasm = read.unwrap_or_else(|error| panic!("{}: {error}", fixture.display()));
        Self { folder: TempDir::new().expect("a temporary folder"), wasm }
    }

    /// The native module that says this, in a file of its own.
    ///
    /// # Panics
    /// When there is no C compiler, or it refuses the source.
    pub(super) fn native(&self, mark: &str) -> PathBuf {
        let file = self.folder.path().join(format!("native-{mark}.so"));
        if file.is_file() {
            return file;
        }
        let output = Command::new("cc")
            .args(["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"])
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"])
            .arg(format!("-DMARK=\"{mark}\""))
            .arg("-I")
            .arg(repository().join("plugins/abi/include"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/scenario/plugins/reload/mark.c"))
            .arg("-o")
            .arg(&file)
            .output()
            .expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }

    /// The Wasm module that says this one letter, always in the same file: what was there is replaced as a whole.
    ///
    /// # Panics
    /// When the module does not have the one text that is altered.
    pub(super) fn wasm(&self, mark: &str) -> PathBuf {
        let mut places = self.wasm.windows(HEADER.len()).enumerate();
        let is_header = |(_, bytes): &(usize, &[u8])| *bytes == HEADER;
        let place = places.find(is_header).map(|(place, _)| place + HEADER.len() - 1);
        let place = place.expect("the fixture sets `x-hooks`");
        assert!(!places.any(|place| is_header(&place)), "the fixture says `x-hooks` once");
        let mut altered = self.wasm.clone();
        drop(altered.splice(place..=place, mark.bytes()));
        assert_eq!(altered.len(), self.wasm.len(), "a mark is one letter");
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("module.wasm"));
        let written = std::fs::write(&new, altered).and_then(|()| std::fs::rename(&new, &file));
        written.expect("a temporary folder takes files");
        file
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the repository").to_owned()
}
