//! From the value of one text to another text: what nginx's `map` does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

use crate::host_pattern::{HostPattern, HostPatternError};
use crate::template::Template;
use crate::variable::Variable;

/// Templates by key. Of several keys that match, the first of these decides: the exact one, the longest `*.domain`, the longest
/// `name.*`, the regexes in the order in which they were put in; then the default.
#[derive(Clone, Debug, Default)]
pub struct MapTable {
    exact: HashMap<Box<[u8]>, Template>,
    /// What hosts end with, a dot first.
    suffixes: HashMap<Box<[u8]>, Template>,
    /// What hosts begin with, a dot last.
    prefixes: HashMap<Box<[u8]>, Template>,
    regexes: Vec<(Regex, Template)>,
    default: Option<Template>,
    /// Whether keys are hosts.
    hosts: bool,
}

/// Regexes are asked one by one, and each takes some thousand bytes.
const MAX_REGEXES: usize = 1000;
/// Hosts are shorter; in longer texts nobody looks for a wildcard.
const MAX_HOST: usize = 255;

impl MapTable {
    /// A table without entries. With `hosts`, keys are hosts: wildcards are understood, and the dot of the root is ignored.
    pub fn new(hosts: bool) -> Self {
        Self { hosts, ..Self::default() }
    }

    /// Puts in what the key `text` becomes.
    ///
    /// # Errors
    /// The key cannot be one, or it is there already.
    pub fn insert(&mut self, text: &str, value: Template) -> Result<(), MapKeyError> {
        match MapKey::parse(text, self.hosts)? {
            MapKey::Exact(key) => put(&mut self.exact, key, value),
            MapKey::Suffix(key) => put(&mut self.suffixes, key, value),
            MapKey::Prefix(key) => put(&mut self.prefixes, key, value),
            MapKey::Domain(suffix) => {
                let host = suffix.strip_prefix('.').unwrap_or(&suffix).to_owned();
                put(&mut self.exact, host, value.clone())?;
                put(&mut self.suffixes, suffix, value)
            }
            MapKey::Regex(_) if self.regexes.len() >= MAX_REGEXES => {
                Err(MapKeyError::TooManyRegexes)
            }
            MapKey::Regex(regex) => {
                self.regexes.push((regex, value));
                Ok(())
            }
        }
    }

    /// Sets what every other key becomes.
    ///
    /// # Errors
    /// It is set already.
    pub fn set_default(&mut self, value: Template) -> Result<(), MapKeyError> {
        match self.default.replace(value) {
            None => Ok(()),
            Some(_) => Err(MapKeyError::Taken),
        }
    }

    /// What `key` becomes. Upper and lower case are alike but for regexes, which say so themselves.
    pub fn find(&self, key: &[u8]) -> Option<&Template> {
        let key = if self.hosts { key.strip_suffix(b".").unwrap_or(key) } else { key };
        let lower = lower(key);
        self.exact
            .get(&*lower)
            .or_else(|| self.find_host(&lower))
            .or_else(|| self.find_regex(key))
            .or(self.default.as_ref())
    }

    fn find_host(&self, host: &[u8]) -> Option<&Template> {
        if host.len() > MAX_HOST || self.suffixes.is_empty() && self.prefixes.is_empty() {
            return None;
        }
        // Something must stand before the dot of a suffix, and behind that of a prefix.
        let suffix =
            dots(host).filter(|dot| *dot > 0).find_map(|dot| self.suffixes.get(host.get(dot..)?));
        suffix.or_else(|| {
            let ends = dots(host).map(|dot| dot + 1).filter(|end| *end < host.len());
            ends.rev().find_map(|end| self.prefixes.get(host.get(..end)?))
        })
    }

    fn find_regex(&self, key: &[u8]) -> Option<&Template> {
        self.regexes.iter().find(|(regex, _)| regex.is_match(key)).map(|(_, value)| value)
    }

    /// The variables that its values may ask for, in no order and with repetition.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        let hashed = [&self.exact, &self.suffixes, &self.prefixes];
        let hashed = hashed.into_iter().flat_map(HashMap::values);
        let regexes = self.regexes.iter().map(|(_, value)| value);
        hashed.chain(regexes).chain(&self.default).flat_map(Template::variables)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.suffixes.len() + self.prefixes.len() + self.regexes.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn put(
    table: &mut HashMap<Box<[u8]>, Template>,
    key: String,
    value: Template,
) -> Result<(), MapKeyError> {
    match table.entry(key.into_bytes().into()) {
        Entry::Vacant(free) => {
            free.insert(value);
            Ok(())
        }
        Entry::Occupied(_) => Err(MapKeyError::Taken),
    }
}

fn lower(key: &[u8]) -> Cow<'_, [u8]> {
    match key.iter().any(u8::is_ascii_uppercase) {
        true => Cow::Owned(key.to_ascii_lowercase()),
        false => Cow::Borrowed(key),
    }
}

