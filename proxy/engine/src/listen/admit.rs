//! How many connections are taken: in all, from one client, and in a time. For each listener and for the process.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_conf::plan::ConnectionsPlan;

use crate::metrics::Gauge;

/// Connections in the count of one listener or of the process. Survives reloads.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    open: Gauge,
    clients: Clients,
    pace: Pace,
}

/// Counts, and the limits of the plan in force.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    plan: ConnectionsPlan,
    counts: Arc<Counts>,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are too many in all.
    Total,
    /// There are too many of this client.
    Client,
}

/// Leave to be open, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Admitted {
    places: [Option<Place>; 2],
}

/// A place in the counts of one listener or of the process.
#[derive(Debug)]
struct Place {
    limits: Limits,
    client: Option<Client>,
}

impl Limits {
    /// Limits that are counted here.
    pub(crate) fn new(plan: ConnectionsPlan, counts: Arc<Counts>) -> Self {
        Self { plan, counts }
    }

    /// How long to wait before the next accept, now that there was one.
    pub(crate) fn pause(&self, now: Instant) -> Duration {
        self.plan.interval.map_or(Duration::ZERO, |interval| self.counts.pace.take(interval, now))
    }

    fn enter(&self, address: Option<IpAddr>) -> Result<Option<Place>, Refused> {
        if self.plan.total.is_none() && self.plan.per_client.is_none() {
            return Ok(None);
        }
        self.counts.open.up();
        let mut place = Place { limits: self.clone(), client: None };
        if self.plan.total.is_some_and(|most| self.counts.open.value() > u64::from(most)) {
            return Err(Refused::Total);
        }
        place.count(address)?;
        Ok(Some(place))
    }
}

/// Whether a connection from `address` is taken, by its listener and by the process; without an address it counts in totals
/// alone, until it is known whose it is. `None` where nothing is limited.
pub(crate) fn connection(
    limits: [&Limits; 2],
    address: Option<IpAddr>,
) -> Result<Option<Box<Admitted>>, Refused> {
    if limits.iter().all(|limits| limits.plan.is_unlimited()) {
        return Ok(None);
    }
    let [listener, process] = limits;
    let places = [listener.enter(address)?, process.enter(address)?];
    let is_limited = places.iter().any(Option::is_some);
    Ok(is_limited.then(|| Box::new(Admitted { places })))
}

impl Admitted {
    /// Counts the connection as one of `address`, once a proxy in front has said whose it is.
    ///
    /// # Errors
    /// There are too many of that client.
    pub(crate) fn client(&mut self, address: IpAddr) -> Result<(), Refused> {
        self.places.iter_mut().flatten().try_for_each(|place| place.count(Some(address)))
    }
}

impl Place {
    fn count(&mut self, address: Option<IpAddr>) -> Result<(), Refused> {
        self.leave_client();
        let (Some(most), Some(address)) = (self.limits.plan.per_client, address) else {
            return Ok(());
        };
        let client = Client::of(address, &self.limits.plan);
        if !self.limits.counts.clients.enter(client, most) {
            return Err(Refused::Client);
        }
        self.client = Some(client);
        Ok(())
    }

    fn leave_client(&mut self) {
        if let Some(client) = self.client.take() {
            self.limits.counts.clients.leave(client);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_client();
        self.limits.counts.open.down();
    }
}

/// What counts as one client: an address without the bits that its prefix leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    V6(u128),
}

impl Client {
    fn of(address: IpAddr, plan: &ConnectionsPlan) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let rest = 32_u32.saturating_sub(plan.ipv4_prefix.into());
                Self::V4(u32::from(address) & u32::MAX.checked_shl(rest).unwrap_or(0))
            }
            IpAddr::V6(address) => {
                let rest = 128_u32.saturating_sub(plan.ipv6_prefix.into());
                Self::V6(u128::from(address) & u128::MAX.checked_shl(rest).unwrap_or(0))
            }
        }
    }
}

/// Connections by client. There are as many entries as clients that are connected.
#[derive(Debug)]
struct Clients {
    hasher: std::hash::RandomState,
    shards: [Mutex<HashMap<Client, u32>>; SHARDS],
}

const SHARDS: usize = 32;

impl Default for Clients {
    fn default() -> Self {
        Self { hasher: std::hash::RandomState::new(), shards: Default::default() }
    }
}

impl Clients {
    fn shard(&self, client: Client) -> Option<&Mutex<HashMap<Client, u32>>> {
        let hash = usize::try_from(self.hasher.hash_one(client) >> 32).unwrap_or(0);
        self.shards.get(hash % SHARDS)
    }

