//! How many requests may be in progress at once: counted when the route is known, until the request is over.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use parking_lot::Mutex;
use pingora_http::RequestHeader;
use switchback_conf::plan::ConcurrencyPlan;
use switchback_value::Facts as _;

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};

/// A limit as one snapshot has it, with the counts that all snapshots share.
#[derive(Debug)]
pub(crate) struct Limit {
    /// How many.
    pub(crate) plan: ConcurrencyPlan,
    /// How many there are.
    pub(crate) gate: Arc<Gate>,
}

/// Counts the request, for its site and for its route, or refuses it.
pub(crate) fn enter(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let of_site = context.site().and_then(|site| site.concurrency.as_ref());
    let of_route = context.place.route.and_then(|id| context.snapshot.route_limit(id));
    if of_site.is_none() && of_route.is_none() {
        return Ok(());
    }
    let mut held = Vec::with_capacity(2);
    for limit in of_site.into_iter().chain(of_route) {
        let key = limit.plan.per_client.and_then(|_| client_key(&limit.plan, head, context));
        let passed = limit.gate.enter(&limit.plan, key);
        held.push(passed.map_err(|full| full.fault(limit.plan.status))?);
    }
    context.held = held;
    Ok(())
}

/// What makes the client; `None` is not counted.
fn client_key(
    plan: &ConcurrencyPlan,
    head: &RequestHeader,
    context: &Context,
) -> Option<ClientKey> {
    let facts = RequestFacts::new(head, context);
    let Some(template) = &plan.key else { return facts.client_ip().map(ClientKey::of) };
    let mut text = Vec::new();
    template.render(&facts, &mut text);
    text.truncate(MOST_KEY);
    (!text.is_empty()).then(|| ClientKey::Text(text.into()))
}

/// Bytes of a client's key.
const MOST_KEY: usize = 255;

/// What makes a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ClientKey {
    V4([u8; 4]),
    /// The network that one customer is given.
    V6([u8; 8]),
    Text(Box<[u8]>),
}

impl ClientKey {
    fn of(client: IpAddr) -> Self {
        match client.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let mut network = [0; 8];
                network.iter_mut().zip(ip.octets()).for_each(|(to, from)| *to = from);
                Self::V6(network)
            }
        }
    }
}

/// What is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The client has as many as it may.
    Client,
    /// All of them together.
    Total,
    /// There are more clients at once than are counted.
    Clients,
}

impl Full {
    fn fault(self, status: StatusCode) -> Fault {
        let reason = match self {
            Self::Client => "too many requests of this client at once: `concurrency.per_client`",
            Self::Total => "too many requests at once: `concurrency.total`",
            Self::Clients => {
                "more than 65,536 clients at once: `concurrency.per_client` counts no more"
            }
        };
        Fault::client(Kind::Refused(status), reason)
    }
}

/// Clients that are counted at once; those beyond are refused, as in nginx when its zone is full.
const SHARDS: usize = 16;
const CLIENTS_IN_SHARD: usize = 4_096;

/// The requests in progress behind one limit.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    total: AtomicU32,
    hasher: RandomState,
    /// Only clients that have requests in progress. Each worker holds a lock for one look-up.
    clients: [Mutex<HashMap<ClientKey, u32>>; SHARDS],
}

impl Gate {
    /// Counts one request more.
    pub(crate) fn enter(
        self: &Arc<Self>,
        plan: &ConcurrencyPlan,
        client: Option<ClientKey>,
    ) -> Result<Held, Full> {
        // From here on it is counted, and given back when `held` is dropped.
        let before = self.total.fetch_add(1, Ordering::Relaxed);
        let mut held = Held { gate: Arc::clone(self), client: None };
        if plan.total.is_some_and(|most| before >= most) {
            return Err(Full::Total);
        }
        if let (Some(most), Some(client)) = (plan.per_client, client) {
            self.count(&client, most)?;
            held.client = Some(client);
        }
        Ok(held)
    }

    fn count(&self, client: &ClientKey, most: u32) -> Result<(), Full> {
        let mut clients = self.shard(client).lock();
        let known = clients.len();
        match clients.get_mut(client) {
            Some(count) if *count >= most => Err(Full::Client),
            Some(count) => {
                *count += 1;
                Ok(())
            }
            None if known >= CLIENTS_IN_SHARD => Err(Full::Clients),
            None => {
                clients.insert(client.clone(), 1);
                Ok(())
            }
        }
    }

