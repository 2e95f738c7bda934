//! Shards, and endpoints that fail.

mod crowd;

pub use crowd::{Overloaded, Storm, overload, storm};
