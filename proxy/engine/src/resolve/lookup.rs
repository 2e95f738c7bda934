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

/// The addresses of a host, wherever it is told of.
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
        let found = addresses.into_iter().map(|address| Found {
            address: SocketAddr::new(address, port),
            host: host.into(),
            weight,
        });
        Ok(Lookup { found: found.collect(), holds })
    }

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
        Err(failure.unwrap_or_else(|| "there is no such name".to_owned()))
    }

    /// The hosts of the first priority.
    async fn service(&self, name: &str) -> Result<Lookup, String> {
        let mut answer = dns::Answer::default();
        for candidate in self.system.candidates(name) {
            answer = dns::ask(self.servers, &candidate, Kind::Srv).await?;
            if !answer.services.is_empty() {
                break;
            }
        }
        let first = answer.services.iter().map(|service| service.priority).min();
        let services: Vec<&Service> =
            answer.services.iter().filter(|one| Some(one.priority) == first).collect();
        let heaviest = services.iter().map(|service| service.weight).max().unwrap_or(0);
        let hosts = services.into_iter().take(MOST_HOSTS).map(|service| {
            let share = u32::from(service.weight) * 100 / u32::from(heaviest).max(1);
            let weight = if heaviest == 0 { 1 } else { share.max(1) };
            let host = format!("{}.", service.host);
            async move {
                let lookup = self.host(&host, (service.port, weight)).await;
                lookup.map(|lookup| lookup.named(&service.host))
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
    fn named(mut self, host: &str) -> Self {
        self.found.iter_mut().for_each(|found| found.host = host.into());
        self
    }
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
}
