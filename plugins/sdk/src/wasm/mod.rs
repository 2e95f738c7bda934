//! Plugins as Wasm modules: what host and guest say to each other beyond proxy-wasm, and the guest's side.

#[cfg(target_arch = "wasm32")]
mod border;
#[cfg(target_arch = "wasm32")]
mod context;
#[cfg(target_arch = "wasm32")]
mod guest;
#[cfg(target_arch = "wasm32")]
mod landing;
#[cfg(target_arch = "wasm32")]
mod plain;
#[cfg(target_arch = "wasm32")]
mod raw;
#[cfg(target_arch = "wasm32")]
mod services;
#[cfg(target_arch = "wasm32")]
mod system;
pub mod wire;

#[cfg(target_arch = "wasm32")]
pub use guest::{Guest, Slot};
#[cfg(target_arch = "wasm32")]
pub use landing::{allocate, landing};

/// Makes a Wasm module of a plugin, which speaks proxy-wasm 0.2.1 and, with a host that has it, what Switchback has beyond.
///
/// ```ignore
/// switchback_plugin::plugin!(Tier);
/// ```
///
/// The functions are there only with the feature `module` of the plugin's own package, so that any number of plugins can be linked into
/// one program. A Wasm module has one plugin.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! plugin {
    ($plugin:ty $(,)?) => {
        #[cfg(feature = "module")]
        const _: () = {
            static GUEST: $crate::wasm::Slot<$plugin> = $crate::wasm::Slot::new();

            $crate::wasm_functions! { GUEST;
                proxy_abi_version_0_2_1() => ();
                proxy_on_memory_allocate(size: usize) -> *mut u8 => $crate::wasm::allocate(size);
                proxy_on_vm_start(_context: u32, _size: usize) -> u32 => 1;
                proxy_on_configure(_context: u32, size: usize) -> u32 => GUEST.configure(size);
                proxy_on_context_create(_context: u32, _parent: u32) => ();
                proxy_on_request_headers(context: u32, _count: u32, _is_end: u32) -> u32
                    => GUEST.request_headers(context);
                proxy_on_request_body(context: u32, _size: u32, is_end: u32) -> u32
                    => GUEST.body(context, false, is_end != 0);
                proxy_on_response_headers(context: u32, _count: u32, _is_end: u32) -> u32
                    => GUEST.response_headers(context);
                proxy_on_response_body(context: u32, _size: u32, is_end: u32) -> u32
                    => GUEST.body(context, true, is_end != 0);
                proxy_on_http_call_response(
                    _root: u32, call: u32, count: u32, size: usize, _trailers: u32
                ) => GUEST.called(call, count, size);
                proxy_on_done(_context: u32) -> u32 => 1;
                proxy_on_log(context: u32) => GUEST.log(context);
                proxy_on_tick(context: u32) => GUEST.tick(context);
                proxy_on_delete(context: u32) => GUEST.delete(context);
                switchback_landing() -> u64 => $crate::wasm::landing();
                switchback_describe() -> u64 => GUEST.describe();
                switchback_hook(context: u32, hook: u32, is_last: u32) -> u32
                    => GUEST.hook(context, hook, is_last != 0);
                switchback_resume(context: u32) -> u32 => GUEST.resume(context);
                switchback_abandon(context: u32) => GUEST.abandon(context);
            }
        };
    };
    ($first:ty, $($rest:tt)+) => {
        #[cfg(feature = "module")]
        compile_error!("a Wasm module has one plugin: make a package for each");
    };
}

/// The functions of [`plugin!`], and of nobody else.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[macro_export]
macro_rules! wasm_functions {
    ($slot:ident; $($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)? => $body:expr;)*) => {$(
        // Not `expect`: an author's package that does not deny it would be warned.
        #[allow(unsafe_code, reason = "a function that a module exports")]
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $kind),*) $(-> $result)? {
            $body
        }
    )*};
}
