//! Headers as they are sent to upstreams.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::parse::{FIXED, MOST, SIGNATURE};
use super::tlv;

/// The line of version 1 (section 2.1). Without addresses it says that nothing is known.
pub(crate) fn line(ends: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let Some((source, destination)) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let ports = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
}

/// The two ends in one family: where they differ, both as IPv6.
pub(crate) fn one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let mapped = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), end.port()),
        IpAddr::V6(_) => end,
    };
    let (source, destination) = (plain(source), plain(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

/// Stands for an end that has no address.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The value of `PP2_TYPE_SSL` (section 2.2.6), for a client without a certificate that was found good.
pub(crate) fn ssl(is_tls: bool, parts: &[(u8, &[u8])]) -> Vec<u8> {
    let mut value = vec![if is_tls { tlv::CLIENT_SSL } else { 0 }, 0, 0, 0, 1];
    for (kind, part) in parts {
        push(&mut value, *kind, part);
    }
    value
}

/// A header of version 2 in the making (section 2.2).
#[derive(Debug)]
pub(crate) struct Draft(Vec<u8>);

impl Draft {
    /// With the command `PROXY` and these addresses, of one family; without, of none.
    pub(crate) fn new(ends: Option<(SocketAddr, SocketAddr)>) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(SIGNATURE);
        let family = match ends {
            Some((source, _)) if source.is_ipv4() => 0x11,
            Some(_) => 0x21,
            None => 0x00,
        };
        bytes.extend_from_slice(&[0x21, family, 0, 0]);
        if let Some((source, destination)) = ends {
            for end in [source, destination] {
                match end.ip() {
                    IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
                    IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
                }
            }
            bytes.extend_from_slice(&source.port().to_be_bytes());
            bytes.extend_from_slice(&destination.port().to_be_bytes());
        }
        Self(bytes)
    }

    /// Adds a value. One that would make the header longer than 536 bytes is left out.
    pub(crate) fn add(&mut self, kind: u8, value: &[u8]) -> &mut Self {
        push(&mut self.0, kind, value);
        self
    }

    /// The header; with its checksum if that is wanted and there is room.
    pub(crate) fn finish(mut self, has_checksum: bool) -> Vec<u8> {
        let at = self.0.len() + 3;
        if has_checksum {
            self.add(tlv::CRC32C, &[0; 4]);
        }
        // At most 536.
        let length = u16::try_from(self.0.len() - FIXED).unwrap_or(0).to_be_bytes();
        if let Some(place) = self.0.get_mut(FIXED - 2..FIXED) {
            place.copy_from_slice(&length);
        }
        let sum = tlv::checksum(&self.0, at).to_be_bytes();
        if let Some(place) = self.0.get_mut(at..at + 4).filter(|_| has_checksum) {
            place.copy_from_slice(&sum);
        }
        self.0
    }
}

/// Appends a value to `bytes`, if that leaves them shorter than a header may be.
fn push(bytes: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len()) else { return };
    if bytes.len() + 3 + value.len() > MOST {
        return;
    }
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value);
}
