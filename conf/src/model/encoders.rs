//! The threads that encode in the background.

use super::define::model;
use super::text::Count;
use crate::at::At;

model! {
    /// The threads that encode in the background: images, and what is stored at its best level. They never hold up requests: what they
    /// cannot take on is sent as it is.
    pub struct Encoders: Default {
        /// How many there are. Without it, one less than there are cores, and at least one.
        pub threads: Option<At<Count<1, 1024>>> = None,
        /// How much of each kind, images and other bodies, may wait for them. Without it, twice as many as there are threads.
        pub queue: Option<At<Count<1, 65_536>>> = None,
    }
}
