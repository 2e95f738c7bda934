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

/// The same of options as they are written.
pub(crate) fn made<P: Plugin>(options: &str) -> Harness<P> {
    Harness::new(options).unwrap_or_else(|error| panic!("{options}: {error}"))
}

/// Each of these options is refused, at that path, with a message that says so. There are the upstreams `main` and `other`, and the
/// variables `host` and `remote_addr`.
pub(crate) fn assert_refused<P: Plugin>(cases: &[(&str, &str, &str)]) {
    let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (options, path, message) in cases {
        let around = Surroundings {
            upstreams: named(&["main", "other"]),
            variables: named(&["host", "remote_addr", "http_authorization"]),
            ..Surroundings::default()
        };
        let Err(error) = Harness::<P>::within(around, options) else {
            panic!("{options} is accepted");
        };
        assert_eq!(error.path, *path, "{options}: {error}");
        let said = format!("{error}");
        assert!(said.contains(message), "{options}: {said}");
    }
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
