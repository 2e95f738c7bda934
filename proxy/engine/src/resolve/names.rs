//! What the names of endpoints stand for, as far as it is known. Outlives snapshots.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_conf::plan::{EndpointAddress, EndpointPlan, ResolvePlan};
use switchback_upstream::{Address, Member};

/// One of the addresses that a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Where.
    pub(crate) address: SocketAddr,
    /// How many priorities come before its own (RFC 2782): those of the first are asked, others stand in for them.
    pub(crate) rank: u8,
    /// The host that has it.
    pub(crate) host: Box<str>,
    /// Its share among the others, at least 1.
    pub(crate) weight: u32,
}

/// The last good answers.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<Address, Known>>);

/// The most that an endpoint weighs, as in a configuration.
const MOST_WEIGHT: u32 = 1_000;

/// A good answer.
#[derive(Debug)]
struct Known {
    found: Arc<[Found]>,
    /// When it came.
    came: Instant,
    /// How long it holds, as its records say.
    holds: Duration,
}

impl Names {
    /// What `name` stands for, if that was ever known.
    pub(crate) fn find(&self, name: &Address) -> Option<Arc<[Found]>> {
        self.0.lock().get(name).map(|known| Arc::clone(&known.found))
    }

    /// When what is known of `name` holds no longer.
    pub(crate) fn due(&self, name: &Address, bounds: ResolvePlan) -> Option<Instant> {
        let names = self.0.lock();
        names.get(name).map(|known| known.came + known.holds.clamp(bounds.min, bounds.max))
    }

    /// Takes an answer over, in whatever order it is. Whether it says anything new; an empty one does not.
    pub(crate) fn take(&self, name: &Address, mut found: Vec<Found>, holds: Duration) -> bool {
        found.sort_unstable();
        found.dedup_by(|one, other| one.address == other.address);
        let mut names = self.0.lock();
        if found.is_empty() {
            return false;
        }
        let is_new = names.get(name).is_none_or(|known| *known.found != *found);
        let known = Known { found: found.into(), came: Instant::now(), holds };
        names.insert(name.clone(), known);
        is_new
    }

    /// Forgets all names but these.
    pub(crate) fn keep(&self, is_known: impl Fn(&Address) -> bool) {
        self.0.lock().retain(|name, _| is_known(name));
    }

    /// These endpoints with each address of a name as one of its own. A name that nobody has resolved yet stays.
    pub(crate) fn expand(&self, endpoints: &[EndpointPlan]) -> Vec<EndpointPlan> {
        let mut expanded: Vec<EndpointPlan> = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let Some(found) = name_of(&endpoint.address).and_then(|name| self.find(&name)) else {
                expanded.push(endpoint.clone());
                continue;
            };
            for one in found.iter() {
                let address = EndpointAddress::Ip(one.address);
                // Two names may stand for one address.
                if expanded.iter().any(|known| known.address == address) {
                    continue;
                }
                let weight = endpoint.weight.saturating_mul(one.weight).min(MOST_WEIGHT);
                expanded.push(EndpointPlan {
                    address,
                    host: Some(one.host.clone()),
                    weight,
                    tier: tier(endpoint.tier, one.rank),
                    ..endpoint.clone()
                });
            }
        }
        expanded
    }
}

/// The tier of an address of this rank, whose name is in this tier.
fn tier(tier: u8, rank: u8) -> u8 {
    match rank.checked_sub(1) {
        None => tier,
        Some(further) => tier.max(Member::BACKUPS).saturating_add(further),
    }
}

/// The name that an address is, if it is one.
pub(crate) fn name_of(address: &EndpointAddress) -> Option<Address> {
    match address {
        EndpointAddress::Name { host, port } => {
            Some(Address::Name { host: host.clone(), port: *port })
        }
        EndpointAddress::Srv(name) => Some(Address::Srv(name.clone())),
        EndpointAddress::Ip(_) | EndpointAddress::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    fn found(addresses: &[&str]) -> Vec<Found> {
        let one = |address: &&str| Found {
            address: address.parse().unwrap(),
            rank: 0,
            host: "app.example".into(),
            weight: 1,
        };
        addresses.iter().map(one).collect()
    }

    #[test]
    fn what_comes_after_the_first_priority_is_a_backup_of_what_is_one_already() {
        let tiers = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (2, 1), (3, 2)];
        assert_eq!(tiers.map(|(of, rank)| tier(of, rank)), [0, 1, 2, 2, 3, 2, 4]);
        assert_eq!(tier(250, 255), 255);
    }

    #[test]
    fn an_address_of_two_priorities_has_the_first() {
        let (names, name) = (Names::default(), Address::Srv("app".into()));
        let mut twice = found(&["10.0.0.1:80", "10.0.0.1:80"]);
        twice[0].rank = 1;
        names.take(&name, twice, SHORT);
        let ranks: Vec<u8> = names.find(&name).unwrap().iter().map(|one| one.rank).collect();
        assert_eq!(ranks, [0]);
    }

    #[test]
    fn the_last_good_answer_stays_and_order_means_nothing() {
        let (names, name) = (Names::default(), Address::Srv("app".into()));
        assert!(names.take(&name, found(&["10.0.0.2:80", "10.0.0.1:80"]), SHORT));
        assert!(!names.take(&name, found(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:80"]), SHORT));
        assert!(!names.take(&name, Vec::new(), SHORT));
        assert_eq!(names.find(&name).unwrap().len(), 2);
        assert!(names.take(&name, found(&["10.0.0.3:80"]), SHORT));
        names.keep(|_| false);
        assert_eq!(names.find(&name), None);
    }
}
