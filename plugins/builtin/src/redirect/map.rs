//! Old paths and where what was there is now.

use std::collections::{BTreeMap, HashMap};

use switchback_plugin::BuildError;

use crate::path_encoding::{encode_path, encode_rest};
use crate::watched::lines;

/// Old paths and where what was there is now.
#[derive(Debug, Default)]
pub(super) struct Map {
    exact: HashMap<String, Entry>,
    /// What is before `*`, the longest first.
    prefixes: Vec<(String, Entry)>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Encoded. Either in two parts around what `*` stands for, or whole.
    before: Vec<u8>,
    behind: Option<Vec<u8>>,
    status: Option<u16>,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Goal {
    /// A URL, or a path with its query, encoded.
    pub(super) target: Vec<u8>,
    pub(super) status: Option<u16>,
}

pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

pub(super) fn no_redirect(status: &str) -> String {
    format!("{status} is no status of a redirect: 301, 302, 303, 307 or 308")
}

impl Map {
    /// Of the option `paths`.
    pub(super) fn new(paths: &BTreeMap<String, String>) -> Result<Self, BuildError> {
        let mut map = Self::default();
        for (from, to) in paths {
            let located = |message| BuildError::new(format!("paths.{from}"), message);
            map.insert(from, to, None).map_err(located)?;
        }
        map.finish().map_err(|(from, message)| BuildError::new(format!("paths.{from}"), message))
    }

    /// Of a file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut map = Self::default();
        for (number, line) in lines(text) {
            let in_line = |message| format!("line {number}: {message}");
            let mut words = line.split_whitespace();
            let (Some(from), Some(to)) = (words.next(), words.next()) else {
                return Err(in_line("an old path without a new one".into()));
            };
            let status = words.next().map(|word| status(word).map_err(in_line)).transpose()?;
            if words.next().is_some() {
                return Err(in_line("more than an old path, a new one and a status".into()));
            }
            map.insert(from, to, status).map_err(in_line)?;
        }
        map.finish().map_err(|(from, message)| format!("`{from}`: {message}"))
    }

    fn insert(&mut self, from: &str, to: &str, status: Option<u16>) -> Result<(), String> {
        if !from.starts_with('/') {
            return Err(format!("`{from}` is no path: it does not begin with `/`"));
        }
        let prefix = from.strip_suffix('*');
        let entry = Entry::new(to, prefix.is_some(), status)?;
        let known = match prefix {
            Some(prefix) => {
                let known = self.prefixes.iter().any(|(other, _)| other == prefix);
                self.prefixes.push((prefix.to_owned(), entry));
                known
            }
            None => self.exact.insert(from.to_owned(), entry).is_some(),
        };
        if known { Err(format!("`{from}` is there twice")) } else { Ok(()) }
    }

    /// What is left to do when everything is in.
    fn finish(mut self) -> Result<Self, (String, String)> {
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        for (from, entry) in &self.exact {
            if self.comes_back(from, entry) {
                return Err((from.clone(), "leads back to itself".into()));
            }
        }
        Ok(self)
    }

    /// Follows what leads from path to path, no further than there are entries.
    fn comes_back(&self, from: &str, entry: &Entry) -> bool {
        let mut entry = entry;
        for _ in 0..self.exact.len() {
            let to = std::str::from_utf8(&entry.before).unwrap_or_default();
            if to == from {
                return true;
            }
            match self.exact.get(to) {
                Some(next) => entry = next,
                None => return false,
            }
        }
        false
    }

    /// Where `path` leads; `query` goes along where there is one.
    pub(super) fn find(&self, path: &str, query: Option<&str>) -> Option<Goal> {
        if let Some(entry) = self.exact.get(path) {
            return Some(entry.goal("", query));
        }
        self.prefixes.iter().find_map(|(prefix, entry)| {
            path.strip_prefix(prefix.as_str()).map(|rest| entry.goal(rest, query))
        })
    }
}

impl Entry {
    fn new(to: &str, is_prefix: bool, status: Option<u16>) -> Result<Self, String> {
        let site = ["http://", "https://"].iter().find_map(|scheme| to.strip_prefix(scheme));
        if !to.starts_with('/') && site.is_none_or(str::is_empty) {
            return Err(format!("`{to}` is neither a path nor a URL with http:// or https://"));
        }
        if to.starts_with("//") {
            return Err(format!("`{to}` would be another host: write it with its scheme"));
        }
        if to.contains('#') {
            return Err(format!("`{to}` names a place within a page: that is for clients to keep"));
        }
        let (before, behind) = match to.split_once('*') {
            Some(_) if !is_prefix => {
                return Err(format!("`*` in `{to}` stands for nothing: the old path has none"));
            }
            // What a client has written must not become part of a host's name.
            Some(_) if site.is_some_and(starts_in_host) => {
                return Err(format!("`*` in `{to}` is not behind the host's `/`"));
            }
            Some((before, behind)) => (before, Some(behind)),
            None => (to, None),
        };
        let encoded = |text: &str| {
            let mut out = Vec::new();
            encode_rest(text.as_bytes(), &mut out);
            out
        };
        Ok(Self { before: encoded(before), behind: behind.map(encoded), status })
    }

    fn goal(&self, rest: &str, query: Option<&str>) -> Goal {
        let mut target = self.before.clone();
        if let Some(behind) = &self.behind {
            encode_path(rest.as_bytes(), &mut target);
            target.extend_from_slice(behind);
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            target.push(if target.contains(&b'?') { b'&' } else { b'?' });
            encode_rest(query.as_bytes(), &mut target);
        }
        Goal { target, status: self.status }
    }
}

/// Whether `*` stands before the first `/` of what is behind the scheme.
fn starts_in_host(site: &str) -> bool {
    site.split('/').next().is_some_and(|host| host.contains('*'))
}

fn status(word: &str) -> Result<u16, String> {
    let status = word.parse().ok().filter(|status| is_redirect(*status));
    status.ok_or_else(|| no_redirect(word))
}
