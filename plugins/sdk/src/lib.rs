//! What a Switchback plugin is written with.
//!
//! One source becomes three kinds of plugin: linked into the proxy, a native module (`.so`), or Wasm. [`Plugin`] is the trait to implement,
//! [`hooks`] the attribute to put on it, [`plugin!`] what makes a module of it.
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use switchback_plugin::testing::{Harness, Scene};
//! use switchback_plugin::{BuildError, Counter, Flow, Plugin, Request, Setup, hooks};
//!
//! /// Lets a request through only if it carries the configured header.
//! struct Gate {
//!     header: String,
//!     token: String,
//!     denied: Counter,
//! }
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct GateOptions {
//!     /// The header that must be there.
//!     #[serde(default = "authorization")]
//!     header: String,
//!     /// What it must say.
//!     token: String,
//! }
//!
//! fn authorization() -> String {
//!     "authorization".to_owned()
//! }
//!
//! #[hooks]
//! impl Plugin for Gate {
//!     const NAME: &'static str = "gate";
//!     type Options = GateOptions;
//!     type State = ();
//!
//!     fn build(options: GateOptions, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
//!         if options.token.len() < 8 {
//!             return Err(BuildError::new("token", "a token has 8 letters or more"));
//!         }
//!         let denied = setup.counter("gate_denied_total", "Requests without the token.", &[])?;
//!         Ok(Self { header: options.header, token: options.token, denied })
//!     }
//!
//!     async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
//!         if request.header(&self.header).as_deref() == Some(&*self.token) {
//!             return Flow::Continue;
//!         }
//!         self.denied.add(1);
//!         Flow::status(403)
//!     }
//! }
//!
//! # fn main() -> Result<(), BuildError> {
//! // As a test sees it; nothing of a proxy is needed.
//! let mut harness = Harness::<Gate>::new(r#"{ "token": "open-sesame" }"#)?;
//!
//! let mut stranger = Scene::get("/vault");
//! assert_eq!(harness.request(&mut stranger).status, 403);
//! assert_eq!(harness.metric("gate_denied_total", &[]), Some(1.0));
//!
//! let mut friend = Scene::get("/vault").with_header("authorization", "open-sesame");
//! assert_eq!(harness.request(&mut friend).status, 200);
//!
//! let error = Harness::<Gate>::new(r#"{ "tokn": "open-sesame" }"#).err().unwrap();
//! assert_eq!(error.to_string(), "missing field `token`");
//! let error = Harness::<Gate>::new(r#"{ "token": "short" }"#).err().unwrap();
//! assert_eq!(error.to_string(), "token: a token has 8 letters or more");
//! # Ok(())
//! # }
//! ```

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
mod options;
mod plugin;
mod setup;
mod steer;
mod store;
pub mod testing;
#[doc(hidden)]
pub mod wasm;

pub use exchange::{Endpoint, Exchange, Fact, FieldName, Level, Map, Part, Refused, Value};
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
pub use options::{check_options, read as read_options};
pub use plugin::Plugin;
pub use setup::{
    BuildError, Carried, Counter, Gauge, Histogram, Meter, Metering, MetricKind, Services, Setup,
};
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
