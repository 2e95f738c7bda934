//! Shards, and endpoints that fail.

mod crowd;
mod failures;
mod mapping;
mod nginx_hash;

pub use crowd::{Overloaded, Storm, overload, storm};
pub use failures::{Balancer, Failure, FailureCost, one_of_ten};
pub use mapping::{Figures, Moved, mapping_figures};
pub use nginx_hash::{Agreement, beside_nginx};
