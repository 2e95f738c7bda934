//! TOML text to its tree.

use std::borrow::Cow;
use std::ops::Range;
use std::str::FromStr;

use toml_datetime::Datetime;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::TokenKind;
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source, Span};

use super::tree::{Item, Key, List, Origin, Table, Value};

/// What is wrong with the syntax of a text.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) range: Option<Range<usize>>,
    /// Where the same was said before.
    pub(super) first: Option<Range<usize>>,
}

/// A text with more mistakes is not TOML at all.
const MAX_MISTAKES: usize = 1000;
/// How deep lists and tables may lie in one another: a bound for the stack.
const MAX_DEPTH: u32 = 80;
/// How many tokens are kept at least before they are parsed.
const CHUNK: usize = 8192;

/// The tree of `text`, or everything that is wrong with its syntax.
pub(super) fn parse(text: &str) -> Result<Table<'_>, Vec<Mistake>> {
    let source = Source::new(text);
    let mut builder = Builder::new(text);
    let mut mistakes = Mistakes::default();
    let mut tokens = Vec::with_capacity(CHUNK + CHUNK / 8);
    let mut depth = 0_usize;
    for token in source.lex() {
        tokens.push(token);
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                depth = depth.saturating_sub(1)
            }
            // Here a statement ends, and so nothing is torn apart.
            TokenKind::Newline if depth == 0 && tokens.len() >= CHUNK => {
                builder.parse(source, &tokens, &mut mistakes);
                tokens.clear();
            }
            _ => {}
        }
    }
    builder.parse(source, &tokens, &mut mistakes);
    if mistakes.0.is_empty() { Ok(builder.root) } else { Err(mistakes.0) }
}

#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl ErrorSink for Mistakes {
    fn report_error(&mut self, error: ParseError) {
        if self.0.len() < MAX_MISTAKES {
            let range = error.unexpected().map(|span| span.start()..span.end());
            // The parser knows only one context of interest: where a key was given first.
            let first = error
                .context()
                .filter(|_| error.description() == GIVEN_TWICE)
                .map(|span| span.start()..span.end());
            self.0.push(Mistake { message: message(&error), range, first });
        }
    }
}

fn message(error: &ParseError) -> String {
    let Some(expected) = error.expected() else { return error.description().to_owned() };
    let words: Vec<_> = expected
        .iter()
        .map(|expected| match expected {
            Expected::Literal("\n") => "a new line".to_owned(),
            Expected::Literal(text) => format!("`{text}`"),
            Expected::Description(text) => (*text).to_owned(),
            _ => "something else".to_owned(),
        })
        .collect();
    let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    format!("{}, expected {words}", error.description())
}

const GIVEN_TWICE: &str = "this key is given twice";

/// Puts the events of the parser together.
struct Builder<'a> {
    text: &'a str,
    root: Table<'a>,
    /// Where the entries of the last header go: steps from the root.
    current: Vec<Step>,
    /// Where the header began that is being read.
    header: usize,
    /// The lists and inline tables that are being read.
    frames: Vec<Frame<'a>>,
    /// The keys that are being read, of all frames.
    keys: Vec<Key<'a>>,
}

/// One step from a table to a table below it.
#[derive(Clone, Copy)]
enum Step {
    /// To the value of this entry.
    Entry(usize),
    /// To the last table of the list that is the value of this entry.
    LastOf(usize),
}

