//! Places inside a string: from bytes of the string's value to bytes of the text it was written as.

use std::ops::Range;

use super::Location;

impl Location {
    /// Where the bytes `range` of `value` were written, this being where `value` was written.
    ///
    /// The whole of it where that cannot be told, as when an environment variable was put in.
    pub(crate) fn within(&self, value: &str, range: Range<usize>) -> Self {
        let found = self.written().and_then(|written| offsets(written, value, &range));
        let Some(found) = found else { return self.clone() };
        let offset = |at: usize| self.start + u32::try_from(at).unwrap_or(0);
        Self { source: self.source.clone(), start: offset(found.start), end: offset(found.end) }
    }
}

/// The bytes of `written`, a TOML string with its quotes, that make up the bytes `range` of its value.
fn offsets(written: &str, value: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let (quote, opening) = opening(written)?;
    let inner = written.get(opening..written.len().checked_sub(quote.len())?)?;
    let mut rest = inner;
    let mut at = 0;
    let mut start = None;
    while !rest.is_empty() && (start.is_none() || at < range.end) {
        let (length, produced) = next(rest, quote)?;
        if !value.get(at..)?.starts_with(produced.as_str()) {
            return None;
        }
        if at == range.start && start.is_none() && !produced.is_empty() {
            start = Some(written.len() - quote.len() - rest.len());
        }
        at += produced.len();
        rest = rest.get(length..)?;
    }
    let end = written.len() - quote.len() - rest.len();
    Some(start.unwrap_or(end)..end.max(start.unwrap_or(end)))
}

/// The closing quotes and where the string's text begins.
fn opening(written: &str) -> Option<(&'static str, usize)> {
    let quote =
        ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| written.starts_with(quote))?;
    let after = written.get(quote.len()..)?;
    let newline = match quote.len() {
        3 if after.starts_with("\r\n") => 2,
        3 if after.starts_with('\n') => 1,
        _ => 0,
    };
    Some((quote, quote.len() + newline))
}

/// How many bytes the next sign of a string takes, and what it means.
fn next(rest: &str, quote: &str) -> Option<(usize, String)> {
    let first = rest.chars().next()?;
    if first != '\\' || quote.starts_with('\'') {
        return Some((first.len_utf8(), first.to_string()));
    }
    let kind = rest.chars().nth(1)?;
    let simple = match kind {
        'b' => '\u{8}',
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        'e' => '\u{1b}',
        '"' | '\\' => kind,
        'x' => return numbered(rest, 2),
        'u' => return numbered(rest, 4),
        'U' => return numbered(rest, 8),
        _ if kind.is_whitespace() => return Some((1 + white_space(rest.get(1..)?), String::new())),
        _ => return None,
    };
    Some((2, simple.to_string()))
}

fn numbered(rest: &str, digits: usize) -> Option<(usize, String)> {
    let number = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(number)?.to_string()))
}

fn white_space(rest: &str) -> usize {
    rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What of `written` makes up the part `part` of `value`.
    fn part<'a>(written: &'a str, value: &str, part: &str) -> Option<&'a str> {
        let start = value.find(part).unwrap();
        offsets(written, value, &(start..start + part.len())).map(|range| &written[range])
    }

    #[test]
    fn plain_strings_map_byte_by_byte() {
        assert_eq!(part(r#""a $hst b""#, "a $hst b", "$hst"), Some("$hst"));
        assert_eq!(part(r"'ä\n$x'", r"ä\n$x", "$x"), Some("$x"));
        assert_eq!(part(r#""abc""#, "abc", "abc"), Some("abc"));
    }

    #[test]
    fn escapes_count_as_what_they_mean() {
        assert_eq!(part(r#""\t\u00e4\\$x y""#, "\tä\\$x y", "$x"), Some("$x"));
        assert_eq!(part(r#""a\U0001F600b""#, "a😀b", "😀"), Some(r"\U0001F600"));
        assert_eq!(part(r#""a\x41b""#, "aAb", "A"), Some(r"\x41"));
    }

    #[test]
    fn strings_of_several_lines_lose_their_first_newline() {
        assert_eq!(part("\"\"\"\na \\\n   $x\"\"\"", "a $x", "$x"), Some("$x"));
        assert_eq!(part("'''\r\n$x'''", "$x", "$x"), Some("$x"));
    }

    #[test]
    fn the_end_of_a_string_is_its_closing_quote() {
        assert_eq!(offsets("\"ab\"", "ab", &(2..2)), Some(3..3));
    }

    #[test]
    fn a_value_that_was_put_together_otherwise_is_not_found() {
        assert_eq!(part("\"${HOME}/$x\"", "/root/$x", "$x"), None);
        assert_eq!(offsets("{ file = 1 }", "x", &(0..1)), None);
        assert_eq!(offsets("\"", "x", &(0..1)), None);
    }
}
