//! How the program ends.

use std::process::ExitCode;

/// How the program ends. The numbers are promised in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done as asked.
    Done,
    /// The configuration cannot be served, the process did not start, or nothing answered.
    Failed,
    /// The command line does not say enough.
    Usage,
    /// Stopped, but connections were dropped.
    Unclean,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unclean => 3,
        })
    }
}
