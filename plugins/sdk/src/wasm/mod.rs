//! Plugins as Wasm modules: what host and guest say to each other beyond proxy-wasm, and the guest's side.

pub mod wire;
