//! From a host to the site that answers for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use regex::Regex;
use switchback_value::HostPattern;
use thiserror::Error;

/// Hosts to a value.
///
/// The order of preference is nginx's: the exact host, the longest suffix (`*.shop.example`), the longest prefix
/// (`www.*`), the first regex in the order of insertion, then [`HostPattern::Any`].
///
/// Only the operator writes keys, so that a client cannot make them collide; the hashes are seeded nonetheless.
#[derive(Clone, Debug)]
pub struct HostTable<T> {
    exact: HashMap<Box<str>, T>,
    suffixes: Wildcards<T>,
    prefixes: Wildcards<T>,
    regexes: Vec<(Regex, T)>,
    any: Option<T>,
}

/// The pattern is in the table already, with this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the host is taken")]
pub struct Taken<T>(pub T);

impl<T: Copy> HostTable<T> {
    /// A table of no hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pattern, unless this very pattern is there. A regex is the same where its text is.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Result<(), Taken<T>> {
        match pattern {
            HostPattern::Exact(host) => insert_new(&mut self.exact, host, value),
            HostPattern::Suffix(suffix) => self.suffixes.insert(suffix, value),
            HostPattern::Prefix(prefix) => self.prefixes.insert(prefix, value),
            HostPattern::Regex(regex) => self.insert_regex(regex, value),
            HostPattern::Any => match self.any {
                Some(taken) => Err(Taken(taken)),
                None => {
                    self.any = Some(value);
                    Ok(())
                }
            },
        }
    }

    /// The value of the pattern that fits `host` best: lower-case, without a port and without the dot of the root.
    ///
    /// Takes nothing from the heap, but for what a regex engine grows in a thread's first searches.
    pub fn find(&self, host: &str) -> Option<T> {
        self.exact
            .get(host)
            .copied()
            .or_else(|| self.find_suffix(host))
            .or_else(|| self.find_prefix(host))
            .or_else(|| {
                self.regexes.iter().find(|(regex, _)| regex.is_match(host)).map(|(_, value)| *value)
            })
            .or(self.any)
    }

    fn insert_regex(&mut self, regex: &Regex, value: T) -> Result<(), Taken<T>> {
        match self.regexes.iter().find(|(known, _)| known.as_str() == regex.as_str()) {
            Some((_, taken)) => Err(Taken(*taken)),
            None => {
                self.regexes.push((regex.clone(), value));
                Ok(())
            }
        }
    }

    /// Every beginning of a label but the first, from the left: the longest suffix comes first.
    fn find_suffix(&self, host: &str) -> Option<T> {
        let start = host.len().saturating_sub(self.suffixes.longest).max(1);
        let candidates = host.as_bytes().get(start..)?;
        memchr::memchr_iter(b'.', candidates)
            .find_map(|dot| self.suffixes.find(host.get(start + dot..)?))
    }

    /// Every end of a label but the last, from the right: the longest prefix comes first.
    fn find_prefix(&self, host: &str) -> Option<T> {
        let end = host.len().saturating_sub(1).min(self.prefixes.longest);
        let candidates = host.as_bytes().get(..end)?;
        memchr::memrchr_iter(b'.', candidates).find_map(|dot| self.prefixes.find(host.get(..=dot)?))
    }
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            suffixes: Wildcards::default(),
            prefixes: Wildcards::default(),
            regexes: Vec::new(),
            any: None,
        }
    }
}

/// Beginnings or ends of hosts. The length of the longest bounds the work for a client's host of a hundred labels.
#[derive(Clone)]
struct Wildcards<T> {
    values: HashMap<Box<str>, T>,
    longest: usize,
}

impl<T: Copy> Wildcards<T> {
    fn insert(&mut self, part: &str, value: T) -> Result<(), Taken<T>> {
        self.longest = self.longest.max(part.len());
        insert_new(&mut self.values, part, value)
    }

    fn find(&self, part: &str) -> Option<T> {
        self.values.get(part).copied()
    }
}

impl<T> Default for Wildcards<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), longest: 0 }
    }
}

impl<T: fmt::Debug> fmt::Debug for Wildcards<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.fmt(f)
    }
}

