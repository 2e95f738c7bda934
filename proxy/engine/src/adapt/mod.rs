//! Our small types in Pingora's terms.

pub(crate) mod peer;
