//! The attribute that tells which hooks a plugin has. See `switchback_plugin::hooks`.

mod expand;
mod waits;

use proc_macro::TokenStream;

/// Put on `impl Plugin for ..`: tells the proxy which hooks are written there, so that others cost nothing, and which of them never wait,
/// so that they are called without a future on the heap.
///
/// A hook never waits if it is an `async fn` in which no `.await` is written, and no macro that might hold one.
#[proc_macro_attribute]
pub fn hooks(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::hooks(&options.into(), item.into()).into()
}
