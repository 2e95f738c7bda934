//! By the client's address, as nginx's `ip_hash`: the same client goes to the same endpoint for as long as that is there.

use std::net::IpAddr;

use super::Line;

/// How often nginx looks further before it takes whoever is next in turn.
const MOST: usize = 20;

/// The endpoint of `client`, or the next one in nginx's order that may be had.
///
/// The first three octets of an IPv4 address count, all of an IPv6 address, and a client without one is three zeros.
pub(super) fn pick(
    line: &Line,
    client: Option<IpAddr>,
    may: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut hash = FIRST;
    (0..=MOST).find_map(|_| {
        hash = match client.map(|client| client.to_canonical()) {
            Some(IpAddr::V4(ip)) => ip.octets().iter().take(3).fold(hash, further),
            Some(IpAddr::V6(ip)) => ip.octets().iter().fold(hash, further),
            None => [0; 3].iter().fold(hash, further),
        };
        line.at(hash.checked_rem(line.total())?).filter(|index| may(*index))
    })
}

const FIRST: u32 = 89;

fn further(hash: u32, octet: &u8) -> u32 {
    (hash * 113 + u32::from(*octet)) % 6271
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new([(0, 1), (1, 2), (2, 1)])
    }

    fn of(client: &str) -> Option<usize> {
        pick(&line(), Some(client.parse().unwrap()), |_| true)
    }

    /// By hand: ((89 x 113 + 192) mod 6271 = 3978; x 113 + 0 mod 6271 = 4273; x 113 + 2 mod 6271 = 6255) mod 4 = 3.
    #[test]
    fn the_first_three_octets_count() {
        assert_eq!(of("192.0.2.1"), Some(2));
        assert_eq!(of("192.0.2.250"), Some(2));
        assert_eq!(of("::ffff:192.0.2.7"), Some(2));
    }

    #[test]
    fn clients_are_spread_by_weight() {
        let mut counts = [0; 3];
        for number in 0..6_000_u32 {
            let client = IpAddr::from((number * 256).to_be_bytes());
            counts[pick(&line(), Some(client), |_| true).unwrap()] += 1;
        }
        assert!(counts[1] > 2 * 1_300 && counts[0] > 1_300 && counts[2] > 1_300, "{counts:?}");
    }

    #[test]
    fn somebody_else_stands_in_and_always_the_same() {
        let client = Some("192.0.2.1".parse().unwrap());
        let stand_in = pick(&line(), client, |index| index != 2);
        assert!(stand_in.is_some_and(|index| index != 2));
        assert_eq!(pick(&line(), client, |index| index != 2), stand_in);
        assert_eq!(pick(&line(), client, |_| false), None);
        assert_eq!(pick(&line(), None, |_| true), pick(&line(), None, |_| true));
        assert_ne!(of("2001:db8::1"), None);
    }
}
