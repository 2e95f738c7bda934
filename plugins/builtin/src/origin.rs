//! Origins of pages: what `Origin` says (RFC 6454), and which of them an operator means.

use regex::Regex;

/// Which origins are meant.
#[derive(Clone, Debug)]
pub(crate) enum OriginPattern {
    /// `*`
    Any,
    /// `null`: of sandboxed frames, files and redirects. Anybody can make requests with it.
    Null,
    /// `https://app.example`
    Exact(String),
    /// `https://*.example`, `http://localhost:*`
    Wildcard {
        /// `https://`, or with its host up to the port.
        before: String,
        /// `.example`, with its port if it has one; `None` where the port is what is free.
        behind: Option<String>,
    },
    /// `~https://pr-[0-9]+\.example`: all of the origin.
    Regex(Regex),
}

impl OriginPattern {
    /// Reads one, as operators write it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(regex) = text.strip_prefix('~') {
            // Whole origins: what only begins like a friend's may end like an enemy's.
            let whole = Regex::new(&format!("^(?:{regex})$"));
            return whole
                .map(Self::Regex)
                .map_err(|error| format!("not a regular expression: {error}"));
        }
        match text {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let exact = text.replacen("://*.", "://any.", 1);
        let (exact, any_port) = match exact.strip_suffix(":*") {
            Some(exact) => (exact.to_owned(), true),
            None => (exact, false),
        };
        let has_wildcard = text.contains("://*.");
        match Origin::parse(&exact) {
            Some(_) if has_wildcard && any_port => {
                Err(format!("`{text}`: either the host or the port may have a `*`"))
            }
            Some(origin) if origin.has_default_port() => Err(format!(
                "`{text}`: browsers leave the port of the scheme out, and so must this"
            )),
            Some(_) if has_wildcard => {
                let (scheme, behind) = text.split_once('*').unwrap_or((text, ""));
                Ok(Self::Wildcard { before: scheme.to_owned(), behind: Some(behind.to_owned()) })
            }
            Some(_) if any_port => Ok(Self::Wildcard { before: exact, behind: None }),
            Some(_) => Ok(Self::Exact(exact)),
            None => Err(format!(
                "`{text}` is no origin: write it in lower case and without a path, as in https://app.example, https://*.example or ~REGEX"
            )),
        }
    }

    /// Whether `origin`, which a browser sent, is meant.
    pub(crate) fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == "null",
            Self::Exact(exact) => exact == origin,
            Self::Regex(regex) => regex.is_match(origin),
            Self::Wildcard { before, behind } => {
                let Some(rest) = origin.strip_prefix(before.as_str()) else { return false };
                match behind {
                    Some(behind) => rest.strip_suffix(behind.as_str()).is_some_and(are_labels),
                    None => rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port),
                }
            }
        }
    }
}

/// An origin that has a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'o> {
    /// `https`
    pub(crate) scheme: &'o str,
    /// The host, and the port behind a colon if it is said.
    pub(crate) authority: &'o str,
}

impl<'o> Origin<'o> {
    /// What `Origin` says, as browsers write it: in lower case, without a path.
    pub(crate) fn parse(text: &'o str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_sign = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
        };
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(is_sign);
        (is_scheme && is_authority(authority)).then_some(Self { scheme, authority })
    }

    /// The authority without a port that the scheme has anyway.
    pub(crate) fn authority_without_default_port(self) -> &'o str {
        without_default_port(self.scheme, self.authority)
    }

    fn has_default_port(self) -> bool {
        self.authority_without_default_port() != self.authority
    }
}

/// `authority` without the port that `scheme` has anyway.
pub(crate) fn without_default_port<'o>(scheme: &str, authority: &'o str) -> &'o str {
    let default = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return authority,
    };
    authority.strip_suffix(default).unwrap_or(authority)
}

fn is_authority(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((host, port)) => are_labels(host) && is_port(port),
        None => are_labels(text),
    }
}

fn are_labels(host: &str) -> bool {
    let is_sign = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_sign))
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Takes any text for a pattern and for what a browser sends: an origin without a `*` is met by itself.
pub(crate) fn check_pattern(text: &str) {
    let pattern = OriginPattern::parse(text);
    if let (Ok(OriginPattern::Exact(exact)), Some(_)) = (&pattern, Origin::parse(text)) {
        assert_eq!(exact, text, "an origin is itself");
    }
    if let Ok(pattern) = pattern {
        let _ = pattern.matches(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        OriginPattern::parse(pattern).unwrap().matches(origin)
    }

    #[test]
    fn only_whole_origins_match() {
        for (pattern, yes, no) in [
            (
                "https://app.example",
                vec!["https://app.example"],
                vec![
                    "http://app.example",
                    "https://app.example.evil",
                    "https://app.example:8443",
                    "null",
                ],
            ),
            (
                "https://*.example",
                vec!["https://a.example", "https://a.b.example"],
                vec![
                    "https://example",
                    "https://.example",
                    "https://evilexample",
                    "https://evil.test/.example",
                    "https://evil.test:1.example",
                    "https://a..example",
                    "https://a.example.evil",
                ],
            ),
            (
                "http://localhost:*",
                vec!["http://localhost", "http://localhost:3000"],
                vec![
                    "http://localhost:",
                    "http://localhost:a",
                    "http://localhost.evil",
                    "https://localhost:1",
                ],
            ),
            (
                r"~https://pr-[0-9]+\.example|https://main\.example",
                vec!["https://pr-1.example", "https://main.example"],
                vec![
                    "https://pr-1.example.evil",
                    "https://evil/https://main.example",
                    "https://pr-1xexample",
                ],
            ),
            ("null", vec!["null"], vec!["", "https://null"]),
        ] {
            for origin in yes {
                assert!(matches(pattern, origin), "{pattern} {origin}");
            }
            for origin in no {
                assert!(!matches(pattern, origin), "{pattern} {origin}");
            }
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for text in [
            "",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://",
            "https://a:b",
            "https://*",
            "*.example",
            "https://a.*.example",
            "https://*.example:*",
            "https://app.example:443",
            "http://app.example:80",
            "~(",
            "https://*example",
            "NULL",
            "https://user@a.example",
        ] {
            assert!(OriginPattern::parse(text).is_err(), "{text}");
        }
        assert!(OriginPattern::parse("https://[::1]:8443").is_ok());
        assert!(OriginPattern::parse("chrome-extension://abcdef").is_ok());
    }

    proptest! {
        #[test]
        fn a_wildcard_meets_nothing_but_hosts_below_it(origin in "https?://[a-z.:/@]{0,12}\\.example") {
            let meets = matches("https://*.example", &origin);
            let parsed = Origin::parse(&origin);
            let below = parsed.is_some_and(|parsed| {
                parsed.scheme == "https" && parsed.authority.ends_with(".example") && !parsed.authority.contains(':')
            });
            prop_assert_eq!(meets, below);
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,20}") {
            let _ = (OriginPattern::parse(&text), Origin::parse(&text));
        }
    }
}
