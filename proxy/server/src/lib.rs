//! Switchback: a reverse proxy that runs from a configuration file or from a [`Config`] built in code.
//!
//! ```no_run
//! use switchback::Server;
//!
//! fn main() -> Result<(), switchback::Error> {
//!     Server::from_file("switchback.toml").run()?;
//!     Ok(())
//! }
//! ```
//!
//! [`Server::run`] blocks until something stops it. [`Server::spawn`] starts the same threads and gives a [`Handle`].
//! The process stays its owner's: no signal, logger, allocator or exit is taken unless [`Server`] is asked to.

mod control_thread;
mod error;
mod error_log;
mod handle;
mod live;
mod notify;
mod pid_file;
mod plugin_files;
mod runtime_files;
mod server;
mod signals;
mod source;
mod start;
mod stop;
mod upgrade;

pub use async_trait::async_trait;
pub use bytes;
pub use error::Error;
pub use handle::Handle;
pub use http;
pub use pid_file::PidFileError;
pub use server::Server;
pub use signals::Signals;
pub use switchback_admin::BindError;
pub use switchback_conf::{
    Config, Diagnostic, Environment, Outcome, ProcessEnvironment, model, read_file, read_text,
};
pub use switchback_engine::Drained;
pub use switchback_engine::action::{Action, BodyError, Request, Response};
pub use switchback_engine::control::{
    ListenerStatus, State, Status, StopMode, Upgraded, Verdict, Version,
};

pub use switchback_engine::purge;

/// Which program this is.
pub const VERSION: Version = Version { name: "switchback", version: env!("CARGO_PKG_VERSION") };

/// The README's Rust compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
