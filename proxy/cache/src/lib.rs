//! Stored responses.
//!
//! A [`Zone`] keeps [`Entry`]s under [`Key`]s; [`policy`] says what may be stored, for how long it is fresh, and what a stored
//! response may be used for (RFC 9111). Plain parameters in, decisions out: nothing here knows configuration or Pingora, and
//! time is handed in.

mod compact;
pub mod disk;
mod entry;
pub mod fill;
mod forms;
mod key;
mod listing;
mod marks;
mod memory;
pub mod policy;
mod purge;
mod searches;
pub mod serve;
#[cfg(test)]
mod testing;
mod variants;
mod zone;

pub use entry::{Body, BodyId, Entry, Head, Meta, Times};
pub use key::{Address, Key, KeyBuilder};
pub use listing::{Listed, Page};
pub use purge::{Manner, Scope, Standing};
pub use zone::{Found, Limits, Statistics, Zone};
