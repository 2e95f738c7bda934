//! Lines `key value;`, as nginx reads what a `map` includes.

use std::ops::Range;
use std::sync::Arc;

use super::map_file::MAX_MISTAKES;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::native::Entry;
use crate::source::Source;

/// The entries of `source` in written order, and what is wrong with it.
///
/// A word may stand in single or double quotes. `#` before a word begins a comment, which ends with its line.
pub(super) fn read_lines(source: &Arc<Source>) -> (Vec<Entry>, Vec<Diagnostic>) {
    let mut entries = Vec::new();
    let mut diagnostics = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut mistake = |range: Range<usize>, message: &str| {
        if diagnostics.len() < MAX_MISTAKES {
            let at = Location::new(source, range);
            diagnostics.push(Diagnostic::error(Code::MapFile, at, message).hint(LINE));
        }
    };
    for token in (Tokens { text: source.text(), at: 0 }) {
        match token {
            Token::Word(word) => words.push(word),
            Token::Unclosed(range) => mistake(range, "this quote is never closed"),
            Token::End(range) => match <[Word; 2]>::try_from(std::mem::take(&mut words)) {
                Ok(pair) => {
                    let [key, value] = pair.map(|word| {
                        At::new(word.text.into_boxed_str(), Location::new(source, word.range))
                    });
                    entries.push((key, value));
                }
                Err(words) => {
                    let start = words.first().map_or(range.start, |word| word.range.start);
                    mistake(start..range.end, "expected a key and a value");
                }
            },
        }
    }
    if let (Some(first), Some(last)) = (words.first(), words.last()) {
        mistake(first.range.start..last.range.end, "the semicolon is missing");
    }
    (entries, diagnostics)
}

const LINE: &str = "a line is `key value;`";

struct Word {
    text: String,
    range: Range<usize>,
}

enum Token {
    Word(Word),
    /// A semicolon.
    End(Range<usize>),
    /// A quote without its other.
    Unclosed(Range<usize>),
}

struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_space();
        let start = self.at;
        let token = match self.peek()? {
            ';' => {
                self.at += 1;
                Token::End(start..self.at)
            }
            quote @ ('"' | '\'') => {
                self.at += 1;
                let text = self.word(|letter| letter == quote);
                if self.peek().is_none() {
                    return Some(Token::Unclosed(start..start + 1));
                }
                self.at += 1;
                Token::Word(Word { text, range: start..self.at })
            }
            _ => {
                let text = self.word(|letter| letter.is_ascii_whitespace() || letter == ';');
                Token::Word(Word { text, range: start..self.at })
            }
        };
        Some(token)
    }
}

impl<'t> Tokens<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest().trim_ascii_start();
            self.at = self.text.len() - rest.len();
            if !rest.starts_with('#') {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Up to what ends it. A backslash takes its meaning away from quotes and itself; before `t`, `r` and `n` it is a control
    /// character; before anything else it stays, because regexes have many.
    fn word(&mut self, ends: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let mut text = String::new();
        let mut letters = rest.char_indices();
        let mut length = rest.len();
        while let Some((at, letter)) = letters.next() {
            if ends(letter) {
                length = at;
                break;
            }
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            match letters.next().map(|(_, escaped)| escaped) {
                Some(sign @ ('"' | '\'' | '\\')) => text.push(sign),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('n') => text.push('\n'),
                other => {
                    text.push('\\');
                    text.extend(other);
                }
            }
        }
        self.at += length;
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let source = Arc::new(Source::new("m", text.to_owned(), 0));
        let (entries, diagnostics) = read_lines(&source);
        let entries =
            entries.iter().map(|(key, value)| (key.value.to_string(), value.value.to_string()));
        let told = diagnostics.iter().map(|found| format!("{}: {}", found.at, found.message));
        (entries.collect(), told.collect())
    }

    fn entries(text: &str) -> Vec<(String, String)> {
        let (entries, mistakes) = read(text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        entries
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_line_is_a_key_and_a_value() {
        let text = "# a comment; with a semicolon\na 1;\tb\n2 ; c#d 3#4; # the end\r\n";
        assert_eq!(entries(text), [pair("a", "1"), pair("b", "2"), pair("c#d", "3#4")]);
        assert_eq!(entries(""), []);
        assert_eq!(entries("# nothing"), []);
    }

    #[test]
    fn quotes_hold_spaces_and_semicolons_together() {
        assert_eq!(entries(r#""a b;" 'c "d"'; '' "";"#), [pair("a b;", "c \"d\""), pair("", "")]);
    }

    #[test]
    fn backslashes_stay_but_before_quotes_and_themselves() {
        assert_eq!(
            entries(r#"~^/a\.b\d$ "a\"b\\c\n"; \default x;"#),
            [pair(r"~^/a\.b\d$", "a\"b\\c\n"), pair(r"\default", "x")]
        );
    }

    #[test]
    fn every_mistake_is_told_where_it_is() {
        let (entries, mistakes) = read("a;\nb 1;\nc 1 2;\n;\nd 1");
        assert_eq!(entries, [pair("b", "1")]);
        assert_eq!(
            mistakes,
            [
                "m:1:1: expected a key and a value",
                "m:3:1: expected a key and a value",
                "m:4:1: expected a key and a value",
                "m:5:1: the semicolon is missing",
            ]
        );
        let unclosed = ["m:1:3: this quote is never closed", "m:1:1: the semicolon is missing"];
        assert_eq!(read("a 'b;\n").1, unclosed);
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_to_its_end(text in "[a ;#\"'\\\\ä\\n]{0,24}") {
            read(&text);
        }

        #[test]
        fn what_is_quoted_comes_back(key in "[^\\\\\"]{0,8}", value in "[^\\\\\"]{0,8}") {
            prop_assert_eq!(entries(&format!("\"{key}\" \"{value}\";")), [pair(&key, &value)]);
        }
    }
}
