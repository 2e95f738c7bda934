//! What lies in a directory, as a page or for programs.

mod html;
mod json;

use std::ffi::CStr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rustix::fs::{AtFlags, Dir, FileType, Stat};
use switchback_representation::number;

use crate::beneath::{Refusal, Root, modified_of, size_of};
use crate::candidate::is_served;
use crate::{Answer, Asked, Autoindex, Body};

/// How many names of a directory are looked at, with one system call each (three for a link, and its closing). A page says
/// at its end that there are more; for programs `X-Listing-Truncated` says it.
pub const LISTING_LIMIT: usize = 10_000;

const TRUNCATED: HeaderName = HeaderName::from_static("x-listing-truncated");

/// The entries of a directory: directories first, then by name.
pub(crate) struct Listing {
    entries: Vec<Entry>,
    /// How many names were looked at, where there are more.
    truncated: Option<usize>,
}

struct Entry {
    name: Vec<u8>,
    kind: EntryKind,
    size: u64,
    /// Seconds since 1970.
    modified: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Directory,
    File,
    Other,
}

impl Listing {
    /// Reads the directory at `path`. What could not be served is left out: hidden names, links that are broken, lead out
    /// of the root or may not be followed. Names vanish while they are read; those are left out too.
    pub(crate) fn read(root: &Root, path: &[u8], hidden: bool) -> Result<Self, Refusal> {
        Self::read_at_most(LISTING_LIMIT, root, path, hidden)
    }

    fn read_at_most(limit: usize, root: &Root, path: &[u8], hidden: bool) -> Result<Self, Refusal> {
        let failed = |error: rustix::io::Errno| Refusal::Failed(error.into());
        let Some(directory) = root.open_directory(path)? else { return Err(Refusal::Forbidden) };
        let mut directory = Dir::new(directory).map_err(failed)?;
        let mut names = Vec::new();
        let mut truncated = None;
        while let Some(entry) = directory.read() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if names.len() == limit {
                truncated = Some(limit);
                break;
            }
            names.push(name.to_owned());
        }
        names.retain(|name| is_served(name.to_bytes(), hidden));
        let own = directory.fd().map_err(failed)?;
        let facts_of = |name: &CStr| {
            let facts = rustix::fs::statat(own, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            match FileType::from_raw_mode(facts.st_mode) {
                FileType::Symlink => root.look(&joined(path, name.to_bytes())),
                _ => Some(facts),
            }
        };
        let entry = |name: std::ffi::CString| {
            let facts = facts_of(&name)?;
            Entry::new(name.into_bytes(), &facts)
        };
        let mut entries: Vec<Entry> = names.into_iter().filter_map(entry).collect();
        entries.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
        Ok(Self { entries, truncated })
    }

    pub(crate) fn answer(&self, form: Autoindex, asked: &Asked<'_>) -> Answer {
        let (content_type, text) = match form {
            Autoindex::Html => ("text/html; charset=utf-8", html::page(self, asked.url_path)),
            Autoindex::Json => ("application/json", json::array(self)),
        };
        let mut headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (CONTENT_LENGTH, number(text.len() as u64)),
        ];
        if let Some(limit) = self.truncated {
            headers.push((TRUNCATED, number(limit as u64)));
        }
        let body = match *asked.method == Method::HEAD {
            true => Body::Empty,
            false => Body::Bytes(Bytes::from(text)),
        };
        Answer { status: StatusCode::OK, headers, body }
    }
}

impl Entry {
    fn new(name: Vec<u8>, facts: &Stat) -> Option<Self> {
        let kind = match FileType::from_raw_mode(facts.st_mode) {
            FileType::Directory => EntryKind::Directory,
            FileType::RegularFile => EntryKind::File,
            // The link itself: where no link is followed.
            FileType::Symlink => return None,
            _ => EntryKind::Other,
        };
        Some(Self { name, kind, size: size_of(facts), modified: modified_of(facts) })
    }

    fn key(&self) -> (bool, &[u8]) {
        (self.kind != EntryKind::Directory, &self.name)
    }
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    match path {
        [] => name.to_vec(),
        path => [path, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use http::HeaderMap;

    use super::*;
    use crate::Symlinks;

    #[test]
    fn a_listing_ends_somewhere_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            File::create(folder.path().join(name)).unwrap();
        }
        let root = Root::open(folder.path(), Symlinks::Beneath).unwrap().unwrap();
        let headers = HeaderMap::new();
        let asked = Asked { method: &Method::GET, headers: &headers, url_path: b"/", query: None };
        let listed = |limit, form| {
            let listing = Listing::read_at_most(limit, &root, b"", false).unwrap();
            let answer = listing.answer(form, &asked);
            let Body::Bytes(text) = answer.body else { panic!("no text") };
            let is_said = answer.headers.contains(&(TRUNCATED, HeaderValue::from_static("3")));
            (String::from_utf8(text.to_vec()).unwrap(), is_said)
        };
        let more = "There is more: a listing ends after 3 names.";
        let (page, is_said) = listed(3, Autoindex::Html);
        assert!(is_said && page.contains(more), "{page}");
        let (page, is_said) = listed(4, Autoindex::Html);
        assert!(!is_said && !page.contains("There is more"), "{page}");
        let (array, is_said) = listed(3, Autoindex::Json);
        assert!(is_said && array.matches("\"name\"").count() == 3, "{array}");
    }
}
