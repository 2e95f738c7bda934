//! The edge: listeners, processes and connections, under load and under attack.

mod smuggling;

pub use smuggling::{Smuggling, cut_everywhere, smuggling};