/// Where dots stand.
fn dots(host: &[u8]) -> impl DoubleEndedIterator<Item = usize> {
    host.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at)
}

/// One key as it is written.
///
/// | written | matches |
/// | --- | --- |
/// | `text` | this text |
/// | `~regex`, `~*regex` | what the regex finds; with `*` in any case |
/// | `*.example.com` | of hosts, one or more labels before `.example.com` |
/// | `.example.com` | of hosts, that and `example.com` itself |
/// | `www.*` | of hosts, one or more labels behind `www.` |
/// | `\\text` | this text, whatever it begins with |
enum MapKey {
    Exact(String),
    Suffix(String),
    Prefix(String),
    Domain(String),
    Regex(Regex),
}

impl MapKey {
    fn parse(text: &str, hosts: bool) -> Result<Self, MapKeyError> {
        if let Some(literal) = text.strip_prefix('\\') {
            return Ok(Self::Exact(literal.to_ascii_lowercase()));
        }
        if let Some(pattern) = text.strip_prefix('~') {
            return parse_regex(pattern);
        }
        if hosts && let Some(domain) = text.strip_prefix('.') {
            let HostPattern::Suffix(suffix) = HostPattern::parse(&format!("*.{domain}"))? else {
                return Err(MapKeyError::Host(HostPatternError::Star));
            };
            return Ok(Self::Domain(suffix.into()));
        }
        if hosts && is_wildcard(text) {
            return match HostPattern::parse(text)? {
                HostPattern::Suffix(suffix) => Ok(Self::Suffix(suffix.into())),
                HostPattern::Prefix(prefix) => Ok(Self::Prefix(prefix.into())),
                _ => Err(MapKeyError::Host(HostPatternError::Star)),
            };
        }
        Ok(Self::Exact(text.to_ascii_lowercase()))
    }
}

/// Whether `text` is a wildcard where keys are hosts.
pub fn is_wildcard(text: &str) -> bool {
    text.starts_with("*.") || text.ends_with(".*")
}

fn parse_regex(pattern: &str) -> Result<MapKey, MapKeyError> {
    let (pattern, ignore_case) = match pattern.strip_prefix('*') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let built = RegexBuilder::new(pattern).case_insensitive(ignore_case).build();
    built.map(MapKey::Regex).map_err(|error| {
        let report = error.to_string();
        let last = report.lines().last().unwrap_or_default();
        MapKeyError::Regex(last.strip_prefix("error: ").unwrap_or(last).to_owned())
    })
}

