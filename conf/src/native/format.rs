//! `switchback fmt`: one layout for every file. Comments stay, and so does the meaning.

use std::sync::Arc;

use super::include::syntax_errors;
use super::parse::parse;
use crate::diagnostic::Diagnostic;
use crate::source::Source;

/// `text` in the usual layout: one blank line before headers and at most one elsewhere, one space around `=`, lists that span
/// lines with one element on each. Comments are kept. Formatting what is formatted changes nothing.
///
/// # Errors
/// Everything that is wrong with the syntax.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    if let Err(mistakes) = parse(text) {
        let source = Arc::new(Source::new("", text.to_owned(), 0));
        return Err(syntax_errors(&source, &mistakes));
    }
    let tokens = Tokens { rest: text.strip_prefix('\u{feff}').unwrap_or(text) }.collect();
    let mut layout = Layout { tokens, next: 0, out: String::with_capacity(text.len()) };
    layout.document();
    Ok(layout.out)
}

/// The parts of a text that is known to be TOML.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Newline,
    /// With its `#`, without space at its end.
    Comment(&'a str),
    /// One of `[ ] { } , = .`
    Sign(char),
    /// A string with its quotes, or whatever stands between signs and white space.
    Word(&'a str),
    /// White space within a line.
    Space,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let first = self.rest.chars().next()?;
        let length = match first {
            '\r' | '\n' => self.rest.find('\n').map_or(self.rest.len(), |at| at + 1),
            ' ' | '\t' => self.length_while(|character| matches!(character, ' ' | '\t')),
            '#' => self.length_while(|character| character != '\n'),
            '[' | ']' | '{' | '}' | ',' | '=' | '.' => 1,
            '"' | '\'' => string_length(self.rest),
            _ => self.length_while(|character| {
                !matches!(
                    character,
                    ' ' | '\t'
                        | '\r'
                        | '\n'
                        | '#'
                        | '"'
                        | '\''
                        | '['
                        | ']'
                        | '{'
                        | '}'
                        | ','
                        | '='
                        | '.'
                )
            }),
        };
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(match first {
            '\r' | '\n' => Token::Newline,
            ' ' | '\t' => Token::Space,
            '#' => Token::Comment(text.trim_end()),
            '[' | ']' | '{' | '}' | ',' | '=' | '.' => Token::Sign(first),
            _ => Token::Word(text),
        })
    }
}

impl Tokens<'_> {
    fn length_while(&self, belongs: impl Fn(char) -> bool) -> usize {
        self.rest.find(|character| !belongs(character)).unwrap_or(self.rest.len())
    }
}

/// The bytes of the string at the start of `text`, with its quotes.
fn string_length(text: &str) -> usize {
    let quote = if text.starts_with('"') { b'"' } else { b'\'' };
    let quotes = text.bytes().take_while(|byte| *byte == quote).count();
    let opening = match quotes {
        2 | 6.. => return quotes.min(6),
        3..=5 => 3,
        _ => 1,
    };
    let bytes = text.as_bytes();
    let mut at = opening;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| **byte == quote).count();
        match bytes[at] {
            b'\\' if quote == b'"' => at += 2,
            // Up to two quotes may stand before the three that close.
            _ if run >= opening => return at + if opening == 1 { 1 } else { run.min(5) },
            _ => at += run.max(1),
        }
    }
    text.len()
}

/// Writes tokens out again.
struct Layout<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    out: String,
}

/// What the last line was, for the blank line before the next.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    Start,
    Blank,
    Comment,
    Other,
}

impl<'a> Layout<'a> {
    fn document(&mut self) {
        let mut last = Line::Start;
        let mut newlines = 0;
        while let Some(token) = self.peek() {
            if token == Token::Newline {
                self.next += 1;
                newlines += 1;
                continue;
            }
            // The first newline ends the line before.
            let is_apart = newlines > if last == Line::Start { 0 } else { 1 };
            newlines = 0;
            if self.wants_blank(last, is_apart) {
                self.out.push('\n');
                last = Line::Blank;
            }
            last = self.line(token, last);
        }
    }

    fn wants_blank(&self, last: Line, is_apart: bool) -> bool {
        match last {
            Line::Start | Line::Blank => false,
            Line::Comment => is_apart,
            Line::Other => is_apart || self.leads_to_header(),
        }
    }

    /// Whether this line is a header, or a comment that stands upon one.
    fn leads_to_header(&self) -> bool {
        let mut newlines = 0;
        for token in &self.tokens[self.next..] {
            match token {
                Token::Space => {}
                Token::Newline if newlines == 1 => return false,
                Token::Newline => newlines += 1,
                Token::Comment(_) => newlines = 0,
                _ => return *token == Token::Sign('['),
            }
        }
        false
    }

    fn line(&mut self, first: Token<'a>, _: Line) -> Line {
        let kind = match first {
            Token::Comment(text) => {
                self.out.push_str(text);
                self.next += 1;
                Line::Comment
            }
            Token::Sign('[') => {
                self.header();
                Line::Other
            }
            _ => {
                self.key_value(0);
                Line::Other
            }
        };
        self.trailing_comment();
        self.out.push('\n');
        kind
    }

