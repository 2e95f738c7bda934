//! Plugins of each kind through the real proxy.

mod faults;

pub use faults::{Faulted, PluginFault, plugin_fault};
