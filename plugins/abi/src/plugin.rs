//! What a module offers.

use core::ffi::c_void;

use crate::host::Host;
use crate::value::{Bytes, Exchange, Setup};

/// One plugin of a module. It stays where it is, and as it is, as long as the program runs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// Size of this struct, as the module knows it.
    pub size: u32,
    /// `SB_ABI_MAJOR` that the module was built with.
    pub abi_major: u16,
    /// `SB_ABI_MINOR` that the module was built with.
    pub abi_minor: u16,
    /// A bit for each hook that is to be called: `1 << SB_HOOK_..`
    pub hooks: u64,
    /// A bit for each of them that never returns `SB_PAUSE`.
    pub immediate: u64,
    /// The name by which configurations use it: lower case, words joined by `-`.
    pub name: Bytes,
    /// Its version, for people.
    pub version: Bytes,
    /// The JSON Schema of its options; absent where it tells none.
    pub schema: Bytes,
    /// Makes an instance of `options`, a JSON object. Null where it cannot, after `refuse` was told why.
    pub instance_new: Option<
        unsafe extern "C" fn(host: *const Host, setup: *mut Setup, options: Bytes) -> *mut c_void,
    >,
    /// Frees an instance. All that belongs to its requests was freed before.
    pub instance_free: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// Makes what is remembered of one request, from its first hook to its last. Null pointers here and in `request_free` where nothing is.
    pub request_new: Option<unsafe extern "C" fn(instance: *mut c_void) -> *mut c_void>,
    /// Frees it, also while a hook waits. The exchange is gone already.
    pub request_free: Option<unsafe extern "C" fn(request: *mut c_void)>,
    /// Calls one hook (`SB_HOOK_..`): returns `SB_CONTINUE`, `SB_ANSWER`, `SB_PAUSE`, `SB_FAIL` or `SB_PANICKED`. Many requests are in the
    /// same instance at once, on many threads; one request on one thread at a time.
    pub hook: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            request: *mut c_void,
            exchange: *mut Exchange,
            hook: u32,
        ) -> i32,
    >,
    /// Nobody waits any more for the hook that returned `SB_PAUSE`: it is forgotten, and its operations are cancelled. Other hooks of the
    /// request may follow. May be null.
    pub abandon: Option<
        unsafe extern "C" fn(instance: *mut c_void, request: *mut c_void, exchange: *mut Exchange),
    >,
}

/// The one function that a module exports, as `switchback_plugin_v1`: the plugin of that number, from 0; null behind the last one.
pub type Entry = unsafe extern "C" fn(index: u32) -> *const Plugin;
