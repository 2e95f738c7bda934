//! A path that may be the one: checked before anything is opened.

use std::borrow::Cow;

/// The longest path looked for: one byte less than Linux takes.
const MAX_PATH: usize = 4095;

/// One rendered entry of `try`.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Decoded, beneath the root; slashes at its ends mean nothing but that a [`Kind::File`] is not meant by a final one.
    pub path: Cow<'a, [u8]>,
    /// What is looked for at this path.
    pub kind: Kind,
    /// Whether this is the path of the request itself, but for its final slash: then a directory is answered by
    /// [`Outcome::AddSlash`](crate::Outcome::AddSlash) where the request lacks the slash.
    pub is_own: bool,
}

/// What an entry may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regular files alone: an entry of `try` without a final slash.
    File,
    /// Directories alone: an entry of `try` with a final slash. Index files are looked for, then it is listed, else the
    /// outcome is `Forbidden`; only a directory that does not exist lets the next candidate have its turn.
    Directory,
    /// Either, as nginx does without `try_files`.
    Any,
}

impl<'a> Candidate<'a> {
    /// An entry of `try`, rendered, of which only the final slash was looked at.
    pub fn new(path: impl Into<Cow<'a, [u8]>>, kind: Kind) -> Self {
        Self { path: path.into(), kind, is_own: false }
    }

    /// The same, being the path of the request itself.
    #[must_use]
    pub fn own(self) -> Self {
        Self { is_own: true, ..self }
    }

    /// The path relative to the root without slashes at its ends, and whether it ended with one; `None` where it leads
    /// upwards, is hidden, or can name nothing.
    pub(crate) fn beneath_root(&self, hidden: bool) -> Option<Place<'_>> {
        let path = self.path.trim_prefix_slashes();
        let inner = path.trim_suffix_slashes();
        let is_fit = inner.len() <= MAX_PATH
            && !inner.contains(&0)
            && inner.split(|&byte| byte == b'/').all(|name| is_served(name, hidden));
        is_fit.then_some(Place {
            path: inner,
            has_slash: inner.len() < path.len() || inner.is_empty(),
        })
    }
}

/// Where a candidate points to.
pub(crate) struct Place<'a> {
    /// Empty for the root itself.
    pub(crate) path: &'a [u8],
    /// Whether a final slash says that it is a directory.
    pub(crate) has_slash: bool,
}

/// Whether files of this name, or beneath it, are served at all.
pub(crate) fn is_served(name: &[u8], hidden: bool) -> bool {
    match name {
        b"." | b".." => false,
        [b'.', ..] => hidden || name == b".well-known",
        _ => true,
    }
}

trait Slashes {
    fn trim_prefix_slashes(&self) -> &[u8];
    fn trim_suffix_slashes(&self) -> &[u8];
}

impl Slashes for [u8] {
    fn trim_prefix_slashes(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != b'/').unwrap_or(self.len());
        self.get(start..).unwrap_or_default()
    }

    fn trim_suffix_slashes(&self) -> &[u8] {
        let end = self.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        self.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_upwards_or_is_hidden_is_never_looked_for() {
        let long = vec![b'a'; MAX_PATH + 1];
        let never: [&[u8]; 14] = [
            b"..",
            b"../etc/passwd",
            b"/../etc/passwd",
            b"a/../../etc/passwd",
            b"./..",
            b"a/./b",
            b".",
            b"a/..",
            b"a/../",
            b"..//",
            b"a\0.html",
            b"a/\0",
            b"x/../..//y",
            &long,
        ];
        for path in never {
            for hidden in [true, false] {
                let candidate = Candidate::new(path, Kind::Any);
                assert!(candidate.beneath_root(hidden).is_none(), "{}", path.escape_ascii());
            }
        }
    }

    #[test]
    fn names_that_begin_with_a_dot_are_hidden_but_for_well_known() {
        let is_found = |path: &str, hidden| {
            Candidate::new(path.as_bytes(), Kind::Any).beneath_root(hidden).is_some()
        };
        for path in [".git/config", "a/.env", ".well-known/.secret", ".well-known2/x", "..."] {
            assert!(!is_found(path, false), "{path}");
            assert!(is_found(path, true), "{path}");
        }
        for path in [".well-known/security.txt", "a.b", "a../b", "a/b..c"] {
            assert!(is_found(path, false), "{path}");
        }
    }

    #[test]
    fn slashes_at_the_ends_are_no_part_of_a_place() {
        for (path, inner, has_slash) in [
            ("/a/b", "a/b", false),
            ("///etc/passwd", "etc/passwd", false),
            ("a//", "a", true),
            ("/", "", true),
            ("", "", true),
        ] {
            let candidate = Candidate::new(path.as_bytes(), Kind::Any);
            let place = candidate.beneath_root(false).unwrap();
            assert_eq!((place.path, place.has_slash), (inner.as_bytes(), has_slash), "{path}");
        }
    }
}
