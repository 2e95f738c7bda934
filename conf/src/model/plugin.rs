//! Plugins and their options, and where they act on requests.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::option_value::Options;
use super::table::Table;
use super::text::{Count, Name, OrText, Short};
use crate::at::At;
use crate::native::{Decoder, FromText, Node, Problem, Setting};
use crate::plan::{Isolation, OnError};
use crate::units::{Size, Timeout};

model! {
    /// A plugin with its options. It is made once and asked by every filter that names it; what it remembers outlives a reload that
    /// changes nothing of this table.
    pub struct Plugin: Default {
        /// Which plugin of the program it is. Without it and `module`, the one that has the name of this table.
        pub used as "use": Option<At<Name>> = None,
        /// The file that the plugin is in: `.so`, a compiled one, or `.wasm`. One without `/` is looked for in the folders of
        /// `plugin_path`.
        pub module: Option<At<ModuleFile>> = None,
        /// What the file must be: its SHA-256, in 64 hexadecimal digits. Any other is refused.
        pub sha256: Option<At<Sha256>> = None,
        /// What becomes of a request that the plugin fails at, by an error of its own, by a crash or by taking too long: `"closed"`
        /// ends it with 500, `"open"` has it go on as if the plugin were not there.
        pub on_error: OnError = OnError::Closed,
        /// How long the plugin may take at one hook with all that it awaits. Without it, what the plugin says of itself, or 50 ms.
        pub timeout: Option<At<Timeout>> = None,
        /// What it may use. Only of Wasm.
        pub limits: Option<At<PluginLimits>> = None,
        /// Who shares an instance of it: `"worker"`, the requests of a worker thread, one of which may find what another has left
        /// there; `"request"`, nobody: each request has one of its own, which is made and given back with it. Only of Wasm.
        pub isolation: At<Isolation> = At::from(Isolation::Worker),
        /// Its options: which there are, the plugin says.
        pub options: At<Options> = At::from(Table::new()),
    }
}

model! {
    /// What a Wasm plugin may use.
    pub struct PluginLimits: Default {
        /// The memory of each instance. Without it, `"32MiB"`.
        pub memory: Option<At<Size>> = None,
        /// How long it may compute at one hook. Without it, `"5ms"`.
        pub cpu: Option<At<Timeout>> = None,
        /// How many instances there are. Without it, as many as worker threads. With `isolation = "request"`, how many requests may be
        /// in it at once, without it 1024; it fails at those beyond.
        pub instances: Option<At<Count<1, 1024>>> = None,
    }
}

/// What filters of a listener, a site or a route are, in the order in which they are asked.
pub type Filters = Vec<At<OrText<Filter>>>;

model! {
    /// A plugin that is asked, or a group of them: exactly one of `use`, `any` and `all`. Where only `use` is written, it alone will do:
    /// `"tier"`.
    pub struct Filter: Default {
        /// A plugin: the name of a `[plugins.NAME]`, or of one that the program has.
        pub used as "use": Option<At<Name>> = None,
        /// Options here alone: each takes the place of the one of that name in `[plugins.NAME]`.
        pub options: At<Options> = At::from(Table::new()),
        /// What becomes of a request that it fails at. Without it, what `[plugins.NAME]` says, or `"closed"`.
        pub on_error: Option<At<OnError>> = None,
        /// How long it may take at one hook. Without it, what `[plugins.NAME]` says.
        pub timeout: Option<At<Timeout>> = None,
        /// A group one of which must let a request pass: the first that does lets it pass for all. If none does, the first answer
        /// counts.
        pub any: Option<At<Filters>> = None,
        /// A group all of which must let a request pass, as a member of an `any`.
        pub all: Option<At<Filters>> = None,
    }
}

impl Short for Filter {
    type Key = Name;

    fn from_key(name: At<Name>) -> Self {
        Self { used: Some(name), ..Self::default() }
    }

    fn as_key(&self) -> Option<&Name> {
        let name = self.used.as_ref()?;
        (*self == Self::from_key(name.clone())).then_some(&name.value)
    }
}

/// The file of a module. A relative one with a `/` starts from the directory of the file it stands in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModuleFile(PathBuf);

impl ModuleFile {
    /// Exactly this path, or the file of that name in one of the folders of `plugin_path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path, or the name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it is looked for in the folders of `plugin_path`.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.0.parent().is_none_or(|folder| folder.as_os_str().is_empty())
    }
}

impl Setting for ModuleFile {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, "the file of a plugin")?;
        if text.is_empty() {
            decoder.bad_value(node.at(), Problem::new("a path must not be empty"));
            return None;
        }
        let path = Path::new(&*text);
        Some(Self(if text.contains('/') { node.directory().join(path) } else { path.to_owned() }))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string_lossy())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "path" })
    }
}

/// A SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

impl FromText for Sha256 {
    const EXPECTED: &'static str = "a SHA-256 in 64 hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let mut sum = [0; 32];
        let digits = text.as_bytes();
        let is_one = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        match is_one {
            true => Ok(Self(sum)),
            false => Err(Problem::new(format!("`{text}` is not {}", Self::EXPECTED))
                .hint("`sha256sum FILE` prints it")),
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl std::fmt::Display for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
