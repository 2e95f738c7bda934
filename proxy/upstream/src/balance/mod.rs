//! Whom a pool chooses.

mod ip_hash;
mod line;
mod load;
mod tier;

use std::net::IpAddr;
use std::time::Instant;

pub use load::{Load, Outcome};

#[cfg(test)]
pub(crate) use line::mix;
pub(crate) use line::{Chance, Line};
pub(crate) use tier::{Member, Tier};

/// By what a pool chooses among its endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Balance {
    /// The better of two drawn at random: by requests in flight, and by latency where that is twice as good.
    #[default]
    P2c,
    /// In turn.
    RoundRobin,
    /// Whoever has the fewest requests in flight.
    LeastRequests,
    /// Whoever has the least product of requests in flight and latency.
    LeastTime,
    /// At random.
    Random,
    /// By the client's address, as nginx's `ip_hash`.
    IpHash,
}

/// What is known of a request whom somebody is chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'r> {
    /// The moment.
    pub now: Instant,
    /// Chance: 64 bits that nobody else has.
    pub random: u64,
    /// The client; `None` on a Unix socket.
    pub client: Option<IpAddr>,
    /// What requests are held together by, where they are.
    pub key: Option<&'r [u8]>,
    /// Whether its method is safe (RFC 9110, 9.2.1).
    pub is_safe: bool,
}

impl Ask<'_> {
    /// Nothing is known but the moment.
    #[must_use]
    pub fn at(now: Instant, random: u64) -> Self {
        Self { now, random, client: None, key: None, is_safe: false }
    }
}
