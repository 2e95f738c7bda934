//! What is written is read again, what is cut is waited for, and nothing else is taken for a header.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;

use switchback_conf::plan::{OtherPeers, ProxyProtocolPlan};

use super::is_expected;
use super::parse::{Ends, Header, MOST, Malformed, Parsed, SIGNATURE, parse};
use super::tlv::{self, Tlvs};
use super::write::{Draft, line, one_family, ssl};

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, block].concat()
}

fn header(bytes: &[u8]) -> Header<'_> {
    match parse(bytes) {
        Ok(Parsed::Header(length, header)) if length == bytes.len() => header,
        other => panic!("{other:?}"),
    }
}

fn ends(source: &str, destination: &str) -> Ends {
    Ends::Inet { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn lines_say_whose_connection_it_is() {
    let tcp4 = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
    assert_eq!(header(tcp4).ends, ends("192.0.2.1:56324", "198.51.100.7:443"));
    let tcp6 = b"PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n";
    assert_eq!(header(tcp6).ends, ends("[2001:db8::1]:0", "[::ffff:1.2.3.4]:65535"));
    for unknown in [
        &b"PROXY UNKNOWN\r\n"[..],
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        b"PROXY UNKNOWN \t\x00anything\r\n",
    ] {
        assert_eq!(header(unknown).ends, Ends::Own);
    }
}

#[test]
fn what_follows_a_header_is_not_part_of_it() {
    for first in [line(None), v2(0x21, 0x11, &INET)] {
        let bytes = [&first[..], b"GET / HTTP/1.1\r\n"].concat();
        assert!(matches!(parse(&bytes), Ok(Parsed::Header(length, _)) if length == first.len()));
    }
}

#[test]
fn lines_that_are_not_as_specified_are_refused() {
    for wrong in [
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 44\r3\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 01 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7  443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 1 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 1 443\r\n",
        "PROXY TCP4 192.0.2.\u{e4} 198.51.100.7 1 443\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\rx",
    ] {
        assert_eq!(parse(wrong.as_bytes()), Err(Malformed::Line), "{wrong:?}");
    }
    for other in
        ["proxy TCP4", "PROXYTCP4", "GET / HTTP/1.1\r\n", "\x16\x03\x01", "\r\n\r\n\0\r\nQUIT\r"]
    {
        assert_eq!(parse(other.as_bytes()), Err(Malformed::NotOne), "{other:?}");
    }
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let of = |length: usize| {
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; length - 16], b"\r\n".to_vec()].concat()
    };
    assert_eq!(header(&of(107)).ends, Ends::Own);
    assert_eq!(parse(&of(108)), Err(Malformed::TooLong));
    assert_eq!(parse(&of(108)[..106]), Ok(Parsed::Incomplete));
}

#[test]
fn binary_headers_say_whose_connection_it_is() {
    assert_eq!(header(&v2(0x21, 0x11, &INET)).ends, ends("192.0.2.1:56324", "198.51.100.7:443"));
    // Of a datagram's addresses nothing else is meant.
    assert_eq!(header(&v2(0x21, 0x12, &INET)).ends, ends("192.0.2.1:56324", "198.51.100.7:443"));
    let one = Ipv6Addr::LOCALHOST.octets();
    let inet6 = [&one[..], &one, &[0, 1, 0, 2]].concat();
    assert_eq!(header(&v2(0x21, 0x21, &inet6)).ends, ends("[::1]:1", "[::1]:2"));
    assert_eq!(header(&v2(0x21, 0x31, &[b'/'; 216])).ends, Ends::Unix);
    assert_eq!(header(&v2(0x21, 0x00, &[])).ends, Ends::Own);
}

#[test]
fn the_block_of_a_local_header_is_skipped_whatever_it_is() {
    for block in [&[][..], &INET, &[0xff; 100]] {
        let bytes = v2(0x20, 0xff, block);
        assert_eq!(header(&bytes), Header { ends: Ends::Own, tlvs: Tlvs::default() });
    }
}

