//! Forms of a response: what they save, and that each client gets one that it can read.

mod gzip;
mod hit_path;
mod saved;
#[path = "../../../../proxy/variant/benches/samples/mod.rs"]
mod texts;

pub use gzip::{GzipPlan, Gzipped, gzip};
pub use hit_path::{HitPath, hit_path};
pub use saved::{Saved, saved_of_texts};
