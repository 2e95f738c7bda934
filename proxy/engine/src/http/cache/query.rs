//! The content of a QUERY, which belongs to what its answer is stored under (RFC 10008, 2.7).

use aws_lc_rs::digest::{self, Digest, SHA256};
use bytes::Bytes;
use http::{HeaderValue, Method, Version, header};
use pingora_error::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use switchback_cache::policy::QUERY_FIELDS;

use crate::http::body;
use crate::http::context::Context;

/// The cache has no part in a QUERY whose content has more bytes.
const MOST: usize = 64 * 1024;

/// What is known of the content of a QUERY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'c> {
    /// All of it.
    Known(&'c [u8]),
    /// It has to be read first.
    Unread,
    /// It is too large to belong to a key.
    TooLarge,
}

/// Whether the request is one whose content says what is asked for.
pub(crate) fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}

/// Whether a request may be sent twice. `http` does not know QUERY, which may (RFC 10008, 2).
pub(crate) fn may_be_repeated(method: &Method) -> bool {
    method.is_idempotent() || is_query(method)
}

/// The content of the request, as far as that is known.
pub(super) fn content<'c>(head: &RequestHeader, context: &'c Context) -> Content<'c> {
    if let Some(content) = &context.content {
        return if content.len() > MOST {
            Content::TooLarge
        } else {
            Content::Known(content.as_ref().as_ref())
        };
    }
    let length = head.headers.get(header::CONTENT_LENGTH);
    let length = length.map(|length| length.to_str().ok().and_then(|text| text.parse().ok()));
    match length {
        Some(Some(0_u64)) => Content::Known(&[]),
        Some(Some(length)) if length <= MOST as u64 => Content::Unread,
        Some(_) => Content::TooLarge,
        // Over HTTP/2, nothing announces a body but its first bytes.
        None if head.version == Version::HTTP_2 => Content::Unread,
        None if head.headers.contains_key(header::TRANSFER_ENCODING) => Content::Unread,
        None => Content::Known(&[]),
    }
}

/// Takes the content in, unless that was done for another reason (then it is `taken`): from now on it is [`Context::content`].
pub(crate) async fn take_in(
    session: &mut Session,
    taken: Option<&[Bytes]>,
    context: &mut Context,
) -> Result<()> {
    let content = match taken {
        Some(pieces) => Bytes::from(pieces.concat()),
        None => body::whole(session, context).await?,
    };
    context.content = Some(Box::new(content));
    Ok(())
}

/// What is to be sent to an origin as the content of `request`.
pub(super) fn to_send(request: &RequestHeader, context: &Context) -> Option<Bytes> {
    let content = context.content.as_deref().filter(|_| is_query(&request.method))?;
    Some(content.clone())
}

/// What belongs to the key of a QUERY: its content, and how that is to be read. Clients choose both, so no two may have one digest.
pub(super) fn digest(head: &RequestHeader, content: &[u8]) -> Digest {
    let mut digest = digest::Context::new(&SHA256);
    for name in &QUERY_FIELDS {
        let lines: Vec<&HeaderValue> = head.headers.get_all(name).iter().collect();
        digest.update(&lines.len().to_le_bytes());
        for line in lines {
            digest.update(&line.len().to_le_bytes());
            digest.update(line.as_bytes());
        }
    }
    digest.update(content);
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &str)], content: &[u8]) -> Vec<u8> {
        let mut head = RequestHeader::build("QUERY", b"/", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        digest(&head, content).as_ref().to_vec()
    }

    #[test]
    fn content_and_how_it_is_to_be_read_make_another_key() {
        let json = ("content-type", "application/json");
        let all = [
            of(&[], b""),
            of(&[], b"a"),
            of(&[json], b"a"),
            of(&[json, json], b"a"),
            of(&[("content-type", "application/jso")], b"na"),
            of(&[("content-encoding", "application/json")], b"a"),
            of(&[("content-language", "application/json")], b"a"),
            of(&[("content-location", "application/json")], b"a"),
            of(&[json, ("content-encoding", "gzip")], b"a"),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(!all[..place].contains(one), "{place}");
        }
        assert_eq!(of(&[json, ("x-other", "1")], b"a"), of(&[json], b"a"));
    }
}