#[test]
fn binary_headers_that_are_not_as_specified_are_refused() {
    for (command, family) in [
        (0x11, 0x11),
        (0x22, 0x11),
        (0x31, 0x11),
        (0x21, 0x13),
        (0x21, 0x41),
        (0x21, 0x01),
        (0x21, 0x10),
    ] {
        assert_eq!(
            parse(&v2(command, family, &INET)),
            Err(Malformed::Unsupported),
            "{command:x} {family:x}"
        );
    }
    assert_eq!(parse(&v2(0x21, 0x11, &INET[..11])), Err(Malformed::Addresses));
    assert_eq!(parse(&v2(0x21, 0x21, &[0; 35])), Err(Malformed::Addresses));
    assert_eq!(parse(&v2(0x21, 0x31, &[0; 215])), Err(Malformed::Addresses));
    // A wrong version is not waited for.
    assert_eq!(parse(&v2(0x11, 0x11, &INET)[..13]), Err(Malformed::Unsupported));
}

#[test]
fn a_binary_header_has_at_most_536_bytes() {
    let of = |length: usize| v2(0x20, 0, &vec![0; length - 16]);
    assert_eq!(header(&of(536)).ends, Ends::Own);
    assert_eq!(parse(&of(537)), Err(Malformed::TooLong));
    // It is refused by what it announces, before it comes.
    assert_eq!(parse(&of(537)[..16]), Err(Malformed::TooLong));
}

#[test]
fn values_are_found_and_malformed_ones_refused() {
    let tls = ssl(true, &[(tlv::SSL_VERSION, b"TLSv1.3")]);
    let mut draft = Draft::new(None);
    draft.add(tlv::ALPN, b"h2").add(0xea, b"a").add(0xea, b"b").add(tlv::SSL, &tls);
    let bytes = draft.finish(false);
    let tlvs = header(&bytes).tlvs;
    assert_eq!((tlvs.find(tlv::ALPN), tlvs.find(0xea)), (Some(&b"h2"[..]), Some(&b"a"[..])));
    assert_eq!(tlvs.find(tlv::AUTHORITY), None);
    let found = tlvs.ssl().unwrap();
    assert_eq!((found.is_tls(), found.verify), (true, 1));
    assert_eq!(found.parts.find(tlv::SSL_VERSION), Some(&b"TLSv1.3"[..]));
    let with = |tlvs: &[u8]| v2(0x21, 0x11, &[&INET[..], tlvs].concat());
    let long_id = [&[tlv::UNIQUE_ID, 0, 129][..], &[0; 129]].concat();
    for wrong in [
        &[0x04][..],
        &[0x04, 0, 1],
        &[0x04, 0, 0, 0x04],
        &[tlv::CRC32C, 0, 3, 0, 0, 0],
        &[tlv::SSL, 0, 4, 1, 0, 0, 0],
        &[tlv::SSL, 0, 7, 1, 0, 0, 0, 0, 0x21, 0],
        &long_id,
    ] {
        assert_eq!(parse(&with(wrong)), Err(Malformed::Tlv), "{wrong:x?}");
    }
    assert_eq!(header(&with(&[0x04, 0, 0])).tlvs.find(0x04), Some(&[][..]));
}

