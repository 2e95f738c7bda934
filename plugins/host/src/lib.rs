//! What runs plugins, whatever kind they are of: chains of them, and what becomes of a request when one fails.
//!
//! A [`Chain`] is made when a configuration is read, and never changes. A request that begins is given a [`Running`] by it, which holds what
//! the plugins remember, and asks the chain at each hook of its way. What a [`Verdict`] means on the wire is for who asks.
//!
//! No panic of a plugin leaves this package, no plugin is waited for longer than its [`Policy`] says, and one that fails never lets a
//! request through unless its policy says so.

mod amount;
mod breaker;
mod build;
mod call;
mod calls;
mod chain;
mod configured;
mod guard;
mod metrics;
#[expect(unsafe_code, reason = "the other side is C, or whatever a module was made of")]
mod native;
mod observer;
mod plan;
mod registry;
mod running;
mod store;
mod ticker;
mod watch;

pub use breaker::Breaker;
pub use build::{Around, Build, Built, Estate, Said};
pub use calls::Calls;
pub use chain::{Chain, Run, Verdict};
pub use configured::{Configured, OnError, Policy};
pub use metrics::Metrics;
pub use native::NativeLoader;
pub use observer::{Failed, Observer, Silent};
pub use plan::Node;
pub use registry::{Digest, Isolation, Limits, LoadError, Loader, ModuleFile, Registry};
pub use running::Running;
pub use store::{Bounds, Store};
pub use ticker::Ticker;
