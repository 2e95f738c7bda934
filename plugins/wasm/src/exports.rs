//! What a module can be called for.

use switchback_plugin::{Hook, Hooks};
use wasmtime::{Func, Instance, Module, Store, TypedFunc, WasmParams, WasmResults};

use crate::host::Host;

/// Names of what says which version of proxy-wasm a module speaks.
pub(crate) const VERSIONS: [&str; 3] =
    ["proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"];

/// What a module of our own SDK has beside what proxy-wasm has.
pub(crate) const DESCRIBE: &str = "switchback_describe";
/// Where it has room for what it is given, if it does.
pub(crate) const LANDING: &str = "switchback_landing";

/// A function of one context and two numbers; the second one came with 0.2.0.
pub(crate) enum Head {
    Three(TypedFunc<(u32, u32, u32), u32>),
    Two(TypedFunc<(u32, u32), u32>),
}

impl Head {
    pub(crate) fn call(
        &self,
        store: &mut Store<Host>,
        (context, count, is_end): (u32, u32, bool),
    ) -> wasmtime::Result<u32> {
        match self {
            Self::Three(function) => function.call(store, (context, count, u32::from(is_end))),
            Self::Two(function) => function.call(store, (context, count)),
        }
    }
}

/// The plugin's context, the number of the call, and of how much its response is made: fields, bytes, trailers.
pub(crate) type CallResponse = (u32, u32, u32, u32, u32);

/// The functions of one instance. Absent ones are not called.
pub(crate) struct Exports {
    pub(crate) on_context_create: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) on_vm_start: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) on_configure: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) on_request_headers: Option<Head>,
    pub(crate) on_request_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) on_request_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) on_response_headers: Option<Head>,
    pub(crate) on_response_body: Option<TypedFunc<(u32, u32, u32), u32>>,
    pub(crate) on_response_trailers: Option<TypedFunc<(u32, u32), u32>>,
    pub(crate) on_done: Option<TypedFunc<u32, u32>>,
    pub(crate) on_log: Option<TypedFunc<u32, ()>>,
    pub(crate) on_delete: Option<TypedFunc<u32, ()>>,
    pub(crate) on_tick: Option<TypedFunc<u32, ()>>,
    pub(crate) on_queue_ready: Option<TypedFunc<(u32, u32), ()>>,
    pub(crate) on_call_response: Option<TypedFunc<CallResponse, ()>>,
    pub(crate) ours: Option<Ours>,
}

/// What a module of our own SDK has instead of one function for each hook.
pub(crate) struct Ours {
    /// Context, hook, and whether the piece of a body is the last one; says how the request goes on.
    pub(crate) hook: TypedFunc<(u32, u32, u32), u32>,
    /// Goes on with a hook that waits.
    pub(crate) resume: TypedFunc<u32, u32>,
    /// Gives up a hook that waits.
    pub(crate) abandon: TypedFunc<u32, ()>,
}

impl Exports {
    /// # Errors
    ///
    /// The name of a function that has another type.
    pub(crate) fn of(store: &mut Store<Host>, instance: &Instance) -> Result<Self, String> {
        let mut find = Find { store, instance };
        let ours = find.ours()?;
        let is_ours = ours.is_some();
        Ok(Self {
            // Those of our own SDK, whose messages have a version of their own, do nothing.
            on_context_create: find.unless(is_ours, "proxy_on_context_create")?,
            on_vm_start: find.typed("proxy_on_vm_start")?,
            on_configure: find.typed("proxy_on_configure")?,
            on_request_headers: find.head("proxy_on_request_headers")?,
            on_request_body: find.typed("proxy_on_request_body")?,
            on_request_trailers: find.typed("proxy_on_request_trailers")?,
            on_response_headers: find.head("proxy_on_response_headers")?,
            on_response_body: find.typed("proxy_on_response_body")?,
            on_response_trailers: find.typed("proxy_on_response_trailers")?,
            on_done: find.unless(is_ours, "proxy_on_done")?,
            on_log: find.typed("proxy_on_log")?,
            on_delete: find.typed("proxy_on_delete")?,
            on_tick: find.typed("proxy_on_tick")?,
            on_queue_ready: find.typed("proxy_on_queue_ready")?,
            on_call_response: find.typed("proxy_on_http_call_response")?,
            ours,
        })
    }
}

struct Find<'a> {
    store: &'a mut Store<Host>,
    instance: &'a Instance,
}

impl Find<'_> {
    fn function(&mut self, name: &str) -> Option<Func> {
        self.instance.get_func(&mut *self.store, name)
    }

    fn typed<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
    ) -> Result<Option<TypedFunc<P, R>>, String> {
        let Some(function) = self.function(name) else { return Ok(None) };
        match function.typed(&*self.store) {
            Ok(typed) => Ok(Some(typed)),
            Err(error) => {
                Err(format!("its function `{name}` is not as proxy-wasm has it: {error}"))
            }
        }
    }

    /// A function that modules of our own SDK need not be called for.
    fn unless<P: WasmParams, R: WasmResults>(
        &mut self,
        is_ours: bool,
        name: &str,
    ) -> Result<Option<TypedFunc<P, R>>, String> {
        if is_ours { Ok(None) } else { self.typed(name) }
    }

    fn head(&mut self, name: &str) -> Result<Option<Head>, String> {
        if let Ok(Some(two)) = self.typed(name) {
            return Ok(Some(Head::Two(two)));
        }
        Ok(self.typed(name)?.map(Head::Three))
    }

    fn ours(&mut self) -> Result<Option<Ours>, String> {
        let hook = self.typed("switchback_hook")?;
        let resume = self.typed("switchback_resume")?;
        let abandon = self.typed("switchback_abandon")?;
        let (Some(hook), Some(resume), Some(abandon)) = (hook, resume, abandon) else {
            return Ok(None);
        };
        Ok(Some(Ours { hook, resume, abandon }))
    }
}

/// The hooks of a module for Envoy, by the functions that it has.
pub(crate) fn hooks(module: &Module) -> Hooks {
    let has = |name: &str| module.get_export(name).is_some();
    let of = |names: &[&str], hook| match names.iter().any(|name| has(name)) {
        true => Hooks::of(&[hook]),
        false => Hooks::NONE,
    };
    of(&["proxy_on_request_headers"], Hook::Request)
        .union(of(&["proxy_on_request_body", "proxy_on_request_trailers"], Hook::RequestBody))
        .union(of(&["proxy_on_response_headers"], Hook::Response))
        .union(of(&["proxy_on_response_body", "proxy_on_response_trailers"], Hook::ResponseBody))
        .union(of(&["proxy_on_log"], Hook::Log))
        .union(of(&["proxy_on_tick", "proxy_on_queue_ready"], Hook::Tick))
}
