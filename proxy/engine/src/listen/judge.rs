//! What the front door makes of bytes, told to whoever compares it with other parsers: fuzz targets and tests.

use switchback_conf::plan::{ListenerLimits, Tolerances};

use super::chunked::{ChunkedScan, Scanned};
use super::head::{self, BodyFraming, Parsed};

/// What became of bytes that a client sent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// They may become a head.
    Partial,
    /// They are answered with this status, and the connection ends.
    Refused(u16),
    /// They begin with a head.
    Head {
        /// How many of them it is.
        received: usize,
        /// What goes on in its place.
        sent: Vec<u8>,
        /// Bytes of the body; `None` is chunked.
        body: Option<u64>,
    },
}

/// Judges `bytes` as a listener does that has all default limits and tolerates this.
#[must_use]
pub fn head(bytes: &[u8], tolerate: Tolerances) -> Judged {
    let limits = ListenerLimits {
        target: 8 * 1024,
        headers: 32 * 1024,
        fields: 128,
        keepalive_requests: 1000,
        tolerate,
    };
    match head::parse(bytes, &limits, false) {
        Ok(Parsed::Partial) => Judged::Partial,
        Err(fault) => Judged::Refused(fault.status().as_u16()),
        Ok(Parsed::Complete(head)) => Judged::Head {
            received: head.length,
            sent: match head.plain {
                Some(plain) => plain.bytes,
                None => bytes.get(..head.length).unwrap_or_default().to_vec(),
            },
            body: match head.body {
                BodyFraming::Length(length) => Some(length),
                BodyFraming::Chunked => None,
            },
        },
    }
}

/// How many of `bytes` are a whole chunked body. `Ok(None)`: more are needed.
///
/// # Errors
/// They are no chunked body.
pub fn chunks(bytes: &[u8]) -> Result<Option<usize>, impl std::error::Error + use<>> {
    ChunkedScan::default().scan(bytes).map(|scanned| match scanned {
        Scanned::Open => None,
        Scanned::End(end) => Some(end),
    })
}
