//! A module that was compiled, and is not configured yet.

use std::fmt;
use std::sync::Arc;

use switchback_plugin::wasm::wire;
use switchback_plugin::{BuildError, Hooks, Instance, Kind, Module, Services};
use wasmtime::{ExternType, InstancePre, Store};

use crate::calls;
use crate::configured::Configured;
use crate::exports::{self, DESCRIBE, VERSIONS};
use crate::guest::{self, why};
use crate::host::Host;
use crate::lent;
use crate::limits::{Limits, Work};
use crate::plan::Plan;
use crate::shared::Shared;
use crate::ticker::Ticking;

/// Why a file is no plugin that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(String);

impl LoadError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

/// A module as code for this processor.
pub(crate) struct Compiled {
    pub(crate) pre: InstancePre<Host>,
    pub(crate) hooks: Hooks,
    description: Option<Description>,
    /// Has the clock go on as long as the module is there.
    _ticking: Arc<Ticking>,
}

/// What a module of our own SDK says of itself.
struct Description {
    name: String,
    version: String,
    schema: Option<String>,
    hooks: Hooks,
}

impl Compiled {
    /// # Errors
    ///
    /// It is no Wasm, no module for proxy-wasm, or imports what nobody has.
    pub(crate) fn new(ticking: Arc<Ticking>, code: &[u8]) -> Result<Self, LoadError> {
        let engine = ticking.engine();
        if !code.starts_with(b"\0asm") {
            return Err(LoadError::new("this is no Wasm module: it does not begin as one"));
        }
        let module = wasmtime::Module::new(engine, code).map_err(|error| {
            LoadError::new(format!("this is no Wasm module that can be used: {error:#}"))
        })?;
        if !VERSIONS.iter().any(|version| module.get_export(version).is_some()) {
            return Err(LoadError::new(format!(
                "this Wasm module is no plugin: it exports none of {}",
                VERSIONS.map(|version| format!("`{version}`")).join(", ")
            )));
        }
        let linker = calls::linker(engine, &module)
            .map_err(|error| LoadError::new(format!("its imports cannot be had: {error:#}")))?;
        let pre = linker.instantiate_pre(&module).map_err(|error| {
            LoadError::new(format!("it imports what this proxy does not have: {error:#}"))
        })?;
        let hooks = exports::hooks(&module);
        let has_memory = matches!(module.get_export("memory"), Some(ExternType::Memory(_)));
        if !has_memory && !hooks.is_empty() && module.imports().len() > 0 {
            return Err(LoadError::new("it exports no memory named `memory`"));
        }
        Ok(Self { pre, hooks, description: None, _ticking: ticking })
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.description.is_some()
    }

    /// Asks a module of our own SDK what it is.
    pub(crate) fn described(mut self, limits: Limits) -> Result<Self, LoadError> {
        if self.pre.module().get_export(DESCRIBE).is_none() {
            return Ok(self);
        }
        let plan = Arc::new(Plan::new("", true, limits, Arc::new(Shared::default())));
        let mut store = guest::store(&self.pre, &plan);
        let text = lent::with_nothing(&mut store, 1, |store| describe(store, &self.pre));
        let text = text.map_err(|error| {
            LoadError::new(format!("it cannot say what it is: {}", why(&error, &plan, Work::Start)))
        })?;
        let description =
            read(&text).ok_or_else(|| LoadError::new("what it says of itself cannot be read"))?;
        self.hooks = description.hooks;
        self.description = Some(description);
        Ok(self)
    }
}

/// The text that a module of our own SDK says of itself.
fn describe(store: &mut Store<Host>, pre: &InstancePre<Host>) -> wasmtime::Result<Vec<u8>> {
    let instance = pre.instantiate(&mut *store)?;
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        initialize.call(&mut *store, ())?;
    }
    let describe = instance.get_typed_func::<(), u64>(&mut *store, DESCRIBE)?;
    let place = describe.call(&mut *store, ())?;
    let memory = instance.get_memory(&mut *store, "memory");
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("it exports no memory"))?;
    let [start, length] = [place >> 32, place & u64::from(u32::MAX)].map(|half| half as usize);
    let text = memory.data(&*store).get(start..).and_then(|rest| rest.get(..length));
    Ok(text.ok_or_else(|| wasmtime::Error::msg("what it says lies outside its memory"))?.to_vec())
}

fn read(text: &[u8]) -> Option<Description> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    if value["wire"].as_u64() != Some(u64::from(wire::VERSION)) {
        return None;
    }
    Some(Description {
        name: value["name"].as_str()?.to_owned(),
        version: value["version"].as_str()?.to_owned(),
        schema: Some(value["schema"].to_string()).filter(|schema| schema != "null"),
        hooks: Hooks::from_bits(value["hooks"].as_u64()?),
    })
}

/// A compiled module, with a name and what it may use.
pub(crate) struct Named {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) shared: Arc<Shared>,
}

impl Module for Named {
    fn name(&self) -> &str {
        self.compiled.description.as_ref().map_or(&self.name, |description| &description.name)
    }

    fn version(&self) -> &str {
        self.compiled.description.as_ref().map_or("", |description| &description.version)
    }

    fn kind(&self) -> Kind {
        Kind::Wasm
    }

    fn schema(&self) -> Option<String> {
        self.compiled.description.as_ref()?.schema.clone()
    }

    fn hooks(&self) -> Hooks {
        self.compiled.hooks
    }

    fn build(
        &self,
        options: &str,
        services: &mut dyn Services,
    ) -> Result<Arc<dyn Instance>, BuildError> {
        let plan =
            Plan::new(self.name(), self.compiled.is_ours(), self.limits, Arc::clone(&self.shared));
        let plan = Arc::new(plan.configured(services, options));
        Ok(Arc::new(Configured::new(Arc::clone(&self.compiled), plan, services)?))
    }
}
