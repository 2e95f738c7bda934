//! What stands before a request: connections that want more than their share.

mod h2_hostile;

pub use h2_hostile::{H2Hostile, h2_hostile};
