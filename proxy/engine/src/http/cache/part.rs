//! Whether a cache has anything to do with a request.

use http::{HeaderValue, Method, header};
use pingora_http::RequestHeader;
use switchback_cache::policy::Forwarded;

use super::key::Class;
use super::query::{self, Content};
use crate::http::context::Context;
use crate::snapshot::caches::CacheSettings;

/// Which part the cache has in a request.
pub(super) enum Part<'c> {
    /// It looks for an answer.
    Has(Class<'c>),
    /// It will, when it knows the content of the request.
    Content,
    /// None, and why.
    None(Forwarded),
}

/// Which part the cache of these settings has in the request.
pub(super) fn part<'c>(
    head: &RequestHeader,
    settings: &CacheSettings,
    context: &'c Context,
) -> Part<'c> {
    if query::is_query(&head.method) && settings.query {
        if head.headers.contains_key(header::UPGRADE) {
            return Part::None(Forwarded::Bypass);
        }
        return match query::content(head, context) {
            Content::Known(content) => Part::Has(Class::Query(content)),
            Content::Unread => Part::Content,
            Content::TooLarge => Part::None(Forwarded::Bypass),
        };
    }
    turned_away(head, settings).map_or(Part::Has(Class::Get), Part::None)
}

/// Why the cache has no part in a request that is no QUERY.
fn turned_away(head: &RequestHeader, settings: &CacheSettings) -> Option<Forwarded> {
    let is_known = head.method == Method::GET || head.method == Method::HEAD && settings.head;
    if !is_known {
        return Some(Forwarded::Method);
    }
    let length = head.headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let has_body = length.is_some_and(|length| length != b"0")
        || head.headers.contains_key(header::TRANSFER_ENCODING);
    let has_expectation = head.headers.contains_key(header::EXPECT);
    let is_upgrade = head.headers.contains_key(header::UPGRADE);
    (has_body || has_expectation || is_upgrade).then_some(Forwarded::Bypass)
}
