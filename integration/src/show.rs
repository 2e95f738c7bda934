//! What a show prints: `line: figure (wanted)`, and a mark where the figure falls short.

use std::io::Write;
use std::process::ExitCode;

/// The lines of a show, and how many fell short.
#[derive(Debug, Default)]
pub struct Show {
    short: usize,
}

impl Show {
    /// A figure beside what was promised.
    pub fn line(&mut self, what: &str, figure: &str, wanted: &str, holds: bool) {
        let mark = if holds { "" } else { "  SHORT" };
        self.short += usize::from(!holds);
        self.say(&format!("{what}: {figure} ({wanted}){mark}"));
    }

    /// What cannot be shown for want of a program falls short.
    pub fn absent(&mut self, what: &str, program: &str) {
        self.line(what, &format!("{program} is not installed"), "it is", false);
    }

    /// What belongs to the line above and promises nothing.
    pub fn say(&self, line: &str) {
        // Whoever closed standard output has seen enough.
        let _said = writeln!(std::io::stdout(), "{line}");
    }

    /// Whether any line fell short, as an exit code says it.
    #[must_use]
    pub fn verdict(&self) -> ExitCode {
        match self.short {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}
