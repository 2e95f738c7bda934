//! Whether what is asked for is still wanted (RFC 9110 section 13).

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};

use crate::date;

/// What tells one state of a representation from another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validators<'a> {
    /// Its `ETag` as it is written, with quotes and `W/`.
    pub etag: Option<&'a [u8]>,
    /// Its `Last-Modified`, in seconds since 1970.
    pub modified: Option<i64>,
    /// When another server sent it, likewise. It stands in for a missing [`Validators::modified`] (RFC 9111 section 4.3.2), and a
    /// change in that same second makes the date a weak validator (RFC 9110 section 8.8.2.2). `None` where the state is our own.
    pub sent: Option<i64>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// None stands in the way.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators<'_> {
    /// Conditions in the order of RFC 9110 section 13.2.2, for GET and what is answered like it. Dates that cannot be read, or are
    /// several, are ignored.
    #[must_use]
    pub fn judge(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(IF_MATCH) {
            if !self.is_named(headers, &IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let Some(modified) = self.modified
            && date_of(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| modified > date)
        {
            return Verdict::Failed;
        }
        if headers.contains_key(IF_NONE_MATCH) {
            if self.is_named(headers, &IF_NONE_MATCH, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let Some(modified) = self.modified.or(self.sent)
            && date_of(headers, &IF_MODIFIED_SINCE).is_some_and(|date| modified <= date)
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether ranges may be sent: there is no `If-Range`, or it names exactly this state.
    #[must_use]
    pub fn allow_ranges(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(IF_RANGE) else { return true };
        match value.as_bytes() {
            tag @ [b'"', ..] => self.etag == Some(tag),
            _ => self.strong_date().is_some_and(|own| date::parse(value) == Some(own)),
        }
    }

    /// The date of the last change, where no two states can share it.
    fn strong_date(&self) -> Option<i64> {
        self.modified.filter(|&modified| self.sent.is_none_or(|sent| modified < sent))
    }

    /// Whether any line of this name is `*` or lists the tag. One that is no tag as the RFC writes them is named by a line that
    /// says just the same.
    fn is_named(&self, headers: &HeaderMap, name: &HeaderName, comparison: Comparison) -> bool {
        headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).any(|line| {
            line == b"*"
                || self.etag.is_some_and(|own| match Tags(own).next() {
                    Some(own) => Tags(line).any(|tag| tag.is_same(&own, comparison)),
                    None => line == own,
                })
        })
    }
}

/// The date of the one line of this name.
fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let mut lines = headers.get_all(name).iter();
    let date = lines.next().and_then(date::parse)?;
    lines.next().is_none().then_some(date)
}

/// RFC 9110 section 8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// An entity tag; `opaque` has its quotes.
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn is_same(&self, other: &Self, comparison: Comparison) -> bool {
        self.opaque == other.opaque
            && (comparison == Comparison::Weak || !(self.is_weak || other.is_weak))
    }
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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

    fn validators() -> Validators<'static> {
        Validators { etag: Some(OWN.as_bytes()), modified: Some(MODIFIED), sent: None }
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
            (&[("if-modified-since", AFTER), ("if-modified-since", AFTER)], Proceed),
            (&[("if-match", OWN), ("if-none-match", OWN)], NotModified),
            (&[("if-match", "\"x\""), ("if-none-match", OWN)], Failed),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", OWN)], Failed),
        ] {
            assert_eq!(validators().judge(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_has_no_tag_is_named_by_the_star_alone() {
        let validators = Validators { etag: None, ..validators() };
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

    #[test]
    fn a_weak_tag_is_named_weakly_alone() {
        let weak = format!("W/{OWN}");
        let own = Validators { etag: Some(weak.as_bytes()), ..validators() };
        for named in [OWN, &weak] {
            assert_eq!(own.judge(&headers(&[("if-none-match", named)])), Verdict::NotModified);
            assert_eq!(own.judge(&headers(&[("if-match", named)])), Verdict::Failed);
            assert!(!own.allow_ranges(&headers(&[("if-range", named)])));
        }
    }

    #[test]
    fn what_is_no_tag_is_named_by_its_own_words_alone() {
        for tag in ["abc", "w/\"abc\"", "W\"abc\""] {
            let own = Validators { etag: Some(tag.as_bytes()), ..Validators::default() };
            assert_eq!(own.judge(&headers(&[("if-none-match", tag)])), Verdict::NotModified);
            assert_eq!(own.judge(&headers(&[("if-none-match", "\"abc\"")])), Verdict::Proceed);
        }
    }

    #[test]
    fn the_time_of_sending_stands_in_for_a_missing_date_of_change() {
        let own = Validators { sent: Some(MODIFIED), ..Validators::default() };
        for (since, expected) in [
            (BEFORE, Verdict::Proceed),
            (SAME, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
        ] {
            assert_eq!(own.judge(&headers(&[("if-modified-since", since)])), expected, "{since}");
            assert_eq!(own.judge(&headers(&[("if-unmodified-since", since)])), Verdict::Proceed);
            assert!(!own.allow_ranges(&headers(&[("if-range", since)])), "{since}");
        }
    }

    #[test]
    fn a_change_in_the_second_of_sending_allows_no_ranges() {
        for (sent, allowed) in [(MODIFIED, false), (MODIFIED + 1, true), (MODIFIED - 1, false)] {
            let own = Validators { sent: Some(sent), ..validators() };
            assert_eq!(own.allow_ranges(&headers(&[("if-range", SAME)])), allowed, "{sent}");
            assert!(own.allow_ranges(&headers(&[("if-range", OWN)])), "{sent}");
        }
    }
}
