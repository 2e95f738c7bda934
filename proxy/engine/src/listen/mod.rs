//! From a bound address to a judged request: sockets, workers, accept, TLS, the front door.

mod arrival;
pub(crate) mod chunked;
pub(crate) mod connection;
mod front_door;
mod h2;
pub(crate) mod head;
mod lent;
mod pace;
mod request_line;
mod seats;
mod secured;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
mod visit;
pub(crate) mod worker;
