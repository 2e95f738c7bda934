//! Strings within conditions.

use std::iter;
use std::ops::Range;

/// The signs that strings begin and end with.
pub(super) const QUOTES: [char; 2] = ['"', '\''];

/// A string as it stands between its quotes.
///
/// A backslash before the quote or before another backslash takes away its meaning; any other means itself.
pub(super) struct Quoted<'t> {
    raw: &'t str,
    quote: char,
    /// Where `raw` begins in the whole text.
    start: usize,
}

impl<'t> Quoted<'t> {
    /// The string whose first quote `text` begins with, at `offset` of the whole, and what follows its second quote.
    pub(super) fn split(text: &'t str, offset: usize) -> Option<(Self, &'t str)> {
        let quote = text.chars().next()?;
        let inner = text.strip_prefix(quote)?;
        let mut is_escaped = false;
        let end = inner.find(|letter| {
            let ends = letter == quote && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            ends
        })?;
        let (raw, from_quote) = inner.split_at(end);
        Some((Self { raw, quote, start: offset + 1 }, from_quote.strip_prefix(quote)?))
    }

    /// With all its backslashes.
    pub(super) fn raw(&self) -> &'t str {
        self.raw
    }

    /// Where it stands in the whole text.
    pub(super) fn at(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// Without the backslashes that took away a meaning.
    pub(super) fn unescaped(&self) -> String {
        self.letters().map(|(letter, _)| letter).collect()
    }

    /// Where in the whole text the byte stands that is at `offset` of [`unescaped`](Self::unescaped).
    pub(super) fn offset_of(&self, offset: usize) -> usize {
        let mut passed = 0;
        let written = self.letters().take_while(|(letter, _)| {
            let is_before = passed < offset;
            passed += letter.len_utf8();
            is_before
        });
        self.start + written.map(|(_, bytes)| bytes).sum::<usize>()
    }

    /// The letters meant, each with the number of bytes it is written with.
    fn letters(&self) -> impl Iterator<Item = (char, usize)> {
        let mut chars = self.raw.chars().peekable();
        iter::from_fn(move || {
            let letter = chars.next()?;
            let escaped =
                chars.next_if(|next| letter == '\\' && (*next == self.quote || *next == '\\'));
            Some(match escaped {
                Some(escaped) => (escaped, 1 + escaped.len_utf8()),
                None => (letter, letter.len_utf8()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Quoted;

    fn quoted(text: &str) -> Quoted<'_> {
        Quoted::split(text, 0).unwrap().0
    }

    #[test]
    fn a_string_ends_with_the_quote_it_began_with() {
        let (string, rest) = Quoted::split(r#"'a"b' c'"#, 7).unwrap();
        assert_eq!(string.raw(), "a\"b");
        assert_eq!(string.at(), 8..11);
        assert_eq!(rest, " c'");
    }

    #[test]
    fn a_quote_behind_a_backslash_does_not_end_it() {
        assert_eq!(quoted(r#""a\"b""#).raw(), r#"a\"b"#);
        assert_eq!(quoted(r#""a\\" "b""#).raw(), r"a\\");
        assert_eq!(quoted(r#""\\\"""#).raw(), r#"\\\""#);
    }

    #[test]
    fn without_its_second_quote_it_is_no_string() {
        assert!(Quoted::split("\"abc'", 0).is_none());
        assert!(Quoted::split(r#""abc\""#, 0).is_none());
        assert!(Quoted::split("", 0).is_none());
    }

    #[test]
    fn backslashes_vanish_before_the_quote_and_before_backslashes_only() {
        assert_eq!(quoted(r#""\"\\\'\n\é""#).unescaped(), r#""\\'\n\é"#);
        assert_eq!(quoted(r#"'\"\''"#).unescaped(), r#"\"'"#);
        assert_eq!(quoted("'plain'").unescaped(), "plain");
    }

    #[test]
    fn offsets_count_the_backslashes_that_vanished() {
        let (string, _) = Quoted::split(r#""a\"é\\b""#, 10).unwrap();
        assert_eq!(string.unescaped(), "a\"é\\b");
        let offsets = [0, 1, 2, 4, 5, 6].map(|offset| string.offset_of(offset));
        assert_eq!(offsets, [11, 12, 14, 16, 18, 19]);
    }
}
