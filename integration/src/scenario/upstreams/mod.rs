//! Shards, and endpoints that fail.

mod failures;

pub use failures::{Balancer, Failure, FailureCost, one_of_ten};
