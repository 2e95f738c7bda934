//! What a route says about the path: text to a [`PathPattern`].

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use regex_automata::meta::{self, BuildError, Regex};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Input, PatternID};
use thiserror::Error;

/// How many captures a pattern may have.
pub const MAX_CAPTURES: usize = 16;

/// What a route says about the path, which is compared as normalised: decoded once, dot segments resolved.
///
/// | written | matches |
/// | --- | --- |
/// | `/about` | this path alone |
/// | `/img/*` | `/img/` and everything below it, not `/img` |
/// | `/img*` | every path that begins with `/img`; `/*` is every path |
/// | `/users/{id}/posts/{post}` | one non-empty segment for each capture |
/// | `/users/{id}/*` | `/users/7/` and everything below it |
/// | `~^/re/(?<name>.*)$` | what the regex finds; anchored only where it is written so |
/// | `~*\.jpe?g$` | the same, without regard to case |
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// This path alone.
    Exact(Box<str>),
    /// Every path that begins with this text, the `*` not included.
    Prefix(Box<str>),
    /// Segments of which at least one is a capture.
    Segments(Segments),
    /// Every path in which the regex finds a match.
    Regex(PathRegex),
}

impl PathPattern {
    /// Reads the text form. A text that no normalised path can match is an error, not a route that never answers.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if let Some(regex) = text.strip_prefix('~') {
            return PathRegex::parse(text, regex).map(PathPattern::Regex);
        }
        check_characters(text)?;
        let (fixed, open_end) = match text.strip_suffix('*') {
            Some(fixed) => (fixed, true),
            None => (text, false),
        };
        if fixed.contains('*') {
            return Err(PathPatternError::StarInside);
        }
        let Some(below_root) = fixed.strip_prefix('/') else {
            return Err(PathPatternError::NoLeadingSlash);
        };
        check_segments(below_root, open_end)?;
        Ok(match (fixed.contains(['{', '}']), open_end) {
            (true, _) => Self::Segments(Segments::parse(text, below_root, open_end)?),
            (false, true) => Self::Prefix(fixed.into()),
            (false, false) => Self::Exact(fixed.into()),
        })
    }

    /// The names of the captures in the order of their indices, as a [`Scope`](crate::Scope) takes them. A group of a
    /// regex that has no name has the empty one; group 1 is at index 0.
    pub fn capture_names(&self) -> Vec<String> {
        match self {
            Self::Exact(_) | Self::Prefix(_) => Vec::new(),
            Self::Segments(segments) => segments.capture_names().map(str::to_owned).collect(),
            Self::Regex(regex) => regex.capture_names(),
        }
    }

    /// The text that it was read from; of a prefix, without the `*` ([`Display`](fmt::Display) writes that too).
    pub fn source(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
            Self::Segments(segments) => &segments.source,
            Self::Regex(regex) => regex.source(),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())?;
        if let Self::Prefix(_) = self { f.write_str("*") } else { Ok(()) }
    }
}

/// A path with captures, split at its slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// What stands between the slashes. An empty literal stands last alone, where the pattern ends with a slash.
    pub segments: Box<[Segment]>,
    /// A slash follows the last segment, and behind it anything, also nothing.
    pub open_end: bool,
    source: Box<str>,
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(Box<str>),
    /// Any text that is not empty, under this name.
    Capture(Box<str>),
}

impl Segments {
    fn parse(source: &str, below_root: &str, open_end: bool) -> Result<Self, PathPatternError> {
        let fixed = match open_end {
            true => below_root.strip_suffix('/').ok_or(PathPatternError::StarBehindCapture)?,
            false => below_root,
        };
        let segments: Box<[Segment]> =
            fixed.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        let parsed = Self { segments, open_end, source: source.into() };
        let mut seen = HashSet::new();
        if let Some(twice) = parsed.capture_names().find(|name| !seen.insert(*name)) {
            return Err(PathPatternError::DuplicateCapture(twice.to_owned()));
        }
        match seen.len() > MAX_CAPTURES {
            true => Err(PathPatternError::TooManyCaptures),
            false => Ok(parsed),
        }
    }

    /// The names of the captures, from left to right.
    pub fn capture_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture(name) => Some(&**name),
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathPatternError> {
        if !text.contains(['{', '}']) {
            return Ok(Self::Literal(text.into()));
        }
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = inner.filter(|name| !name.contains(['{', '}'])) else {
            return Err(PathPatternError::CaptureInsideSegment(text.to_owned()));
        };
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match is_word && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) {
            true => Ok(Self::Capture(name.into())),
            false => Err(PathPatternError::CaptureName(name.to_owned())),
        }
    }
}

