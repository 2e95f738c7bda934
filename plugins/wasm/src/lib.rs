//! Runs plugins that are Wasm modules: those made for Envoy and others that speak proxy-wasm 0.1.0, 0.2.0 or 0.2.1, and those made with
//! our own SDK. The only package that names wasmtime.
//!
//! A module has as many instances as there are worker threads; each is used by one thread at a time, and a request stays in one. Or each
//! request has one of its own, which ends with it. An instance that computes for too long, takes too much memory or traps is ended, with
//! the requests that are in it; the next one is made anew.

mod call;
mod calls;
mod compiled;
mod configured;
mod exports;
mod functions;
mod guest;
mod host;
mod lent;
mod limits;
mod ours;
pub mod pairs;
mod plan;
mod request;
mod runtime;
mod seats;
mod shared;
mod status;
mod ticker;
mod waiting;

pub use compiled::LoadError;
pub use limits::Limits;
pub use runtime::{Wasm, WasmLoader};
pub use switchback_plugin_host::Isolation;
