//! One `Set-Cookie` line, of which some attributes change and everything else stays byte for byte (RFC 6265, 5.2).

use std::borrow::Cow;

use http::{HeaderMap, header};

/// The value of the cookie `name` that an answer with these fields sets. Of several the last one counts, as for browsers.
pub(crate) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers.get_all(header::SET_COOKIE).into_iter();
    lines.rev().find_map(|line| {
        let pair = line.as_bytes().split(|byte| *byte == b';').next()?;
        let (own, value) = split(pair)?;
        own.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// A line cut at its semicolons, as browsers do, whatever stands in quotes.
#[derive(Debug)]
pub(crate) struct SetCookie<'l> {
    /// Name and value.
    pair: &'l [u8],
    /// The attributes, with the spaces around them.
    attributes: Vec<Cow<'l, [u8]>>,
    is_changed: bool,
}

impl<'l> SetCookie<'l> {
    /// The parts of `line`.
    pub(crate) fn parse(line: &'l [u8]) -> Self {
        let mut parts = line.split(|byte| *byte == b';');
        let pair = parts.next().unwrap_or_default();
        Self { pair, attributes: parts.map(Cow::Borrowed).collect(), is_changed: false }
    }

    /// The name of the cookie; empty where there is none.
    pub(crate) fn name(&self) -> &'l [u8] {
        split(self.pair).map_or(b"", |(name, _)| name.trim_ascii())
    }

    /// The value of the attribute `name`; of several, the last counts.
    pub(crate) fn attribute(&self, name: &str) -> Option<&[u8]> {
        let attribute = self.attributes.iter().rfind(|attribute| is_called(attribute, name))?;
        Some(split(attribute).map_or(b"", |(_, value)| value.trim_ascii()))
    }

    /// Gives the attribute `name` this value: where it stands, or at the end.
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        if self.attribute(name) == Some(value) && self.count(name) == 1 {
            return;
        }
        let mut is_set = false;
        self.attributes.retain_mut(|attribute| {
            if !is_called(attribute, name) {
                return true;
            }
            let own = split(attribute).map_or(&**attribute, |(own, _)| own).trim_ascii_end();
            *attribute = Cow::Owned([own, b"=", value].concat());
            !std::mem::replace(&mut is_set, true)
        });
        if !is_set {
            self.add([b" ", name.as_bytes(), b"=", value].concat());
        }
        self.is_changed = true;
    }

    /// Adds the attribute `name`, which has no value, unless it is there.
    pub(crate) fn flag(&mut self, name: &str) {
        if self.count(name) == 0 {
            self.add([b" ", name.as_bytes()].concat());
        }
    }

    /// Takes out the attribute `name`.
    pub(crate) fn remove(&mut self, name: &str) {
        let before = self.attributes.len();
        self.attributes.retain(|attribute| !is_called(attribute, name));
        self.is_changed |= self.attributes.len() != before;
    }

    /// The line, if anything has changed.
    pub(crate) fn changed(self) -> Option<Vec<u8>> {
        if !self.is_changed {
            return None;
        }
        let attributes = self.attributes.iter().map(|attribute| &**attribute);
        Some(std::iter::once(self.pair).chain(attributes).collect::<Vec<_>>().join(&b';'))
    }

    fn add(&mut self, attribute: Vec<u8>) {
        // After a semicolon at the end there is room.
        if self.attributes.last().is_some_and(|last| last.trim_ascii().is_empty()) {
            self.attributes.pop();
        }
        self.attributes.push(Cow::Owned(attribute));
        self.is_changed = true;
    }

    fn count(&self, name: &str) -> usize {
        self.attributes.iter().filter(|attribute| is_called(attribute, name)).count()
    }
}

fn is_called(attribute: &[u8], name: &str) -> bool {
    let own = split(attribute).map_or(attribute, |(own, _)| own);
    own.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
}

