//! The driver from outside: who is asked, in which order, and what becomes of a request when a plugin fails.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by it, and a plugin of a test falls over by it"
)]

mod breaker;
mod build;
mod client_gone;
mod failures;
mod fake;
mod heap;
mod order;
mod registry;
mod spin;
mod ticks;
mod trees;
