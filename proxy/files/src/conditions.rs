//! Whether what is asked for is still wanted (RFC 9110 section 13).

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::date;
use crate::short::{self, Short};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators {
    pub(crate) etag: Option<EntityTag>,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators {
    /// Conditions in the order of RFC 9110 section 13.2.2. Dates that cannot be read are ignored.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(IF_MATCH) {
            if !self.is_named(headers, &IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if date_of(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| self.modified > date) {
            return Verdict::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if self.is_named(headers, &IF_NONE_MATCH, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if date_of(headers, &IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date) {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether ranges may be sent: there is no `If-Range`, or it names exactly this state.
    pub(crate) fn allow_ranges(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else { return true };
        match value.as_bytes() {
            [b'"', ..] | [b'W', b'/', ..] => {
                self.etag.is_some_and(|own| own.as_bytes() == value.as_bytes())
            }
            _ => date::parse(value) == Some(self.modified),
        }
    }

    /// Whether any line of this name is `*` or lists the tag.
    fn is_named(&self, headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> bool {
        headers.get_all(name).iter().map(HeaderValue::as_bytes).any(|line| {
            line.trim_ascii() == b"*"
                || self.etag.is_some_and(|own| {
                    Tags(line).any(|tag| {
                        (comparison == Comparison::Weak || !tag.is_weak)
                            && tag.opaque == own.as_bytes()
                    })
                })
        })
    }
}

/// The date of the first line of this name.
fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    headers.get(name).and_then(date::parse)
}

/// RFC 9110 section 8.8.3.2. Our own tags are never weak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// A tag that a client names; `opaque` has its quotes.
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

/// The tags of a list, up to the first thing that is none.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|byte| !b", \t".contains(byte))?;
        let rest = self.0.get(start..)?;
        let (is_weak, rest) = match rest {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [b'"', inner @ ..] = rest else { return None };
        let end = inner.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = rest.split_at_checked(end + 2)?;
        self.0 = rest;
        Some(Tag { is_weak, opaque })
    }
}

/// An `ETag` as nginx makes them: time of the last change and size, both hexadecimal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityTag(Short);

impl EntityTag {
    pub(crate) fn of(modified: i64, size: u64) -> Self {
        Self(short::quoted_pair(modified.cast_unsigned(), size))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn to_value(self) -> HeaderValue {
        self.0.to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    const MODIFIED: i64 = 784_111_777;
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const SAME_RFC850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
    const SAME_ASCTIME: &str = "Sun Nov  6 08:49:37 1994";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const OWN: &str = r#""2ebc98a1-14""#;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn validators() -> Validators {
        Validators { etag: Some(EntityTag::of(MODIFIED, 20)), modified: MODIFIED }
    }

    #[test]
    fn tags_are_those_of_nginx() {
        assert_eq!(EntityTag::of(MODIFIED, 20).as_bytes(), OWN.as_bytes());
        assert_eq!(EntityTag::of(0, 0).as_bytes(), br#""0-0""#);
        let longest = br#""ffffffffffffffff-ffffffffffffffff""#;
        assert_eq!(EntityTag::of(-1, u64::MAX).as_bytes(), longest);
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Proceed};
        let weak = format!("W/{OWN}");
        let list = format!(r#""x", W/"y" ,{OWN}"#);
        let weak_list = format!(r#""a,b", {weak}"#);
        for (lines, expected) in [
            (&[][..], Proceed),
            (&[("if-match", OWN)], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", &list)], Proceed),
            (&[("if-match", "\"x\""), ("if-match", OWN)], Proceed),
            (&[("if-match", &weak)], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", "")], Failed),
            (&[("if-match", OWN), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", SAME)], Proceed),
            (&[("if-unmodified-since", "never")], Proceed),
            (&[("if-none-match", OWN)], NotModified),
            (&[("if-none-match", &weak)], NotModified),
            (&[("if-none-match", &weak_list)], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\", *")], Proceed),
            (&[("if-none-match", "\"x")], Proceed),
            (&[("if-none-match", "2ebc98a1-14")], Proceed),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Proceed),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", SAME)], NotModified),
            (&[("if-modified-since", SAME_RFC850)], NotModified),
            (&[("if-modified-since", SAME_ASCTIME)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", "soon")], Proceed),
            (&[("if-match", OWN), ("if-none-match", OWN)], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", OWN)], Failed),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", OWN)], Failed),
        ] {
            assert_eq!(validators().judge(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_file_without_a_tag_is_named_by_the_star_alone() {
        let validators = Validators { etag: None, modified: MODIFIED };
        assert_eq!(validators.judge(&headers(&[("if-match", OWN)])), Verdict::Failed);
        assert_eq!(validators.judge(&headers(&[("if-match", "*")])), Verdict::Proceed);
        assert_eq!(validators.judge(&headers(&[("if-none-match", OWN)])), Verdict::Proceed);
        assert!(!validators.allow_ranges(&headers(&[("if-range", OWN)])));
    }

    #[test]
    fn ranges_are_of_the_state_that_the_client_has() {
        for (value, allowed) in [
            (OWN, true),
            (SAME, true),
            (SAME_RFC850, true),
            (BEFORE, false),
            (AFTER, false),
            ("\"x\"", false),
            (r#"W/"2ebc98a1-14""#, false),
            ("*", false),
            ("", false),
        ] {
            let headers = headers(&[("if-range", value)]);
            assert_eq!(validators().allow_ranges(&headers), allowed, "{value}");
        }
        assert!(validators().allow_ranges(&HeaderMap::new()));
    }
}
