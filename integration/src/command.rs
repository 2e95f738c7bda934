//! Where the binary is, and what it says when it runs to its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Finished {
    /// The exit code is this one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        let Self { code: actual, stdout, stderr } = self;
        assert_eq!(
            *actual,
            Some(code),
            "unexpected exit code; stdout:\n{stdout}\nstderr:\n{stderr}"
        );
        self
    }

    /// Standard output or standard error holds this text.
    ///
    /// # Panics
    /// When neither does.
    #[track_caller]
    pub fn expect_text(&self, part: &str) -> &Self {
        let Self { stdout, stderr, .. } = self;
        let found = stdout.contains(part) || stderr.contains(part);
        assert!(found, "no {part:?}; stdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }
}

/// Runs `switchback` with these arguments in `folder` until it ends.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn switchback<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Finished {
    let mut command = Command::new(switchback_binary());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let output = command.output().expect("the binary can be started");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The `switchback` binary: `$SWITCHBACK_BIN`, else the one built with the same profile as the caller.
///
/// # Panics
/// When there is none; it says what to run.
#[must_use]
pub fn switchback_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("SWITCHBACK_BIN") {
        let path = PathBuf::from(named);
        assert!(path.is_file(), "SWITCHBACK_BIN names {}, which is no file", path.display());
        return path.canonicalize().expect("a file has a path");
    }
    let caller = std::env::current_exe().expect("a running program has a path");
    let folders = caller.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("switchback")).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no `switchback` beside {}: run `cargo build -p switchback` (with the same profile) or set SWITCHBACK_BIN",
            caller.display()
        )
    })
}
