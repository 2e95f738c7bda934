//! Named services: endpoints, balancing, attempts.
//!
//! Plain parameters in, decisions out: a [`Pool`] gives a [`Target`] for each try of an [`Attempt`]. Nothing here waits,
//! dials or knows Pingora. Which of several shards has a key is a [`shard::ShardMap`]'s to say.

mod balance;
mod endpoint;
pub mod health;
pub mod limit;
mod pool;
mod rotation;
pub mod shard;

pub use balance::{Ask, Balance, Learned, Load, Member, Memory, Outcome};
pub use endpoint::{Address, Endpoint, Target};
pub use pool::{Attempt, Choice, InFlight, Look, Nobody, Pool, Settings};
pub use rotation::Rotation;
