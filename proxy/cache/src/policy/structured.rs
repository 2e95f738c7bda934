//! Structured fields (RFC 9651), as far as fields of caches use them. Parameters are read over.

use http::header::{GetAll, HeaderValue};

/// A bare item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    Integer(i64),
    String(String),
    Token(String),
    Boolean(bool),
    /// A decimal, a byte sequence, a date or a display string: valid, and of no use here.
    Other,
}

/// A member of a list or a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Item(Bare),
    List(Vec<Bare>),
}

/// The list in `lines`; none if there is an error anywhere (RFC 9651, 4.2.1).
pub(super) fn list(lines: &GetAll<'_, HeaderValue>) -> Option<Vec<Member>> {
    let text = joined(lines);
    let mut parser = Parser(text.trim_ascii());
    let mut members = Vec::new();
    while !parser.0.is_empty() {
        members.push(parser.member()?);
        parser.comma()?;
    }
    Some(members)
}

/// The dictionary in `lines`; none if there is an error anywhere (RFC 9651, 4.2.2). Of a key that is there twice the last counts.
pub(super) fn dictionary(lines: &GetAll<'_, HeaderValue>) -> Option<Vec<(String, Member)>> {
    let text = joined(lines);
    let mut parser = Parser(text.trim_ascii());
    let mut members: Vec<(String, Member)> = Vec::new();
    while !parser.0.is_empty() {
        let key = parser.key()?;
        let member = if parser.take(b'=') {
            parser.member()?
        } else {
            parser.parameters()?;
            Member::Item(Bare::Boolean(true))
        };
        members.retain(|(known, _)| *known != key);
        members.push((key, member));
        parser.comma()?;
    }
    Some(members)
}

fn joined(lines: &GetAll<'_, HeaderValue>) -> Vec<u8> {
    let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    lines.join(&b", "[..])
}

/// What is left to read.
struct Parser<'t>(&'t [u8]);