/// Why a text cannot be a key of a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapKeyError {
    /// It is there already.
    #[error("this key is given twice")]
    Taken,
    /// There are a thousand regexes already.
    #[error("a map has at most 1,000 regular expressions")]
    TooManyRegexes,
    /// Its regex does not parse.
    #[error("not a regular expression: {0}")]
    Regex(String),
    /// It is no wildcard of hosts.
    #[error(transparent)]
    Host(#[from] HostPatternError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MapKeyError, MapTable};
    use crate::{Scope, Template};

    fn table(hosts: bool, entries: &[&str]) -> MapTable {
        let mut table = MapTable::new(hosts);
        for entry in entries {
            table.insert(entry, Template::literal(*entry)).unwrap();
        }
        table
    }

    fn found(table: &MapTable, key: &str) -> String {
        table.find(key.as_bytes()).and_then(Template::as_literal).unwrap_or("-").to_owned()
    }

    #[test]
    fn exact_keys_meet_any_case_and_nothing_else() {
        let table = table(false, &["Shop", "", "*.a"]);
        assert_eq!(found(&table, "sHOP"), "Shop");
        assert_eq!(found(&table, "shop."), "-");
        assert_eq!(found(&table, ""), "");
        assert_eq!([found(&table, "*.A"), found(&table, "b.a")], ["*.a", "-"]);
    }

    #[test]
    fn the_exact_key_comes_before_wildcards_and_those_before_regexes() {
        let entries =
            ["~a", "a.b.c", "*.b.c", "*.c", "a.*", "a.b.*", "~*^X", "~^x", "~late"].as_slice();
        let table = table(true, entries);
        for (key, entry) in [
            ("A.b.c", "a.b.c"),
            ("a.b.c.", "a.b.c"),
            ("z.b.c", "*.b.c"),
            ("y.z.b.c", "*.b.c"),
            ("b.c", "*.c"),
            ("a.z.c", "*.c"),
            ("a.b.d", "a.b.*"),
            ("a.d", "a.*"),
            ("za", "~a"),
            ("xlate", "~a"),
            ("xx", "~*^X"),
            ("a.", "~a"),
            ("c", "-"),
            (".c", "-"),
        ] {
            assert_eq!(found(&table, key), entry, "{key}");
        }
    }

    #[test]
    fn a_domain_with_a_leading_dot_is_itself_and_what_is_below() {
        let table = table(true, &[".a.b"]);
        assert_eq!(["a.b", "x.A.b", "xa.b"].map(|key| found(&table, key)), [".a.b", ".a.b", "-"]);
    }

    #[test]
    fn a_regex_minds_case_unless_told_otherwise() {
        let table = table(false, &["~^a", "~*^b"]);
        assert_eq!(
            ["a", "A", "b", "B"].map(|key| found(&table, key)),
            ["~^a", "-", "~*^b", "~*^b"]
        );
    }

    #[test]
    fn a_backslash_takes_away_the_meaning_of_what_follows() {
        let table = table(true, &[r"\~a", r"\*.b", r"\\c"]);
        assert_eq!(
            ["~a", "*.b", r"\c", "x.b"].map(|key| found(&table, key)),
            [r"\~a", r"\*.b", r"\\c", "-"]
        );
    }

    #[test]
    fn what_matches_nothing_becomes_the_default() {
        let mut table = table(false, &["a"]);
        table.set_default(Template::literal("d")).unwrap();
        assert_eq!([found(&table, "a"), found(&table, "b")], ["a", "d"]);
        assert_eq!(table.set_default(Template::literal("e")), Err(MapKeyError::Taken));
    }

    #[test]
    fn no_key_is_taken_twice() {
        let mut table = table(true, &["a", "*.a", "www.*"]);
        for taken in ["A", "*.A", "WWW.*", ".a"] {
            let value = Template::literal("x");
            assert_eq!(table.insert(taken, value), Err(MapKeyError::Taken), "{taken}");
        }
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_with_its_reason() {
        let refused = |key: &str| {
            let value = Template::literal("x");
            MapTable::new(true).insert(key, value).unwrap_err().to_string()
        };
        assert!(refused("~(").starts_with("not a regular expression: "), "{}", refused("~("));
        for wrong in ["*.a b", "*.*", "a..*", ".", "..a", ".a:80"] {
            assert!(!refused(wrong).is_empty());
        }
    }

    #[test]
    fn regexes_have_a_bound() {
        let mut table = MapTable::new(false);
        let mut insert = || table.insert("~a", Template::literal("x"));
        assert!((0..1000).all(|_| insert().is_ok()));
        assert_eq!(insert(), Err(MapKeyError::TooManyRegexes));
    }

    #[test]
    fn long_texts_are_no_hosts() {
        let table = table(true, &["*.a", "a.*"]);
        assert_eq!(found(&table, &format!("a.{}.a", "b".repeat(251))), "*.a");
        assert_eq!(found(&table, &format!("a.{}.a", "b".repeat(252))), "-");
    }

    #[test]
    fn all_values_tell_their_variables() {
        let mut table = MapTable::new(true);
        let value = |text: &str| Template::parse(text, &Scope::new()).unwrap();
        for (key, text) in [("a", "$host"), ("*.a", "$uri"), ("b.*", "$args"), ("~c", "$scheme")] {
            table.insert(key, value(text)).unwrap();
        }
        table.set_default(value("$status$request_id")).unwrap();
        let mut names: Vec<_> = table.variables().map(|variable| variable.name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["args", "host", "request_id", "scheme", "status", "uri"]);
    }

    proptest! {
        #[test]
        fn a_suffix_is_found_as_if_all_were_compared(
            suffixes in proptest::collection::hash_set("[ab]{1,2}(\\.[ab]{1,2}){0,2}", 0..6),
            host in "[ab]{1,2}(\\.[ab]{1,2}){0,4}",
        ) {
            let keys: Vec<_> = suffixes.iter().map(|suffix| format!("*.{suffix}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let longest = suffixes.iter().filter(|suffix| host.ends_with(&format!(".{suffix}")));
            let expected = longest.max_by_key(|suffix| suffix.len());
            let expected = expected.map_or("-".to_owned(), |suffix| format!("*.{suffix}"));
            prop_assert_eq!(found(&table(true, &keys), &host), expected);
        }
    }
}
