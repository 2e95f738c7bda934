//! From a bound address to a judged request: sockets, workers, accept, TLS, the front door.

mod arrival;
pub(crate) mod chunked;
pub(crate) mod connection;
pub(crate) mod drain;
pub(crate) mod front_door;
mod h2;
pub(crate) mod handover;
pub(crate) mod head;
mod lent;
pub(crate) mod prepared;
mod request_line;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod worker;
