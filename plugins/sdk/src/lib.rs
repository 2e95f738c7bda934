//! What a Switchback plugin is written with.
//!
//! One source becomes three kinds of plugin: linked into the proxy, a native module (`.so`), or Wasm. [`Plugin`] is the trait to implement,
//! [`hooks`] the attribute to put on it, [`plugin!`] what makes a module of it.

mod exchange;
mod facade;
pub mod fields;
mod flow;
mod hook;
mod linked;
mod module;
#[cfg(all(unix, target_pointer_width = "64"))]
#[expect(unsafe_code, reason = "the other side is C")]
mod native;
mod number;
mod operation;
mod plugin;
mod setup;
mod steer;
mod store;
pub mod testing;
#[doc(hidden)]
pub mod wasm;

pub use exchange::{Endpoint, Exchange, Fact, Level, Map, Part, Refused, Value};
pub use facade::{
    Background, Body, Done, Endpoints, Operated, Operating, Request, Response, Route,
};
pub use flow::{Answer, Cause, Failure, Flow};
pub use hook::{Hook, Hooks};
pub use linked::Linked;
pub use module::{Called, Instance, Kind, Module, State};
pub use operation::{
    HttpRequest, HttpResponse, Operation, OperationError, OperationId, Outcome, StoreAction,
    StoreOperation,
};
pub use plugin::Plugin;
pub use setup::{BuildError, Counter, Gauge, Histogram, Meter, MetricKind, Services, Setup};
pub use steer::{Steer, Steering};
pub use store::Change;

pub use switchback_plugin_macros::hooks;

/// What [`plugin!`] writes, and nobody else.
#[cfg(all(unix, target_pointer_width = "64"))]
#[doc(hidden)]
pub mod export {
    pub use crate::native::Table;
    pub use switchback_plugin_abi as abi;
}

/// What plugins' sources need beside this package: the same versions as the SDK's.
pub mod reexport {
    pub use {bytes, http, schemars, serde, serde_json};
}