fn insert_new<T: Copy>(
    values: &mut HashMap<Box<str>, T>,
    key: &str,
    value: T,
) -> Result<(), Taken<T>> {
    match values.entry(key.into()) {
        Entry::Occupied(taken) => Err(Taken(*taken.get())),
        Entry::Vacant(free) => {
            free.insert(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(patterns: &[&'static str]) -> HostTable<&'static str> {
        let mut table = HostTable::new();
        for text in patterns {
            table.insert(&HostPattern::parse(text).unwrap(), *text).unwrap();
        }
        table
    }

    #[test]
    fn an_empty_table_knows_no_host() {
        let table = table(&[]);
        for host in ["", ".", "a", "a.b"] {
            assert_eq!(table.find(host), None);
        }
    }

    #[test]
    fn the_order_of_preference_is_that_of_nginx() {
        let all = [
            "_",
            "~example",
            "~^www",
            "www.*",
            "www.a.*",
            "*.example",
            "*.shop.example",
            "www.shop.example",
        ];
        let table = table(&all);
        assert_eq!(table.find("www.shop.example"), Some("www.shop.example"));
        assert_eq!(table.find("img.shop.example"), Some("*.shop.example"));
        assert_eq!(table.find("a.img.shop.example"), Some("*.shop.example"));
        assert_eq!(table.find("www.other.example"), Some("*.example"));
        assert_eq!(table.find("www.a.test"), Some("www.a.*"));
        assert_eq!(table.find("www.b.test"), Some("www.*"));
        assert_eq!(table.find("example"), Some("~example"));
        assert_eq!(table.find("www"), Some("~^www"));
        assert_eq!(table.find("else"), Some("_"));
    }

    #[test]
    fn regexes_are_tried_in_the_order_of_insertion() {
        assert_eq!(table(&["~b", "~a"]).find("ab"), Some("~b"));
        assert_eq!(table(&["~a", "~b"]).find("ab"), Some("~a"));
    }

    #[test]
    fn a_wildcard_stands_for_one_label_at_least() {
        let table = table(&["*.shop.example", "www.*"]);
        for host in
            ["shop.example", ".shop.example", "xshop.example", "www", "www.", "wwwx.a", "x.www.a"]
        {
            assert_eq!(table.find(host), None, "{host}");
        }
        assert_eq!(table.find("x.shop.example"), Some("*.shop.example"));
        assert_eq!(table.find("www.x"), Some("www.*"));
        assert_eq!(table.find("www.x.y"), Some("www.*"));
    }

    #[test]
    fn the_longest_wildcard_wins() {
        let table = table(&["*.c", "*.b.c", "a.*", "a.b.*"]);
        assert_eq!(table.find("x.c"), Some("*.c"));
        assert_eq!(table.find("x.b.c"), Some("*.b.c"));
        assert_eq!(table.find("y.x.b.c"), Some("*.b.c"));
        assert_eq!(table.find("a.b.x"), Some("a.b.*"));
        assert_eq!(table.find("a.x.y"), Some("a.*"));
    }

    #[test]
    fn a_pattern_is_taken_once() {
        for text in ["a.example", "*.a.example", "a.*", "~a", "_"] {
            let pattern = HostPattern::parse(text).unwrap();
            let mut table = HostTable::new();
            assert_eq!(table.insert(&pattern, 1), Ok(()));
            assert_eq!(table.insert(&pattern, 2), Err(Taken(1)), "{text}");
            assert_eq!(table.find("a.a.example"), if text == "a.example" { None } else { Some(1) });
        }
    }

    #[test]
    fn other_kinds_of_pattern_are_not_taken() {
        let table = table(&["a.example", "*.a.example", "a.example.*", "~a.example"]);
        assert_eq!(table.find("a.example"), Some("a.example"));
        assert_eq!(Taken(1).to_string(), "the host is taken");
        assert!(format!("{table:?}").contains(".a.example"));
    }

    /// What the table must say, the slow way.
    fn reference<'a>(patterns: &'a [String], host: &str) -> Option<&'a String> {
        let preference = |pattern: &&String| match HostPattern::parse(pattern) {
            Ok(HostPattern::Exact(exact)) if *exact == *host => Some((0, 0)),
            Ok(HostPattern::Suffix(part)) if host.len() > part.len() && host.ends_with(&*part) => {
                Some((1, usize::MAX - part.len()))
            }
            Ok(HostPattern::Prefix(part))
                if host.len() > part.len() && host.starts_with(&*part) =>
            {
                Some((2, usize::MAX - part.len()))
            }
            _ => None,
        };
        patterns.iter().filter(|pattern| preference(pattern).is_some()).min_by_key(preference)
    }

    proptest! {
        #[test]
        fn the_table_finds_what_a_list_finds(
            patterns in prop::collection::vec("(\\*\\.)?[ab]{1,2}(\\.[ab]{1,2}){0,2}|([ab]{1,2}\\.){1,3}\\*", 0..20),
            hosts in prop::collection::vec("[ab]{0,2}(\\.[ab]{0,2}){0,4}", 1..20),
        ) {
            let mut table = HostTable::new();
            for pattern in &patterns {
                let _ = table.insert(&HostPattern::parse(pattern).unwrap(), pattern);
            }
            for host in &hosts {
                prop_assert_eq!(table.find(host), reference(&patterns, host), "{}", host);
            }
        }
    }
}