/// A list or inline table whose end has not come yet.
struct Frame<'a> {
    value: Value<'a>,
    start: usize,
    /// How many of the keys belong to those around it.
    keys: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        let root = Table::new(Origin::Header);
        Self { text, root, current: Vec::new(), header: 0, frames: Vec::new(), keys: Vec::new() }
    }

    fn parse(
        &mut self,
        source: Source<'a>,
        tokens: &[toml_parser::lexer::Token],
        mistakes: &mut Mistakes,
    ) {
        self.frames.clear();
        self.keys.clear();
        let mut validated = ValidateWhitespace::new(self, source);
        parse_document(tokens, &mut RecursionGuard::new(&mut validated, MAX_DEPTH), mistakes);
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'a> {
        let text = self.text.get(span.start()..span.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, span)
    }

    /// Opens a list or an inline table.
    fn open(&mut self, value: Value<'a>, span: Span) -> bool {
        self.frames.push(Frame { value, start: span.start(), keys: self.keys.len() });
        true
    }

    fn close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        let Some(frame) = self.frames.pop() else { return };
        self.keys.truncate(frame.keys);
        self.put(Item::new(frame.value, frame.start..span.end()), errors);
    }

    /// Puts a value where it belongs: in the list that is open, or under the keys before it.
    fn put(&mut self, item: Item<'a>, errors: &mut dyn ErrorSink) {
        let own_keys = self.frames.last().map_or(0, |frame| frame.keys);
        let table = match self.frames.last_mut() {
            Some(Frame { value: Value::List(list), .. }) => {
                list.items.push(item);
                return;
            }
            Some(Frame { value: Value::Table(table), .. }) => table,
            _ => match below(&mut self.root, &self.current) {
                Some(table) => table,
                None => return,
            },
        };
        let mut keys = self.keys.drain(own_keys.min(self.keys.len())..);
        let Some(last) = keys.next_back() else { return };
        let Some(table) = dotted(table, keys, errors) else { return };
        match table.position(&last.text) {
            None => {
                table.push(last, item);
            }
            Some(position) => given_twice(table, position, &last, errors),
        }
    }

    /// Finds or makes the table of a header.
    fn enter(&mut self, end: usize, is_list: bool, errors: &mut dyn ErrorSink) {
        self.frames.clear();
        let range = self.header..end;
        let mut keys = std::mem::take(&mut self.keys);
        let entered = keys.pop().and_then(|last| {
            let mut steps = Vec::with_capacity(keys.len() + 1);
            let table = implied(&mut self.root, keys.drain(..), &mut steps, errors)?;
            let step = if is_list {
                append(table, last, range, errors)
            } else {
                define(table, last, range, errors)
            };
            steps.push(step?);
            Some(steps)
        });
        self.keys = keys;
        // What stands below a wrong header is put nowhere: it would only seem to be wrong as well.
        self.current = entered.unwrap_or_else(|| vec![Step::Entry(usize::MAX)]);
    }
}

/// The table that `steps` lead to.
fn below<'t, 'a>(root: &'t mut Table<'a>, steps: &[Step]) -> Option<&'t mut Table<'a>> {
    steps.iter().try_fold(root, |table, step| match step {
        Step::Entry(position) => as_table(&mut table.entries.get_mut(*position)?.item),
        Step::LastOf(position) => match &mut table.entries.get_mut(*position)?.item.value {
            Value::List(list) => as_table(list.items.last_mut()?),
            _ => None,
        },
    })
}

fn as_table<'t, 'a>(item: &'t mut Item<'a>) -> Option<&'t mut Table<'a>> {
    match &mut item.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

/// The table that the keys of a header but the last lead to; what is not there yet is made.
fn implied<'t, 'a>(
    root: &'t mut Table<'a>,
    keys: impl Iterator<Item = Key<'a>>,
    steps: &mut Vec<Step>,
    errors: &mut dyn ErrorSink,
) -> Option<&'t mut Table<'a>> {
    let mut table = root;
    for key in keys {
        let position = match table.position(&key.text) {
            Some(position) => position,
            None => {
                let range = key.range();
                table.push(key.clone(), Item::new(Value::Table(Table::new(Origin::Implied)), range))
            }
        };
        let step = match &table.entries.get(position)?.item.value {
            Value::Table(inner) if inner.origin != Origin::Inline => Step::Entry(position),
            Value::List(list) if list.of_headers => Step::LastOf(position),
            _ => {
                given_twice(table, position, &key, errors);
                return None;
            }
        };
        steps.push(step);
        table = below(table, &[step])?;
    }
    Some(table)
}

/// `[a.b]`: the table of the last key, new or so far only implied.
fn define<'a>(
    table: &mut Table<'a>,
    key: Key<'a>,
    range: Range<usize>,
    errors: &mut dyn ErrorSink,
) -> Option<Step> {
    let Some(position) = table.position(&key.text) else {
        let item = Item::new(Value::Table(Table::new(Origin::Header)), range);
        return Some(Step::Entry(table.push(key, item)));
    };
    let entry = table.entries.get_mut(position)?;
    match as_table(&mut entry.item) {
        Some(implied) if implied.origin == Origin::Implied => {
            let mut defined = std::mem::take(implied);
            defined.origin = Origin::Header;
            entry.item = Item::new(Value::Table(defined), range);
            entry.key = key;
            Some(Step::Entry(position))
        }
        _ => {
            given_twice(table, position, &key, errors);
            None
        }
    }
}

