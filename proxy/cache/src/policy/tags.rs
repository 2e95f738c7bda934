//! The names that a response may be purged by.

use http::{HeaderMap, HeaderName, HeaderValue};

/// From `Surrogate-Key` and `xkey` (blanks between) and `Cache-Tag` (commas between); each once, sorted.
///
/// How many there may be is bounded by what a head may be long. What is not UTF-8 is none.
#[must_use]
pub fn tags(headers: &HeaderMap) -> Box<[Box<str>]> {
    let mut tags: Vec<Box<str>> = Vec::new();
    for (name, separators) in [(SURROGATE_KEY, BLANKS), (XKEY, BLANKS), (CACHE_TAG, COMMA)] {
        for line in headers.get_all(name) {
            tags.extend(split(line, separators).map(Box::from));
        }
    }
    tags.sort();
    tags.dedup();
    tags.into()
}

fn split<'l>(line: &'l HeaderValue, separators: &'static [char]) -> impl Iterator<Item = &'l str> {
    let text = std::str::from_utf8(line.as_bytes()).unwrap_or_default();
    text.split(separators).map(str::trim).filter(|tag| !tag.is_empty())
}

/// Removes the fields that [`tags`] reads, and `Surrogate-Control`: for those who do not want them to be seen.
pub fn hide_tags(headers: &mut HeaderMap) {
    for name in [SURROGATE_KEY, SURROGATE_CONTROL, CACHE_TAG, XKEY] {
        headers.remove(name);
    }
}

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const XKEY: HeaderName = HeaderName::from_static("xkey");

const BLANKS: &[char] = &[' ', '\t'];
const COMMA: &[char] = &[','];
