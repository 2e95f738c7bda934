//! Headers of the PROXY protocol as bytes: version 1, which is a line of text, and version 2, which is binary.
//!
//! Sections are those of the specification (haproxy.org, proxy-protocol.txt, 2020/03/05). Nothing here waits, allocates or
//! panics; whoever reads gives what has come so far and is told whether that is a header, the beginning of one, or neither.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tlv::{self, Tlvs};

/// The longest header that is accepted: what the smallest segment that every path carries can hold (section 2).
pub(crate) const MOST: usize = 536;

/// The longest line of version 1, its end included (section 2.1).
const MOST_LINE: usize = 107;

/// What every header of version 2 begins with (section 2.2).
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
pub(super) const FIXED: usize = 16;

/// Two paths of a Unix socket.
const UNIX: usize = 2 * 108;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header<'h> {
    /// Whose connection it is.
    pub(crate) ends: Ends,
    /// What else is known of it.
    pub(crate) tlvs: Tlvs<'h>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The sender's own, or one of which it knows nothing: `LOCAL`, `UNKNOWN`, no family.
    Own,
    /// A client's.
    Inet {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
    /// That of a client on a Unix socket of the sender's machine.
    Unix,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'h> {
    /// The beginning of a header, and nothing beyond it.
    Incomplete,
    /// A header of this many bytes.
    Header(usize, Header<'h>),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Neither version begins so.
    #[error("this is no PROXY header")]
    NotOne,
    /// More than 536 bytes, or a line of more than 107.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The line of version 1 is not as section 2.1 has it.
    #[error("the line of the PROXY header is malformed")]
    Line,
    /// Another version, or a command, family or transport that there is not.
    #[error("the PROXY header is of a version, command or family that is not known")]
    Unsupported,
    /// It is too short for the addresses that it announces.
    #[error("the PROXY header is too short for its addresses")]
    Addresses,
    /// What follows the addresses is malformed.
    #[error("a TLV of the PROXY header is malformed")]
    Tlv,
    /// The checksum is another.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// What `bytes`, the first of a connection, are.
///
/// # Errors
/// They are no header and cannot become one, however they go on.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(SIGNATURE) {
        binary(bytes)
    } else if begins(b"PROXY ") {
        line(bytes)
    } else {
        Err(Malformed::NotOne)
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, ended by CRLF (section 2.1).
fn line(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let window = bytes.get(..MOST_LINE).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', window) else {
        // A line may not go on after CR, and so one without LF ends with at most one.
        let early = memchr::memchr(b'\r', window).is_some_and(|at| at + 1 < window.len());
        return match (window.len() < MOST_LINE, early) {
            (true, false) => Ok(Parsed::Incomplete),
            (true, true) => Err(Malformed::Line),
            (false, _) => Err(Malformed::TooLong),
        };
    };
    let line =
        window.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed::Line)?;
    if memchr::memchr(b'\r', line).is_some() {
        return Err(Malformed::Line);
    }
    let header = Header { ends: line_ends(line)?, tlvs: Tlvs::default() };
    Ok(Parsed::Header(end + 1, header))
}

fn line_ends(line: &[u8]) -> Result<Ends, Malformed> {
    let line = line.strip_prefix(b"PROXY ").ok_or(Malformed::Line)?;
    let mut words = line.split(|byte| *byte == b' ');
    let family = words.next().unwrap_or_default();
    if family == b"UNKNOWN" {
        // Whatever follows is to be ignored.
        return Ok(Ends::Own);
    }
    let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
    let address = |text: &str| match family {
        b"TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        b"TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    let (source, destination) = (word().and_then(address), word().and_then(address));
    let (from, to) = (word().and_then(port), word().and_then(port));
    let has_five_words = memchr::memchr_iter(b' ', line).count() == 4;
    match (source, destination, from, to, has_five_words) {
        (Some(source), Some(destination), Some(from), Some(to), true) => Ok(Ends::Inet {
            source: SocketAddr::new(source, from),
            destination: SocketAddr::new(destination, to),
        }),
        _ => Err(Malformed::Line),
    }
}

/// A port in decimal, without leading zeros or sign.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && !is_padded)
}

/// Version 2 (section 2.2).
fn binary(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    // What is known already is judged already: nobody waits for the rest of a header that is none.
    let version = bytes.get(12).copied().unwrap_or(0x20);
    if !matches!(version, 0x20 | 0x21) {
        return Err(Malformed::Unsupported);
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > MOST {
        return Err(Malformed::TooLong);
    }
    let Some(block) = rest.get(..length) else { return Ok(Parsed::Incomplete) };
    if version == 0x20 {
        // LOCAL: the block is to be skipped, family and all.
        let header = Header { ends: Ends::Own, tlvs: Tlvs::default() };
        return Ok(Parsed::Header(FIXED + length, header));
    }
    let (ends, after) = addresses(family, block)?;
    let tlvs = Tlvs::parse(after)?;
    tlv::verify(bytes.get(..FIXED + length).unwrap_or_default(), tlvs)?;
    Ok(Parsed::Header(FIXED + length, Header { ends, tlvs }))
}

/// The addresses at the beginning of `block`, and what follows them.
fn addresses(family: u8, block: &[u8]) -> Result<(Ends, &[u8]), Malformed> {
    let ends = match (family >> 4, family & 0xf) {
        (0, 0) => return Ok((Ends::Own, block)),
        (1, 1 | 2) => inet::<4, 12>(block),
        (2, 1 | 2) => inet::<16, 36>(block),
        (3, 1 | 2) => block.get(UNIX..).map(|after| (Ends::Unix, after)),
        _ => return Err(Malformed::Unsupported),
    };
    ends.ok_or(Malformed::Addresses)
}

/// Two addresses of `N` bytes and two ports: `ALL` bytes.
fn inet<const N: usize, const ALL: usize>(block: &[u8]) -> Option<(Ends, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let after = block.get(ALL..)?;
    let (source, rest) = block.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let [a, b, c, d] = *ports.first_chunk::<4>()?;
    let ends = Ends::Inet {
        source: SocketAddr::new((*source).into(), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new((*destination).into(), u16::from_be_bytes([c, d])),
    };
    Some((ends, after))
}