    /// Whether there was room for one more.
    fn enter(&self, client: Client, most: u32) -> bool {
        let Some(shard) = self.shard(client) else { return true };
        let mut shard = shard.lock();
        let count = shard.entry(client).or_default();
        let has_room = *count < most;
        *count += u32::from(has_room);
        if *count == 0 {
            shard.remove(&client);
        }
        has_room
    }

    fn leave(&self, client: Client) {
        let Some(shard) = self.shard(client) else { return };
        let mut shard = shard.lock();
        let Some(count) = shard.get_mut(&client) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            shard.remove(&client);
        }
    }
}

/// When the next accept is due, for all workers together.
#[derive(Debug)]
struct Pace {
    start: Instant,
    /// Nanoseconds after `start`.
    due: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { start: Instant::now(), due: AtomicU64::new(0) }
    }
}

/// What may come at once after a quiet time: a tenth of a second's worth.
const AHEAD: Duration = Duration::from_millis(100);

impl Pace {
    /// Counts one accept, and says how long the next has to wait.
    fn take(&self, interval: Duration, now: Instant) -> Duration {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = nanoseconds(now.saturating_duration_since(self.start));
        let next = |due: u64| due.max(now).saturating_add(nanoseconds(interval));
        let before =
            self.due.fetch_update(Ordering::AcqRel, Ordering::Acquire, |due| Some(next(due)));
        let due = before.map_or(now, next);
        // Of a slow rate the next has to wait at once.
        let ahead = if interval > AHEAD { Duration::ZERO } else { AHEAD };
        Duration::from_nanos(due - now).saturating_sub(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> ConnectionsPlan {
        ConnectionsPlan {
            total: None,
            per_client: None,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            interval: None,
        }
    }

    fn limits(plan: ConnectionsPlan) -> Limits {
        Limits::new(plan, Arc::default())
    }

    fn admit(
        listener: &Limits,
        process: &Limits,
        address: &str,
    ) -> Result<Option<Box<Admitted>>, Refused> {
        connection([listener, process], Some(address.parse().unwrap()))
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let all = limits(plan());
        assert!(admit(&all, &all, "10.0.0.1").unwrap().is_none());
    }

    #[test]
    fn so_many_are_taken_in_all_and_again_when_one_has_gone() {
        let (two, all) = (limits(ConnectionsPlan { total: Some(2), ..plan() }), limits(plan()));
        let first = admit(&two, &all, "10.0.0.1").unwrap();
        let _second = admit(&two, &all, "10.0.0.2").unwrap();
        assert_eq!(admit(&two, &all, "10.0.0.3").unwrap_err(), Refused::Total);
        assert_eq!(admit(&all, &two, "10.0.0.3").unwrap_err(), Refused::Total);
        drop(first);
        assert!(admit(&two, &all, "10.0.0.3").is_ok());
    }

    #[test]
    fn a_client_is_a_network_of_ipv6_and_an_address_of_ipv4() {
        let (one, all) =
            (limits(ConnectionsPlan { per_client: Some(1), ..plan() }), limits(plan()));
        let _held = ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
            .map(|address| admit(&one, &all, address).unwrap());
        for address in ["10.0.0.1", "::ffff:10.0.0.2", "2001:db8::ffff:1"] {
            assert_eq!(admit(&one, &all, address).unwrap_err(), Refused::Client, "{address}");
        }
        assert!(admit(&one, &all, "2001:db8:0:1::1").is_ok());
        assert!(connection([&one, &all], None).is_ok());
    }

    #[test]
    fn who_is_judged_by_another_address_leaves_the_first() {
        let (one, all) =
            (limits(ConnectionsPlan { per_client: Some(1), ..plan() }), limits(plan()));
        let mut held = admit(&one, &all, "10.0.0.1").unwrap().unwrap();
        held.client("10.9.9.9".parse().unwrap()).unwrap();
        let _first_is_free = admit(&one, &all, "10.0.0.1").unwrap();
        assert_eq!(admit(&one, &all, "10.9.9.9").unwrap_err(), Refused::Client);
        drop(held);
        assert!(
            one.counts.clients.shards.iter().map(|shard| shard.lock().len()).sum::<usize>() == 1
        );
    }

    #[test]
    fn accepts_are_paced_after_a_first_burst() {
        let fast = Pace::default();
        let now = fast.start + Duration::from_secs(1);
        let wait = |pace: &Pace, ms| pace.take(Duration::from_millis(ms), now);
        assert!((0..10).all(|_| wait(&fast, 10).is_zero()));
        assert_eq!(wait(&fast, 10), Duration::from_millis(10));
        assert_eq!(wait(&fast, 10), Duration::from_millis(20));
        let slow = Pace::default();
        assert_eq!(wait(&slow, 1000), Duration::from_secs(1));
    }
}
