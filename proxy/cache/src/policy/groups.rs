//! Cache groups (RFC 9875). A group is one of its origin: the same name elsewhere is another (2.1).

use http::{HeaderMap, HeaderName, Method};

use crate::policy::invalidate::is_safe;
use crate::policy::structured::{self, Bare, Member};

/// The groups that a response is in (`Cache-Groups`), sorted, each once; none if the field cannot be read, or names more than 128.
#[must_use]
pub fn groups(headers: &HeaderMap) -> Box<[Box<str>]> {
    named(headers, &CACHE_GROUPS)
}

/// The groups that a response makes invalid (`Cache-Group-Invalidation`): none if the method is safe (RFC 9875, 3).
#[must_use]
pub fn invalidated_groups(method: &Method, headers: &HeaderMap) -> Box<[Box<str>]> {
    if is_safe(method) { Box::default() } else { named(headers, &CACHE_GROUP_INVALIDATION) }
}

fn named(headers: &HeaderMap, field: &HeaderName) -> Box<[Box<str>]> {
    if !headers.contains_key(field) {
        return Box::default();
    }
    let members = structured::list(&headers.get_all(field)).filter(|members| members.len() <= MOST);
    let names = members.unwrap_or_default().into_iter().map(|member| match member {
        Member::Item(Bare::String(name)) => Some(name.into_boxed_str()),
        _ => None,
    });
    let mut names = names.collect::<Option<Vec<_>>>().unwrap_or_default();
    names.sort();
    names.dedup();
    names.into()
}

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// RFC 9875, 2 and 3 ask for 32 at least.
const MOST: usize = 128;
