//! Shards, and endpoints that fail.

mod balancer;
mod crowd;
mod failures;
mod hedging;
mod hot;
mod keep_alive;
mod mapping;
mod nginx_hash;
mod nginx_ip_hash;
mod reshard;
mod simulated;

pub use balancer::Balancer;
pub use crowd::{Overloaded, Storm, overload, storm};
pub use failures::{Failure, FailureCost, one_of_ten};
pub use hedging::{HedgeCost, Hedged, hedge_cost, hedged};
pub use hot::{Heat, heat};
pub use mapping::{Figures, Moved, mapping_figures};
pub use nginx_hash::{Agreement, beside_nginx};
pub use nginx_ip_hash::ip_hash_beside_nginx;
pub use reshard::{Faults, Resharded, resharded};
