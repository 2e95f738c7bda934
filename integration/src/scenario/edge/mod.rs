//! The edge: listeners, processes and connections, under load and under attack.

mod h2_hostile;
mod positions;
mod smuggling;

pub use h2_hostile::{H2Hostile, h2_hostile};
pub use positions::{Positions, positions};
pub use smuggling::{Smuggling, cut_everywhere, smuggling};