/// A regex over normalised paths, whose captures are found without the heap.
#[derive(Clone, Debug)]
pub struct PathRegex {
    source: Box<str>,
    regex: Regex,
}

/// What the groups of a regex matched: group 1 at index 0. A group that took no part is `None`.
pub type Groups = [Option<Range<usize>>; MAX_CAPTURES];

impl PathRegex {
    fn parse(source: &str, pattern: &str) -> Result<Self, PathPatternError> {
        let (pattern, ignore_case) = match pattern.strip_prefix('*') {
            Some(pattern) => (pattern, true),
            None => (pattern, false),
        };
        let regex = Regex::builder()
            .syntax(syntax::Config::new().case_insensitive(ignore_case))
            .configure(meta::Config::new().nfa_size_limit(Some(REGEX_BYTES)))
            .build(pattern)
            .map_err(|error| PathPatternError::Regex(reason_of(&error)))?;
        match regex.captures_len() > MAX_CAPTURES + 1 {
            true => Err(PathPatternError::TooManyCaptures),
            false => Ok(Self { source: source.into(), regex }),
        }
    }

    /// The text that it was read from, with its `~`.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether `path` has a match.
    pub fn is_match(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }

    /// What the groups matched in the leftmost match, or `None` where `path` has none.
    ///
    /// A thread's first searches grow the regex engine's own tables; later ones take nothing from the heap.
    pub fn groups(&self, path: &str) -> Option<Groups> {
        let mut slots = [None::<NonMaxUsize>; 2 * (MAX_CAPTURES + 1)];
        self.regex.search_slots(&Input::new(path), &mut slots)?;
        Some(std::array::from_fn(|group| {
            let (start, end) = (slots[2 * group + 2]?, slots[2 * group + 3]?);
            Some(start.get()..end.get())
        }))
    }

    /// How many groups it has.
    pub fn groups_len(&self) -> usize {
        self.regex.captures_len() - 1
    }

    fn capture_names(&self) -> Vec<String> {
        let names = self.regex.group_info().pattern_names(PatternID::ZERO);
        names.skip(1).map(|name| name.unwrap_or_default().to_owned()).collect()
    }
}

/// How large a compiled regex may become.
const REGEX_BYTES: usize = 10 << 20;

/// What is wrong with a regex, in one line.
fn reason_of(error: &BuildError) -> String {
    let Some(syntax) = error.syntax_error() else {
        return format!("it takes more than {REGEX_BYTES} bytes");
    };
    let report = syntax.to_string();
    let last_line = report.lines().last().unwrap_or_default();
    last_line.strip_prefix("error: ").unwrap_or(last_line).to_owned()
}

/// Refuses what stands in no normalised path, whatever the shape of the pattern.
fn check_characters(text: &str) -> Result<(), PathPatternError> {
    match text.chars().find(|c| c.is_ascii_control() || matches!(c, '%' | '?')) {
        None => Ok(()),
        Some('%') => Err(PathPatternError::Percent),
        Some('?') => Err(PathPatternError::Query),
        Some(_) => Err(PathPatternError::Control),
    }
}