/// `[[a.b]]`: one more table in the list of the last key.
fn append<'a>(
    table: &mut Table<'a>,
    key: Key<'a>,
    range: Range<usize>,
    errors: &mut dyn ErrorSink,
) -> Option<Step> {
    let element = Item::new(Value::Table(Table::new(Origin::Header)), range.clone());
    let Some(position) = table.position(&key.text) else {
        let list = List { items: vec![element], of_headers: true };
        return Some(Step::LastOf(table.push(key, Item::new(Value::List(list), range))));
    };
    match &mut table.entries.get_mut(position)?.item.value {
        Value::List(list) if list.of_headers => {
            list.items.push(element);
            Some(Step::LastOf(position))
        }
        _ => {
            given_twice(table, position, &key, errors);
            None
        }
    }
}

/// The table that all keys of `a.b.c = …` but the last lead to; what is not there yet is made.
fn dotted<'t, 'a>(
    table: &'t mut Table<'a>,
    keys: impl Iterator<Item = Key<'a>>,
    errors: &mut dyn ErrorSink,
) -> Option<&'t mut Table<'a>> {
    let mut table = table;
    for key in keys {
        let position = match table.position(&key.text) {
            Some(position) => position,
            None => {
                let range = key.range();
                table.push(key.clone(), Item::new(Value::Table(Table::new(Origin::Dotted)), range))
            }
        };
        let is_open = match &mut table.entries.get_mut(position)?.item.value {
            Value::Table(inner) if matches!(inner.origin, Origin::Dotted | Origin::Implied) => {
                // From now on a header would come too late.
                inner.origin = Origin::Dotted;
                true
            }
            _ => false,
        };
        if !is_open {
            given_twice(table, position, &key, errors);
            return None;
        }
        table = below(table, &[Step::Entry(position)])?;
    }
    Some(table)
}

fn given_twice(table: &Table<'_>, position: usize, key: &Key<'_>, errors: &mut dyn ErrorSink) {
    let span = |range: Range<usize>| Span::new_unchecked(range.start, range.end);
    let error = ParseError::new(GIVEN_TWICE).with_unexpected(span(key.range()));
    errors.report_error(match table.entries.get(position) {
        Some(first) => error.with_context(span(first.key.range())),
        None => error,
    });
}

