//! Forms of a response: what they save, and that each client gets one that it can read.

mod saved;
#[path = "../../../../proxy/variant/benches/samples/mod.rs"]
mod texts;

pub use saved::{Saved, saved_of_texts};
