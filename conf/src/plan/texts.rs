//! Templates, conditions and header values, in the scope they stand in.

use std::borrow::Cow;
use std::ops::Range;

use http::HeaderName;
use http::header;
use switchback_value::{Condition, Scope, Template, TemplateErrorKind};

use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Table, TemplateText, Text};

/// What texts may refer to beside the registry of variables.
#[derive(Default)]
pub(super) struct Captures {
    pub(super) scope: Scope,
    /// Whether the paths that capture are wrong themselves: then nobody can tell what is missing.
    pub(super) are_unknown: bool,
}

/// A text with more mistakes has other troubles.
const MAX_MISTAKES: usize = 16;

impl Findings<'_> {
    pub(super) fn template(
        &mut self,
        text: &At<TemplateText>,
        captures: &Captures,
    ) -> Option<Template> {
        let scope = &self.scope(captures);
        let first = match Template::parse(text.value.as_ref(), scope) {
            Ok(template) => return Some(template),
            Err(error) => error,
        };
        let mut rest = text.value.as_ref().to_owned();
        let mut mistake = Some(first);
        for _ in 0..MAX_MISTAKES {
            let Some(error) = mistake else { break };
            let is_capture = captures.are_unknown && may_be_capture(&error.kind);
            if !is_capture && !self.may_be_lost_map(&error.kind) {
                let at = text.within(error.at.clone());
                let diagnostic = Diagnostic::error(Code::Template, at, error.to_string());
                self.report(diagnostic.maybe_hint(error.hint()));
            }
            // The parser stops at the first mistake: blank it and look for the next.
            let blank = " ".repeat(error.at.len());
            rest.replace_range(error.at, &blank);
            mistake = Template::parse(&rest, scope).err();
        }
        None
    }

    /// The template of a text that stands elsewhere than its captures, or which captures it lacks. What else is wrong with it is told
    /// where it stands: nothing is told here.
    pub(super) fn template_in(
        &self,
        text: &At<TemplateText>,
        captures: &Captures,
    ) -> Result<Template, Vec<Box<str>>> {
        let scope = &self.scope(captures);
        let mut rest = text.value.as_ref().to_owned();
        let mut lacking = Vec::new();
        for _ in 0..MAX_MISTAKES {
            let error = match Template::parse(&rest, scope) {
                Ok(template) if lacking.is_empty() => return Ok(template),
                Ok(_) => break,
                Err(error) => error,
            };
            match error.kind {
                TemplateErrorKind::UnknownCapture { .. }
                | TemplateErrorKind::UnknownVariable { .. }
                | TemplateErrorKind::NoSuchNumber { .. } => {
                    lacking.extend(rest.get(error.at.clone()).map(Into::into));
                }
                _ => {}
            }
            rest.replace_range(error.at.clone(), &" ".repeat(error.at.len()));
        }
        Err(lacking)
    }

    /// Whether what a text becomes may depend on the request, having told what is wrong with it whatever its captures.
    pub(super) fn may_depend(&mut self, text: &At<TemplateText>) -> bool {
        let captures = Captures { are_unknown: true, ..Captures::default() };
        self.template(text, &captures).is_none_or(|template| template.variables().next().is_some())
    }

    /// What a text may refer to: what its route captures, and the maps.
    fn scope<'c>(&self, captures: &'c Captures) -> Cow<'c, Scope> {
        match self.maps.names.is_empty() {
            true => Cow::Borrowed(&captures.scope),
            false => Cow::Owned(captures.scope.clone().with_maps(self.maps.names.clone())),
        }
    }

    /// Whether a variable is unknown because its map could not be read.
    fn may_be_lost_map(&self, kind: &TemplateErrorKind) -> bool {
        let TemplateErrorKind::UnknownVariable { name, .. } = kind else { return false };
        name.strip_prefix("map_").is_some_and(|name| self.may_hide(name))
    }

    /// A template, or the content of a file as it is.
    pub(super) fn text(&mut self, text: &At<Text>, captures: &Captures) -> Option<Template> {
        match &text.value {
            Text::Template(template) => {
                self.template(&At::new(template.clone(), text.at.clone()), captures)
            }
            Text::File { content, .. } => Some(Template::literal(content.clone())),
        }
    }

    pub(super) fn condition(
        &mut self,
        text: &At<Box<str>>,
        captures: &Captures,
    ) -> Option<Condition> {
        match Condition::parse(text, &self.scope(captures)) {
            Ok(condition) => Some(condition),
            Err(error) => {
                let at = text.within(error.at.clone());
                let diagnostic = Diagnostic::error(Code::Condition, at, error.to_string());
                self.report(diagnostic.maybe_hint(error.hint()));
                None
            }
        }
    }

    /// Headers with the templates of their values.
    pub(super) fn headers(
        &mut self,
        headers: &Table<HeaderName, At<Text>>,
        captures: &Captures,
    ) -> Vec<(HeaderName, Template)> {
        let mut planned = Vec::with_capacity(headers.len());
        for (name, value) in headers.entries() {
            self.changeable(name, &name.at);
            self.no_controls(Code::HeaderValue, value, "a header value");
            planned.extend(self.text(value, captures).map(|value| (name.value.clone(), value)));
        }
        planned
    }

    /// Refuses headers by which a message is framed: the proxy computes them.
    pub(super) fn changeable(&mut self, name: &HeaderName, at: &Location) {
        const FRAMING: [HeaderName; 6] = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TE,
            header::TRAILER,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ];
        if FRAMING.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection") {
            let message =
                format!("`{name}` belongs to the connection: the proxy sets it by itself");
            self.error(Code::FramingHeader, at, message);
        }
    }

    /// Refuses control characters other than the tabulator.
    pub(super) fn no_controls<T: AsRef<str>>(&mut self, code: Code, text: &At<T>, what: &str) {
        let Some(range) = control(text.value.as_ref()) else { return };
        let message = format!("{what} must not hold line breaks or other control characters");
        self.error(code, &text.within(range), message);
    }
}

fn may_be_capture(kind: &TemplateErrorKind) -> bool {
    use TemplateErrorKind::{NoSuchNumber, UnknownCapture, UnknownVariable};
    matches!(kind, UnknownVariable { .. } | UnknownCapture { .. } | NoSuchNumber { .. })
}

/// The first control character that is not a tabulator.
fn control(text: &str) -> Option<Range<usize>> {
    let (at, found) =
        text.char_indices().find(|(_, character)| character.is_control() && *character != '\t')?;
    Some(at..at + found.len_utf8())
}
