//! From the name of an endpoint to addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::{join, join_all};
use switchback_upstream::Address;

use super::dns::{self, Kind, Service};
use super::names::Found;
use super::system::System;

/// How long what no record tells the time of holds.
const UNTOLD: Duration = Duration::from_secs(30);
/// The most hosts that are taken of one service.
const MOST_HOSTS: usize = 100;

/// What a name stands for, and how long that holds.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) found: Vec<Found>,
    pub(super) holds: Duration,
}

/// Asks `servers`, or those of the system when there are none.
pub(super) async fn lookup(name: &Address, servers: &[SocketAddr]) -> Result<Lookup, String> {
    let system = tokio::task::spawn_blocking(System::read).await.unwrap_or_default();
    let own = if servers.is_empty() { &system.servers[..] } else { servers };
    let asker = Asker { system: &system, servers: own, may_ask_system: servers.is_empty() };
    let lookup = match name {
        Address::Name { host, port } => asker.host(host, (*port, 1)).await?,
        Address::Srv(name) => asker.service(name).await?,
        Address::Ip(_) | Address::Unix(_) => return Err("it is no name".to_owned()),
    };
    match lookup.found.is_empty() {
        true => Err("the answer is empty".to_owned()),
        false => Ok(lookup),
    }
}

/// The addresses of a host, wherever it is told of; none where everybody says that there is no such name.
pub(super) async fn addresses(host: &str, servers: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
    let system = tokio::task::spawn_blocking(System::read).await.unwrap_or_default();
    let own = if servers.is_empty() { &system.servers[..] } else { servers };
    let asker = Asker { system: &system, servers: own, may_ask_system: servers.is_empty() };
    let (addresses, _) = asker.addresses(host).await?;
    Ok(addresses)
}

/// The names of an address, as its PTR records say.
pub(super) async fn names_of(
    address: IpAddr,
    servers: &[SocketAddr],
) -> Result<Vec<String>, String> {
    let system = tokio::task::spawn_blocking(System::read).await.unwrap_or_default();
    let own = if servers.is_empty() { &system.servers[..] } else { servers };
    Ok(dns::ask(own, &reversed(address), Kind::Ptr).await?.names)
}

/// The name that the PTR records of an address have (RFC 1035, 3.5; RFC 3596, 2.5).
fn reversed(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let octets = address.octets();
            let digits =
                octets.iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            digits.collect::<String>() + "ip6.arpa."
        }
    }
}

struct Asker<'a> {
    system: &'a System,
    servers: &'a [SocketAddr],
    /// Whether the system's own resolver may know more than its name servers.
    may_ask_system: bool,
}

impl Asker<'_> {
    async fn host(&self, host: &str, (port, weight): (u16, u32)) -> Result<Lookup, String> {
        let (addresses, holds) = self.addresses(host).await?;
        if addresses.is_empty() {
            return Err("there is no such name".to_owned());
        }
        let found = addresses.into_iter().map(|address| Found {
            address: SocketAddr::new(address, port),
            rank: 0,
            host: host.into(),
            weight,
        });
        Ok(Lookup { found: found.collect(), holds })
    }

    /// None where all name servers say so.
    async fn addresses(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let own = self.system.addresses(host);
        if !own.is_empty() {
            return Ok((own, UNTOLD));
        }
        let mut failure = None;
        for name in self.system.candidates(host) {
            let asked = join(
                dns::ask(self.servers, &name, Kind::A),
                dns::ask(self.servers, &name, Kind::Aaaa),
            );
            let (v4, v6) = asked.await;
            let mut addresses = Vec::new();
            let mut ttl = u32::MAX;
            for answer in [v4, v6] {
                match answer {
                    Ok(answer) if !answer.addresses.is_empty() => {
                        ttl = ttl.min(answer.ttl);
                        addresses.extend(answer.addresses);
                    }
                    Ok(_) => {}
                    Err(reason) => failure = Some(reason),
                }
            }
            if !addresses.is_empty() {
                return Ok((addresses, Duration::from_secs(ttl.into())));
            }
        }
        if self.may_ask_system {
            // It may know of directories and of multicast.
            if let Ok(found) = tokio::net::lookup_host((host, 0)).await {
                return Ok((found.map(|address| address.ip()).collect(), UNTOLD));
            }
        }
        failure.map_or_else(|| Ok((Vec::new(), UNTOLD)), Err)
    }

    /// The hosts of all priorities, those of the first one first.
    async fn service(&self, name: &str) -> Result<Lookup, String> {
        let mut answer = dns::Answer::default();
        for candidate in self.system.candidates(name) {
            answer = dns::ask(self.servers, &candidate, Kind::Srv).await?;
            if !answer.services.is_empty() {
                break;
            }
        }
        let hosts = ranked(&answer.services).into_iter().take(MOST_HOSTS);
        let hosts = hosts.map(|Ranked { service, rank, weight }| {
            let host = format!("{}.", service.host);
            async move {
                let lookup = self.host(&host, (service.port, weight)).await;
                lookup.map(|lookup| lookup.named(&service.host, rank))
            }
        });
        let mut whole = Lookup { found: Vec::new(), holds: Duration::from_secs(answer.ttl.into()) };
        let mut failure = None;
        for lookup in join_all(hosts).await {
            match lookup {
                Ok(lookup) => {
                    whole.holds = whole.holds.min(lookup.holds);
                    whole.found.extend(lookup.found);
                }
                Err(reason) => failure = Some(reason),
            }
        }
        match failure {
            // One host of several that cannot be found now is gone from the answer, but not for long.
            Some(reason) if whole.found.is_empty() => Err(reason),
            Some(_) => Ok(Lookup { holds: Duration::ZERO, ..whole }),
            None => Ok(whole),
        }
    }
}

