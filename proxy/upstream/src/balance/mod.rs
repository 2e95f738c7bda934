//! Whom a pool chooses.

mod held;
mod hot;
mod ip_hash;
mod learned;
mod line;
mod load;
mod tier;

use std::net::IpAddr;
use std::time::Instant;

pub use learned::{Learned, Memory};
pub use load::{Load, Outcome};

use crate::shard::Members;
pub use tier::Member;

pub(crate) use line::{Chance, Line, mix};
pub(crate) use tier::Tier;

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
    /// By [`Ask::key`], as nginx's `hash`; at random where there is none.
    Hash {
        /// Whether only the keys of an endpoint that comes or goes move.
        is_consistent: bool,
        /// The most that an endpoint has in flight, in hundredths of its share of all that is.
        bound: Option<u32>,
        /// The most endpoints that a key has while it is hot; `None` is one, however hot.
        hot: Option<u32>,
    },
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
    /// The endpoint, by its position in the pool, that the request is to stay with.
    pub stuck: Option<usize>,
    /// Whether its method is safe (RFC 9110, 9.2.1).
    pub is_safe: bool,
    /// Which endpoints of the pool it may go to; `None` is all.
    pub among: Option<Members>,
}

impl Ask<'_> {
    /// Nothing is known but the moment.
    #[must_use]
    pub fn at(now: Instant, random: u64) -> Self {
        Self { now, random, client: None, key: None, stuck: None, is_safe: false, among: None }
    }
}
