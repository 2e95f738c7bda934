//! Plugins through the proxy as it is released.

mod instructions;
mod reload;

pub use instructions::{PluginCost, plugin_cost};
pub use reload::{NativeGrowth, SwapPlan, Swapped, Swaps, native_growth, swaps};
