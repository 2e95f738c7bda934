//! From the TOML tree to typed values: everything that is wrong is noted, and reading goes on.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use switchback_value::suggest::nearest;

use super::node::{Key, Node};
use super::substitute::substitute;
use super::tree::Value;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::environment::Environment;

/// A type of value that a configuration file can hold.
pub(crate) trait Setting: Sized {
    /// Whether the list or table around it keeps its meaning when one such value is wrong.
    const INDEPENDENT: bool = false;

    /// Whether names are defined in it that are used elsewhere.
    const NAMES: bool = false;

    /// The value of `node`, or `None` after having told `decoder` why there is none.
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self>;

    /// The value when several files say something about it: an error unless the type knows how to add them up.
    fn decode_all(nodes: &[Node<'_>], decoder: &mut Decoder<'_>) -> Option<Self> {
        let (first, more) = nodes.split_first()?;
        for other in more {
            decoder.set_twice(&first.at(), other.at());
        }
        Self::decode(*first, decoder)
    }

    /// The opposite of decoding.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// What may be written, as JSON Schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A setting as serde wants it.
pub(crate) struct Written<'a, T>(pub(crate) &'a T);

impl<T: Setting> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

/// What the configuration is read with, and what was found on the way.
pub(crate) struct Decoder<'e> {
    environment: &'e dyn Environment,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) gaps: Gaps,
    depth: usize,
}

/// What is missing from a configuration because it could not be read: no reason to complain a second time.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// Names of listeners, sites, routes and upstreams that were given up.
    pub(super) names: BTreeSet<Box<str>>,
    /// Whether anything was given up.
    pub(super) any: bool,
    /// Whether so much was given up, as a whole file, that any name may have been in it.
    pub(super) names_unknown: bool,
}

impl Gaps {
    /// Whether something called `name` may have been written.
    pub(crate) fn may_hide(&self, name: &str) -> bool {
        self.names_unknown || self.names.contains(name)
    }

    /// Whether anything may have been written.
    pub(crate) fn any(&self) -> bool {
        self.any || self.names_unknown
    }
}

