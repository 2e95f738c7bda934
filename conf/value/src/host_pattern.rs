//! Which hosts a site answers for: text to a [`HostPattern`].

use std::fmt;
use std::net::Ipv6Addr;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Which hosts a site answers for. Lower-case, without a port and without the dot of the root.
///
/// | written | matches |
/// | --- | --- |
/// | `shop.example`, `192.0.2.1`, `[::1]` | this host alone |
/// | `*.shop.example` | one or more labels before `.shop.example` |
/// | `www.*` | one or more labels behind `www.` |
/// | `~^cdn\d+\.` | what the regex finds, without regard to case |
/// | `_`, `*` | every host |
#[derive(Clone, Debug)]
pub enum HostPattern {
    /// This host alone. An IPv6 address stands in brackets, in the short form of RFC 5952.
    Exact(Box<str>),
    /// Every longer host that ends with this text, which begins with a dot.
    Suffix(Box<str>),
    /// Every longer host that begins with this text, which ends with a dot.
    Prefix(Box<str>),
    /// Every host in which the regex finds a match.
    Regex(Regex),
    /// Every host.
    Any,
}

impl HostPattern {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        match text {
            "" => return Err(HostPatternError::Empty),
            "_" | "*" => return Ok(Self::Any),
            _ => {}
        }
        if let Some(regex) = text.strip_prefix('~') {
            return parse_regex(regex);
        }
        if let Some(rest) = text.strip_prefix('[') {
            return parse_ipv6(rest).ok_or_else(|| HostPatternError::Ipv6(text.to_owned()))?;
        }
        if text.ends_with('.') {
            return Err(HostPatternError::TrailingDot);
        }
        let text = text.to_ascii_lowercase();
        if let Some(domain) = text.strip_prefix("*.") {
            check_labels(domain)?;
            return Ok(Self::Suffix(format!(".{domain}").into()));
        }
        if let Some(labels) = text.strip_suffix(".*") {
            check_labels(labels)?;
            return Ok(Self::Prefix(format!("{labels}.").into()));
        }
        check_labels(&text)?;
        Ok(Self::Exact(text.into()))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Regex(regex) => write!(f, "~{regex}"),
            Self::Any => f.write_str("*"),
        }
    }
}

fn parse_regex(pattern: &str) -> Result<HostPattern, HostPatternError> {
    let built = RegexBuilder::new(pattern).case_insensitive(true).build();
    built.map(HostPattern::Regex).map_err(|error| {
        let report = error.to_string();
        let last_line = report.lines().last().unwrap_or_default();
        HostPatternError::Regex(last_line.strip_prefix("error: ").unwrap_or(last_line).to_owned())
    })
}

/// What stands behind the opening bracket; `None` where that is no address.
fn parse_ipv6(rest: &str) -> Option<Result<HostPattern, HostPatternError>> {
    let (address, behind) = rest.split_once(']')?;
    let address: Ipv6Addr = address.parse().ok()?;
    match behind {
        "" => Some(Ok(HostPattern::Exact(format!("[{address}]").into()))),
        _ if behind.starts_with(':') => Some(Err(HostPatternError::Port)),
        _ => None,
    }
}

/// The limits of a name in the DNS, RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;

/// Refuses what is no sequence of labels. Underscores pass: no host name by the book has them, many in use do.
fn check_labels(name: &str) -> Result<(), HostPatternError> {
    if !name.is_ascii() {
        return Err(HostPatternError::NotAscii);
    }
    if name.len() > MAX_NAME {
        return Err(HostPatternError::TooLong);
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        None => {}
        Some(':') => return Err(HostPatternError::Port),
        Some('*') => return Err(HostPatternError::Star),
        Some(other) => return Err(HostPatternError::Character(other)),
    }
    match name.split('.').map(str::len).find(|length| !(1..=MAX_LABEL).contains(length)) {
        None => Ok(()),
        Some(0) => Err(HostPatternError::EmptyLabel),
        Some(_) => Err(HostPatternError::TooLong),
    }
}

