//! The PROXY protocol: a proxy in front of us says whose connection it passes on, before the first byte of that.
//!
//! [`parse`] and [`tlv`] are pure and read what others send, [`read`] takes exactly the header off a connection, before TLS and
//! HTTP, and [`write`] makes the headers that upstreams are sent.

pub(crate) mod parse;
mod read;
pub(crate) mod refusal;
#[cfg(test)]
mod tests;
pub(crate) mod tlv;
pub(crate) mod write;

use std::borrow::Cow;
use std::net::SocketAddr;

use switchback_conf::plan::{OtherPeers, ProxyProtocolPlan};
use switchback_value::ProxyTlv;

use super::connection::Ends;
use super::stream::PlainStream;
use parse::Header;
use read::Received;
use refusal::Refusal;
use tlv::Tlvs;

/// What a header said of the connection that it stood before.
#[derive(Debug)]
pub(crate) struct Proxied {
    /// Who opened the connection to us; `None` on a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    /// The client and what it connected to, where the header names them.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    tlvs: Box<[u8]>,
}

impl Proxied {
    /// What else was said.
    pub(crate) fn tlvs(&self) -> Tlvs<'_> {
        Tlvs::known(&self.tlvs)
    }

    /// The value of a variable `$proxy_protocol_tlv_*`.
    pub(crate) fn value(&self, tlv: ProxyTlv) -> Option<Cow<'_, [u8]>> {
        let tlvs = self.tlvs();
        match tlv {
            ProxyTlv::Type(kind) => tlvs.find(kind).map(Cow::Borrowed),
            ProxyTlv::Ssl(kind) => tlvs.ssl()?.parts.find(kind).map(Cow::Borrowed),
            ProxyTlv::SslVerify => Some(tlvs.ssl()?.verify.to_string().into_bytes().into()),
        }
    }
}

/// The client's connection behind that of a proxy.
#[derive(Debug)]
pub(crate) struct Introduced {
    /// The client's address in place of the proxy's, if that is known; the end that is ours stays.
    pub(crate) ends: Ends,
    /// What the header said, if it said anything.
    pub(crate) proxied: Option<Box<Proxied>>,
}

/// Reads the header that must stand before a connection from `ends.peer`, whoever else may come without.
///
/// # Errors
/// The connection is to be closed.
pub(crate) async fn introduce(
    settings: &ProxyProtocolPlan,
    stream: &PlainStream,
    ends: Ends,
) -> Result<Introduced, Refusal> {
    if !is_expected(settings, ends.peer) {
        return match settings.others {
            OtherPeers::Close => Err(Refusal::NotAllowed),
            OtherPeers::Plain => Ok(Introduced { ends, proxied: None }),
        };
    }
    let mut received = Received::new();
    match tokio::time::timeout(settings.timeout, received.read(stream)).await {
        Ok(Ok(header)) => Ok(introduced(ends, header)),
        Ok(Err(reason)) => {
            tracing::debug!(peer = ?ends.peer, "PROXY protocol: {reason}");
            Err(Refusal::from(&reason))
        }
        Err(_) => Err(Refusal::Late),
    }
}

/// Whether a connection from this address has to begin with a header.
pub(crate) fn is_expected(settings: &ProxyProtocolPlan, peer: Option<SocketAddr>) -> bool {
    let Some(peer) = peer else { return settings.unix };
    let ip = peer.ip().to_canonical();
    settings.from.iter().any(|network| network.contains(&ip))
}

fn introduced(ends: Ends, header: Header<'_>) -> Introduced {
    let (client, known) = match header.ends {
        parse::Ends::Own => (ends.peer, None),
        parse::Ends::Inet { source, destination } => (Some(source), Some((source, destination))),
        parse::Ends::Unix => (None, None),
    };
    let is_silent = header.ends == parse::Ends::Own && header.tlvs.bytes().is_empty();
    let proxied = || Proxied { peer: ends.peer, ends: known, tlvs: header.tlvs.bytes().into() };
    Introduced {
        ends: Ends { peer: client, local: ends.local },
        proxied: (!is_silent).then(|| Box::new(proxied())),
    }
}

/// What is promised of the first bytes of a connection, whatever they are; for the fuzzer.
///
/// # Panics
/// A promise is broken.
pub fn check(bytes: &[u8]) {
    use parse::{MOST, Parsed, parse};
    let whole = parse(bytes);
    let Ok(Parsed::Header(length, header)) = whole else {
        let is_bounded = whole.is_err() || bytes.len() < MOST;
        assert!(is_bounded, "more than the longest header is waited for");
        return;
    };
    assert!(length <= MOST && length <= bytes.len());
    assert_eq!(parse(bytes.get(..length).unwrap_or_default()), whole, "what follows is judged");
    for end in 0..length {
        let part = parse(bytes.get(..end).unwrap_or_default());
        assert_eq!(part, Ok(Parsed::Incomplete), "cut at {end}");
    }
    let covered: usize = header.tlvs.iter().map(|(_, value)| 3 + value.len()).sum();
    assert_eq!(covered, header.tlvs.bytes().len());
}
