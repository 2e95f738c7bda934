//! Forms of a response: what they save, and that each client gets one that it can read.

mod bombs;
mod browser;
mod chromium;
mod gzip;
mod hit_path;
mod matrix;
mod next_bundle;
#[path = "../../../../proxy/images/tests/all/samples.rs"]
#[expect(
    clippy::unwrap_used,
    reason = "samples that tests make, too, and what they are made of is right"
)]
mod pictures;
mod saved;
#[path = "../../../../proxy/variant/benches/samples/mod.rs"]
mod texts;

pub use bombs::{
    Bomb, Giant, Passed, UNPACK, Unpacked, bombs, giant_through_proxy, pass_zeros, refuse_giant,
    unpack, unpack_file,
};
pub use browser::{Browsed, PICTURES, browse};
pub use gzip::{GzipPlan, Gzipped, gzip};
pub use hit_path::{HitPath, hit_path};
pub use matrix::{Matrix, OtherHand, matrix};
pub use next_bundle::{NextBundle, next_bundle};
pub use saved::{Saved, saved_of_pictures, saved_of_texts};
