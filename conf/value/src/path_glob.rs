//! Paths with gaps, as browsers understand them, too: text to a [`PathGlob`].

use std::fmt;

use thiserror::Error;

/// The path of a URL in which each `*` stands for anything, also for nothing and for slashes: `/assets/app.*.js`.
///
/// It is compared with paths as clients write them. What may stand in it is what a URL pattern takes literally, so that a
/// browser that is sent it (RFC 9842, section 2.1.1) means the same paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathGlob(Box<str>);

/// How long a [`PathGlob`] may be.
const MAX_LENGTH: usize = 1024;

/// Why a text is no path with gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathGlobError {
    /// It does not begin with a slash.
    #[error("a path begins with `/`")]
    NoLeadingSlash,
    /// A character that no path has, or that means something else to browsers.
    #[error("`{0}` cannot stand in this path: letters, digits, `*` and `/-._~%!$&',;=@` can")]
    Character(char),
    /// A `%` without two hexadecimal digits.
    #[error("`%` stands before two hexadecimal digits")]
    Percent,
    /// Two `*` side by side.
    #[error("one `*` stands for anything already")]
    StarTwice,
    /// It is too long.
    #[error("a path has at most {MAX_LENGTH} characters here")]
    TooLong,
}

impl PathGlob {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, PathGlobError> {
        if !text.starts_with('/') {
            return Err(PathGlobError::NoLeadingSlash);
        }
        if let Some(other) = text.chars().find(|character| !is_literal(*character)) {
            return Err(PathGlobError::Character(other));
        }
        if text.contains("**") {
            return Err(PathGlobError::StarTwice);
        }
        if text.split('%').skip(1).any(|behind| !begins_with_hex(behind.as_bytes())) {
            return Err(PathGlobError::Percent);
        }
        if text.len() > MAX_LENGTH {
            return Err(PathGlobError::TooLong);
        }
        Ok(Self(text.into()))
    }

    /// Whether `path`, as a client wrote it and without its query, is meant. Takes a time proportional to its length.
    pub fn is_match(&self, path: &[u8]) -> bool {
        let mut pieces = self.0.split('*').map(str::as_bytes);
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = path.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        let Some(between) = rest.strip_suffix(last) else { return false };
        rest = between;
        for piece in pieces {
            let behind =
                memchr::memmem::find(rest, piece).and_then(|start| rest.get(start + piece.len()..));
            let Some(behind) = behind else { return false };
            rest = behind;
        }
        true
    }

    /// What all paths that are meant begin with.
    pub fn literal_prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// The text that it was read from.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether it stands for itself in paths and in URL patterns; or it is `*`.
const fn is_literal(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || matches!(
            character,
            '/' | '*'
                | '-'
                | '.'
                | '_'
                | '~'
                | '%'
                | '!'
                | '$'
                | '&'
                | '\''
                | ','
                | ';'
                | '='
                | '@'
        )
}

fn begins_with_hex(text: &[u8]) -> bool {
    matches!(text, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::Regex;

    use super::{MAX_LENGTH, PathGlob, PathGlobError as Wrong};

    #[test]
    fn a_star_stands_for_anything() {
        let is_match = |glob, path: &str| PathGlob::parse(glob).unwrap().is_match(path.as_bytes());
        for path in ["/assets/app.1.js", "/assets/app..js", "/assets/app.a/b.js"] {
            assert!(is_match("/assets/app.*.js", path), "{path}");
        }
        for path in
            ["/assets/app.js", "/assets/app.1.jsx", "/assets/app.1.js?v", "assets/app.1.js", ""]
        {
            assert!(!is_match("/assets/app.*.js", path), "{path}");
        }
        assert!(is_match("/a", "/a") && !is_match("/a", "/ab"));
        assert!(is_match("/*a*b*", "/xaxbx") && !is_match("/*a*b*", "/xbxa"));
        assert!(!is_match("/aa*aa", "/aaa"), "what stands before a star is not taken twice");
    }

    #[test]
    fn what_means_something_else_to_browsers_is_refused() {
        for (text, wrong) in [
            ("", Wrong::NoLeadingSlash),
            ("assets/*", Wrong::NoLeadingSlash),
            ("https://a.example/*", Wrong::NoLeadingSlash),
            ("/a?b", Wrong::Character('?')),
            ("/a#b", Wrong::Character('#')),
            ("/:id", Wrong::Character(':')),
            ("/(a|b)", Wrong::Character('(')),
            ("/{id}", Wrong::Character('{')),
            ("/a\\b", Wrong::Character('\\')),
            ("/a\"", Wrong::Character('"')),
            ("/a*+", Wrong::Character('+')),
            ("/ä", Wrong::Character('ä')),
            ("/a b", Wrong::Character(' ')),
            ("/a**", Wrong::StarTwice),
            ("/a%", Wrong::Percent),
            ("/a%2g", Wrong::Percent),
        ] {
            assert_eq!(PathGlob::parse(text), Err(wrong), "{text}");
        }
        assert_eq!(PathGlob::parse(&"/".repeat(MAX_LENGTH + 1)), Err(Wrong::TooLong));
        assert!(PathGlob::parse("/a%2Fb").is_ok());
    }

    #[test]
    fn what_stands_before_the_first_star_is_common_to_all() {
        let prefix = |text| PathGlob::parse(text).unwrap().literal_prefix().to_owned();
        assert_eq!([prefix("/a/b*c*"), prefix("/a")], ["/a/b", "/a"]);
    }

    proptest! {
        #[test]
        fn a_glob_is_the_regex_that_it_looks_like(text in "/[ab.*/]{0,8}", path in "/[ab./\n]{0,12}") {
            let Ok(glob) = PathGlob::parse(&text) else { return Ok(()) };
            let regex = Regex::new(&format!("(?s-u)^{}$", regex::escape(&text).replace(r"\*", ".*")));
            prop_assert_eq!(glob.is_match(path.as_bytes()), regex.unwrap().is_match(path.as_bytes()));
            prop_assert!(!glob.is_match(path.as_bytes()) || path.starts_with(glob.literal_prefix()));
            prop_assert_eq!(glob.to_string(), text);
        }
    }
}
