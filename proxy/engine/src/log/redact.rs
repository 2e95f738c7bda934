//! Secrets, kept out of access logs.

use http::header;
use switchback_value::{Known, Variable};

/// What stands where a secret was.
const MASKED: &[u8] = b"***";

/// How values are escaped.
pub(super) type Escape = fn(&[u8], &mut Vec<u8>);

/// The names whose values are secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Redaction {
    /// In lower case.
    names: Box<[Box<str>]>,
}

/// Where secrets may be in the value of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    /// Nowhere.
    Nothing,
    /// It is one.
    Whole,
    /// Behind a question mark.
    Url,
    /// It is a query.
    Query,
}

impl Redaction {
    pub(super) fn new(names: Box<[Box<str>]>) -> Self {
        Self { names }
    }

    /// Where secrets may be in the value of `variable`.
    pub(super) fn mask(&self, variable: &Variable) -> Mask {
        if self.names.is_empty() {
            return Mask::Nothing;
        }
        match variable {
            Variable::Known(Known::Request | Known::RequestUri) => Mask::Url,
            Variable::Known(Known::Args) => Mask::Query,
            Variable::Argument(name) if self.names_one(name) => Mask::Whole,
            Variable::Cookie(name) if self.names_one("cookie") || self.names_one(name) => {
                Mask::Whole
            }
            Variable::UpstreamCookie(name)
                if self.names_one("set-cookie") || self.names_one(name) =>
            {
                Mask::Whole
            }
            Variable::Header(name)
            | Variable::SentHeader(name)
            | Variable::UpstreamHeader(name) => {
                if self.names_one(name.as_str()) {
                    Mask::Whole
                } else if [
                    header::REFERER,
                    header::LOCATION,
                    header::CONTENT_LOCATION,
                    header::REFRESH,
                ]
                .contains(name)
                {
                    Mask::Url
                } else {
                    Mask::Nothing
                }
            }
            _ => Mask::Nothing,
        }
    }

    /// Appends `value` without its secrets, escaped.
    pub(super) fn write(&self, mask: Mask, value: &[u8], escape: Escape, out: &mut Vec<u8>) {
        match mask {
            Mask::Nothing => escape(value, out),
            Mask::Whole => out.extend_from_slice(MASKED),
            Mask::Query => self.query(value, 0, escape, out),
            Mask::Url => match memchr::memchr(b'?', value) {
                None => escape(value, out),
                Some(mark) => self.query(value, mark + 1, escape, out),
            },
        }
    }

    /// The same for text whose query begins at `start`.
    fn query(&self, text: &[u8], start: usize, escape: Escape, out: &mut Vec<u8>) {
        let mut kept = 0;
        let mut at = start;
        while let Some(length) = text.get(at..).and_then(|rest| rest.iter().position(ends_name)) {
            let end = at + length;
            let is_value = text.get(end) == Some(&b'=');
            if is_value && self.names_one_encoded(text.get(at..end).unwrap_or_default()) {
                escape(text.get(kept..=end).unwrap_or_default(), out);
                out.extend_from_slice(MASKED);
                kept = value_end(text, end + 1, ends_secret);
                at = kept;
            } else if is_value {
                at = value_end(text, end + 1, ends_value);
            } else {
                at = end;
            }
            at += 1;
        }
        escape(text.get(kept..).unwrap_or_default(), out);
    }

    fn names_one(&self, name: &str) -> bool {
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// The same for a name as it stands in a query: `to%6ben` is `token` to whoever reads it.
    fn names_one_encoded(&self, name: &[u8]) -> bool {
        if memchr::memchr(b'%', name).is_none() {
            return self.names.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name));
        }
        self.names.iter().any(|own| decoded(name).eq(own.bytes()))
    }
}

/// `name` without percent-encoding, in lower case.
fn decoded(name: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let hex =
            |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (*first, rest.get(1..)?),
            },
            _ => (*first, after),
        };
        rest = after;
        Some(byte.to_ascii_lowercase())
    })
}