/// Refuses segments that no normalised path has. Below a `*` the last one may go on, and so become another.
fn check_segments(below_root: &str, open_end: bool) -> Result<(), PathPatternError> {
    let mut segments = below_root.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "" if !is_last => return Err(PathPatternError::EmptySegment),
            "." | ".." if !(is_last && open_end) => return Err(PathPatternError::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

/// Why a text is not a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathPatternError {
    /// Neither a path nor a regex.
    #[error("a path starts with `/`, a regex with `~`")]
    NoLeadingSlash,
    /// `//`.
    #[error("`//` is never in a path when routes are chosen: it became `/` before; write `/`")]
    EmptySegment,
    /// `.` or `..`.
    #[error(
        "`.` and `..` are never segments of a path when routes are chosen: they were resolved before"
    )]
    DotSegment,
    /// `%`.
    #[error(
        "the path is decoded before routes are chosen: write the character itself, not `%` and its number"
    )]
    Percent,
    /// `?`.
    #[error(
        "the query is not part of the path; test it with a condition on `$args` or `$arg_name`"
    )]
    Query,
    /// A control character.
    #[error("a path with a control character is refused before routes are chosen")]
    Control,
    /// A `*` that is not the last character.
    #[error("`*` may stand at the end alone; one segment inside is a capture, `{{name}}`")]
    StarInside,
    /// A `*` in the segment of a capture or of the literal behind it.
    #[error("behind a capture, `*` is a segment of its own: `/{{name}}/*`")]
    StarBehindCapture,
    /// A brace that does not make its whole segment a capture.
    #[error("`{0}`: a capture is a whole segment, `{{name}}`")]
    CaptureInsideSegment(String),
    /// A capture whose name is not a word.
    #[error("`{0}` is no name for a capture: letters, digits and `_`, and no digit first")]
    CaptureName(String),
    /// One name for two captures.
    #[error("two captures are called `{0}`")]
    DuplicateCapture(String),
    /// More than [`MAX_CAPTURES`].
    #[error("more than {MAX_CAPTURES} captures")]
    TooManyCaptures,
    /// A regex that does not compile.
    #[error("the regex does not compile: {0}")]
    Regex(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    fn refused(text: &str) -> PathPatternError {
        PathPattern::parse(text).unwrap_err()
    }

    fn regex(text: &str) -> PathRegex {
        let PathPattern::Regex(regex) = parsed(text) else { panic!("{text} is no regex") };
        regex
    }

    fn segments(text: &str) -> Segments {
        let PathPattern::Segments(segments) = parsed(text) else {
            panic!("{text} has no captures")
        };
        segments
    }

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.into())
    }

    fn capture(name: &str) -> Segment {
        Segment::Capture(name.into())
    }

    #[test]
    fn a_plain_path_is_exact() {
        for text in [
            "/",
            "/about",
            "/a/b/",
            "/.well-known/x",
            "/a..b",
            "/a;b=c",
            "/a\\b",
            "/größe",
            "/a b",
            "/...",
        ] {
            let PathPattern::Exact(path) = parsed(text) else { panic!("{text} is not exact") };
            assert_eq!(&*path, text);
        }
    }

    #[test]
    fn a_star_at_the_end_makes_a_prefix() {
        for (text, prefix) in
            [("/*", "/"), ("/img/*", "/img/"), ("/img*", "/img"), ("/.*", "/."), ("/..*", "/..")]
        {
            let PathPattern::Prefix(path) = parsed(text) else { panic!("{text} is no prefix") };
            assert_eq!(&*path, prefix);
        }
    }

    #[test]
    fn braces_make_segments() {
        let closed = segments("/users/{id}/posts/{post_2}");
        assert_eq!(
            *closed.segments,
            [literal("users"), capture("id"), literal("posts"), capture("post_2")]
        );
        assert!(!closed.open_end);
        assert_eq!(closed.capture_names().collect::<Vec<_>>(), ["id", "post_2"]);

        let open = segments("/{_id}/*");
        assert_eq!(*open.segments, [capture("_id")]);
        assert!(open.open_end);
    }

    #[test]
    fn a_slash_at_the_end_of_segments_is_an_empty_literal() {
        let slash = segments("/users/{id}/");
        assert_eq!(*slash.segments, [literal("users"), capture("id"), literal("")]);
        assert!(!slash.open_end);
    }

    #[test]
    fn what_no_normalised_path_can_match_is_refused() {
        for (text, error) in [
            ("", PathPatternError::NoLeadingSlash),
            ("*", PathPatternError::NoLeadingSlash),
            ("about", PathPatternError::NoLeadingSlash),
            ("//", PathPatternError::EmptySegment),
            ("/a//b", PathPatternError::EmptySegment),
            ("/a//*", PathPatternError::EmptySegment),
            ("/./a", PathPatternError::DotSegment),
            ("/a/.", PathPatternError::DotSegment),
            ("/a/..", PathPatternError::DotSegment),
            ("/../a*", PathPatternError::DotSegment),
            ("/a%20b", PathPatternError::Percent),
            ("/a?b=c", PathPatternError::Query),
            ("/a\nb", PathPatternError::Control),
            ("/a\0", PathPatternError::Control),
            ("/a\x7f", PathPatternError::Control),
        ] {
            assert_eq!(refused(text), error, "{text:?}");
        }
    }

    #[test]
    fn a_star_elsewhere_is_refused() {
        assert_eq!(refused("/a/*/b"), PathPatternError::StarInside);
        assert_eq!(refused("/a/**"), PathPatternError::StarInside);
        assert_eq!(refused("/{id}*"), PathPatternError::StarBehindCapture);
        assert_eq!(refused("/{id}/x*"), PathPatternError::StarBehindCapture);
    }

    #[test]
    fn a_capture_is_a_whole_segment_with_a_name_of_its_own() {
        for part in ["a{id}", "{id}a", "{id", "id}", "{a}{b}", "{{a}}", "}{"] {
            assert_eq!(
                refused(&format!("/x/{part}")),
                PathPatternError::CaptureInsideSegment(part.to_owned())
            );
        }
        for name in ["", "1st", "a-b", "a b", "é"] {
            assert_eq!(
                refused(&format!("/{{{name}}}")),
                PathPatternError::CaptureName(name.to_owned())
            );
        }
        assert_eq!(refused("/{id}/{id}"), PathPatternError::DuplicateCapture("id".to_owned()));
    }

    #[test]
    fn sixteen_captures_are_enough() {
        let path = |count: usize| (0..count).map(|n| format!("/{{c{n}}}")).collect::<String>();
        let groups = |count: usize| format!("~^{}", "(x)".repeat(count));
        assert_eq!(parsed(&path(MAX_CAPTURES)).capture_names().len(), MAX_CAPTURES);
        assert_eq!(refused(&path(MAX_CAPTURES + 1)), PathPatternError::TooManyCaptures);
        assert_eq!(parsed(&groups(MAX_CAPTURES)).capture_names().len(), MAX_CAPTURES);
        assert_eq!(refused(&groups(MAX_CAPTURES + 1)), PathPatternError::TooManyCaptures);
    }

    #[test]
    fn captures_are_named_in_the_order_of_their_indices() {
        assert!(parsed("/a").capture_names().is_empty());
        assert!(parsed("/a/*").capture_names().is_empty());
        assert_eq!(parsed("/{b}/{a}").capture_names(), ["b", "a"]);
        assert_eq!(
            parsed("~^/(?<year>\\d+)/(x)(?:y)(?<rest>.*)$").capture_names(),
            ["year", "", "rest"]
        );
    }

    #[test]
    fn a_regex_is_anchored_only_where_it_says_so() {
        assert!(regex("~b").is_match("/abc"));
        assert!(!regex("~^b").is_match("/abc"));
        assert!(!regex("~b$").is_match("/abc"));
    }

    #[test]
    fn a_regex_minds_the_case_unless_told_otherwise() {
        assert!(!regex("~\\.png$").is_match("/A.PNG"));
        assert!(regex("~*\\.png$").is_match("/A.PNG"));
    }

    #[test]
    fn groups_are_where_the_regex_found_them() {
        let regex = regex("~^/(a+)(b)?/(?<rest>.*)$");
        assert_eq!(regex.groups_len(), 3);
        let groups = regex.groups("/aa/x").unwrap();
        assert_eq!(groups[..4], [Some(1..3), None, Some(4..5), None]);
        assert!(regex.groups("/b/x").is_none());
    }

    #[test]
    fn all_sixteen_groups_are_found() {
        let groups = regex(&format!("~^/{}", "(.)".repeat(MAX_CAPTURES)))
            .groups("/0123456789abcdef")
            .unwrap();
        for (index, group) in groups.into_iter().enumerate() {
            assert_eq!(group, Some(index + 1..index + 2));
        }
    }

    #[test]
    fn a_bad_regex_says_what_is_wrong_in_one_line() {
        assert_eq!(refused("~^/(a").to_string(), "the regex does not compile: unclosed group");
        assert_eq!(
            refused("~(?:.{1000}){1000}").to_string(),
            "the regex does not compile: it takes more than 10485760 bytes"
        );
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        for text in ["/a", "/a/*", "/a*", "/{id}/b/*", "~^/a(b)$", "~*^/a"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        assert_eq!(parsed("/a/*").source(), "/a/");
        assert_eq!(parsed("/{id}/*").source(), "/{id}/*");
        assert_eq!(parsed("~*^/a").source(), "~*^/a");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = PathPattern::parse(&text);
        }

        #[test]
        fn what_is_read_is_written_back(text in "[/~]?([a{}*./%]|\\{[ab]\\}|/){0,12}") {
            if let Ok(pattern) = PathPattern::parse(&text) {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
