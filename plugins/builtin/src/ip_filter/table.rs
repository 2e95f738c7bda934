//! Networks, and what is said of the most specific one that has an address.

use std::net::IpAddr;

use ipnet::IpNet;

/// What is said of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Its addresses may pass.
    Allow,
    /// They may not.
    Deny,
}

/// A table that is asked in about 17 steps where it has 100,000 networks: all borders in order, and what holds from each to the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    four: Family,
    six: Family,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    /// Where something else begins to hold than before.
    starts: Box<[u128]>,
    /// What holds from there.
    verdicts: Box<[Option<Verdict>]>,
}

impl Table {
    /// Of networks in any order. Of one that is there with both verdicts, `Deny` holds.
    pub(super) fn new(nets: impl IntoIterator<Item = (IpNet, Verdict)>) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for (net, verdict) in nets {
            let net = canonical(net);
            let range =
                Range { first: number(net.network()), last: number(net.broadcast()), verdict };
            match net {
                IpNet::V4(_) => four.push(range),
                IpNet::V6(_) => six.push(range),
            }
        }
        Self { four: Family::new(four), six: Family::new(six) }
    }

    /// What is said of the most specific network that has `address`.
    pub(super) fn verdict(&self, address: IpAddr) -> Option<Verdict> {
        let address = address.to_canonical();
        let family = if address.is_ipv4() { &self.four } else { &self.six };
        family.verdict(number(address))
    }
}

#[derive(Clone, Copy)]
struct Range {
    first: u128,
    last: u128,
    verdict: Verdict,
}

impl Family {
    fn new(mut ranges: Vec<Range>) -> Self {
        // Whoever holds others comes before them; of the same network, `Deny` comes last.
        ranges.sort_unstable_by_key(|range| (range.first, u128::MAX - range.last, range.verdict));
        let mut borders = Borders::default();
        // Those that have the place at hand, each within the one before it.
        let mut open: Vec<Range> = Vec::new();
        for range in ranges {
            close(&mut open, &mut borders, |inner| inner.last < range.first);
            borders.add(range.first, Some(range.verdict));
            open.push(range);
        }
        close(&mut open, &mut borders, |_| true);
        let (starts, verdicts) = borders.0.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        Self { starts: starts.into(), verdicts: verdicts.into() }
    }

    fn verdict(&self, address: u128) -> Option<Verdict> {
        let behind = self.starts.partition_point(|start| *start <= address);
        *self.verdicts.get(behind.checked_sub(1)?)?
    }
}

fn close(open: &mut Vec<Range>, borders: &mut Borders, ends: impl Fn(&Range) -> bool) {
    while let Some(inner) = open.pop_if(|inner| ends(inner)) {
        // Behind the last address, nothing begins.
        if let Some(behind) = inner.last.checked_add(1) {
            borders.add(behind, open.last().map(|outer| outer.verdict));
        }
    }
}

#[derive(Default)]
struct Borders(Vec<(u128, Option<Verdict>)>);

impl Borders {
    /// What is said later of the same place holds; what changes nothing is left out.
    fn add(&mut self, start: u128, verdict: Option<Verdict>) {
        self.0.pop_if(|(last, _)| *last == start);
        let before = self.0.last().and_then(|(_, before)| *before);
        if before != verdict {
            self.0.push((start, verdict));
        }
    }
}

/// Networks of IPv4 written as IPv6 (`::ffff:10.0.0.0/104`) are those of IPv4.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let four = (six.prefix_len() >= 96).then(|| six.network().to_ipv4_mapped()).flatten();
    let four = four.and_then(|address| IpNet::new(address.into(), six.prefix_len() - 96).ok());
    four.unwrap_or(net)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn table(nets: &[(&str, Verdict)]) -> Table {
        Table::new(nets.iter().map(|(net, verdict)| (net.parse().unwrap(), *verdict)))
    }

    #[test]
    fn the_most_specific_network_decides() {
        use Verdict::{Allow, Deny};
        let table = table(&[
            ("10.0.0.0/8", Allow),
            ("10.1.0.0/16", Deny),
            ("10.1.2.0/24", Allow),
            ("::/0", Deny),
            ("::ffff:192.168.0.0/112", Allow),
            ("255.255.255.255/32", Deny),
        ]);
        let verdict = |address: &str| table.verdict(address.parse().unwrap());
        assert_eq!(verdict("10.0.0.0"), Some(Allow));
        assert_eq!(verdict("10.1.0.0"), Some(Deny));
        assert_eq!(verdict("10.1.2.255"), Some(Allow));
        assert_eq!(verdict("10.1.3.0"), Some(Deny));
        assert_eq!(verdict("10.2.0.0"), Some(Allow));
        assert_eq!(verdict("11.0.0.0"), None);
        assert_eq!(verdict("::ffff:10.0.0.1"), Some(Allow), "as IPv4");
        assert_eq!(verdict("192.169.0.1"), None);
        assert_eq!(verdict("192.168.0.1"), Some(Allow));
        assert_eq!(verdict("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), Some(Deny));
        assert_eq!(verdict("255.255.255.255"), Some(Deny));
    }

    /// One after another, as long as it takes.
    fn naive(nets: &[(IpNet, Verdict)], address: IpAddr) -> Option<Verdict> {
        let address = address.to_canonical();
        let having = nets.iter().map(|(net, verdict)| (canonical(*net), *verdict));
        let having = having.filter(|(net, _)| net.contains(&address));
        having.max_by_key(|(net, verdict)| (net.prefix_len(), *verdict)).map(|(_, verdict)| verdict)
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        // Few different bits, so that networks hold each other and addresses.
        let four =
            prop::sample::select(vec![0_u32, 1, 255, 256, 0x0a00_0000, 0x0a00_0001, u32::MAX]);
        let six = prop::sample::select(vec![0_u128, 1, 0xffff_0a00_0001, 1 << 127, u128::MAX]);
        prop_oneof![
            four.prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits & 0x0300_0003).into()),
            six.prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        ]
    }

    fn net() -> impl Strategy<Value = (IpNet, Verdict)> {
        (address(), 0_u8..=128, any::<bool>()).prop_map(|(address, prefix, allow)| {
            let longest = if address.is_ipv4() { 32 } else { 128 };
            let net = IpNet::new(address, prefix % (longest + 1)).unwrap().trunc();
            (net, if allow { Verdict::Allow } else { Verdict::Deny })
        })
    }

    proptest! {
        #[test]
        fn it_says_what_asking_each_network_says(
            nets in prop::collection::vec(net(), 0..40),
            addresses in prop::collection::vec(address(), 1..40),
        ) {
            let table = Table::new(nets.iter().copied());
            let borders = nets.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]);
            for address in addresses.into_iter().chain(borders) {
                prop_assert_eq!(table.verdict(address), naive(&nets, address), "{}", address);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_networks_are_a_hundred_thousand_borders() {
        let nets = (0..100_000_u32).map(|index| {
            let address = Ipv4Addr::from_bits(index << 12);
            (IpNet::new(address.into(), 24).unwrap(), Verdict::Deny)
        });
        let table = Table::new(nets);
        assert_eq!(table.four.starts.len(), 200_000);
        assert_eq!(table.verdict("0.0.16.255".parse().unwrap()), Some(Verdict::Deny));
        assert_eq!(table.verdict("0.0.17.0".parse().unwrap()), None);
    }
}
