//! Content types by extension.

mod table;

use std::collections::BTreeMap;

use http::HeaderValue;

use table::KNOWN;

/// What is said of a file whose extension is not known.
const DEFAULT: &str = "application/octet-stream";

/// The longest extension that is looked for.
const MAX_EXTENSION: usize = 32;

/// Types beside those of `text/` that are text, and so are given a charset.
const TEXT: [&str; 5] = [
    "application/javascript",
    "application/xml",
    "application/rss+xml",
    "application/atom+xml",
    "application/xhtml+xml",
];

/// Which type a file has, by its extension.
#[derive(Clone, Debug)]
pub struct Types {
    /// Sorted by extension, in lower case.
    known: Box<[(Box<str>, HeaderValue)]>,
    default: HeaderValue,
}

/// A type that no header can carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no content type: write type/subtype, as in text/html")]
pub struct BadType(pub Box<str>);

impl Types {
    /// The table of usual types, changed by `overrides` (extension without its dot, type), with `default` for all others
    /// (`application/octet-stream` if there is none), and with `charset` said of every type that is text and does not name
    /// one.
    ///
    /// # Errors
    /// When a type is none, or the charset cannot be part of one.
    pub fn new<'a>(
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
        default: Option<&str>,
        charset: Option<&str>,
    ) -> Result<Self, BadType> {
        let mut table: BTreeMap<Box<str>, &str> =
            KNOWN.iter().map(|&(extension, name)| (extension.into(), name)).collect();
        for (extension, name) in overrides {
            let extension = extension.trim_start_matches('.').to_ascii_lowercase();
            table.insert(extension.into(), name);
        }
        let value = |(extension, name)| Ok((extension, value_of(name, charset)?));
        let known = table.into_iter().map(value).collect::<Result<_, _>>()?;
        Ok(Self { known, default: value_of(default.unwrap_or(DEFAULT), charset)? })
    }

    /// The type of the file at `path`. Only its last name is looked at; case makes no difference.
    pub(crate) fn of(&self, path: &[u8]) -> &HeaderValue {
        self.find(path).unwrap_or(&self.default)
    }

    fn find(&self, path: &[u8]) -> Option<&HeaderValue> {
        let name = path.rsplit(|&byte| byte == b'/').next()?;
        let dot = name.iter().rposition(|&byte| byte == b'.')?;
        let extension = name.get(dot + 1..)?;
        let mut lower = [0; MAX_EXTENSION];
        let lower = lower.get_mut(..extension.len())?;
        lower.copy_from_slice(extension);
        lower.make_ascii_lowercase();
        let place = self.known.binary_search_by(|(known, _)| known.as_bytes().cmp(lower)).ok()?;
        self.known.get(place).map(|(_, value)| value)
    }
}

fn value_of(name: &str, charset: Option<&str>) -> Result<HeaderValue, BadType> {
    let bad = |text: &str| BadType(text.into());
    let (main, sub) = name.split_once('/').ok_or_else(|| bad(name))?;
    if main.trim().is_empty() || sub.trim().is_empty() {
        return Err(bad(name));
    }
    let is_text = main == "text" || TEXT.contains(&name);
    let text = match charset {
        Some(charset) if is_text && !name.contains("charset=") => {
            format!("{name}; charset={charset}")
        }
        _ => name.to_owned(),
    };
    HeaderValue::from_str(&text).map_err(|_| bad(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Types {
        Types::new([], None, None).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_valid() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(plain().known.len(), KNOWN.len());
    }

    #[test]
    fn the_extension_decides_in_either_case() {
        for (path, expected) in [
            ("index.html", "text/html"),
            ("a/b/INDEX.HTM", "text/html"),
            ("app.min.js", "application/javascript"),
            ("x.svg", "image/svg+xml"),
            ("font.woff2", "font/woff2"),
            ("module.wasm", "application/wasm"),
            ("a.b/c", DEFAULT),
            ("html", DEFAULT),
            ("x.", DEFAULT),
            ("", DEFAULT),
            ("x.a-very-long-extension-that-nobody-has-ever-seen", DEFAULT),
        ] {
            assert_eq!(plain().of(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let types = Types::new([("HTML", "text/x-own"), (".new", "a/b")], Some("x/y"), None);
        let types = types.unwrap();
        assert_eq!(types.of(b"a.html"), "text/x-own");
        assert_eq!(types.of(b"a.new"), "a/b");
        assert_eq!(types.of(b"a.unknown"), "x/y");
        assert_eq!(types.of(b"a.css"), "text/css");
    }

    #[test]
    fn text_is_given_the_charset_unless_it_names_one() {
        let types = Types::new([("own", "text/own; charset=x")], Some("text/plain"), Some("utf-8"));
        let types = types.unwrap();
        assert_eq!(types.of(b"a.html"), "text/html; charset=utf-8");
        assert_eq!(types.of(b"a.js"), "application/javascript; charset=utf-8");
        assert_eq!(types.of(b"a.own"), "text/own; charset=x");
        assert_eq!(types.of(b"a"), "text/plain; charset=utf-8");
        assert_eq!(types.of(b"a.png"), "image/png");
        assert_eq!(types.of(b"a.json"), "application/json");
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for name in ["html", "/html", "text/", "text/html\n", ""] {
            assert!(Types::new([("x", name)], None, None).is_err(), "{name:?}");
            assert!(Types::new([], Some(name), None).is_err(), "{name:?}");
        }
        assert!(Types::new([], None, Some("utf-8\r\n")).is_err());
    }
}
