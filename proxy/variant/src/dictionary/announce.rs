//! How a client is told that a response may serve as a dictionary.

use http::HeaderValue;
use thiserror::Error;

use crate::dictionary::Pattern;

/// The value of `Use-As-Dictionary` (RFC 9842 section 2.1), made once for a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement(HeaderValue);

/// Why nothing can be announced so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAnnouncement {
    /// RFC 9842 section 2.1.3.
    #[error("the id of a dictionary has at most 1024 characters")]
    LongId,
    /// What no string of a structured field has.
    #[error("{0:?} may not stand in the id of a dictionary")]
    BadId(char),
    /// A destination is a word such as `script`.
    #[error("`{0}` is no destination of a request")]
    BadDestination(String),
}

const LONGEST_ID: usize = 1024;

impl Announcement {
    /// That a response is a dictionary for URLs that match, of requests for these destinations (`script`, `style`, ...; none: all),
    /// and by which name the client calls it, if any.
    ///
    /// # Errors
    /// When the name or a destination cannot be written down.
    pub fn new(
        pattern: &Pattern,
        destinations: &[&str],
        id: Option<&str>,
    ) -> Result<Self, BadAnnouncement> {
        // A pattern has neither quotes nor backslashes.
        let mut text = format!("match=\"{pattern}\"");
        if let Some(bad) = destinations.iter().find(|word| !is_word(word)) {
            return Err(BadAnnouncement::BadDestination((*bad).to_owned()));
        }
        if !destinations.is_empty() {
            text.push_str(", match-dest=(\"");
            text.push_str(&destinations.join("\" \""));
            text.push_str("\")");
        }
        if let Some(id) = id {
            text.push_str(", id=\"");
            text.push_str(&escaped(id)?);
            text.push('"');
        }
        // All of it is printable ASCII.
        HeaderValue::try_from(text).map(Self).map_err(|_| BadAnnouncement::BadId('\u{fffd}'))
    }

    /// For the head of a response.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// As a string of a structured field has it (RFC 8941 section 3.3.3).
fn escaped(id: &str) -> Result<String, BadAnnouncement> {
    if let Some(bad) = id.chars().find(|letter| !matches!(letter, ' '..='~')) {
        return Err(BadAnnouncement::BadId(bad));
    }
    if id.len() > LONGEST_ID {
        return Err(BadAnnouncement::LongId);
    }
    Ok(id.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(destinations: &[&str], id: Option<&str>) -> Result<String, BadAnnouncement> {
        let pattern = Pattern::parse("/assets/app.*.js").unwrap();
        let announcement = Announcement::new(&pattern, destinations, id)?;
        Ok(announcement.header().to_str().unwrap().to_owned())
    }

    #[test]
    fn it_is_a_dictionary_of_structured_fields() {
        assert_eq!(announced(&[], None).unwrap(), r#"match="/assets/app.*.js""#);
        assert_eq!(
            announced(&["script", "style"], Some(r#"a"b\c"#)).unwrap(),
            r#"match="/assets/app.*.js", match-dest=("script" "style"), id="a\"b\\c""#
        );
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert_eq!(
            announced(&["a b"], None),
            Err(BadAnnouncement::BadDestination("a b".to_owned()))
        );
        assert_eq!(announced(&[], Some("ä")), Err(BadAnnouncement::BadId('ä')));
        assert_eq!(announced(&[], Some("a\nb")), Err(BadAnnouncement::BadId('\n')));
        assert_eq!(announced(&[], Some(&"x".repeat(1025))), Err(BadAnnouncement::LongId));
        assert!(announced(&[], Some(&"\"".repeat(1024))).is_ok());
    }
}
