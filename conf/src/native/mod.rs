//! The native language: TOML in and out.
//!
//! Text becomes the spanned tree, the trees of all included files become one [`Config`]. Whatever is
//! wrong is noted and left out, so that one reading finds every mistake.

mod collections;
mod decode;
mod flat;
mod format;
mod include;
mod node;
mod parse;
mod scalars;
mod substitute;
mod tree;
mod write;

use std::path::Path;
use std::sync::Arc;

pub use format::format;

pub(crate) use decode::{
    Decoder, Found, FromText, Gaps, KeyText, Problem, Setting, Written, listed,
};
pub(crate) use flat::{Entry, read_flat};
pub(crate) use node::Node;
pub(crate) use scalars::integer;
pub(crate) use tree::Value;

use crate::diagnostic::{Code, Diagnostic, Location};
use crate::environment::Environment;
use crate::model::Config;
use crate::source::Source;

/// A configuration with its mistakes left out.
pub(crate) struct Draft {
    pub(crate) config: Config,
    pub(crate) gaps: Gaps,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What the file `path` and those it includes say.
pub(crate) fn read_file(path: &Path, environment: &dyn Environment) -> Draft {
    include::read_file(path, environment)
}

/// Nothing but that the file `path` is in a language which is not read.
pub(crate) fn unknown_language(path: &Path) -> Draft {
    let at = Location::whole(&Arc::new(Source::new(path, String::new(), 0)));
    let message = format!("{} is not a native file by its name", path.display());
    let diagnostic = Diagnostic::error(Code::UnknownLanguage, at, message);
    let gaps = Gaps { names_unknown: true, ..Gaps::default() };
    let hint = "files of nginx and HAProxy cannot be read; native files end in `.toml`";
    Draft { config: Config::default(), gaps, diagnostics: vec![diagnostic.hint(hint)] }
}

/// What `text` and the files it includes say. Relative paths start from the directory of `name`.
pub(crate) fn read_text(name: &str, text: &str, environment: &dyn Environment) -> Draft {
    include::read_text(name, text, environment)
}
