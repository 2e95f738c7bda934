//! Which types of content are worth coding.

use thiserror::Error;

/// A set of media types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Types(Box<[Pattern]>);

/// Why a text names no media types.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no media type: write `text/html`, `text/*`, `*+json` or `*`")]
pub struct BadType(String);

/// Lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    /// `text/html`
    Exact(Box<str>),
    /// `text/*`, without its star
    Under(Box<str>),
    /// `*+json`, without its star
    Suffix(Box<str>),
}

/// What is worth coding unless something else is said: text, and what is written like it. Images, sound, film and packed fonts are
/// small already.
pub const DEFAULT_TYPES: [&str; 21] = [
    "text/*",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/json",
    "application/xml",
    "application/wasm",
    "application/x-ndjson",
    "application/yaml",
    "application/toml",
    "application/graphql",
    "application/rtf",
    "application/x-font-ttf",
    "application/vnd.ms-fontobject",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/x-icon",
    "*+json",
    "*+xml",
];

impl Types {
    /// Of such texts: `text/html`, `text/*`, `*+json`, `*`.
    ///
    /// # Errors
    /// The first that is none of these.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, BadType> {
        let patterns = texts.into_iter().map(|text| {
            Pattern::parse(text.as_ref()).ok_or_else(|| BadType(text.as_ref().to_owned()))
        });
        Ok(Self(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether the value of a `Content-Type` is one of these; parameters and case do not count. Allocates nothing.
    #[must_use]
    pub fn contain(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii();
        self.0.iter().any(|pattern| pattern.matches(essence))
    }
}

impl Default for Types {
    fn default() -> Self {
        Self(DEFAULT_TYPES.into_iter().filter_map(Pattern::parse).collect())
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" || text == "*/*" {
            return Some(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix('*') {
            let is_suffix = suffix.strip_prefix('+').is_some_and(is_token);
            return is_suffix.then(|| Self::Suffix(suffix.into()));
        }
        let (kind, name) = text.split_once('/')?;
        match name {
            "*" if is_token(kind) => Some(Self::Under(format!("{kind}/").into())),
            name if is_token(kind) && is_token(name) => Some(Self::Exact(text.into())),
            _ => None,
        }
    }

    fn matches(&self, essence: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => essence.eq_ignore_ascii_case(name.as_bytes()),
            Self::Under(start) => essence
                .split_at_checked(start.len())
                .is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(start.as_bytes())),
            Self::Suffix(end) => essence
                .len()
                .checked_sub(end.len())
                .and_then(|at| essence.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes())),
        }
    }
}

fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_whatever_their_case_and_parameters() {
        let types = Types::parse(["text/*", "Application/JSON", "*+xml"]).unwrap();
        for (content_type, expected) in [
            ("text/html", true),
            ("TEXT/HTML; charset=utf-8", true),
            ("application/json;x=y", true),
            (" application/json ", true),
            ("image/svg+XML", true),
            ("application/jsonp", false),
            ("image/png", false),
            ("textual/x", false),
            ("text", false),
            ("xml", false),
            ("", false),
        ] {
            assert_eq!(types.contain(content_type.as_bytes()), expected, "{content_type:?}");
        }
        assert!(Types::parse(["*"]).unwrap().contain(b"x"));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            "text",
            "text/",
            "/html",
            "*/html",
            "te*t/html",
            "text/ht*",
            "*json",
            "*+",
            "a/b/c",
            "a b/c",
        ] {
            assert_eq!(Types::parse([text]), Err(BadType(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn text_is_worth_it_and_pictures_are_not() {
        let types = Types::default();
        assert_eq!(types.0.len(), DEFAULT_TYPES.len(), "one of them is no type");
        for worth in [
            "text/css",
            "text/javascript",
            "application/ld+json",
            "image/svg+xml",
            "font/otf",
            "text/event-stream",
        ] {
            assert!(types.contain(worth.as_bytes()), "{worth}");
        }
        for packed in [
            "image/png",
            "image/webp",
            "font/woff2",
            "application/zip",
            "video/mp4",
            "application/octet-stream",
        ] {
            assert!(!types.contain(packed.as_bytes()), "{packed}");
        }
    }
}
