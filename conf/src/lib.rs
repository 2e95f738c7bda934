//! What the operator says: configuration text to a typed Config to a Plan.
//!
//! ```text
//! text --parse--> spanned TOML --lower--> Config --plan--> Plan
//! ```
//! Every arrow gives an [`Outcome`]: a value, and all mistakes at once, each with its place, a stable code and a hint.
//! Nothing here opens a socket or writes a file.

mod at;
pub mod diagnostic;
mod environment;
pub mod model;
mod native;
mod outcome;
pub mod plan;
mod reference;
mod source;
pub mod units;

use std::ffi::OsStr;
use std::path::Path;

pub use at::At;
pub use diagnostic::{Code, Diagnostic, Location, Severity, report};
pub use environment::{Environment, ProcessEnvironment};
pub use model::Config;
pub use native::format;
pub use outcome::Outcome;
pub use plan::{Plan, plan, plan_upstream};
pub use reference::{reference, schema};

/// The language of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// TOML with the keys of [`model`].
    Native,
}

impl Language {
    /// The language that goes with the name of a file, or `None` where that is one which is not read: `*.conf` is nginx's,
    /// `*.cfg` HAProxy's. Every other name is that of a native file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension().and_then(OsStr::to_str);
        (!matches!(ending, Some("conf" | "cfg"))).then_some(Self::Native)
    }
}

/// What the file `path`, and every file it includes, says.
///
/// A file over 64 MiB is refused. [`Config::files`] lists the files that were read.
pub fn read_file(path: &Path, environment: &dyn Environment) -> Outcome<Config> {
    let draft = read(path, environment);
    Outcome::new(draft.config, draft.diagnostics)
}

/// What `text`, and every file it includes, says. Relative paths start from the directory of `name`.
pub fn read_text(name: &str, text: &str, environment: &dyn Environment) -> Outcome<Config> {
    let draft = native::read_text(name, text, environment);
    Outcome::new(draft.config, draft.diagnostics)
}

/// A configuration and what it means.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What was said.
    pub config: Config,
    /// What it means.
    pub plan: Plan,
}

/// [`read_file`] and [`plan()`] in one, with the mistakes of both in one report.
///
/// What could not be read is left out of the plan, and nothing that follows from that is told a second time.
pub fn load_file(path: &Path, environment: &dyn Environment) -> Outcome<Loaded> {
    load(read(path, environment))
}

/// [`read_text`] and [`plan()`] in one, with the mistakes of both in one report.
pub fn load_text(name: &str, text: &str, environment: &dyn Environment) -> Outcome<Loaded> {
    load(native::read_text(name, text, environment))
}

/// What a file says, if its name is that of a language we read.
fn read(path: &Path, environment: &dyn Environment) -> native::Draft {
    match Language::of(path) {
        Some(Language::Native) => native::read_file(path, environment),
        None => native::unknown_language(path),
    }
}

fn load(draft: native::Draft) -> Outcome<Loaded> {
    let native::Draft { config, gaps, mut diagnostics } = draft;
    let (plan, found) = plan::plan_with(&config, &gaps);
    diagnostics.extend(found);
    Outcome::new(Loaded { config, plan }, diagnostics)
}
