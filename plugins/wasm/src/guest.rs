//! One instance of a module: a memory, what stands beside it, and how it is called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use switchback_plugin::{BuildError, Cause, Flow, Services};
use switchback_plugin_host::Isolation;
use wasmtime::{Instance, InstancePre, Store, Trap, UpdateDeadline};

use crate::call::Landing;
use crate::calls::wasi::Exit;
use crate::exports::{Exports, LANDING};
use crate::host::{Context, Host, ROOT};
use crate::lent::{self, Loan};
use crate::limits::{self, Budget, Verdict, Work};
use crate::plan::{Alive, Plan};

/// One instance. One thread at a time is in it, and never while it waits.
pub(crate) struct Guest {
    running: Mutex<Running>,
    is_dead: AtomicBool,
    plan: Arc<Plan>,
    /// Goes last: it is alive until its memory is given back.
    _alive: Alive,
}

/// An instance, for who has locked it.
pub(crate) struct Running {
    pub(crate) store: Store<Host>,
    pub(crate) exports: Exports,
}

/// An instance that ended before its time, and why.
#[derive(Debug)]
pub(crate) struct Trapped(pub(crate) Cause, pub(crate) String);

impl Trapped {
    /// Of a request that was in an instance which another one has ended.
    pub(crate) fn lost() -> Self {
        Self(Cause::Lost, "its instance was ended by another request".to_owned())
    }
}

impl From<Trapped> for Flow {
    fn from(Trapped(cause, message): Trapped) -> Self {
        Self::broken(cause, message)
    }
}

/// What is at hand during a call.
pub(crate) enum AtHand<'a> {
    Request(Loan<'a>),
    /// Nothing but the module itself, which means that context.
    Nothing(u32),
}

impl Guest {
    /// Makes an instance: starts it, and has it read its configuration.
    ///
    /// # Errors
    ///
    /// What the module has against its configuration; or that it did not start.
    pub(crate) fn start(
        pre: &InstancePre<Host>,
        plan: &Arc<Plan>,
        alive: Alive,
        services: Option<&mut dyn Services>,
    ) -> Result<Self, BuildError> {
        let mut store = store(pre, plan);
        let begin = |store: &mut Store<Host>| begin(store, pre);
        let exports = match services {
            Some(services) => lent::with_services(&mut store, services, begin),
            None => lent::with_nothing(&mut store, ROOT, begin),
        }?;
        let running = Mutex::new(Running { store, exports });
        let (is_dead, plan) = (AtomicBool::new(false), Arc::clone(plan));
        Ok(Self { running, is_dead, plan, _alive: alive })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }

    /// Bytes of its memory.
    pub(crate) fn memory(&self) -> u64 {
        self.look(|running| {
            let memory = running.store.data().memory;
            memory.map_or(0, |memory| memory.data_size(&running.store) as u64)
        })
    }

    /// Looks at the instance, without calling it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut Running) -> R) -> R {
        look(&mut self.running.lock())
    }

    /// Calls the instance, and ends it if it does not come back as it should.
    ///
    /// # Errors
    ///
    /// It did not, or has been ended before.
    pub(crate) fn call<R>(
        &self,
        at_hand: AtHand<'_>,
        work: Work,
        call: impl FnOnce(&mut Store<Host>, &Exports) -> wasmtime::Result<R>,
    ) -> Result<R, Trapped> {
        let running = &mut *self.running.lock();
        if self.is_dead() {
            return Err(Trapped::lost());
        }
        let Running { store, exports } = running;
        store.data_mut().budget = Budget::new(self.plan.limits.time(work));
        store.set_epoch_deadline(1);
        let body = |store: &mut Store<Host>| {
            let result = call(store, exports)?;
            finish_lingering(store, exports)?;
            Ok(result)
        };
        let called = match at_hand {
            AtHand::Request(loan) => lent::with_exchange(store, loan, body),
            AtHand::Nothing(context) => lent::with_nothing(store, context, body),
        };
        called.map_err(|error: wasmtime::Error| {
            self.end(store);
            if let Some(message) = store.data_mut().panic.take() {
                return Trapped(Cause::Panic, message);
            }
            let cause = match error.downcast_ref::<Trap>() {
                Some(Trap::Interrupt) => Cause::Spin,
                _ if store.data().is_out_of_memory => Cause::Memory,
                _ => Cause::Trap,
            };
            let message = match cause {
                Cause::Memory => {
                    format!("it wanted more than {} bytes of memory", self.plan.limits.memory)
                }
                _ => why(&error, &self.plan, work),
            };
            Trapped(cause, message)
        })
    }

    /// Whoever waits in it is told that it is over.
    fn end(&self, store: &mut Store<Host>) {
        self.is_dead.store(true, Ordering::Release);
        // Where each request has its own, nobody else has to wait for another one.
        if self.plan.limits.isolation == Isolation::Worker {
            self.plan.crashed();
        }
        store.data_mut().contexts.values_mut().for_each(Context::wake);
    }
}

