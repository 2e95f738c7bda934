//! What makes a native module of a plugin: the other side of the C interface.
//!
//! Panics are caught here, always: one that left a function of this file would end the proxy, which has another copy of the standard
//! library. A hook that waits keeps its future in what the module remembers of the request, and is polled again whenever the host calls
//! it: the host's own waker is told by the host's side of [`Exchange::poll`](crate::Exchange::poll), so none crosses the border.

mod exchange;
mod link;
mod operation;
mod request;
mod setup;

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, null, null_mut};
use std::sync::OnceLock;

use switchback_plugin_abi as abi;

use self::link::Link;
use self::request::Remembered;
use self::setup::HostServices;
use crate::hook::{Hook, Hooks};
use crate::linked::Linked;
use crate::plugin::Plugin;
use crate::setup::BuildError;

/// The table of one plugin of a module, made when it is asked for. Of use to [`plugin!`](crate::plugin!) alone.
pub struct Table(OnceLock<Made>);

struct Made {
    plugin: abi::Plugin,
    /// What `plugin.schema` points to.
    _schema: String,
}

// SAFETY: a table is only looked at, and what its pointers point to never changes.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

impl Table {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// That of `P`, which must be the same at each call.
    pub fn plugin<P: Plugin>(&'static self) -> *const abi::Plugin {
        let made = catch_unwind(|| &raw const self.0.get_or_init(made::<P>).plugin);
        made.unwrap_or(null())
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

fn made<P: Plugin>() -> Made {
    let schema = Linked::<P>::module().schema().unwrap_or_default();
    let shown = if schema.is_empty() { abi::Bytes::ABSENT } else { bytes(schema.as_bytes()) };
    let is_remembered = is_remembered::<P>();
    let plugin = abi::Plugin {
        size: size_of::<abi::Plugin>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        hooks: P::HOOKS.bits(),
        immediate: immediate::<P>().bits(),
        name: bytes(P::NAME.as_bytes()),
        version: bytes(P::VERSION.as_bytes()),
        schema: shown,
        instance_new: Some(instance_new::<P>),
        instance_free: Some(instance_free::<P>),
        request_new: is_remembered.then_some(request_new::<P>),
        request_free: is_remembered.then_some(request_free::<P>),
        hook: Some(hook::<P>),
        abandon: is_remembered.then_some(abandon::<P>),
    };
    Made { plugin, _schema: schema }
}

/// Hooks that never wait: those that cannot, and those that do not.
fn immediate<P: Plugin>() -> Hooks {
    let cannot = Hooks::of(&[Hook::ResponseBody, Hook::Log]);
    P::IMMEDIATE.union(cannot)
}

/// Whether there is anything to remember of a request: a state, or a hook that waits.
fn is_remembered<P: Plugin>() -> bool {
    let waits = P::HOOKS.bits() & !immediate::<P>().bits() != 0;
    waits || size_of::<P::State>() != 0 || std::mem::needs_drop::<P::State>()
}

/// An instance, as the host holds it.
struct Configured<P> {
    plugin: P,
    host: &'static abi::Host,
}

unsafe extern "C" fn instance_new<P: Plugin>(
    host: *const abi::Host,
    setup: *mut abi::Setup,
    options: abi::Bytes,
) -> *mut c_void {
    // SAFETY: the host gives a pointer to its table, which is valid as long as the program runs. Its size comes first in every version.
    let size = unsafe { (&raw const (*host).size).read() };
    if (size as usize) < size_of::<abi::Host>() {
        // SAFETY: `refuse` is there since version 1.0, below which no host is.
        let refuse = unsafe { (&raw const (*host).refuse).read() };
        let message = "this module was built for a later Switchback: update Switchback, or build it with an earlier SDK";
        // SAFETY: the bytes are valid for the call, and `setup` is the host's own.
        unsafe { refuse(setup, abi::Bytes::ABSENT, bytes(message.as_bytes()), abi::Bytes::ABSENT) };
        return null_mut();
    }
    // SAFETY: valid as long as the program runs, and as large as the type.
    let host: &'static abi::Host = unsafe { &*host };
    let built = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host's bytes are valid for this call.
        let options = unsafe { text(options) }.unwrap_or_default();
        let mut services = HostServices::new(host, setup);
        let plugin = Linked::<P>::instance(options, &mut services)?;
        Ok(Box::into_raw(Box::new(Configured { plugin, host })).cast())
    }));
    let error = match built {
        Ok(Ok(instance)) => return instance,
        Ok(Err(error)) => error,
        Err(panic) => BuildError::new("", format!("the plugin panicked: {}", said(&*panic))),
    };
    let help = error.help.as_ref().map_or(abi::Bytes::ABSENT, |help| bytes(help.as_bytes()));
    let (path, message) = (bytes(error.path.as_bytes()), bytes(error.message.as_bytes()));
    // SAFETY: the bytes are valid for the call, and `setup` is the host's own.
    unsafe { (host.refuse)(setup, path, message, help) };
    null_mut()
}

