//! The control socket and everything else that operates a running process, written against
//! [`Control`](switchback_engine::control::Control).
//!
//! Both ends live here: [`ControlSocket`] answers, [`Client`] asks. They share the types in [`message`], which are the
//! JSON that goes over the wire.

mod caches;
mod client;
pub mod message;
mod reshard;
mod routes;
mod serve;
mod socket;

pub use client::{CallError, Client};
pub use socket::{BindError, ControlShare, ControlSocket};
