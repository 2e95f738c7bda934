//! What options of several plugins have in common, and where in them a mistake is.

use http::HeaderName;
use switchback_plugin::BuildError;

/// Reads one option; what is wrong is told with `path`.
pub(crate) fn read<T>(
    path: &str,
    text: &str,
    reader: impl Fn(&str) -> Result<T, String>,
) -> Result<T, BuildError> {
    reader(text).map_err(|message| BuildError::new(path, message))
}

/// Reads a list of them.
pub(crate) fn each<T>(
    path: &str,
    texts: &[String],
    reader: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, BuildError> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(index, text)| read(&format!("{path}[{index}]"), text, &reader)).collect()
}

/// The name of a header.
pub(crate) fn header(text: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("`{text}` is no name of a header"))
}

/// How a message is framed is for the proxy to say.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header is about how the message is framed, or about the connection.
pub(crate) fn is_framing(name: &str) -> bool {
    FRAMING.contains(&name)
}

/// The name of a header that a plugin may change.
pub(crate) fn changeable_header(text: &str) -> Result<HeaderName, String> {
    let name = header(text)?;
    if is_framing(name.as_str()) {
        return Err(format!("`{name}` is for the proxy alone to say"));
    }
    Ok(name)
}

/// The name of a cookie, of what RFC 6265 calls a token.
pub(crate) fn cookie(text: &str) -> Result<String, String> {
    header(text).map(|_| text.to_owned()).map_err(|_| format!("`{text}` is no name of a cookie"))
}

/// The name of a variable that a plugin sets: one that begins with `plugin_`, so that it is never one of the proxy's own.
pub(crate) fn own_variable(text: &str) -> Result<String, String> {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match text.strip_prefix("plugin_") {
        Some(rest) if (1..=64).contains(&rest.len()) && rest.bytes().all(is_known) => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "`{text}` is no variable of a plugin: write plugin_ and up to 64 lower-case letters, digits and _"
        )),
    }
}

/// Statuses from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statuses(u16, u16);

impl Statuses {
    /// `404`, `5xx`, `200-299`
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let problem = || format!("`{text}` is no status: write it as in 404, 5xx or 200-299");
        let status = |text: &str| {
            let number = text.parse().ok().filter(|number| (100..=599).contains(number));
            number.filter(|_| text.len() == 3).ok_or_else(problem)
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = status(&format!("{class}00"))?;
            return Ok(Self(first, first + 99));
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (status(first)?, status(last)?);
        if first > last { Err(problem()) } else { Ok(Self(first, last)) }
    }

    /// Whether `status` is one of them.
    pub(crate) fn contains(self, status: u16) -> bool {
        (self.0..=self.1).contains(&status)
    }
}

/// The status of an answer that refuses.
pub(crate) fn refusal(path: &str, status: u16) -> Result<u16, BuildError> {
    if (400..=599).contains(&status) {
        return Ok(status);
    }
    Err(BuildError::new(
        path,
        format!("{status} does not refuse a request: write one of 400 to 599"),
    ))
}

/// What must not be 0.
pub(crate) fn positive(path: &str, number: u64) -> Result<u64, BuildError> {
    if number > 0 { Ok(number) } else { Err(BuildError::new(path, "this must not be 0")) }
}

/// A text that stands between quotes in a header, such as a realm.
pub(crate) fn quotable(path: &str, text: &str) -> Result<String, BuildError> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        return Ok(text.to_owned());
    }
    Err(BuildError::new(path, "only ASCII without quotes, backslashes and control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_one_a_class_or_a_range() {
        let parse = |text| Statuses::parse(text).map(|Statuses(first, last)| (first, last));
        assert_eq!(parse("404"), Ok((404, 404)));
        assert_eq!(parse("5xx"), Ok((500, 599)));
        assert_eq!(parse("200-299"), Ok((200, 299)));
        for text in
            ["", "99", "600", "6xx", "xx", "299-200", "200-", "4x", "+404", "0404", "2xx-3xx"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_those_that_http_allows() {
        assert_eq!(header("X-Tenant"), Ok(HeaderName::from_static("x-tenant")));
        for text in ["", "a b", "a:", "ä", "a\n"] {
            assert!(header(text).is_err() && cookie(text).is_err(), "{text}");
        }
        assert!(changeable_header("Content-Length").is_err());
        assert!(own_variable("plugin_user").is_ok());
        for text in ["user", "plugin_", "plugin_A", "plugin_a-b", "remote_addr"] {
            assert!(own_variable(text).is_err(), "{text}");
        }
    }
}