impl Parser<'_> {
    fn member(&mut self) -> Option<Member> {
        let member = if self.take(b'(') {
            Member::List(self.inner_list()?)
        } else {
            Member::Item(self.bare()?)
        };
        self.parameters()?;
        Some(member)
    }

    /// After the opening parenthesis, up to the closing one.
    fn inner_list(&mut self) -> Option<Vec<Bare>> {
        let mut items = Vec::new();
        loop {
            self.blanks(b" ");
            if self.take(b')') {
                return Some(items);
            }
            items.push(self.bare()?);
            self.parameters()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.blanks(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(Bare::String),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => Some(Bare::Token(self.token())),
            b':' => self.byte_sequence(),
            b'?' => self.boolean(),
            b'@' => {
                self.step();
                matches!(self.number()?, Bare::Integer(_)).then_some(Bare::Other)
            }
            b'%' => self.display_string(),
            _ => None,
        }
    }

    /// At most 15 digits; with a point, at most 12 before and 3 after it (RFC 9651, 4.2.4).
    fn number(&mut self) -> Option<Bare> {
        let is_negative = self.take(b'-');
        let whole = self.run(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.run(|byte| byte.is_ascii_digit());
            let is_valid = whole.len() <= 12 && (1..=3).contains(&fraction.len());
            return is_valid.then_some(Bare::Other);
        }
        let number: i64 = whole.parse().ok()?;
        Some(Bare::Integer(if is_negative { -number } else { number }))
    }

    fn string(&mut self) -> Option<String> {
        self.step();
        let mut text = String::new();
        loop {
            match self.step()? {
                b'"' => return Some(text),
                b'\\' => match self.step()? {
                    byte @ (b'"' | b'\\') => text.push(char::from(byte)),
                    _ => return None,
                },
                byte @ 0x20..=0x7e => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    fn token(&mut self) -> String {
        self.run(|byte| super::control::is_token(byte) || byte == b':' || byte == b'/')
    }

    fn byte_sequence(&mut self) -> Option<Bare> {
        self.step();
        self.run(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.take(b':').then_some(Bare::Other)
    }

    fn boolean(&mut self) -> Option<Bare> {
        self.step();
        match self.step()? {
            b'0' => Some(Bare::Boolean(false)),
            b'1' => Some(Bare::Boolean(true)),
            _ => None,
        }
    }

    /// `%"..."`, with bytes as `%` and two lower-case digits, which make UTF-8 (RFC 9651, 4.2.10).
    fn display_string(&mut self) -> Option<Bare> {
        self.step();
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.step()? {
                b'"' => return std::str::from_utf8(&text).ok().map(|_| Bare::Other),
                b'%' => text.push(self.digit()? << 4 | self.digit()?),
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }

    fn digit(&mut self) -> Option<u8> {
        match self.step()? {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }

    fn key(&mut self) -> Option<String> {
        matches!(self.0.first(), Some(b'*' | b'a'..=b'z')).then(|| {
            self.run(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
            })
        })
    }

    /// The end, or a comma with a member behind it.
    fn comma(&mut self) -> Option<()> {
        self.blanks(b" \t");
        if self.0.is_empty() {
            return Some(());
        }
        let is_comma = self.take(b',');
        self.blanks(b" \t");
        (is_comma && !self.0.is_empty()).then_some(())
    }

    fn blanks(&mut self, which: &[u8]) {
        while let Some((first, rest)) = self.0.split_first()
            && which.contains(first)
        {
            self.0 = rest;
        }
    }

    fn run(&mut self, of: impl Fn(u8) -> bool) -> String {
        let end = self.0.iter().position(|byte| !of(*byte)).unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at(end);
        self.0 = rest;
        run.iter().map(|byte| char::from(*byte)).collect()
    }

    fn take(&mut self, expected: u8) -> bool {
        let is_there = self.0.first() == Some(&expected);
        if is_there {
            self.step();
        }
        is_there
    }

    fn step(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    fn lines(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (http::header::VARY, HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn parsed(text: &str) -> Option<Vec<(String, Member)>> {
        dictionary(&lines(&[text]).get_all("vary"))
    }

    fn item(bare: Bare) -> Member {
        Member::Item(bare)
    }

    #[test]
    fn reads_each_type() {
        for (text, expected) in [
            ("a", item(Bare::Boolean(true))),     // RFC 9651, 4.2.2
            ("a=?0", item(Bare::Boolean(false))), // 4.2.8
            ("a=-42", item(Bare::Integer(-42))),  // 4.2.4
            ("a=999999999999999", item(Bare::Integer(999_999_999_999_999))), // 3.3.1
            ("a=1.5", item(Bare::Other)),         // 3.3.2
            ("a=\"b \\\"c\\\\\"", item(Bare::String("b \"c\\".to_owned()))), // 4.2.5
            ("a=b/c:d", item(Bare::Token("b/c:d".to_owned()))), // 4.2.6
            ("a=:aGk=:", item(Bare::Other)),      // 4.2.7
            ("a=@1659578233", item(Bare::Other)), // 4.2.9
            ("a=%\"f%c3%bc\"", item(Bare::Other)), // 4.2.10
            ("a=1;b;c=2", item(Bare::Integer(1))), // 4.2.3.2
            ("a;b=\"x\"", item(Bare::Boolean(true))),
            ("a=1, a=2", item(Bare::Integer(2))), // 4.2.2: the last counts
            ("a=( 1  x;q=1 )", Member::List(vec![Bare::Integer(1), Bare::Token("x".to_owned())])),
            ("a=()", Member::List(vec![])),
        ] {
            assert_eq!(parsed(text), Some(vec![("a".to_owned(), expected)]), "{text}");
        }
    }

    #[test]
    fn one_error_spoils_the_field() {
        for text in [
            "&&&&&",
            "a=",
            "a,",
            "a,,b",
            "A",
            "a =1",
            "a= 1",
            "a b",
            "a=1 b",
            "a=\"b",
            "a=\"\\n\"",
            "a=?2",
            "a=1.",
            "a=1.1234",
            "a=1234567890123456",
            "a=(1",
            "a=(1,2)",
            "a=(1\"x\")",
            "a=:a",
            "a=@1.5",
            "a=%\"%C3%BC\"",
            "a=%\"%c3\"",
            "a=%\"%c3%b\"",
            "a=-",
            "a;B",
            "a=1\u{e9}",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn lines_are_one_field() {
        let headers = lines(&["\"a\"", "\"b\", \"c\""]);
        assert_eq!(list(&headers.get_all("vary")).unwrap().len(), 3);
        assert_eq!(list(&lines(&[""]).get_all("vary")), Some(vec![]));
        assert_eq!(list(&lines(&["\"a\"", ""]).get_all("vary")), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ -~]{0,60}") {
            let _ = parsed(&text);
            let _ = list(&lines(&[&text]).get_all("vary"));
        }

        #[test]
        fn strings_come_back(text in "[ -~]{0,30}") {
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(list(&lines(&[&quoted]).get_all("vary")), Some(vec![item(Bare::String(text))]));
        }
    }
}
