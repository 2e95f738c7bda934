//! Both ends of HTTP/2, by the `h2` crate: conforming, with trailers and streams that are open both ways. And one that is not:
//! [`FrameClient`] sends what it is told.

mod client;
mod frames;
mod origin;

pub use client::{H2Client, H2Request, H2Response, H2Stream};
pub use frames::{Frame, FrameClient, PREFACE, Silence, encode_fields, get_fields};
pub use origin::{H2Origin, H2Received};

use http::HeaderMap;

/// Fields as text, in no particular order.
pub(crate) fn listed(headers: &HeaderMap) -> crate::wire::Headers {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    crate::wire::Headers(
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
    )
}

/// Fields to send.
pub(crate) fn to_map(headers: &[(String, String)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a test writes valid names");
        map.append(name, value.parse().expect("a test writes valid values"));
    }
    map
}
