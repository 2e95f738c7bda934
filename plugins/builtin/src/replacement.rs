//! What takes the place of something that was found: `"/new/$1?from=$host"`.

use switchback_plugin::{BuildError, Operating, Setup};

/// Literals, groups of what was found, and variables, read once and rendered for each find.
///
/// `$1` and `${1}` are a group by its number, `$0` is all that was found. `$name` and `${name}` are the group of that name or, where there is
/// none, the variable of the configuration. `$$` is a dollar sign. What is not there renders as nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    pieces: Vec<Piece>,
}

/// One piece of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Itself. Never empty, and never beside another one.
    Literal(Vec<u8>),
    /// A group of what was found, by number.
    Group(usize),
    /// A variable of the configuration, without `$`.
    Variable(String),
}

/// Where a name or a number leads in what was found; `None` if there is no such group.
pub(crate) trait Groups {
    /// The number of the group with that name.
    fn named(&self, name: &str) -> Option<usize>;
    /// How many groups there are, with the whole.
    fn count(&self) -> usize;
}

impl Groups for regex::bytes::Regex {
    fn named(&self, name: &str) -> Option<usize> {
        self.capture_names().position(|group| group == Some(name))
    }

    fn count(&self) -> usize {
        self.captures_len()
    }
}

/// Of what is found as it is written: it has no groups but the whole.
pub(crate) struct Whole;

impl Groups for Whole {
    fn named(&self, _: &str) -> Option<usize> {
        None
    }

    fn count(&self) -> usize {
        1
    }
}

impl Replacement {
    /// Reads the option at `path`.
    ///
    /// # Errors
    ///
    /// A dollar sign that names nothing, a group or a variable that there is not.
    pub(crate) fn new(
        path: &str,
        text: &str,
        groups: &dyn Groups,
        setup: &Setup<'_>,
    ) -> Result<Self, BuildError> {
        let replacement =
            Self::parse(text, groups).map_err(|message| BuildError::new(path, message))?;
        for piece in &replacement.pieces {
            if let Piece::Variable(name) = piece {
                setup.variable(path, name)?;
            }
        }
        Ok(replacement)
    }

    pub(crate) fn parse(text: &str, groups: &dyn Groups) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('$') {
            add_literal(&mut pieces, literal.as_bytes());
            if let Some(behind) = behind.strip_prefix('$') {
                add_literal(&mut pieces, b"$");
                rest = behind;
                continue;
            }
            let (name, behind) = match behind.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or("`${` without `}`")?,
                None => behind.split_at(name_length(behind)),
            };
            pieces.push(named(name, groups)?);
            rest = behind;
        }
        add_literal(&mut pieces, rest.as_bytes());
        Ok(Self { pieces })
    }

    /// The pieces, in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Appends what it is for this request to `out`; `group` writes a group, `variable` the value of a variable.
    pub(crate) fn render(
        &self,
        view: &impl Operating,
        out: &mut Vec<u8>,
        mut group: impl FnMut(usize, &mut Vec<u8>),
        variable: impl Fn(&[u8], &mut Vec<u8>),
    ) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Group(number) => group(*number, out),
                Piece::Variable(name) => {
                    if let Some(value) = view.view().variable(name) {
                        variable(&value, out);
                    }
                }
            }
        }
    }

    /// The same with variables as they are for this request.
    pub(crate) fn bound(&self, view: &impl Operating) -> Self {
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => add_literal(&mut pieces, text),
                Piece::Group(number) => pieces.push(Piece::Group(*number)),
                Piece::Variable(name) => {
                    if let Some(value) = view.view().variable(name) {
                        add_literal(&mut pieces, &value);
                    }
                }
            }
        }
        Self { pieces }
    }

    /// Whether it is the same for every request.
    pub(crate) fn is_bound(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }
}

fn named(name: &str, groups: &dyn Groups) -> Result<Piece, String> {
    if name.is_empty() || name_length(name) < name.len() {
        return Err("`$` with no name or number behind it: a dollar sign is `$$`".into());
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = name.parse().ok().filter(|number| *number < groups.count());
        return number.map(Piece::Group).ok_or_else(|| format!("there is no group `${name}`"));
    }
    Ok(groups.named(name).map_or_else(|| Piece::Variable(name.to_owned()), Piece::Group))
}

fn add_literal(pieces: &mut Vec<Piece>, text: &[u8]) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Literal(before)) => before.extend_from_slice(text),
        _ => pieces.push(Piece::Literal(text.to_vec())),
    }
}

/// A number ends where its digits do, so that `$1st` is the first group and `st`.
fn name_length(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        return digits;
    }
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::*;

    fn pieces(text: &str) -> Result<Vec<Piece>, String> {
        let regex = Regex::new("(a)(?P<name>b)").unwrap();
        Replacement::parse(text, &regex).map(|replacement| replacement.pieces)
    }

    #[test]
    fn groups_are_found_by_number_and_name() {
        let literal = |text: &str| Piece::Literal(text.into());
        assert_eq!(pieces("x$1st"), Ok(vec![literal("x"), Piece::Group(1), literal("st")]));
        assert_eq!(pieces("${name}$0"), Ok(vec![Piece::Group(2), Piece::Group(0)]));
        assert_eq!(pieces("$host$$"), Ok(vec![Piece::Variable("host".into()), literal("$")]));
    }

    #[test]
    fn what_names_no_group_is_refused() {
        for text in ["$3", "${12}", "$", "${", "${}", "${1x}", "$-"] {
            assert!(pieces(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[$a1{}\\PC]{0,12}") {
            let _ = pieces(&text);
        }
    }
}
