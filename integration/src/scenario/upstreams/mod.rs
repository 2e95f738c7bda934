//! Shards, and endpoints that fail.

mod mapping;
mod nginx_hash;

pub use mapping::{Figures, Moved, mapping_figures};
pub use nginx_hash::{Agreement, beside_nginx};