    fn release(&self, client: &ClientKey) {
        let mut clients = self.shard(client).lock();
        let Some(count) = clients.get_mut(client) else { return };
        *count -= 1;
        if *count == 0 {
            clients.remove(client);
        }
        if clients.is_empty() && clients.capacity() > ROOM {
            clients.shrink_to(ROOM);
        }
    }

    fn shard(&self, client: &ClientKey) -> &Mutex<HashMap<ClientKey, u32>> {
        let number = self.hasher.hash_one(client) as usize % SHARDS;
        self.clients.get(number).unwrap_or(&self.clients[0])
    }
}

/// Clients for which an idle shard keeps room.
const ROOM: usize = 64;

/// One request in progress, until it is dropped: whichever way the request ends.
#[derive(Debug)]
pub(crate) struct Held {
    gate: Arc<Gate>,
    client: Option<ClientKey>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = &self.client {
            self.gate.release(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(per_client: Option<u32>, total: Option<u32>) -> ConcurrencyPlan {
        ConcurrencyPlan { per_client, total, key: None, status: StatusCode::SERVICE_UNAVAILABLE }
    }

    fn client(ip: &str) -> Option<ClientKey> {
        Some(ClientKey::of(ip.parse().unwrap()))
    }

    fn is_idle(gate: &Gate) -> bool {
        gate.total.load(Ordering::Relaxed) == 0
            && gate.clients.iter().all(|shard| shard.lock().is_empty())
    }

    #[test]
    fn a_client_has_its_share_and_others_have_theirs() {
        let gate = Arc::new(Gate::default());
        let plan = plan(Some(2), None);
        let first = gate.enter(&plan, client("192.0.2.1")).unwrap();
        let _second = gate.enter(&plan, client("192.0.2.1")).unwrap();
        assert_eq!(gate.enter(&plan, client("192.0.2.1")).unwrap_err(), Full::Client);
        let _other = gate.enter(&plan, client("192.0.2.2")).unwrap();
        drop(first);
        let _again = gate.enter(&plan, client("::ffff:192.0.2.1")).unwrap();
        assert_eq!(gate.enter(&plan, client("192.0.2.1")).unwrap_err(), Full::Client);
    }

    #[test]
    fn all_together_have_a_limit_too_and_a_refusal_counts_for_nobody() {
        let gate = Arc::new(Gate::default());
        let plan = plan(Some(1), Some(2));
        let held = [client("192.0.2.1"), client("192.0.2.2")]
            .map(|client| gate.enter(&plan, client).unwrap());
        assert_eq!(gate.enter(&plan, client("192.0.2.3")).unwrap_err(), Full::Total);
        assert_eq!(gate.enter(&plan, None).unwrap_err(), Full::Total);
        drop(held);
        assert!(is_idle(&gate));
    }

    #[test]
    fn clients_of_one_v6_network_are_one() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    #[test]
    fn a_limit_that_is_raised_or_lowered_counts_those_that_are_here() {
        let gate = Arc::new(Gate::default());
        let _held = [0, 1, 2].map(|_| gate.enter(&plan(Some(3), None), client("::1")).unwrap());
        assert_eq!(gate.enter(&plan(Some(2), None), client("::1")).unwrap_err(), Full::Client);
        assert!(gate.enter(&plan(Some(4), None), client("::1")).is_ok());
    }

    #[test]
    fn more_clients_than_are_counted_are_refused_and_forgotten_when_they_go() {
        let gate = Arc::new(Gate::default());
        let plan = plan(Some(1), None);
        let key = |number: u32| Some(ClientKey::V4(number.to_be_bytes()));
        let mut held = Vec::new();
        let refused = loop {
            match gate.enter(&plan, key(held.len() as u32)) {
                Ok(one) => held.push(one),
                Err(full) => break full,
            }
        };
        assert_eq!(refused, Full::Clients);
        assert!((SHARDS..=SHARDS * CLIENTS_IN_SHARD).contains(&held.len()), "{}", held.len());
        drop(held);
        assert!(is_idle(&gate));
        assert!(gate.clients.iter().all(|shard| shard.lock().capacity() <= 4 * ROOM));
    }
}
