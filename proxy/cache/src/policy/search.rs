//! `No-Vary-Search`: which differences of queries do not make another response.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::policy::structured::{self, Bare, Member};

/// What a response says of the query of its URI. The default: every difference counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoVarySearch {
    ignores_order: bool,
    names: Names,
}

/// Which parameters count.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// All but these.
    AllBut(Box<[Vec<u8>]>),
    /// These alone.
    Only(Box<[Vec<u8>]>),
}

impl Default for Names {
    fn default() -> Self {
        Self::AllBut(Box::default())
    }
}

impl NoVarySearch {
    /// What `headers` say; the default where they say nothing, or nothing that can be read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let members = structured::dictionary(&headers.get_all(NO_VARY_SEARCH));
        members.and_then(|members| Self::of_dictionary(&members)).unwrap_or_default()
    }

    fn of_dictionary(members: &[(String, Member)]) -> Option<Self> {
        let member =
            |name| members.iter().find(|(known, _)| known == name).map(|(_, member)| member);
        let ignores_order = match member("key-order") {
            None => false,
            Some(Member::Item(Bare::Boolean(ignores))) => *ignores,
            Some(_) => return None,
        };
        let names = match (member("params"), member("except")) {
            (None | Some(Member::Item(Bare::Boolean(false))), None) => Names::default(),
            (Some(Member::List(names)), None) => Names::AllBut(strings(names)?),
            (Some(Member::Item(Bare::Boolean(true))), None) => Names::Only(Box::default()),
            (Some(Member::Item(Bare::Boolean(true))), Some(Member::List(names))) => {
                Names::Only(strings(names)?)
            }
            _ => return None,
        };
        Some(Self { ignores_order, names })
    }

    /// Whether every difference counts.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// One writing for all queries that bring the same response. Queries are without their `?`.
    ///
    /// By default a query is left as it is; else parameters are read as forms are, those that do not count are left out, and where
    /// the order does not count they are sorted by name.
    #[must_use]
    pub fn canonical<'q>(&self, query: &'q str) -> Cow<'q, str> {
        if self.is_default() {
            return Cow::Borrowed(query);
        }
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (decoded(name), decoded(value))
        });
        let mut kept: Vec<_> = parameters.filter(|(name, _)| self.counts(name)).collect();
        if self.ignores_order {
            kept.sort_by(|(one, _), (other, _)| one.cmp(other)); // stable: of one name, the order counts
        }
        let mut text = String::with_capacity(query.len());
        for (name, value) in &kept {
            if !text.is_empty() {
                text.push('&');
            }
            encode(name, &mut text);
            text.push('=');
            encode(value, &mut text);
        }
        Cow::Owned(text)
    }

    fn counts(&self, name: &[u8]) -> bool {
        match &self.names {
            Names::AllBut(names) => !names.iter().any(|known| known == name),
            Names::Only(names) => names.iter().any(|known| known == name),
        }
    }
}

fn strings(items: &[Bare]) -> Option<Box<[Vec<u8>]>> {
    let names = items.iter().map(|item| match item {
        Bare::String(name) => Some(decoded(name)),
        _ => None,
    });
    names.collect()
}

/// As in a form: `+` is a blank, `%` and two digits a byte; a `%` with anything else behind it is one.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => {
                digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low)
            }
            _ => None,
        };
        if escaped.is_some() {
            rest = behind.get(2..).unwrap_or_default();
        }
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte))
            }
            byte => {
                text.push('%');
                text.extend(
                    [byte >> 4, byte & 15]
                        .iter()
                        .filter_map(|half| char::from_digit(u32::from(*half), 16)),
                );
            }
        }
    }
}

const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");
