//! How slow clients may be.

use super::define::model;
use crate::units::{Bytes, Timeout};

model! {
    /// Bytes a second below which a client's connection ends. Only time spent waiting for the client counts.
    pub struct MinRate: Default {
        /// Of a request body; a slower one is answered with 408 if nothing was answered yet. 0 is no bound.
        pub receive: Bytes = Bytes(240),
        /// Of an answer, as far as the client takes it. 0 is no bound.
        pub send: Bytes = Bytes(240),
        /// The time over which the rate is taken.
        pub after: Timeout = Timeout::seconds(20),
    }
}
