//! Plugins of each kind through the real proxy.

mod faults;
mod instructions;
mod reload;

pub use faults::{Faulted, PluginFault, plugin_fault};
pub use instructions::{AtHits, PluginCost, hit_cost, plugin_cost};
pub use reload::{NativeGrowth, SwapPlan, Swapped, Swaps, native_growth, swaps};
