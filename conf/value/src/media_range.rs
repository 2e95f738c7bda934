//! Which media types are meant: text to a [`MediaRange`].

use std::fmt;

use thiserror::Error;

/// What a text says about media types. They are compared in any case and without their parameters.
///
/// | written | matches |
/// | --- | --- |
/// | `application/json` | this type alone |
/// | `text/*` | every type that begins with `text/` |
/// | `application/*+json` | `application/ld+json` and whatever else ends like it, not `application/json` |
/// | `*/*+xml` | the same for every kind, so `image/svg+xml`, too |
/// | `*/*` | every type |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaRange {
    kind: Part,
    subtype: Part,
}

/// What stands on one side of the slash, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Any,
    Is(Box<str>),
    /// Whatever ends with this, `+` included, and does not begin with it.
    Ends(Box<str>),
}

/// Why a text says nothing about media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MediaRangeError {
    /// There is not one slash in it, with something on both sides.
    #[error("a media type is written as in `text/html`")]
    Form,
    /// A character that no media type has.
    #[error("a media type has letters, digits and a few signs, without parameters")]
    Character,
    /// A `*` that is no whole side of the slash.
    #[error("`*` stands for all of one side, or before `+`")]
    Star,
    /// A `*` before the slash, and one type behind it.
    #[error("behind `*/` stands `*` or `*+…`")]
    AnyKind,
}

impl MediaRange {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, MediaRangeError> {
        let (kind, subtype) = text.split_once('/').ok_or(MediaRangeError::Form)?;
        if kind.is_empty() || subtype.is_empty() || subtype.contains('/') {
            return Err(MediaRangeError::Form);
        }
        let parsed = Self { kind: Part::parse(kind)?, subtype: Part::parse(subtype)? };
        match (&parsed.kind, &parsed.subtype) {
            (Part::Ends(_), _) => Err(MediaRangeError::Star),
            (Part::Any, Part::Is(_)) => Err(MediaRangeError::AnyKind),
            _ => Ok(parsed),
        }
    }

    /// Whether the type that a `Content-Type` names is meant; its parameters do not count.
    pub fn is_match(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii();
        let Some(slash) = memchr::memchr(b'/', essence) else { return false };
        let (kind, subtype) = essence.split_at(slash);
        self.kind.is_match(kind) && self.subtype.is_match(subtype.get(1..).unwrap_or_default())
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, MediaRangeError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (ends, name) = match text.strip_prefix('*') {
            Some(ending) => (true, ending),
            None => (false, text),
        };
        if name.contains('*') || (ends && !(name.starts_with('+') && name.len() > 1)) {
            return Err(MediaRangeError::Star);
        }
        if !name.bytes().all(is_token) {
            return Err(MediaRangeError::Character);
        }
        let name = name.to_ascii_lowercase().into();
        Ok(if ends { Self::Ends(name) } else { Self::Is(name) })
    }

    fn is_match(&self, part: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Is(name) => name.as_bytes().eq_ignore_ascii_case(part),
            Self::Ends(ending) => {
                let start = part.len().checked_sub(ending.len()).filter(|start| *start > 0);
                let end = start.and_then(|start| part.get(start..));
                end.is_some_and(|end| ending.as_bytes().eq_ignore_ascii_case(end))
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Is(name) => f.write_str(name),
            Self::Ends(ending) => write!(f, "*{ending}"),
        }
    }
}

/// Of which names of types are made (RFC 6838, section 4.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::bytes::RegexBuilder;

    use super::{MediaRange, MediaRangeError as Wrong};

    fn range(text: &str) -> MediaRange {
        MediaRange::parse(text).unwrap()
    }

    #[test]
    fn types_are_compared_in_any_case_and_without_parameters() {
        for (text, meant, others) in [
            (
                "application/json",
                &["application/json", "Application/JSON; charset=utf-8", " application/json\t;x"][..],
                &["application/ld+json", "application", "application/", "json", ""][..],
            ),
            (
                "TEXT/*",
                &["text/html", "text/event-stream", "text/"],
                &["textual/html", "text", "image/text"],
            ),
            (
                "application/*+json",
                &["application/ld+JSON"],
                &["application/json", "application/+json", "image/a+json", "application/a+jsonp"],
            ),
            (
                "*/*+xml",
                &["image/svg+xml", "application/atom+xml;type=feed"],
                &["application/xml", "text/plain; x=a/b+xml"],
            ),
            ("*/*", &["a/b"], &["a", ""]),
        ] {
            for content_type in meant {
                assert!(range(text).is_match(content_type.as_bytes()), "{text} {content_type}");
            }
            for content_type in others {
                assert!(!range(text).is_match(content_type.as_bytes()), "{text} {content_type}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (text, wrong) in [
            ("", Wrong::Form),
            ("json", Wrong::Form),
            ("text/", Wrong::Form),
            ("/html", Wrong::Form),
            ("a/b/c", Wrong::Form),
            ("text/html; charset=utf-8", Wrong::Character),
            ("text/ä", Wrong::Character),
            ("text/ht*", Wrong::Star),
            ("text/*ml", Wrong::Star),
            ("text/*+", Wrong::Star),
            ("text/*+*", Wrong::Star),
            ("te*/html", Wrong::Star),
            ("*+a/b", Wrong::Star),
            ("*/json", Wrong::AnyKind),
        ] {
            assert_eq!(MediaRange::parse(text), Err(wrong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_is_the_regex_that_it_looks_like(
            text in r"(\*|a|b1)/(\*|a|c\.d|\*\+a|\*\+c\.d)",
            content_type in r"[aAb1]{1,2}/[aAcCd.+]{0,6}(; ?q=a/b)?",
        ) {
            let Ok(range) = MediaRange::parse(&text) else { return Ok(()) };
            prop_assert_eq!(range.to_string(), text.as_str());
            let pattern = regex::escape(&text).replace(r"\*\+", r".+\+").replace(r"\*", ".*");
            let regex = RegexBuilder::new(&format!("^{pattern}$")).case_insensitive(true).build();
            let essence = content_type.split(';').next().unwrap_or_default();
            prop_assert_eq!(range.is_match(content_type.as_bytes()), regex.unwrap().is_match(essence.as_bytes()));
        }

        #[test]
        fn whatever_is_read_is_written_and_read_again(text in "[a-zA-Z*+./ ;]{0,10}", content_type: Vec<u8>) {
            let Ok(range) = MediaRange::parse(&text) else { return Ok(()) };
            range.is_match(&content_type);
            prop_assert_eq!(MediaRange::parse(&range.to_string()), Ok(range));
        }
    }
}
