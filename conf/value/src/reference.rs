//! A variable as it is written in a text: `$name`, `${name}`, `$1`, `{capture}`.

use std::ops::Range;

use crate::scope::Scope;
use crate::template::{TemplateError, TemplateErrorKind};
use crate::variable::Variable;

/// Reads the reference with which `text` begins, at `offset` of the whole; gives the variable and the text after it.
pub(crate) fn read<'t>(
    text: &'t str,
    offset: usize,
    scope: &Scope,
) -> Result<(Variable, &'t str), TemplateError> {
    let written = Written::split(text)
        .map_err(|(len, kind)| TemplateError { at: offset..offset + len, kind })?;
    let at = Range { start: offset, end: offset + text.len() - written.rest.len() };
    match written.resolve(scope) {
        Ok(variable) => Ok((variable, written.rest)),
        Err(kind) => Err(TemplateError { at, kind }),
    }
}

/// A reference taken apart, not yet looked up.
struct Written<'t> {
    name: &'t str,
    sigil: Sigil,
    rest: &'t str,
}

#[derive(Clone, Copy)]
enum Sigil {
    /// `$name` or `${name}`: anything.
    Dollar,
    /// `{name}`: a capture.
    Brace,
}

/// How many bytes are wrong, and why.
type Fault = (usize, TemplateErrorKind);

impl<'t> Written<'t> {
    fn split(text: &'t str) -> Result<Self, Fault> {
        if let Some(inner) = text.strip_prefix("${") {
            return Self::braced(text, inner, Sigil::Dollar);
        }
        if let Some(inner) = text.strip_prefix('{') {
            return Self::braced(text, inner, Sigil::Brace);
        }
        let Some(after) = text.strip_prefix('$') else {
            return Err((1, TemplateErrorKind::StrayBrace));
        };
        let (name, rest) = after.split_at(bare_len(after));
        if name.is_empty() {
            return Err((1, TemplateErrorKind::LoneDollar));
        }
        Ok(Self { name, sigil: Sigil::Dollar, rest })
    }

    fn braced(text: &'t str, inner: &'t str, sigil: Sigil) -> Result<Self, Fault> {
        let opening = text.len() - inner.len();
        let Some((name, rest)) = inner.split_once('}') else {
            return Err((opening, TemplateErrorKind::Unclosed));
        };
        if name.is_empty() || !name.bytes().all(is_braced_name) {
            return Err((
                text.len() - rest.len(),
                TemplateErrorKind::BadName { name: name.into() },
            ));
        }
        Ok(Self { name, sigil, rest })
    }

    fn resolve(&self, scope: &Scope) -> Result<Variable, TemplateErrorKind> {
        let name = self.name;
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = name.parse().unwrap_or(usize::MAX);
            let captures = scope.len();
            return scope
                .numbered(number)
                .ok_or_else(|| TemplateErrorKind::NoSuchNumber { name: name.into(), captures });
        }
        match self.sigil {
            Sigil::Dollar => {
                scope.variable(name).ok_or_else(|| TemplateErrorKind::UnknownVariable {
                    name: name.into(),
                    suggestion: scope.nearest_variable(name),
                })
            }
            Sigil::Brace => scope.capture(name).ok_or_else(|| TemplateErrorKind::UnknownCapture {
                name: name.into(),
                suggestion: Variable::from_name(name)
                    .map(|variable| variable.to_string())
                    .or_else(|| scope.nearest_capture(name)),
            }),
        }
    }
}

/// The length of the name after a bare dollar sign: one digit as in nginx, or letters, digits and underscores.
fn bare_len(text: &str) -> usize {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 1;
    }
    text.bytes().take_while(|byte| is_name(*byte)).count()
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Within braces a name may also hold what cookies and arguments are often called with: `${cookie___Host-id}`.
fn is_braced_name(byte: u8) -> bool {
    is_name(byte) || byte == b'-' || byte == b'.'
}