/// A store for one instance, which keeps to its limits.
pub(crate) fn store(pre: &InstancePre<Host>, plan: &Arc<Plan>) -> Store<Host> {
    let mut store = Store::new(pre.module().engine(), Host::new(Arc::clone(plan)));
    store.limiter(|host| host);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| {
        match context.data_mut().budget.judge(limits::thread_time()) {
            Verdict::Continue(ticks) => Ok(UpdateDeadline::Continue(ticks)),
            Verdict::Over => Err(Trap::Interrupt.into()),
        }
    });
    store
}

fn begin(store: &mut Store<Host>, pre: &InstancePre<Host>) -> Result<Exports, BuildError> {
    let plan = Arc::clone(&store.data().plan);
    let failed = |what: &str, error: &wasmtime::Error| {
        BuildError::new("", format!("the module {what}: {}", why(error, &plan, Work::Start)))
    };
    let not_started =
        |store: &mut Store<Host>, error: &wasmtime::Error| match store.data_mut().panic.take() {
            Some(message) => BuildError::new("", format!("panicked: {message}")),
            None => failed("did not start", error),
        };
    let instance = pre.instantiate(&mut *store).map_err(|error| failed("cannot begin", &error))?;
    let host =
        |message: String| BuildError::new("", format!("the module cannot be used: {message}"));
    let memory = instance.get_memory(&mut *store, "memory");
    store.data_mut().memory = memory;
    store.data_mut().allocate = allocate(store, &instance);
    store.data_mut().contexts.insert(ROOT, Context::default());
    let exports = Exports::of(store, &instance).map_err(host)?;
    initialize(store, &instance).map_err(|error| not_started(store, &error))?;
    land(store, &instance).map_err(|error| not_started(store, &error))?;
    configure(store, &exports).map_err(|error| not_started(store, &error))??;
    Ok(exports)
}

/// The function that makes room in the memory, under either of its names.
fn allocate(store: &mut Store<Host>, instance: &Instance) -> Option<wasmtime::TypedFunc<u32, u32>> {
    ["proxy_on_memory_allocate", "malloc"]
        .into_iter()
        .find_map(|name| instance.get_typed_func(&mut *store, name).ok())
}

/// What a language's own library has to do before anything else.
fn initialize(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<()> {
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        initialize.call(&mut *store, ())?;
        if let Ok(main) = instance.get_typed_func::<(u32, u32), u32>(&mut *store, "main") {
            main.call(&mut *store, (0, 0))?;
        }
    } else if let Ok(start) = instance.get_typed_func::<(), ()>(&mut *store, "_start") {
        match start.call(&mut *store, ()) {
            // A program that has done what it had to do.
            Err(error) if error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == 0) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Asks where the module has room for what it is given.
fn land(store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<()> {
    if let Ok(landing) = instance.get_typed_func::<(), u64>(&mut *store, LANDING) {
        store.data_mut().landing = Landing::of(landing.call(&mut *store, ())?);
    }
    Ok(())
}

fn configure(
    store: &mut Store<Host>,
    exports: &Exports,
) -> wasmtime::Result<Result<(), BuildError>> {
    let settings = store.data().plan.settings.clone();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if let Some(create) = &exports.on_context_create {
        create.call(&mut *store, (ROOT, 0))?;
    }
    if let Some(start) = &exports.on_vm_start {
        store.data_mut().is_starting = true;
        let is_good = start.call(&mut *store, (ROOT, length(&settings.vm_configuration)))? != 0;
        store.data_mut().is_starting = false;
        if !is_good {
            return Ok(Err(BuildError::new("", "the module refused to start: see what it logged")));
        }
    }
    if let Some(configure) = &exports.on_configure {
        let is_good = configure.call(&mut *store, (ROOT, length(&settings.configuration)))? != 0;
        if !is_good {
            let refusal = store.data_mut().refusal.take();
            return Ok(Err(refusal.unwrap_or_else(|| {
                BuildError::new("", "the module refused its configuration: see what it logged")
            })));
        }
    }
    Ok(Ok(()))
}

/// Contexts that the module has kept beyond the end of their requests, and needs no more.
fn finish_lingering(store: &mut Store<Host>, exports: &Exports) -> wasmtime::Result<()> {
    while let Some(context) = store.data_mut().done.pop() {
        store.data_mut().current = context;
        if let Some(log) = &exports.on_log {
            log.call(&mut *store, context)?;
        }
        if let Some(delete) = &exports.on_delete {
            delete.call(&mut *store, context)?;
        }
        store.data_mut().contexts.remove(&context);
        store.data_mut().lingering -= 1;
    }
    Ok(())
}

/// Why an instance ended, for the log.
pub(crate) fn why(error: &wasmtime::Error, plan: &Plan, work: Work) -> String {
    if let Some(Trap::Interrupt) = error.downcast_ref::<Trap>() {
        return format!("it computed for longer than {:?}", plan.limits.time(work));
    }
    let text = match error.downcast_ref::<Trap>() {
        // The error itself is where, and what follows it is the trap.
        Some(trap) => format!("{trap}: {error}"),
        None => format!("{error:#}"),
    };
    let mut text = text.replace(['\n', '\r'], " ");
    text.truncate(text.floor_char_boundary(1000));
    text
}
