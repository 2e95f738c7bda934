//! Names, numbers and texts with a meaning of their own.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;
use serde::ser::SerializeMap as _;
use switchback_value::escape_literal;

use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::native::{Decoder, FromText, Node, Problem, Setting, Value, integer};

/// The name of a listener, route or upstream: not empty, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// `text` if it can be a name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl FromText for Name {
    const EXPECTED: &'static str = "a name";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Self::new(text)
            .ok_or_else(|| Problem::new("a name must not be empty or hold control characters"))
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl FromText for Box<str> {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Ok(text.into())
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

/// A template as it was written. It is parsed when the plan is made, where the captures of its route are known.
///
/// What environment variables put in stands for itself: dollar signs and braces in it are doubled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateText(pub Box<str>);

impl From<&str> for TemplateText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl AsRef<str> for TemplateText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Setting for TemplateText {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.escaped_text(node, "a template", escape_literal)?;
        Some(Self(text.into()))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "template" })
    }
}

/// A template for a directory. A relative one starts from the directory of the file it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderText(pub TemplateText);

impl From<&str> for FolderText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl AsRef<str> for FolderText {
    fn as_ref(&self) -> &str {
        self.0.as_ref()
    }
}

impl Setting for FolderText {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let TemplateText(text) = TemplateText::decode(node, decoder)?;
        if text.is_empty() || text.starts_with(['/', '$', '{']) {
            return Some(Self(TemplateText(text)));
        }
        let folder = node.directory().to_string_lossy();
        let joined = Path::new(&*escape_literal(&folder)).join(&*text);
        Some(Self(TemplateText(joined.to_string_lossy().into())))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        TemplateText::schema(generator)
    }
}

/// A template, or `{ file = "path" }`: the content of that file, as it is, without one newline at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// A template.
    Template(TemplateText),
    /// The content of a file.
    File {
        /// Which file.
        path: PathBuf,
        /// Its content, without one newline at its end.
        content: Box<str>,
    },
}

impl Text {
    /// Whether it is an empty template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Template(TemplateText(text)) if text.is_empty())
    }
}

impl From<&str> for Text {
    fn from(template: &str) -> Self {
        Self::Template(template.into())
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        match self {
            Self::Template(template) => template.as_ref(),
            Self::File { content, .. } => content,
        }
    }
}

/// Larger files are refused: they would stay in memory.
const MAX_VALUE_FILE: u64 = 16 * 1024 * 1024;

impl Setting for Text {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => {
                let FromFile { file } = FromFile::decode(node, decoder)?;
                let content = read_value(&file, decoder)?;
                Some(Self::File { path: file.value, content })
            }
            Value::String(_) => TemplateText::decode(node, decoder).map(Self::Template),
            _ => decoder.wrong_type(node, "a template or { file = \"path\" }"),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Template(template) => template.write(serializer),
            Self::File { path, .. } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("file", &path.to_string_lossy())?;
                map.end()
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [TemplateText::schema(generator), FromFile::schema(generator)] })
    }
}

crate::model::define::model! {
    /// A text that is kept in a file of its own, such as a secret or a page.
    pub struct FromFile {
        /// The file. Its content is taken as it is, without one newline at its end.
        pub file: At<PathBuf>,
    }
}

fn read_value(file: &At<PathBuf>, decoder: &mut Decoder<'_>) -> Option<Box<str>> {
    let read = |path: &Path| match std::fs::metadata(path)?.len() {
        0..=MAX_VALUE_FILE => std::fs::read_to_string(path),
        _ => Err(std::io::Error::other("larger than 16 MiB")),
    };
    match read(file) {
        Ok(content) => {
            let content = content
                .strip_suffix('\n')
                .map_or(&*content, |line| line.strip_suffix('\r').unwrap_or(line));
            Some(content.into())
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            decoder.report(Diagnostic::error(Code::ValueFile, file.at.clone(), message));
            None
        }
    }
}

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// The nearest number within the bounds.
    #[must_use]
    pub const fn clamped(count: u32) -> Self {
        Self(if count < MIN {
            MIN
        } else if count > MAX {
            MAX
        } else {
            count
        })
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Setting for Count<MIN, MAX> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let count = integer(node, MIN.into()..=MAX.into(), decoder)?;
        u32::try_from(count).ok().map(Self)
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// Something, or `"off"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrOff<T> {
    /// `"off"`.
    Off,
    /// Something.
    On(T),
}

impl<T> OrOff<T> {
    /// What it is when it is not off.
    #[must_use]
    pub const fn on(&self) -> Option<&T> {
        match self {
            Self::Off => None,
            Self::On(value) => Some(value),
        }
    }
}

impl<T: Setting> Setting for OrOff<T> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::String(text) if text == "off" => Some(Self::Off),
            _ => {
                let before = decoder.found();
                let value = T::decode(node, decoder);
                // What is expected otherwise does not know that it may be off.
                decoder.advise(before, &node.at(), "or \"off\"");
                value.map(Self::On)
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::On(value) => value.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [T::schema(generator), { "const": "off" }] })
    }
}

/// A table that may be written as the text of its one important key.
#[derive(Clone, Debug, PartialEq)]
pub struct OrText<T>(pub T);

/// A table with one important key.
pub(crate) trait Short: Setting {
    /// The type of the key.
    type Key: Setting;

    /// The table with only that key.
    fn from_key(key: At<Self::Key>) -> Self;

    /// The key if the table has nothing else to say.
    fn as_key(&self) -> Option<&Self::Key>;
}

impl<T> Deref for OrText<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Short> Setting for OrText<T> {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::Table(_) => T::decode(node, decoder).map(Self),
            _ => At::decode(node, decoder).map(|key| Self(T::from_key(key))),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_key() {
            Some(key) => key.write(serializer),
            None => self.0.write(serializer),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [T::Key::schema(generator), T::schema(generator)] })
    }
}
