//! The edge: listeners, processes and connections, under load and under attack.

mod positions;
mod smuggling;

pub use positions::{Positions, positions};
pub use smuggling::{Smuggling, cut_everywhere, smuggling};