    /// The next token that is no space.
    fn peek(&mut self) -> Option<Token<'a>> {
        while self.tokens.get(self.next) == Some(&Token::Space) {
            self.next += 1;
        }
        self.tokens.get(self.next).copied()
    }

    fn header(&mut self) {
        while let Some(token) =
            self.peek().filter(|token| !matches!(token, Token::Newline | Token::Comment(_)))
        {
            self.plain(token);
        }
    }

    fn plain(&mut self, token: Token<'a>) {
        match token {
            Token::Sign(sign) => self.out.push(sign),
            Token::Word(word) => self.out.push_str(word),
            Token::Newline | Token::Comment(_) | Token::Space => {}
        }
        self.next += 1;
    }

    fn trailing_comment(&mut self) {
        if let Some(Token::Comment(text)) = self.peek() {
            self.out.push(' ');
            self.out.push_str(text);
            self.next += 1;
        }
    }

    fn key_value(&mut self, depth: usize) {
        while let Some(token) = self.peek().filter(|token| *token != Token::Sign('=')) {
            match token {
                Token::Newline | Token::Comment(_) => self.gap(depth),
                _ => self.plain(token),
            }
        }
        self.space();
        self.out.push_str("= ");
        self.next += 1;
        self.value(depth);
    }

    fn value(&mut self, depth: usize) {
        self.gap(depth);
        match self.peek() {
            Some(Token::Sign('[')) => self.list(depth, ('[', ']')),
            Some(Token::Sign('{')) => self.list(depth, ('{', '}')),
            _ => self.scalar(),
        }
    }

    fn space(&mut self) {
        if !self.out.ends_with(' ') {
            self.out.push(' ');
        }
    }

    /// Newlines and comments within what usually is one line: within braces they may stand anywhere.
    fn gap(&mut self, depth: usize) {
        while let Some(token @ (Token::Newline | Token::Comment(_))) = self.peek() {
            if let Token::Comment(text) = token {
                self.space();
                self.out.push_str(text);
                self.indent(depth + 1);
            }
            self.next += 1;
        }
    }

    /// A word; of a number the parts around its dot, of a date those around its space.
    fn scalar(&mut self) {
        let mut was_space = false;
        while let Some(token) = self.tokens.get(self.next).copied() {
            match token {
                Token::Word(word) => {
                    self.out.push_str(if was_space { " " } else { "" });
                    self.out.push_str(word);
                }
                Token::Sign('.') => self.out.push('.'),
                Token::Space => {}
                Token::Newline | Token::Comment(_) | Token::Sign(_) => return,
            }
            was_space = token == Token::Space;
            self.next += 1;
        }
    }

    /// A list or an inline table: over several lines when it was, else on one.
    fn list(&mut self, depth: usize, (open, close): (char, char)) {
        let many_lines = self.spans_lines();
        self.out.push(open);
        self.next += 1;
        let mut is_first = true;
        loop {
            if many_lines {
                self.comments(depth + 1, is_first);
            }
            match self.peek() {
                None => return,
                Some(Token::Sign(sign)) if sign == close => break,
                Some(Token::Sign(',') | Token::Newline | Token::Comment(_)) => {
                    self.next += 1;
                    continue;
                }
                Some(_) => {}
            }
            self.separate(depth, is_first, (many_lines, open));
            is_first = false;
            match open {
                '[' => self.value(depth + 1),
                _ => self.key_value(depth + 1),
            }
            self.comma(many_lines);
        }
        self.next += 1;
        match (many_lines, is_first) {
            (true, _) => self.indent(depth),
            (false, false) if open == '{' => self.out.push(' '),
            _ => {}
        }
        self.out.push(close);
    }

    /// What stands before an element.
    fn separate(&mut self, depth: usize, is_first: bool, (many_lines, open): (bool, char)) {
        match (many_lines, is_first) {
            (true, _) => self.indent(depth + 1),
            (false, false) => self.out.push_str(", "),
            (false, true) if open == '{' => self.out.push(' '),
            (false, true) => {}
        }
    }

    /// Behind an element of a list over several lines: its comma, and the comment on its line, wherever the comma was.
    fn comma(&mut self, many_lines: bool) {
        if !many_lines {
            return;
        }
        self.out.push(',');
        if self.peek() == Some(Token::Sign(',')) {
            self.next += 1;
        }
        self.trailing_comment();
    }

    /// Comments between elements, each on its line; the first may stand behind the bracket.
    fn comments(&mut self, depth: usize, is_first: bool) {
        let mut same_line = is_first;
        while let Some(token) = self.peek() {
            match token {
                Token::Newline => same_line = false,
                Token::Sign(',') => {}
                Token::Comment(text) => {
                    if same_line {
                        self.out.push(' ');
                    } else {
                        self.indent(depth);
                    }
                    self.out.push_str(text);
                }
                _ => return,
            }
            self.next += 1;
        }
    }

    fn indent(&mut self, depth: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("    ", depth));
    }

    /// Whether a newline or comment stands between this bracket and the one that closes it.
    fn spans_lines(&self) -> bool {
        let mut depth = 0_usize;
        for token in &self.tokens[self.next..] {
            match token {
                Token::Newline | Token::Comment(_) => return true,
                Token::Sign('[' | '{') => depth += 1,
                Token::Sign(']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return false;
            }
        }
        false
    }
}
