//! Located, coded messages about configuration.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

mod code;
mod show;
mod within;

pub use code::Code;

use crate::source::Source;

/// Whether the configuration can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but it does not do what its author may think.
    Warning,
}

/// One mistake or oddity, where it is and what to do about it.
///
/// Displays as `error[C0203]: …`, the line it stands in with the place underlined, and the hint.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    /// What kind of finding it is; stable across versions.
    pub code: Code,
    /// What is wrong, with the names and values concerned.
    pub message: String,
    /// Where.
    pub at: Location,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A mistake: the configuration cannot be used.
    #[must_use]
    pub fn error(code: Code, at: Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), at, hint: None }
    }

    /// An oddity: the configuration can be used.
    #[must_use]
    pub fn warning(code: Code, at: Location, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, message: message.into(), at, hint: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with advice if there is any.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }

    /// Sorts findings by the text they are about; those about no text come first.
    pub(crate) fn position(&self) -> (usize, u32) {
        self.at.source.as_ref().map_or((0, 0), |source| (source.number() + 1, self.at.start))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show::diagnostic(self, f)
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Diagnostic", 7)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("file", &self.at.file().map(Path::to_string_lossy))?;
        fields.serialize_field("line", &self.at.line())?;
        fields.serialize_field("column", &self.at.column())?;
        fields.serialize_field("hint", &self.hint)?;
        fields.end()
    }
}

/// All of `diagnostics` as text for a person, with a closing line that counts them; empty when there are none.
#[must_use]
pub fn report(diagnostics: &[Diagnostic]) -> String {
    show::report(diagnostics)
}

/// Where in which file; [`Location::none`] for what was built in code.
///
/// Cheap to clone. Line and column are worked out when asked for.
#[derive(Clone, Debug)]
pub struct Location {
    source: Option<Arc<Source>>,
    start: u32,
    end: u32,
}

/// The start of a location that is a whole file.
const WHOLE_FILE: u32 = u32::MAX;

impl Location {
    /// No text: configuration built in code.
    #[must_use]
    pub const fn none() -> Self {
        Self { source: None, start: 0, end: 0 }
    }

    /// The bytes `range` of `source`.
    pub(crate) fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(WHOLE_FILE - 1);
        Self {
            source: Some(Arc::clone(source)),
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    /// The line with this number, counted from 1, of a file that belongs to no configuration.
    #[must_use]
    pub fn of_line(path: &Path, text: String, line: usize) -> Self {
        // Told after everything that is said in the configuration itself.
        let source = Arc::new(Source::new(path, text, usize::MAX / 2));
        let range = source.line_range(line);
        Self::new(&source, range)
    }

    /// From the beginning of this to the end of `other`, where both are in one file.
    pub(crate) fn through(&self, other: &Self) -> Self {
        match (&self.source, &other.source) {
            (Some(own), Some(others)) if Arc::ptr_eq(own, others) && other.end >= self.start => {
                Self { source: self.source.clone(), start: self.start, end: other.end }
            }
            _ => self.clone(),
        }
    }

    /// A file as a whole, such as one that cannot be read.
    pub(crate) fn whole(source: &Arc<Source>) -> Self {
        Self { source: Some(Arc::clone(source)), start: WHOLE_FILE, end: WHOLE_FILE }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.source.as_deref().map(Source::name)
    }

    /// The line, counted from 1; `None` for a whole file.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let (source, range) = self.text_range()?;
        Some(source.line(range.start))
    }

    /// The column, counted from 1 in characters; `None` for a whole file.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        let (source, range) = self.text_range()?;
        Some(source.column(range.start))
    }

    /// The text and the bytes of it that are meant.
    fn text_range(&self) -> Option<(&Source, Range<usize>)> {
        let source = self.source.as_deref().filter(|_| self.start != WHOLE_FILE)?;
        Some((source, self.start as usize..self.end as usize))
    }

    /// The text that is meant, as it was written.
    fn written(&self) -> Option<&str> {
        let (source, range) = self.text_range()?;
        source.text().get(range)
    }
}

impl fmt::Display for Location {
    /// `file:line:column`, or `file`, or `(no file)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file(), self.line(), self.column()) {
            (Some(file), Some(line), Some(column)) => {
                write!(f, "{}:{line}:{column}", file.display())
            }
            (Some(file), ..) => write!(f, "{}", file.display()),
            _ => f.write_str("(no file)"),
        }
    }
}