impl Lookup {
    fn named(mut self, host: &str, rank: u8) -> Self {
        for found in &mut self.found {
            (found.host, found.rank) = (host.into(), rank);
        }
        self
    }
}

/// A service among the others.
#[derive(Debug, PartialEq, Eq)]
struct Ranked<'s> {
    service: &'s Service,
    /// How many priorities come before its own.
    rank: u8,
    /// Its share among those of its priority; the greatest of them is 100, the least 1.
    weight: u32,
}

/// By priority, the first one first (RFC 2782).
fn ranked(services: &[Service]) -> Vec<Ranked<'_>> {
    let mut priorities: Vec<u16> = services.iter().map(|service| service.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let mut all = Vec::with_capacity(services.len());
    for (rank, priority) in priorities.into_iter().enumerate() {
        let alike = || services.iter().filter(|service| service.priority == priority);
        let heaviest = alike().map(|service| service.weight).max().unwrap_or(0);
        all.extend(alike().map(|service| {
            let share = u32::from(service.weight) * 100 / u32::from(heaviest).max(1);
            let weight = if heaviest == 0 { 1 } else { share.max(1) };
            Ranked { service, rank: u8::try_from(rank).unwrap_or(u8::MAX), weight }
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reversed_for_their_names() {
        let of = |text: &str| reversed(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), "7.2.0.192.in-addr.arpa.");
        assert_eq!(of("::ffff:192.0.2.7"), "7.2.0.192.in-addr.arpa.");
        let expected = "8.".to_owned() + &"0.".repeat(23) + "8.b.d.0.1.0.0.2.ip6.arpa.";
        assert_eq!(of("2001:db8::8"), expected);
    }

    /// A name server that knows nobody.
    async fn nobody() -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                // The question without what it has beside.
                let mut answer = packet[..length - 11].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
                let _ = socket.send_to(&answer, from).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn who_has_no_name_and_whose_name_is_none_is_no_failure() {
        let servers = [nobody().await];
        assert_eq!(addresses("nobody.example.", &servers).await, Ok(Vec::new()));
        assert_eq!(names_of(IpAddr::from([192, 0, 2, 7]), &servers).await, Ok(Vec::new()));
        let endpoint = Address::Name { host: "nobody.example.".into(), port: 80 };
        assert_eq!(lookup(&endpoint, &servers).await.unwrap_err(), "there is no such name");
        // Whose server fails is not known to be none.
        assert!(addresses("nobody.example.", &["127.0.0.1:1".parse().unwrap()]).await.is_err());
    }

    #[test]
    fn shares_are_those_among_hosts_of_the_same_priority() {
        let service = |priority, weight| Service { priority, weight, port: 1, host: "a".into() };
        let services = [service(20, 7), service(10, 60), service(10, 30), service(30, 0)];
        let told: Vec<_> = ranked(&services).iter().map(|one| (one.rank, one.weight)).collect();
        assert_eq!(told, [(0, 100), (0, 50), (1, 100), (2, 1)]);
    }
}