/// Why a text is not a host pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostPatternError {
    /// Nothing.
    #[error("a host is missing; `_` stands for every host")]
    Empty,
    /// A letter that the DNS does not have.
    #[error(
        "an international name is written in its ASCII form, `xn--...`: so it comes from clients"
    )]
    NotAscii,
    /// A port, or an IPv6 address without brackets.
    #[error(
        "a host has no port here, the listener has; an IPv6 address stands in brackets, `[::1]`"
    )]
    Port,
    /// The dot of the root.
    #[error(
        "write the host without the dot at its end: a client's is taken off before hosts are compared"
    )]
    TrailingDot,
    /// Two dots side by side, or one in front.
    #[error(
        "there is nothing between two dots; a domain with all below it is two hosts, `a.example` and `*.a.example`"
    )]
    EmptyLabel,
    /// A star that is neither the first label nor the last.
    #[error("`*` stands for whole labels, at the start, `*.a.example`, or at the end, `www.*`")]
    Star,
    /// A character that no host has.
    #[error("`{0}` is in no host name")]
    Character(char),
    /// A name or a label that is longer than the DNS allows.
    #[error("too long: a label has at most {MAX_LABEL} characters, a name {MAX_NAME}")]
    TooLong,
    /// Brackets around something else.
    #[error("`{0}` is no IPv6 address in brackets")]
    Ipv6(String),
    /// A regex that does not compile.
    #[error("the regex does not compile: {0}")]
    Regex(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    fn refused(text: &str) -> HostPatternError {
        HostPattern::parse(text).unwrap_err()
    }

    fn exact(text: &str) -> Box<str> {
        let HostPattern::Exact(host) = parsed(text) else { panic!("{text} is not exact") };
        host
    }

    #[test]
    fn a_name_is_exact_and_lower_case() {
        assert_eq!(&*exact("Shop.EXAMPLE"), "shop.example");
        assert_eq!(&*exact("localhost"), "localhost");
        assert_eq!(&*exact("a_b.x-1.example"), "a_b.x-1.example");
        assert_eq!(&*exact("192.0.2.1"), "192.0.2.1");
        assert_eq!(&*exact("xn--bcher-kva.example"), "xn--bcher-kva.example");
    }

    #[test]
    fn an_ipv6_address_is_exact_in_its_short_form() {
        assert_eq!(&*exact("[0:0::1]"), "[::1]");
        assert_eq!(&*exact("[2001:DB8::A]"), "[2001:db8::a]");
    }

    #[test]
    fn a_star_in_front_makes_a_suffix() {
        let HostPattern::Suffix(suffix) = parsed("*.Shop.example") else { panic!("no suffix") };
        assert_eq!(&*suffix, ".shop.example");
    }

    #[test]
    fn a_star_at_the_end_makes_a_prefix() {
        let HostPattern::Prefix(prefix) = parsed("WWW.a.*") else { panic!("no prefix") };
        assert_eq!(&*prefix, "www.a.");
    }

    #[test]
    fn a_regex_ignores_the_case() {
        let HostPattern::Regex(regex) = parsed("~^CDN\\d+\\.") else { panic!("no regex") };
        assert!(regex.is_match("cdn7.example"));
        assert!(!regex.is_match("x.cdn7.example"));
    }

    #[test]
    fn underscore_and_star_are_every_host() {
        assert!(matches!(parsed("_"), HostPattern::Any));
        assert!(matches!(parsed("*"), HostPattern::Any));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_reason() {
        for (text, error) in [
            ("", HostPatternError::Empty),
            ("bücher.example", HostPatternError::NotAscii),
            ("a.example:80", HostPatternError::Port),
            ("::1", HostPatternError::Port),
            ("[::1]:80", HostPatternError::Port),
            ("a.example.", HostPatternError::TrailingDot),
            ("*.a.example.", HostPatternError::TrailingDot),
            ("www.*.", HostPatternError::TrailingDot),
            (".a.example", HostPatternError::EmptyLabel),
            ("a..example", HostPatternError::EmptyLabel),
            ("*..example", HostPatternError::EmptyLabel),
            (".*", HostPatternError::EmptyLabel),
            ("a.*.example", HostPatternError::Star),
            ("a*.example", HostPatternError::Star),
            ("*a.example", HostPatternError::Star),
            ("*.*", HostPatternError::Star),
            ("a/b", HostPatternError::Character('/')),
            ("a b", HostPatternError::Character(' ')),
            ("[::1", HostPatternError::Ipv6("[::1".to_owned())),
            ("[::g]", HostPatternError::Ipv6("[::g]".to_owned())),
            ("[::1]x", HostPatternError::Ipv6("[::1]x".to_owned())),
            ("[::g]:80", HostPatternError::Ipv6("[::g]:80".to_owned())),
            ("~(", HostPatternError::Regex("unclosed group".to_owned())),
        ] {
            assert_eq!(refused(text), error, "{text:?}");
        }
    }

    #[test]
    fn labels_and_names_are_as_long_as_the_dns_allows() {
        let label = "a".repeat(MAX_LABEL);
        exact(&label);
        assert_eq!(refused(&format!("a{label}")), HostPatternError::TooLong);
        let name =
            format!("{label}.{label}.{label}.{}", "b".repeat(MAX_NAME - 3 * (MAX_LABEL + 1)));
        assert_eq!(exact(&name).len(), MAX_NAME);
        assert_eq!(refused(&format!("{name}b")), HostPatternError::TooLong);
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read() {
        for text in ["shop.example", "[::1]", "*.shop.example", "www.*", "~^cdn\\d+$", "*"] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = HostPattern::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(text in "(\\*\\.|\\[)?[a-b:.\\]*]{0,8}(\\.\\*|\\])?") {
            if let Ok(pattern) = HostPattern::parse(&text) {
                let written = pattern.to_string();
                prop_assert_eq!(parsed(&written).to_string(), written);
            }
        }
    }
}
