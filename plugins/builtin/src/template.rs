//! Texts with variables: `"$scheme://$host"`, `"${remote_addr}-$arg_tenant"`.

use switchback_plugin::{BuildError, Operating, Setup};

/// Literals and variables, read once and rendered per request.
///
/// `$name` and `${name}` are a variable of the configuration, with letters, digits and `_` in its name; `$$` is a dollar sign. All else
/// means itself. What a request does not have renders as nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Never empty, and never beside another one.
    Literal(String),
    Variable(String),
}

impl Template {
    /// Reads the option at `path`.
    ///
    /// # Errors
    ///
    /// A dollar sign with no name behind it, a brace that is not closed, or a variable that there is not.
    pub(crate) fn new(path: &str, text: &str, setup: &Setup<'_>) -> Result<Self, BuildError> {
        let template = Self::parse(text).map_err(|message| BuildError::new(path, message))?;
        for name in template.variables() {
            setup.variable(path, name)?;
        }
        Ok(template)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('$') {
            add_literal(&mut parts, literal);
            if let Some(behind) = behind.strip_prefix('$') {
                add_literal(&mut parts, "$");
                rest = behind;
                continue;
            }
            let (name, behind) = match behind.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or("`${` without `}`")?,
                None => behind.split_at(name_length(behind)),
            };
            if name.is_empty() || name_length(name) < name.len() {
                return Err(
                    "`$` with no name of a variable behind it: a dollar sign is `$$`".into()
                );
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = behind;
        }
        add_literal(&mut parts, rest);
        Ok(Self { parts })
    }

    /// The variables, in order; one that is used twice comes twice.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable(name) => Some(name.as_str()),
        })
    }

    /// What it renders to, when that is the same for every request.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for the request that `view` (any facade) sees to `out`, byte for byte.
    pub(crate) fn render(&self, view: &impl Operating, out: &mut Vec<u8>) {
        self.render_with(view, out, |value, out| out.extend_from_slice(value));
    }

    /// The same as the value of a header: control characters of variables are percent-encoded, so that what a client has sent is never
    /// refused for them, and never a header of its own.
    pub(crate) fn render_field(&self, view: &impl Operating, out: &mut Vec<u8>) {
        self.render_with(view, out, |value, out| {
            for byte in value {
                match byte {
                    0..0x20 | 0x7f => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                    _ => out.push(*byte),
                }
            }
        });
    }

    fn render_with(
        &self,
        view: &impl Operating,
        out: &mut Vec<u8>,
        write: impl Fn(&[u8], &mut Vec<u8>),
    ) {
        self.visit(view, |origin, text| match origin {
            Origin::Literal => out.extend_from_slice(text),
            Origin::Variable => write(text, out),
        });
    }

    /// Calls `visit` with the text of each part, in order; variables that the request does not have are left out.
    pub(crate) fn visit(&self, view: &impl Operating, mut visit: impl FnMut(Origin, &[u8])) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => visit(Origin::Literal, text.as_bytes()),
                Part::Variable(name) => {
                    if let Some(value) = view.view().variable(name) {
                        visit(Origin::Variable, &value);
                    }
                }
            }
        }
    }
}

/// Who wrote a piece of a rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator.
    Literal,
    /// As a rule, the client.
    Variable,
}

fn add_literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(before)) => before.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    }
}

/// How many bytes at the beginning are the name of a variable.
fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Result<Vec<Part>, String> {
        Template::parse(text).map(|template| template.parts)
    }

    fn literal(text: &str) -> Part {
        Part::Literal(text.into())
    }

    fn variable(name: &str) -> Part {
        Part::Variable(name.into())
    }

    #[test]
    fn texts_are_split_at_variables() {
        assert_eq!(parts(""), Ok(vec![]));
        assert_eq!(
            parts("$scheme://${host}x"),
            Ok(vec![variable("scheme"), literal("://"), variable("host"), literal("x")])
        );
        assert_eq!(parts("a$$b"), Ok(vec![literal("a$b")]));
        assert_eq!(parts("{$a}"), Ok(vec![literal("{"), variable("a"), literal("}")]));
    }

    #[test]
    fn a_dollar_sign_that_names_nothing_is_refused() {
        for text in ["$", "a$", "$-", "${", "${}", "${a", "${a-b}", "$ä"] {
            assert!(parts(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_itself_once_its_dollar_signs_are_doubled(text in "\\PC{0,20}") {
            let template = Template::parse(&text.replace('$', "$$")).unwrap();
            prop_assert_eq!(template.as_literal(), Some(text.as_str()));
        }

        #[test]
        fn no_text_is_too_strange(text in "[$a{}\\PC]{0,12}") {
            let _ = Template::parse(&text);
        }
    }
}
