//! For which URLs a dictionary is.

use std::fmt;

use thiserror::Error;

/// A path with stars, each of which stands for any bytes, slashes too: the part of URL patterns that paths of one origin need
/// (RFC 9842 section 2.1.1 allows no regular expressions). A query counts as little as with URL patterns that name none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPattern {
    /// Patterns are paths of the same origin.
    #[error("a pattern begins with a slash")]
    NoSlash,
    /// What would mean more in a URL pattern than it says.
    #[error("`{0}` has a meaning of its own in URL patterns; the only wildcard here is `*`")]
    Special(char),
    /// What no path has.
    #[error("{0:?} stands in no path; write it in percent-encoding")]
    NotOfPaths(char),
}

impl Pattern {
    /// `/assets/app.*.js`
    ///
    /// # Errors
    /// When it says what only larger patterns can say.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if !text.starts_with('/') {
            return Err(BadPattern::NoSlash);
        }
        for letter in text.chars() {
            match letter {
                ':' | '(' | ')' | '{' | '}' | '+' | '?' | '\\' => {
                    return Err(BadPattern::Special(letter));
                }
                '"' | '#' | '<' | '>' | '`' | '^' | '|' | '[' | ']' => {
                    return Err(BadPattern::NotOfPaths(letter));
                }
                letter if !letter.is_ascii_graphic() => return Err(BadPattern::NotOfPaths(letter)),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is for this path, as the client wrote it; a query does not count. Allocates nothing.
    #[must_use]
    pub fn matches(&self, target: &[u8]) -> bool {
        let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
        matches(self.0.as_bytes(), path)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// A star takes nothing at first, and one byte more each time the rest does not fit. Only the last star is tried again, so it takes
/// at most as many steps as the product of both lengths.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut in_path) = (0, 0);
    let mut star = None;
    while let Some(&byte) = path.get(in_path) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_path));
                at += 1;
            }
            Some(&expected) if expected == byte => {
                at += 1;
                in_path += 1;
            }
            _ => {
                let Some((of_star, taken)) = star else { return false };
                star = Some((of_star, taken + 1));
                at = of_star + 1;
                in_path = taken + 1;
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, path, expected) in [
            ("/assets/app.*.js", "/assets/app.3f2a.js", true),
            ("/assets/app.*.js", "/assets/app.3f2a.js?x=.css", true),
            ("/assets/app.*.js", "/assets/app..js", true),
            ("/assets/app.*.js", "/assets/app.js", false),
            ("/assets/app.*.js", "/assets/app.3f2a.js.map", false),
            ("/assets/app.*.js", "/assets/app.1/x.js", true),
            ("/assets/app.*.js", "/x/assets/app.1.js", false),
            ("/*", "/", true),
            ("/*", "/a/b", true),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("/a*b*c", "/a--b-b--c", true),
            ("/a*b*c", "/a--b-b--", false),
            ("/**", "/", true),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_means_more_elsewhere_is_refused() {
        assert_eq!(Pattern::parse("app.*.js"), Err(BadPattern::NoSlash));
        assert_eq!(Pattern::parse("https://a.example/*"), Err(BadPattern::NoSlash));
        for (text, letter) in [
            ("/:id", ':'),
            ("/a?", '?'),
            ("/(a|b)", '('),
            ("/{a}", '{'),
            ("/a+", '+'),
            ("/\\*", '\\'),
        ] {
            assert_eq!(Pattern::parse(text), Err(BadPattern::Special(letter)), "{text}");
        }
        for (text, letter) in
            [("/a b", ' '), ("/\"", '"'), ("/ä", 'ä'), ("/a#b", '#'), ("/\n", '\n')]
        {
            assert_eq!(Pattern::parse(text), Err(BadPattern::NotOfPaths(letter)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_for_what_its_stars_are_filled_with(
            parts in prop::collection::vec("[ab/]{0,4}", 1..5),
            fillings in prop::collection::vec("[ab/.]{0,4}", 5),
        ) {
            let pattern = Pattern::parse(&format!("/{}", parts.join("*"))).unwrap();
            let mut path = String::from("/");
            for (index, (part, filling)) in parts.iter().zip(&fillings).enumerate() {
                if index > 0 {
                    path.push_str(filling);
                }
                path.push_str(part);
            }
            prop_assert!(pattern.matches(path.as_bytes()));
        }
    }
}
