//! Stored responses.
//!
//! A [`Zone`] keeps [`Entry`]s under [`Key`]s; [`policy`] says what may be stored, for how long it is fresh, and what a stored
//! response may be used for (RFC 9111). Plain parameters in, decisions out: nothing here knows configuration or Pingora, and
//! time is handed in.

mod entry;
mod key;
pub mod policy;
mod zone;

pub use entry::{Body, Entry, Head, Meta, Times};
pub use key::{Key, KeyBuilder};
pub use zone::{Found, Limits, Zone};