unsafe extern "C" fn instance_free<P: Plugin>(instance: *mut c_void) {
    // SAFETY: `instance_new` made it of a box, and the host gives it back once, when nothing uses it any more.
    let instance = unsafe { Box::from_raw(instance.cast::<Configured<P>>()) };
    // Nobody is left to tell of a panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
}

unsafe extern "C" fn request_new<P: Plugin>(instance: *mut c_void) -> *mut c_void {
    // SAFETY: an instance that `instance_new` made, and that is not freed before its requests.
    let configured = unsafe { &*instance.cast::<Configured<P>>() };
    let made = catch_unwind(AssertUnwindSafe(|| Remembered::<P>::boxed(configured.host)));
    made.map_or(null_mut(), <*mut Remembered<P>>::cast)
}

unsafe extern "C" fn request_free<P: Plugin>(request: *mut c_void) {
    // SAFETY: `request_new` made it, and the host gives it back once, while no hook of it runs.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe {
        Remembered::<P>::free(request.cast());
    }));
}

unsafe extern "C" fn hook<P: Plugin>(
    instance: *mut c_void,
    request: *mut c_void,
    exchange: *mut abi::Exchange,
    hook: u32,
) -> i32 {
    // SAFETY: as in `request_new`.
    let Configured { plugin, host } = unsafe { &*instance.cast::<Configured<P>>() };
    let Some(hook) = Hook::from_number(hook) else {
        return Link::new(host, exchange).fail("asked at a hook that this module does not know");
    };
    let request = request.cast::<Remembered<P>>();
    if request.is_null() && is_remembered::<P>() {
        return Link::new(host, exchange)
            .fail("there is nothing that this request is remembered by");
    }
    if !immediate::<P>().contains(hook) {
        // SAFETY: a hook that waits makes `is_remembered` true, so `request_new` made this one. One hook of it runs at a time, and the instance
        // is not freed before it.
        return unsafe { Remembered::wait(request, plugin, exchange, hook) };
    }
    let link = Link::new(host, exchange);
    if request.is_null() {
        // Nothing is remembered: the state has no size.
        return request::immediate(plugin, &link, hook, &mut P::State::default());
    }
    // SAFETY: as above.
    unsafe { Remembered::immediate(request, plugin, &link, hook) }
}

unsafe extern "C" fn abandon<P: Plugin>(
    _instance: *mut c_void,
    request: *mut c_void,
    exchange: *mut abi::Exchange,
) {
    // SAFETY: `request_new` made it, and no hook of it runs.
    let _ = catch_unwind(AssertUnwindSafe(|| unsafe {
        Remembered::<P>::abandon(request.cast(), exchange);
    }));
}

/// What the host is given to look at. No bytes are not nothing.
const fn bytes(bytes: &[u8]) -> abi::Bytes {
    abi::Bytes::of(bytes)
}

/// What the host gave; `None` where that is nothing.
///
/// # Safety
///
/// Whoever calls says that the bytes are valid for `'a`.
unsafe fn slice<'a>(bytes: abi::Bytes) -> Option<&'a [u8]> {
    if bytes.data.is_null() {
        return None;
    }
    // SAFETY: not null, and valid as whoever called says.
    Some(unsafe { &*ptr::slice_from_raw_parts(bytes.data, bytes.length) })
}

/// The same, where it is text.
///
/// # Safety
///
/// As [`slice`].
unsafe fn text<'a>(bytes: abi::Bytes) -> Option<&'a str> {
    // SAFETY: as whoever called says.
    std::str::from_utf8(unsafe { slice(bytes) }?).ok()
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Makes a native module of plugins: exports `switchback_plugin_v1`.
///
/// ```ignore
/// switchback_plugin::plugin!(Tier);
/// ```
///
/// The symbol is there only with the feature `module` of the plugin's own package, so that any number of plugins can be linked into one
/// program. A manifest says `[lib] crate-type = ["rlib", "cdylib"]` and `[features] module = []`; `cargo build --release --features module`
/// makes the module. Several plugins of one module are named in one call.
#[macro_export]
macro_rules! plugin {
    ($($plugin:ty),+ $(,)?) => {
        #[cfg(all(feature = "module", not(target_family = "wasm")))]
        const _: () = {
            #[cfg(panic = "abort")]
            compile_error!(
                "a native module must be built with `panic = \"unwind\"`: with `abort`, a panic of the plugin ends the proxy"
            );

            // Not `expect`: an author's package that does not deny it would be warned.
            #[allow(unsafe_code, reason = "the one symbol that a module exports")]
            #[unsafe(no_mangle)]
            extern "C" fn switchback_plugin_v1(index: u32) -> *const $crate::export::abi::Plugin {
                let tables: &[fn() -> *const $crate::export::abi::Plugin] = &[$({
                    fn table() -> *const $crate::export::abi::Plugin {
                        static TABLE: $crate::export::Table = $crate::export::Table::new();
                        TABLE.plugin::<$plugin>()
                    }
                    table
                }),+];
                match tables.get(index as usize) {
                    Some(table) => table(),
                    None => ::core::ptr::null(),
                }
            }
        };
    };
}
