//! What both the tests and `make show-foundation` play through: tests with little, the show with all of it.

mod fragments;
mod latency;
mod mutated;
mod reloads;
mod sites;

pub use fragments::{Fragments, fragments};
pub use latency::{Latency, latency};
pub use mutated::{Mutated, mutated};
pub use reloads::{Reloads, open_websocket, reloads};
pub use sites::{Sites, many_sites, many_sites_config};
