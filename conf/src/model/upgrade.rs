//! How a process gives way to the next one.

use super::define::model;
use crate::units::Duration;

model! {
    /// How a running process is replaced by a newer binary: `switchback upgrade`, or the signal USR2.
    pub struct Upgrade: Default {
        /// How long the new process may take to be ready. One that takes longer is ended, and the old one keeps serving.
        pub timeout: Duration = Duration::seconds(30),
    }
}