impl<'e> Decoder<'e> {
    pub(super) fn new(environment: &'e dyn Environment) -> Self {
        Self { environment, diagnostics: Vec::new(), gaps: Gaps::default(), depth: 0 }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Text, with environment variables replaced.
    pub(crate) fn text<'a>(&mut self, node: Node<'a>, expected: &str) -> Option<Cow<'a, str>> {
        self.escaped_text(node, expected, |value| Cow::Borrowed(value))
    }

    /// Text, with environment variables replaced by what `escape` makes of their values.
    pub(crate) fn escaped_text<'a>(
        &mut self,
        node: Node<'a>,
        expected: &str,
        escape: fn(&str) -> Cow<'_, str>,
    ) -> Option<Cow<'a, str>> {
        let text = match node.value() {
            Value::String(text) => text,
            Value::List(_) | Value::Table(_) => return self.wrong_type(node, expected),
            _ => return self.wrong_type_but(node, expected, "this is written in quotes"),
        };
        match substitute(text, self.environment, escape) {
            Ok(text) => Some(text),
            Err(unset) => {
                for variable in unset {
                    let message =
                        format!("the environment variable `{}` is not set", variable.name);
                    let at = node.at().within(text, variable.at);
                    let hint = format!("a default is written `${{{}:-value}}`", variable.name);
                    self.report(
                        Diagnostic::error(Code::EnvironmentVariable, at, message).hint(hint),
                    );
                }
                None
            }
        }
    }

    /// A value of another type than expected.
    pub(crate) fn wrong_type<T>(&mut self, node: Node<'_>, expected: &str) -> Option<T> {
        let message = format!("expected {expected}, found {}", node.kind());
        self.report(Diagnostic::error(Code::WrongType, node.at(), message));
        None
    }

    /// The same with advice.
    pub(crate) fn wrong_type_but<T>(
        &mut self,
        node: Node<'_>,
        expected: &str,
        hint: &str,
    ) -> Option<T> {
        let message = format!("expected {expected}, found {}", node.kind());
        self.report(Diagnostic::error(Code::WrongType, node.at(), message).hint(hint));
        None
    }

    /// How much is wrong so far.
    pub(crate) fn found(&self) -> usize {
        self.diagnostics.len()
    }

    /// Adds advice to a value of another type than expected at this place, found after so much, if it has none and does not say it.
    pub(crate) fn advise(&mut self, after: usize, at: &Location, hint: &str) {
        let (said, at) = (hint.trim_start_matches("or "), at.to_string());
        for found in self.diagnostics.iter_mut().skip(after) {
            let is_here = found.code == Code::WrongType && found.at.to_string() == at;
            if is_here && found.hint.is_none() && !found.message.contains(said) {
                found.hint = Some(hint.to_owned());
            }
        }
    }

    /// A value of the right type that is not written as it should be.
    pub(crate) fn bad_value(&mut self, at: Location, problem: Problem) {
        self.report(
            Diagnostic::error(Code::BadValue, at, problem.message).maybe_hint(problem.hint),
        );
    }

    pub(super) fn set_twice(&mut self, first: &Location, second: Location) {
        let diagnostic =
            Diagnostic::error(Code::SetTwice, second, "this is set in another file already");
        self.report(diagnostic.hint(format!("first set at {first}")));
    }

    /// A key that the table does not have.
    pub(crate) fn unknown_key(&mut self, key: Key<'_>, known: &[&str]) {
        let hint = match nearest(key.text(), known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known keys are {}", listed(known.iter().copied())),
        };
        let diagnostic =
            Diagnostic::error(Code::UnknownKey, key.at(), format!("unknown key `{}`", key.text()));
        self.report(diagnostic.hint(hint));
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T: Setting>(
        &mut self,
        found: &Found<'_>,
        key: &str,
        tables: &[Node<'_>],
    ) -> Option<T> {
        let decoded = found.decode(self);
        if decoded.is_none() {
            let at = tables.first().map_or(Location::none(), |table| table.at());
            self.report(Diagnostic::error(
                Code::MissingKey,
                at,
                format!("the key `{key}` is missing"),
            ));
        }
        decoded.flatten()
    }

    /// The value of a key that may be left out.
    ///
    /// Wrong values at the top of a file are replaced by the default: so everything else is still looked at.
    pub(crate) fn optional<T: Setting>(
        &mut self,
        found: &Found<'_>,
        default: impl Fn() -> T,
    ) -> Option<T> {
        match found.decode(self) {
            None => Some(default()),
            Some(None) if self.depth == 1 => {
                self.gaps.names_unknown |= T::NAMES;
                Some(default())
            }
            Some(decoded) => decoded,
        }
    }

    /// Between this and [`leave`](Self::leave) the fields of one table are read.
    pub(crate) fn enter(&mut self) {
        self.depth += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Leaves one wrong value out of a list or table, if that keeps its meaning without.
    pub(crate) fn leave_out<T: Setting>(&mut self, name: Option<&str>) -> Option<()> {
        if !T::INDEPENDENT {
            return None;
        }
        self.gaps.any = true;
        self.gaps.names.extend(name.map(Into::into));
        Some(())
    }
}

/// The values of one key: none, one, or one per file.
#[derive(Default)]
pub(crate) struct Found<'a> {
    first: Option<Node<'a>>,
    more: Vec<Node<'a>>,
}

impl<'a> Found<'a> {
    pub(crate) fn add(&mut self, node: Node<'a>) {
        match self.first {
            None => self.first = Some(node),
            Some(_) => self.more.push(node),
        }
    }

    /// `None` when the key is not there.
    #[expect(clippy::option_option, reason = "not there and not readable are two things")]
    fn decode<T: Setting>(&self, decoder: &mut Decoder<'_>) -> Option<Option<T>> {
        let first = self.first?;
        if self.more.is_empty() {
            return Some(T::decode(first, decoder));
        }
        let all: Vec<_> = std::iter::once(first).chain(self.more.iter().copied()).collect();
        Some(T::decode_all(&all, decoder))
    }
}

/// A type that is written as a string.
pub(crate) trait FromText: Sized {
    /// With its article, and an example: `a time such as "10s"`.
    const EXPECTED: &'static str;

    /// Reads the text form.
    fn from_text(text: &str) -> Result<Self, Problem>;

    /// Writes it.
    fn to_text(&self) -> Cow<'_, str>;

    /// What may be written, as JSON Schema.
    fn schema() -> Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// A type that is written as a key.
pub(crate) trait KeyText: Sized {
    /// Reads the text form.
    fn from_key(text: &str) -> Result<Self, Problem>;

    /// Writes it.
    fn to_key(&self) -> Cow<'_, str>;
}

impl<T: FromText> KeyText for T {
    fn from_key(text: &str) -> Result<Self, Problem> {
        Self::from_text(text)
    }

    fn to_key(&self) -> Cow<'_, str> {
        self.to_text()
    }
}

impl<T: FromText> Setting for T {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, Self::EXPECTED)?;
        match Self::from_text(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                decoder.bad_value(node.at(), problem);
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <Self as FromText>::schema()
    }
}

/// Why a text is not a value of its type.
#[derive(Debug)]
pub(crate) struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// `a`, `b`, `c` with quotes, for messages; cut when there are many.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MAX_LISTED: usize = 20;
    let mut names = names.into_iter();
    let shown: Vec<_> = names.by_ref().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let more = if names.next().is_some() { ", …" } else { "" };
    shown.join(", ") + more
}
