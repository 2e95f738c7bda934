//! Named services: endpoints, balancing, attempts.
//!
//! Plain parameters in, decisions out: a [`Pool`] gives a [`Target`] for each try of an [`Attempt`]. Nothing here waits,
//! dials or knows Pingora.

mod endpoint;
pub mod health;
mod pool;
mod rotation;

pub use endpoint::{Address, Endpoint, Target};
pub use pool::{Attempt, Choice, Pool};
pub use rotation::Rotation;
