//! What a client is told while it waits for a response that is fetched anew: the links of the one before (RFC 8297).

use http::{StatusCode, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::serve;

use super::ahead::Interim;
use super::lookup::Wanted;

impl Wanted {
    /// The 103 that the client may be sent, if the route says so, and the client is one that takes it.
    pub(super) fn early_hints(&self, request: &RequestHeader) -> Option<Interim> {
        let (stored, _) = self.stored.as_ref().filter(|_| self.settings.early_hints)?;
        let links = serve::early_hints(&stored.meta.head.headers);
        if links.is_empty() || !takes_them(request) {
            return None;
        }
        let mut head = ResponseHeader::build(StatusCode::EARLY_HINTS, Some(links.len())).ok()?;
        for link in links {
            head.append_header(header::LINK, link).ok()?;
        }
        Some(Box::new(head))
    }
}

/// Over HTTP/2 everybody knows of 1xx; of those who speak HTTP/1.1, browsers that open a page do.
fn takes_them(request: &RequestHeader) -> bool {
    match request.version {
        Version::HTTP_2 => true,
        Version::HTTP_11 => {
            let mode = request.headers.get("sec-fetch-mode");
            mode.is_some_and(|mode| mode.as_bytes() == b"navigate")
        }
        _ => false,
    }
}
