//! From a bound address to a judged request: sockets, workers, accept, TLS, the front door.

mod accept;
pub(crate) mod admit;
mod arrival;
pub(crate) mod chunked;
pub(crate) mod connection;
mod front_door;
mod h2;
pub(crate) mod h2_guard;
pub(crate) mod head;
mod in_use;
pub mod judge;
mod lent;
mod mend;
pub(crate) mod option;
mod options;
mod owner;
mod pace;
pub(crate) mod proxy_protocol;
mod request_line;
mod reserve;
mod seats;
mod secured;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
mod visit;
pub(crate) mod worker;