/// The lexer tells dates and fractions from other words, but does not look closer.
fn check<T: FromStr>(text: &str, mistake: &'static str, span: Span, errors: &mut dyn ErrorSink) {
    if text.parse::<T>().is_err() {
        errors.report_error(ParseError::new(mistake).with_unexpected(span));
    }
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.keys.clear();
        self.header = span.start();
    }

    fn std_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        self.enter(span.end(), false, errors);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.keys.clear();
        self.header = span.start();
    }

    fn array_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        self.enter(span.end(), true, errors);
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Value::Table(Table::new(Origin::Inline)), span)
    }

    fn inline_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        self.close(span, errors);
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Value::List(List::default()), span)
    }

    fn array_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        self.close(span, errors);
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        self.raw(span, encoding).decode_key(&mut text, errors);
        self.keys.push(Key::new(text, span.start()..span.end()));
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let value = match self.raw(span, encoding).decode_scalar(&mut text, errors) {
            ScalarKind::String => Value::String(text),
            ScalarKind::Boolean(value) => Value::Boolean(value),
            ScalarKind::DateTime => {
                check::<Datetime>(&text, "this is no date or time", span, errors);
                Value::Datetime
            }
            ScalarKind::Float => {
                check::<f64>(&text, "this is no number", span, errors);
                Value::Float(text)
            }
            ScalarKind::Integer(radix) => Value::Integer(text, radix.value()),
        };
        self.put(Item::new(value, span.start()..span.end()), errors);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree as the `toml` package has it. Numbers and dates are left to the other package: nothing is done with them here.
    fn converted(value: &Value<'_>) -> toml::Value {
        match value {
            Value::String(text) => toml::Value::String(text.to_string()),
            Value::Integer(digits, radix) => {
                toml::Value::Integer(i64::from_str_radix(digits, *radix).unwrap())
            }
            Value::Boolean(value) => toml::Value::Boolean(*value),
            Value::List(list) => {
                toml::Value::Array(list.items.iter().map(|item| converted(&item.value)).collect())
            }
            Value::Table(table) => toml::Value::Table(table_of(table)),
            Value::Float(_) | Value::Datetime => panic!("not compared"),
        }
    }

    fn table_of(table: &Table<'_>) -> toml::Table {
        let entry = |entry: &super::super::tree::Entry<'_>| {
            (entry.key.text.to_string(), converted(&entry.item.value))
        };
        table.entries.iter().map(entry).collect()
    }

    fn statement() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec!["a", "b", "\"c\"", "'a'"]);
        let path =
            |most| prop::collection::vec(key.clone(), 1..=most).prop_map(|keys| keys.join("."));
        let values = [
            "1",
            "0x1F",
            "true",
            "\"x\\ty\"",
            "'''\nz'''",
            "[]",
            "[{ a = 1, b.c = 2 }, [1,\n2,]]",
            "{}",
            "{ a.b = 1, a.b = 2 }",
            "{ a = [\n{ b = 1 } # x\n] }",
        ];
        let value = prop::sample::select(values.to_vec());
        prop_oneof![
            path(3).prop_map(|path| format!("[{path}]")),
            path(3).prop_map(|path| format!("[[ {path} ]] # x")),
            // With three keys, the other package lets keys into tables that have headers of their own.
            (path(2), value).prop_map(|(path, value)| format!("{path} = {value}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn tables_mean_what_they_mean_elsewhere(statements in prop::collection::vec(statement(), 0..7)) {
            let text = statements.join("\n");
            match (parse(&text), text.parse::<toml::Table>()) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(table_of(&ours), theirs, "{}", text),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{text}\n{ours:?}\n{theirs:?}"),
            }
        }
    }

    #[test]
    fn long_texts_are_parsed_piece_by_piece() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for number in 0..3000 {
            let _ = write!(text, "[[a]]\nb.c = [\n{number},\n]\n[a.d]\n[e.\"{number}\"]\nf = 1\n");
        }
        assert_eq!(table_of(&parse(&text).unwrap()), text.parse::<toml::Table>().unwrap());
        let mistakes = parse(&format!("{text}[e.7]\n")).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        let at = |range: &Option<Range<usize>>| range.clone().unwrap();
        assert_eq!(at(&mistakes[0].range), text.len() + 3..text.len() + 4);
        assert_eq!(&text[at(&mistakes[0].first)], "\"7\"");
    }

    #[test]
    fn the_number_of_mistakes_and_the_depth_are_bounded() {
        assert_eq!(parse(&"=\n".repeat(100_000)).unwrap_err().len(), MAX_MISTAKES);
        assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
        assert!(parse(&format!("a = {}1{}", "[".repeat(80), "]".repeat(80))).is_ok());
        assert!(parse(&format!("a = {}1{}", "[".repeat(82), "]".repeat(82))).is_err());
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "\u{feff}a = \"ä\"\n[ b ]\nc.d = [ 1 ]\n[[e]]";
        let table = parse(text).unwrap();
        let places: Vec<_> = table
            .entries
            .iter()
            .map(|entry| (&text[entry.key.range()], &text[entry.item.range()]))
            .collect();
        assert_eq!(places, [("a", "\"ä\""), ("b", "[ b ]"), ("e", "[[e]]")]);
    }
}
