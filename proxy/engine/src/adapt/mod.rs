//! Our small types in Pingora's terms.

mod announced;
pub(crate) mod peer;

pub(crate) use announced::announce;
