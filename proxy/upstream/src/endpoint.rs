//! One address of a named service, with what is known of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::balance::Load;
use crate::health::Health;
use crate::limit::Breaker;

/// Where an endpoint is, as the operator said it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address.
    Ip(SocketAddr),
    /// A name to resolve.
    Name {
        /// Host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// The name of a service, to resolve to hosts and ports.
    Srv(Box<str>),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Srv(name) => write!(f, "srv:{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One address of a named service. Outlives snapshots: what was resolved stays known over a reload.
#[derive(Debug)]
pub struct Endpoint {
    address: Address,
    targets: ArcSwap<Vec<Target>>,
    next: AtomicUsize,
    load: Load,
    breaker: Breaker,
    health: Health,
}

impl Endpoint {
    /// An endpoint; one with a host name has no targets until [`Endpoint::resolved`] is called.
    #[must_use]
    pub fn new(address: Address) -> Self {
        let targets = match &address {
            Address::Ip(address) => vec![Target::Tcp(*address)],
            Address::Unix(path) => vec![Target::Unix(path.clone())],
            Address::Name { .. } | Address::Srv(_) => Vec::new(),
        };
        let targets = ArcSwap::from_pointee(targets);
        Self {
            address,
            targets,
            next: AtomicUsize::new(0),
            load: Load::default(),
            breaker: Breaker::default(),
            health: Health::default(),
        }
    }

    /// What it has to do, and how fast it does it.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Whether it is asked, where that depends on how often it fails.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether it may be asked, by what its answers and probes have shown.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Where it is, as the operator said it.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Takes over the addresses of its name. An empty answer keeps the last good one.
    pub fn resolved(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut targets: Vec<Target> = addresses.into_iter().map(Target::Tcp).collect();
        targets.sort_unstable_by_key(|target| target.to_string());
        targets.dedup();
        if !targets.is_empty() && targets != **self.targets.load() {
            self.targets.store(Arc::new(targets));
        }
    }

    /// How many addresses it has now.
    #[must_use]
    pub fn width(&self) -> usize {
        self.targets.load().len()
    }

    /// The next of its addresses, in turn; `None` while its name has never been resolved.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let targets = self.targets.load();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        targets.get(turn.checked_rem(targets.len())?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Endpoint {
        Endpoint::new(Address::Name { host: "origin.example".into(), port: 80 })
    }

    #[test]
    fn a_name_that_was_never_resolved_has_no_target() {
        assert_eq!(named().target(), None);
        assert_eq!(named().width(), 0);
    }

    #[test]
    fn the_addresses_of_a_name_take_turns() {
        let endpoint = named();
        endpoint.resolved(["127.0.0.2:80".parse().unwrap(), "127.0.0.1:80".parse().unwrap()]);
        let first = endpoint.target();
        assert_ne!(first, endpoint.target());
        assert_eq!(first, endpoint.target());
        assert_eq!(endpoint.width(), 2);
    }

    #[test]
    fn an_empty_answer_keeps_the_last_good_one() {
        let endpoint = named();
        endpoint.resolved(["127.0.0.2:80".parse().unwrap()]);
        endpoint.resolved([]);
        assert_eq!(endpoint.target(), Some(Target::Tcp("127.0.0.2:80".parse().unwrap())));
    }

    #[test]
    fn addresses_and_sockets_are_their_own_target() {
        let ip = Endpoint::new(Address::Ip("[::1]:8080".parse().unwrap()));
        assert_eq!(ip.target().unwrap().to_string(), "[::1]:8080");
        assert_eq!(ip.address().to_string(), "[::1]:8080");
        let unix = Endpoint::new(Address::Unix("/run/app.sock".into()));
        assert_eq!(unix.target().unwrap().to_string(), "unix:/run/app.sock");
        assert_eq!(unix.address().to_string(), "unix:/run/app.sock");
        assert_eq!(named().address().to_string(), "origin.example:80");
    }
}
