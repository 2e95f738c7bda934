//! Standard output and standard error, without a panic when nobody reads them.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::exit::Exit;

/// Writes what was asked for. A reader who has had enough (`| head`) is no failure.
pub(crate) fn show(text: impl Display) -> Exit {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => fail(format_args!("standard output: {error}")),
    }
}

/// Tells the person at the terminal something beside the output.
pub(crate) fn tell(text: impl Display) {
    let text = text.to_string();
    // Nobody is left to be told that they cannot be told.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// Says what went wrong.
pub(crate) fn fail(reason: impl Display) -> Exit {
    tell(format_args!("switchback: {reason}"));
    Exit::Failed
}
