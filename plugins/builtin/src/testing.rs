//! What tests of several plugins need.

use std::io::Write;
use std::path::Path;

use switchback_plugin::Plugin;
use switchback_plugin::testing::{Harness, Surroundings};
use tempfile::{NamedTempFile, TempDir};

/// The plugin with these options.
#[expect(clippy::needless_pass_by_value, reason = "`plugin(json!(..))` is how tests read best")]
pub(crate) fn plugin<P: Plugin>(options: serde_json::Value) -> Harness<P> {
    let options = options.to_string();
    Harness::new(&options).unwrap_or_else(|error| panic!("{options}: {error}"))
}

/// Each of these options is refused, and the mistake is said to be at that path.
pub(crate) fn refused<P: Plugin>(
    cases: impl IntoIterator<Item = (serde_json::Value, &'static str)>,
) {
    for (options, path) in cases {
        let around = Surroundings {
            upstreams: Some(vec!["known".into()]),
            variables: Some(vec!["remote_addr".into(), "host".into()]),
            ..Surroundings::default()
        };
        match Harness::<P>::within(around, &options.to_string()) {
            Ok(_) => panic!("{options} is accepted"),
            Err(error) => assert_eq!(error.path, path, "{options}: {error}"),
        }
    }
}

/// A folder with one file.
pub(crate) struct File {
    folder: TempDir,
}

impl File {
    pub(crate) fn new(text: impl AsRef<[u8]>) -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        file.write(text);
        file
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("file")
    }

    /// As editors and `mv` do: all at once, and another file.
    pub(crate) fn write(&self, text: impl AsRef<[u8]>) {
        let mut new = NamedTempFile::new_in(self.folder.path()).unwrap();
        new.write_all(text.as_ref()).unwrap();
        new.persist(self.path()).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
