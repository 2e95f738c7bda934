//! `No-Vary-Search`: which differences of queries do not make another response (draft-ietf-httpbis-no-vary-search).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::policy::rules::Rules;
use crate::policy::structured::{self, Bare, Member};

/// What a response says of the query of its URI. The default: every difference counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoVarySearch {
    ignores_order: bool,
    names: Names,
}

/// Which parameters count. Names are sorted, each once, so that what means the same is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// All but these.
    AllBut(Box<[Box<str>]>),
    /// These alone.
    Only(Box<[Box<str>]>),
}

impl Default for Names {
    fn default() -> Self {
        Self::AllBut(Box::default())
    }
}

impl NoVarySearch {
    /// What `headers` say; the default where they say nothing, nothing that can be read, or more than is kept of it, and where
    /// `rules` ignore it.
    #[must_use]
    pub fn of(headers: &HeaderMap, rules: &Rules) -> Self {
        if !headers.contains_key(NO_VARY_SEARCH) || rules.ignores(&NO_VARY_SEARCH) {
            return Self::default();
        }
        let members = structured::dictionary(&headers.get_all(NO_VARY_SEARCH));
        let said = members.and_then(|members| Self::of_dictionary(&members));
        said.filter(|said| said.to_bytes().len() <= LONGEST).unwrap_or_default()
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
            (Some(Member::List(names)), None) => Names::AllBut(sorted(names)?),
            (Some(Member::Item(Bare::Boolean(true))), None) => Names::Only(Box::default()),
            (Some(Member::Item(Bare::Boolean(true))), Some(Member::List(names))) => {
                Names::Only(sorted(names)?)
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
    pub fn canonical<'q>(&self, query: &'q [u8]) -> Cow<'q, [u8]> {
        if self.is_default() {
            return Cow::Borrowed(query);
        }
        let parameters =
            query.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| {
            let mut halves = parameter.splitn(2, |byte| *byte == b'=');
            let mut half = || decoded(halves.next().unwrap_or_default());
            (half(), half())
        });
        let mut kept: Vec<_> = parameters.filter(|(name, _)| self.counts(name)).collect();
        if self.ignores_order {
            kept.sort_by(|(one, _), (other, _)| one.cmp(other)); // stable: of one name, the order counts
        }
        let mut written = Vec::with_capacity(query.len());
        for (name, value) in &kept {
            if !written.is_empty() {
                written.push(b'&');
            }
            encode(name, &mut written);
            written.push(b'=');
            encode(value, &mut written);
        }
        Cow::Owned(written)
    }

    /// The same for a path with its query; not to be asked for by default.
    pub(crate) fn canonical_target<'t>(&self, target: &'t [u8]) -> Cow<'t, [u8]> {
        let Some(mark) = target.iter().position(|byte| *byte == b'?') else {
            return Cow::Borrowed(target);
        };
        let (path, query) = target.split_at(mark);
        let query = self.canonical(query.get(1..).unwrap_or_default());
        // No query means the same as an empty one.
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        Cow::Owned([path, mark, &*query].concat())
    }

    /// One writing for all rules that mean the same; [`NoVarySearch::from_bytes`] reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (kind, names) = match &self.names {
            Names::AllBut(names) => (b'-', names),
            Names::Only(names) => (b'+', names),
        };
        let mut written = vec![if self.ignores_order { b'o' } else { b' ' }, kind];
        for name in names {
            written.extend_from_slice(&(name.len() as u64).to_le_bytes());
            written.extend_from_slice(name.as_bytes());
        }
        written
    }

    /// The rule that was written so, or nothing where none was.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([order, kind], mut rest) = bytes.split_first_chunk()?;
        let mut names = Vec::new();
        while let Some((length, behind)) = rest.split_first_chunk() {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (name, behind) = behind.split_at_checked(length)?;
            names.push(Box::from(std::str::from_utf8(name).ok()?));
            rest = behind;
        }
        let names = match kind {
            b'-' => Names::AllBut(names.into()),
            b'+' => Names::Only(names.into()),
            _ => return None,
        };
        let said = Self { ignores_order: *order == b'o', names };
        // In any other way it was not written.
        (said.to_bytes() == bytes).then_some(said)
    }

    /// The bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        let (Names::AllBut(names) | Names::Only(names)) = &self.names;
        size_of::<Self>() + names.iter().map(|name| size_of_val(name) + name.len()).sum::<usize>()
    }

    fn counts(&self, name: &str) -> bool {
        match &self.names {
            Names::AllBut(names) => !names.iter().any(|known| **known == *name),
            Names::Only(names) => names.iter().any(|known| **known == *name),
        }
    }
}

fn sorted(items: &[Bare]) -> Option<Box<[Box<str>]>> {
    let names = items.iter().map(|item| match item {
        Bare::String(name) => Some(decoded(name.as_bytes()).into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect::<Option<_>>()?;
    names.sort();
    names.dedup();
    Some(names.into())
}

/// As in a form: `+` is a blank, `%` and two digits a byte; a `%` with anything else behind it is one. What is not UTF-8 then is
/// replaced.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
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
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode(text: &str, written: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let half = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or_default();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                written.push(byte)
            }
            byte => written.extend([b'%', half(byte >> 4), half(byte & 15)]),
        }
    }
}

/// A rule of more bytes is not kept: then every difference counts.
const LONGEST: usize = 1024;

/// The field.
pub const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");
