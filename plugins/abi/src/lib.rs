//! The C interface between the proxy and native plugin modules.
//!
//! `include/switchback.h` is made of these files by a test. Two tables of functions meet: [`Host`], which the proxy gives to a module, and
//! [`Plugin`], which a module gives to the proxy. Both begin with their size: later minor versions only append, so that whoever is
//! older reads the part it knows. A new major version is another interface, with another entry symbol.
//!
//! What holds everywhere:
//! * Bytes and fields that are given to a function are valid for the call, and are copied by whoever wants to keep them. Bytes that the
//!   host hands out are valid until the hook returns or the plugin calls a function that changes something, whichever comes first.
//! * Each side frees what it has allocated itself.
//! * No panic and no exception passes a function of these tables.
//! * An exchange is of use during the call of the hook that it is given to, on one thread at a time.
#![no_std]

mod host;
#[cfg(target_pointer_width = "64")]
pub mod layout;
mod number;
mod operation;
mod plugin;
mod value;

pub use host::Host;
pub use number::*;
pub use operation::{
    BlockingOperation, BodyOperation, HttpOperation, Outcome, ResolveOperation, SleepOperation,
    StoreOperation,
};
pub use plugin::{Entry, Plugin};
pub use value::{Bytes, Endpoint, Exchange, Field, Meter, Metric, Setup, Steer, Visit};

/// Name of the one symbol that a module exports: an [`Entry`], with the zero that C wants.
pub const ENTRY_SYMBOL: &core::ffi::CStr = c"switchback_plugin_v1";
