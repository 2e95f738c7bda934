//! HTTP/2 towards clients and origins, with informational responses and with trailers in both directions.
//!
//! Pingora's own sessions drop 1xx responses and request trailers. These enter through its seams for foreign protocols
//! instead: [`Session`] is what a client's stream looks like to `HttpProxy`, [`Connector`] is where it gets streams to
//! origins. Each works without the other; together they also pass request trailers and keep the two directions of a
//! stream apart, so that neither waits for the other.
//!
//! | what | where |
//! | --- | --- |
//! | a client's connection: accept, idle, drain | [`serve()`] |
//! | a client's stream | [`Session`] |
//! | an origin's connections, shared by streams | [`Connector`] |
//! | what the two sides of one request share | [`Exchange`] |
//!
//! # Using it
//! Build the proxy with [`http_proxy`], give every [`Arrival::Request`] that [`serve()`] hands out to
//! `process_new_http(ServerSession::new_custom(Box::new(session)), ..)`, and mark peers that speak HTTP/2 with [`speak`].

mod connection;
mod connector;
mod downstream;
mod exchange;
mod failure;
mod fields;
mod open;
mod outflow;
mod pool;
mod proxy;
mod serve;
mod upstream;

pub use connector::{Connector, Offer, speak};
pub use downstream::Session;
pub use exchange::Exchange;
pub use failure::REFUSED_STREAM;
pub use fields::{Bounds, Refused};
pub use proxy::http_proxy;
pub use serve::{Arrival, Closed, Options, serve};
pub use upstream::{Empty, Session as UpstreamSession};