#[test]
fn checksums_are_held_against_the_header() {
    // The check value of CRC-32C.
    assert_eq!(tlv::checksum(b"123456789", 100), 0xe306_9283);
    let mut draft =
        Draft::new(Some(("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap())));
    draft.add(tlv::AUTHORITY, b"a.example");
    let bytes = draft.finish(true);
    assert!(header(&bytes).tlvs.find(tlv::CRC32C).is_some());
    // A flipped type of the checksum makes it something else.
    let kind = bytes.len() - 7;
    for at in (16..bytes.len()).filter(|at| *at != kind) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(parse(&flipped).is_err(), "{at}");
    }
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(parse(&flipped), Err(Malformed::Checksum));
    let twice =
        [&INET[..], &[tlv::CRC32C, 0, 4, 0, 0, 0, 0], &[tlv::CRC32C, 0, 4, 0, 0, 0, 0]].concat();
    assert_eq!(parse(&v2(0x21, 0x11, &twice)), Err(Malformed::Tlv));
}

#[test]
fn what_does_not_fit_is_left_out() {
    let mut draft = Draft::new(None);
    draft.add(0xe0, &[0; 500]).add(0xe1, &[0; 100]).add(0xe2, b"x");
    let bytes = draft.finish(true);
    assert!(bytes.len() <= MOST);
    let tlvs = header(&bytes).tlvs;
    assert_eq!([0xe0, 0xe1, 0xe2].map(|kind| tlvs.find(kind).is_some()), [true, false, true]);
}

#[test]
fn both_ends_are_written_in_one_family() {
    let pair = |a: &str, b: &str| one_family(a.parse().unwrap(), b.parse().unwrap());
    let shown = |(a, b): (SocketAddr, SocketAddr)| format!("{a} {b}");
    assert_eq!(shown(pair("1.1.1.1:1", "2.2.2.2:2")), "1.1.1.1:1 2.2.2.2:2");
    assert_eq!(shown(pair("[::ffff:1.1.1.1]:1", "2.2.2.2:2")), "1.1.1.1:1 2.2.2.2:2");
    assert_eq!(shown(pair("1.1.1.1:1", "[::1]:2")), "[::ffff:1.1.1.1]:1 [::1]:2");
}

#[test]
fn headers_are_expected_from_the_networks_that_were_named() {
    let settings = |unix| ProxyProtocolPlan {
        from: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        unix,
        timeout: std::time::Duration::from_secs(1),
        others: OtherPeers::Close,
    };
    let expected = |peer: &str| is_expected(&settings(false), Some(peer.parse().unwrap()));
    // A socket for both families has IPv4 addresses in the clothes of IPv6.
    assert!(
        expected("10.1.2.3:1") && expected("[::ffff:10.1.2.3]:1") && expected("[2001:db8::1]:1")
    );
    assert!(!expected("11.0.0.1:1") && !expected("[::1]:1"));
    assert!(is_expected(&settings(true), None) && !is_expected(&settings(false), None));
}

fn written() -> impl Strategy<Value = (Vec<u8>, Ends)> {
    let end = || (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from);
    let ends = prop::option::of((end(), end()).prop_map(|(a, b)| one_family(a, b)));
    let tlvs = vec((0xe0_u8..=0xf7, vec(any::<u8>(), 0..60)), 0..6);
    (ends, tlvs, any::<bool>(), any::<bool>()).prop_map(|(ends, tlvs, is_v1, has_checksum)| {
        let expected =
            ends.map_or(Ends::Own, |(source, destination)| Ends::Inet { source, destination });
        if is_v1 {
            return (line(ends), expected);
        }
        let mut draft = Draft::new(ends);
        for (kind, value) in &tlvs {
            draft.add(*kind, value);
        }
        (draft.finish(has_checksum), expected)
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read((bytes, expected) in written()) {
        prop_assert_eq!(header(&bytes).ends, expected);
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete((bytes, _) in written(), rest in vec(any::<u8>(), 0..20)) {
        for end in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..end]), Ok(Parsed::Incomplete), "cut at {}", end);
        }
        let more = [&bytes[..], &rest].concat();
        let is_whole = matches!(parse(&more), Ok(Parsed::Header(length, _)) if length == bytes.len());
        prop_assert!(is_whole);
    }

    #[test]
    fn no_bytes_harm(bytes in vec(any::<u8>(), 0..600)) {
        super::check(&bytes);
        super::check(&[&SIGNATURE[..], &[0x21], &bytes].concat());
        super::check(&[&b"PROXY TCP4 "[..], &bytes].concat());
    }
}