/// What stands before and behind the first equals sign.
fn split(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = part.split_at_checked(memchr::memchr(b'=', part)?)?;
    Some((name, value.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SetCookie;

    /// The line after `change`, or as it was.
    fn after(line: &str, change: impl FnOnce(&mut SetCookie<'_>)) -> String {
        let mut cookie = SetCookie::parse(line.as_bytes());
        change(&mut cookie);
        let changed = cookie.changed().unwrap_or_else(|| line.as_bytes().to_vec());
        String::from_utf8(changed).unwrap()
    }

    #[test]
    fn the_name_is_what_stands_before_the_first_equals_sign() {
        for (line, name) in [
            ("a=b=c; Path=/", "a"),
            (" a =b", "a"),
            ("=b", ""),
            ("b", ""),
            ("", ""),
            ("; Path=/", ""),
            ("a=\"x;y\"", "a"),
        ] {
            assert_eq!(SetCookie::parse(line.as_bytes()).name(), name.as_bytes(), "{line}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_those_that_an_answer_sets() {
        let mut headers = http::HeaderMap::new();
        for line in ["a=1; b=2", "B = x=y ; Path=/", "a=3", "c"] {
            headers.append(http::header::SET_COOKIE, line.parse().unwrap());
        }
        for (name, value) in [("a", Some(&b"3"[..])), ("b", Some(b"x=y")), ("c", None), ("d", None)]
        {
            assert_eq!(super::value(&headers, name), value, "{name}");
        }
    }

    #[test]
    fn attributes_are_found_in_any_case_and_spacing() {
        let line = b"a=1;path=/x ; DOMAIN = b.example;Path=/y;Secure";
        let cookie = SetCookie::parse(line);
        assert_eq!(cookie.attribute("Path"), Some(&b"/y"[..]));
        assert_eq!(cookie.attribute("Domain"), Some(&b"b.example"[..]));
        assert_eq!(cookie.attribute("Secure"), Some(&b""[..]));
        assert_eq!(cookie.attribute("HttpOnly"), None);
        // Only behind the first semicolon do attributes begin.
        assert_eq!(SetCookie::parse(b"path=/x").attribute("Path"), None);
    }

    #[test]
    fn an_attribute_is_replaced_or_added() {
        let set = |line| after(line, |cookie| cookie.set("Path", b"/new"));
        assert_eq!(set("a=1; path=/old; Secure"), "a=1; path=/new; Secure");
        assert_eq!(set("a=\"q r\""), "a=\"q r\"; Path=/new");
        assert_eq!(set("a=1; path=/x;b; Path=/y"), "a=1; path=/new;b");
        assert_eq!(set("a=1;  PATH ; b"), "a=1;  PATH=/new; b");
        assert_eq!(set("a=1;"), "a=1; Path=/new");
        assert_eq!(set("a=1; path = /new;x"), "a=1; path = /new;x");
        assert_eq!(set("a=1; path=/new; path=/new"), "a=1; path=/new");
    }

    #[test]
    fn a_flag_is_there_once_or_not_at_all() {
        assert_eq!(after("a=1; SECURE", |cookie| cookie.flag("Secure")), "a=1; SECURE");
        assert_eq!(after("a=1", |cookie| cookie.flag("Secure")), "a=1; Secure");
        let line = "a=secure; secure;Secure=x; b";
        assert_eq!(after(line, |cookie| cookie.remove("Secure")), "a=secure; b");
    }

    proptest! {
        #[test]
        fn what_is_not_changed_stays_byte_for_byte(line in "[ -~]{0,40}") {
            let line = line.replace("zz", "");
            prop_assert!(SetCookie::parse(line.as_bytes()).changed().is_none());
            let with = after(&line, |cookie| cookie.set("zz", b"1"));
            let without = after(&with, |cookie| cookie.remove("zz"));
            let trimmed = |text: &str| text.trim_end_matches([' ', ';', '\t']).to_owned();
            prop_assert_eq!(trimmed(&without), trimmed(&line));
        }
    }
}
