//! `${NAME}` and `${NAME:-default}` in strings: environment variables.
//!
//! Only names in capitals mean the environment, those of templates are in small letters; so both live side by side. A
//! doubled dollar sign is left alone with what follows it.

use std::borrow::Cow;
use std::ops::Range;

use crate::environment::Environment;

/// A variable that is not set and has no default.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unset<'a> {
    pub(super) name: &'a str,
    pub(super) at: Range<usize>,
}

/// `text` with its environment variables replaced by what `escape` makes of their values.
///
/// Of variables that are not set, all are returned.
pub(super) fn substitute<'a>(
    text: &'a str,
    environment: &dyn Environment,
    escape: fn(&str) -> Cow<'_, str>,
) -> Result<Cow<'a, str>, Vec<Unset<'a>>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut unset = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from_dollar) = rest.split_at(dollar);
        out.push_str(before);
        let Some(reference) = Reference::at_start(from_dollar) else {
            let kept = if from_dollar.starts_with("$$") { 2 } else { 1 };
            let (kept, after) = from_dollar.split_at(kept);
            out.push_str(kept);
            rest = after;
            continue;
        };
        match reference.value(environment) {
            Some(value) => out.push_str(&escape(&value)),
            None => {
                let start = text.len() - from_dollar.len();
                unset.push(Unset { name: reference.name, at: start..start + reference.length });
            }
        }
        rest = &from_dollar[reference.length..];
    }
    out.push_str(rest);
    if unset.is_empty() { Ok(Cow::Owned(out)) } else { Err(unset) }
}

/// One `${NAME}` or `${NAME:-default}`.
struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
    /// Bytes from the dollar sign to the brace.
    length: usize,
}

impl<'a> Reference<'a> {
    fn at_start(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix("${")?;
        let end = inner.find('}')?;
        let (name, default) = match inner[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inner[..end], None),
        };
        is_name(name).then_some(Self { name, default, length: end + 3 })
    }

    /// As in a shell, the default also stands in for a variable that is set to nothing.
    fn value(&self, environment: &dyn Environment) -> Option<Cow<'a, str>> {
        let value = environment.variable(self.name).map(Cow::<str>::Owned);
        match self.default {
            Some(default) => {
                value.filter(|value| !value.is_empty()).or(Some(Cow::Borrowed(default)))
            }
            None => value,
        }
    }
}

fn is_name(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_uppercase() || first == '_');
    starts_well
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn replaced(text: &str) -> Result<String, Vec<(String, Range<usize>)>> {
        let variables = BTreeMap::from([
            ("PORT".to_owned(), "80".to_owned()),
            ("_A1".to_owned(), "${PORT}".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        substitute(text, &variables, |value| Cow::Borrowed(value)).map(Cow::into_owned).map_err(
            |unset| unset.into_iter().map(|unset| (unset.name.to_owned(), unset.at)).collect(),
        )
    }

    #[test]
    fn names_in_capitals_are_replaced_once() {
        assert_eq!(replaced(":${PORT}/x").unwrap(), ":80/x");
        assert_eq!(replaced("${PORT}${_A1}").unwrap(), "80${PORT}");
    }

    #[test]
    fn the_default_counts_when_the_variable_is_not_set() {
        assert_eq!(replaced("${PORT:-1}${NO:-2}${NO:-}").unwrap(), "802");
        assert_eq!(replaced("${E:-3}${E}").unwrap(), "3");
    }

    #[test]
    fn everything_else_is_left_alone() {
        for text in [
            "$PORT", "${host}", "${Port}", "$${PORT}", "${PORT", "${}", "${1A}", "a$", "$$",
            "${PO RT}", "ä",
        ] {
            assert_eq!(replaced(text).unwrap(), text);
        }
        assert_eq!(replaced("$$${PORT}").unwrap(), "$$80");
    }

    #[test]
    fn every_variable_that_is_not_set_is_named_with_its_place() {
        assert_eq!(
            replaced("a${B}c${D}").unwrap_err(),
            [("B".to_owned(), 1..5), ("D".to_owned(), 6..10)]
        );
    }
}