fn value_end(text: &[u8], from: usize, ends: fn(&u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Some servers divide arguments by semicolons.
fn ends_name(byte: &u8) -> bool {
    *byte == b'=' || ends_value(byte)
}

fn ends_value(byte: &u8) -> bool {
    matches!(byte, b';' | b'?') || ends_secret(byte)
}

/// To others a semicolon is part of the value.
fn ends_secret(byte: &u8) -> bool {
    matches!(byte, b'&' | b'#' | b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use switchback_value::escape;

    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(["authorization", "cookie", "token", "api_key"].map(Into::into).into())
    }

    fn masked(mask: Mask, value: &str) -> String {
        let mut out = b">".to_vec();
        redaction().write(mask, value.as_bytes(), escape::log, &mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn secrets_of_a_query_are_masked_by_whole_names_in_any_case() {
        for (url, wanted) in [
            ("/a?token=x", "/a?token=***"),
            ("/a?b=1&TOKEN=x&c=2", "/a?b=1&TOKEN=***&c=2"),
            ("/a?token=x&token=y#f", "/a?token=***&token=***#f"),
            ("/a?mytoken=x&tokens=y&token", "/a?mytoken=x&tokens=y&token"),
            ("/a?token=", "/a?token=***"),
            ("/a?to%6Ben=x", "/a?to%6Ben=***"),
            ("/a?b=1;token=x;y", "/a?b=1;token=***"),
            ("/a?b=token=x&c", "/a?b=token=x&c"),
            ("/a?b?token=x", "/a?b?token=***"),
            ("/token=x", "/token=x"),
            ("GET /a?api_key=x HTTP/1.1", "GET /a?api_key=*** HTTP/1.1"),
            ("/a?token=\"\u{e9}&b=\"", "/a?token=***&b=\\x22"),
            ("/a?%=1&%zz=2&token=3", "/a?%=1&%zz=2&token=***"),
        ] {
            assert_eq!(masked(Mask::Url, url), wanted, "{url}");
        }
        assert_eq!(masked(Mask::Query, "token=a&b=c"), "token=***&b=c");
        assert_eq!(masked(Mask::Whole, "anything"), "***");
        assert_eq!(masked(Mask::Nothing, "?token=x"), "?token=x");
    }

    #[test]
    fn variables_are_masked_by_what_they_hold() {
        let mask = |name: &str| redaction().mask(&Variable::from_name(name).unwrap());
        for name in ["request", "request_uri", "http_referer", "sent_http_location"] {
            assert_eq!(mask(name), Mask::Url, "{name}");
        }
        for name in [
            "http_authorization",
            "http_cookie",
            "cookie_anything",
            "arg_token",
            "http_token",
            "upstream_http_token",
        ] {
            assert_eq!(mask(name), Mask::Whole, "{name}");
        }
        assert_eq!((mask("args"), mask("query_string")), (Mask::Query, Mask::Query));
        for name in ["uri", "http_user_agent", "arg_page", "remote_user", "sent_http_set_cookie"] {
            assert_eq!(mask(name), Mask::Nothing, "{name}");
        }
        let off = Redaction::default();
        assert_eq!(off.mask(&Variable::Known(Known::Request)), Mask::Nothing);
    }

    proptest! {
        #[test]
        fn text_without_secret_names_stays_as_it_is(text in "[a-z?&;=# %]{0,40}") {
            prop_assume!(!text.contains("token") && !text.contains("cookie") && !text.contains('%'));
            prop_assert_eq!(masked(Mask::Url, &text), text.clone());
            prop_assert_eq!(masked(Mask::Query, &text), text);
        }

        #[test]
        fn no_secret_is_left(
            before in "[a-z0-9&=;?%]{0,20}",
            name in "(token|ToKeN|%74oken|api_key|authorization)",
            secret in "[A-Z~]{3,9}",
            after in "[a-z0-9&=;?#%]{0,20}",
        ) {
            let url = format!("/path?{before}&{name}={secret}{after}");
            prop_assert!(!masked(Mask::Url, &url).contains(&secret), "{url}");
        }

        #[test]
        fn any_bytes_are_taken(value: Vec<u8>) {
            let mut out = Vec::new();
            redaction().write(Mask::Url, &value, escape::none, &mut out);
            redaction().write(Mask::Query, &value, escape::json, &mut out);
        }
    }
}
