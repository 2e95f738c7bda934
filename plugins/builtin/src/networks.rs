//! Sets of networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// A set of networks, of IPv4 and IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    /// First and last address, in order, apart from each other; IPv4 as it is mapped into IPv6.
    ranges: Vec<(u128, u128)>,
}

impl Networks {
    /// All that are in one of these.
    pub(crate) fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let range = |network: IpNet| (number(network.network()), number(network.broadcast()));
        let mut all: Vec<_> = networks.into_iter().map(range).collect();
        all.sort_unstable();
        let mut ranges: Vec<(u128, u128)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    /// Whether `address` is in one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let behind = self.ranges.partition_point(|(first, _)| *first <= address);
        let range = behind.checked_sub(1).and_then(|index| self.ranges.get(index));
        range.is_some_and(|(_, last)| address <= *last)
    }
}

fn number(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.to_bits()
}

/// A network, or an address alone.
///
/// # Errors
///
/// It is neither.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(address);
    network.ok_or_else(|| {
        format!("`{text}` is no network: write it as in 10.0.0.0/8 or 2001:db8::/32")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_address_is_in_the_set_if_it_is_in_any_network(
            networks in proptest::collection::vec((0_u32..2048, 21_u8..=32), 0..12),
            addresses in proptest::collection::vec(0_u32..2560, 20),
        ) {
            let networks: Vec<IpNet> = networks
                .into_iter()
                .map(|(address, bits)| IpNet::new(std::net::Ipv4Addr::from_bits(address).into(), bits).unwrap())
                .collect();
            let set = Networks::new(networks.clone());
            for address in addresses {
                let address = IpAddr::from(std::net::Ipv4Addr::from_bits(address));
                let expected = networks.iter().any(|network| network.contains(&address));
                prop_assert_eq!(set.contains(address), expected, "{}", address);
            }
        }
    }

    #[test]
    fn both_families_are_told_apart_but_for_mapped_addresses() {
        let set = Networks::new(["10.0.0.0/8", "2001:db8::/32"].map(|text| network(text).unwrap()));
        assert!(set.contains("10.1.2.3".parse().unwrap()));
        assert!(set.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(set.contains("2001:db8:1::1".parse().unwrap()));
        assert!(!set.contains("::a00:1".parse().unwrap()));
        assert!(!set.contains("11.0.0.1".parse().unwrap()));
        assert!(network("10.0.0.0/33").is_err() && network("example").is_err());
        assert_eq!(network("::1").unwrap().prefix_len(), 128);
    }
}
