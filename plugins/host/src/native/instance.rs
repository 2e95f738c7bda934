//! A configured plugin of a native module.

use std::ffi::c_void;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::ptr::null_mut;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use switchback_plugin::{Called, Cause, Exchange, Flow, Hook, Hooks, Instance, State};
use switchback_plugin_abi as abi;

use super::border::{Border, Said};
use super::module::{Functions, Remember};

/// An instance of the module's own, freed when nobody uses it any more.
pub(super) struct Made {
    functions: Functions,
    instance: *mut c_void,
}

// SAFETY: the header says that many requests are in an instance at once, on many threads.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

impl Made {
    pub(super) fn new(functions: Functions, instance: *mut c_void) -> Arc<Self> {
        Arc::new(Self { functions, instance })
    }

    /// Calls a hook, or goes on with it.
    fn call(&self, hook: Hook, request: *mut c_void, border: &Border<'_>) -> i32 {
        // SAFETY: the module's own function with its own data; a request is in one hook at a time, which the exclusive borrow of its state
        // makes sure of.
        unsafe { (self.functions.hook)(self.instance, request, border.pointer(), hook as u32) }
    }

    fn abandon(&self, request: *mut c_void, exchange: &mut dyn Exchange) {
        let Some(abandon) = self.functions.abandon else { return };
        let mut context = Context::from_waker(Waker::noop());
        let border = Border::new(exchange, &mut context);
        // SAFETY: as in `call`; the hook waits, so it does not run.
        unsafe { abandon(self.instance, request, border.pointer()) };
        // What it has to say is of no use any more.
        drop(border.take_said());
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: made by `instance_new`, and freed once; each request holds its instance, so none is left.
        unsafe { (self.functions.instance_free)(self.instance) };
    }
}

/// What the module remembers of a request.
struct Remembered {
    request: *mut c_void,
    remember: Remember,
    /// Freed after the request.
    made: Arc<Made>,
}

// SAFETY: the header says that a request is used by one thread at a time, whichever.
unsafe impl Send for Remembered {}

impl Drop for Remembered {
    fn drop(&mut self) {
        if !self.request.is_null() {
            // SAFETY: made by `request_new`, and freed once; no hook runs, because hooks borrow it.
            unsafe { (self.remember.free)(self.request) };
        }
    }
}

/// The state of a request of which the module remembers nothing.
struct Nothing;

/// A configured plugin.
pub(super) struct NativeInstance {
    made: Arc<Made>,
    hooks: Hooks,
    immediate: Hooks,
}

impl NativeInstance {
    pub(super) fn new(made: Arc<Made>, hooks: Hooks, immediate: Hooks) -> Self {
        Self { made, hooks, immediate }
    }

    /// The module's pointer to what it remembers; `None` for a state of another instance, or where the module made none.
    fn request(&self, state: &mut State) -> Option<*mut c_void> {
        if self.made.functions.remember.is_none() {
            // Whatever the state is, nobody looks at it.
            return Some(null_mut());
        }
        let remembered = state.downcast_mut::<Remembered>()?;
        let is_own = Arc::ptr_eq(&remembered.made, &self.made);
        (is_own && !remembered.request.is_null()).then_some(remembered.request)
    }
}

impl Instance for NativeInstance {
    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn immediate(&self) -> Hooks {
        self.immediate
    }

    fn is_stateless(&self) -> bool {
        self.made.functions.remember.is_none()
    }

    fn start(&self) -> State {
        let Some(remember) = self.made.functions.remember else { return Box::new(Nothing) };
        // SAFETY: the module's own function with its own instance.
        let request = unsafe { (remember.new)(self.made.instance) };
        Box::new(Remembered { request, remember, made: Arc::clone(&self.made) })
    }

    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        let Some(request) = self.request(state) else {
            return Called::Done(Flow::fail("there is nothing that this request is remembered by"));
        };
        let made = &*self.made;
        // Most hooks end at once, and take no future on the heap. One that does not is called again with whom to wake.
        let mut context = Context::from_waker(Waker::noop());
        let border = Border::new(&mut *exchange, &mut context);
        let code = made.call(hook, request, &border);
        if code == abi::CONTINUE && border.is_untouched() {
            return Called::Done(Flow::Continue);
        }
        let ended = Ended::of(code, &border);
        drop(border);
        let may_wait = hook.may_wait() && !self.immediate.contains(hook);
        Waits { made, request, exchange, hook, may_wait, is_over: true }.began(ended)
    }

    fn answer(&self, hook: Hook, exchange: &mut dyn Exchange) -> Flow {
        let mut context = Context::from_waker(Waker::noop());
        let border = Border::new(&mut *exchange, &mut context);
        let code = self.made.call(hook, null_mut(), &border);
        if code == abi::CONTINUE && border.is_untouched() {
            return Flow::Continue;
        }
        let ended = Ended::of(code, &border);
        drop(border);
        let (made, request) = (&*self.made, null_mut());
        match (Waits { made, request, exchange, hook, may_wait: false, is_over: true }).began(ended)
        {
            Called::Done(flow) => flow,
            Called::Waits(_) => waited(hook),
        }
    }
}

fn waited(hook: Hook) -> Flow {
    Flow::broken(Cause::Waited, format!("{} waited, where it cannot", hook.name()))
}

/// How a call of a hook ended.
struct Ended {
    code: i32,
    said: Option<Said>,
    is_waiting: bool,
}

impl Ended {
    fn of(code: i32, border: &Border<'_>) -> Self {
        Self { code, said: border.take_said(), is_waiting: border.is_waiting() }
    }
}

/// A hook that waits. Dropped before its end, it is given up.
struct Waits<'a> {
    made: &'a Made,
    request: *mut c_void,
    exchange: &'a mut (dyn Exchange + 'a),
    hook: Hook,
    may_wait: bool,
    is_over: bool,
}

// SAFETY: as for `Remembered`, which is borrowed as long as this lives.
unsafe impl Send for Waits<'_> {}

impl<'a> Waits<'a> {
    /// What follows from the first call of the hook.
    fn began(mut self, ended: Ended) -> Called<'a> {
        match self.after(ended) {
            Poll::Ready(flow) => Called::Done(flow),
            Poll::Pending => Called::Waits(Box::pin(self)),
        }
    }
}

impl Waits<'_> {
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<Flow> {
        // In case that a panic of ours comes through.
        self.is_over = true;
        let border = Border::new(&mut *self.exchange, context);
        let code = self.made.call(self.hook, self.request, &border);
        let ended = Ended::of(code, &border);
        drop(border);
        self.after(ended)
    }

    fn after(&mut self, ended: Ended) -> Poll<Flow> {
        if ended.code != abi::PAUSE {
            return Poll::Ready(flow(ended.code, ended.said));
        }
        // What it waits for is given up when this is dropped.
        self.is_over = false;
        match self.pause(ended.is_waiting) {
            None => Poll::Pending,
            Some(flow) => Poll::Ready(flow),
        }
    }

    /// Why the hook cannot wait, if it cannot.
    fn pause(&self, is_waiting: bool) -> Option<Flow> {
        if !self.may_wait {
            return Some(waited(self.hook));
        }
        (!is_waiting).then(|| {
            let message = "waits for nothing that would wake it: a hook may await operations of the host only";
            Flow::broken(Cause::Waited, message)
        })
    }
}

impl Future for Waits<'_> {
    type Output = Flow;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Flow> {
        self.get_mut().go_on(context)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.made.abandon(self.request, &mut *self.exchange);
        }
    }
}

/// What a hook said, by its code and what it told before.
fn flow(code: i32, said: Option<Said>) -> Flow {
    let failure = match said {
        None if code == abi::CONTINUE => return Flow::Continue,
        Some(Said::Panic(panic)) => resume_unwind(panic),
        Some(Said::Answer(answer)) if code == abi::ANSWER => return answer.into(),
        Some(Said::Answer(_)) if code == abi::CONTINUE => {
            return Flow::fail("gave an answer, and returned SB_CONTINUE instead of SB_ANSWER");
        }
        Some(Said::Answer(_)) | None => None,
        Some(Said::Failure(failure)) => Some(failure),
    };
    let or = |text: &str| failure.clone().unwrap_or_else(|| text.to_owned());
    match code {
        abi::ANSWER => Flow::fail(or("returned SB_ANSWER, and gave no answer")),
        abi::CONTINUE | abi::FAIL => Flow::fail(or("failed, and does not say why")),
        abi::PANICKED => Flow::broken(Cause::Panic, or("")),
        code => Flow::fail(format!("returned {code}, which means nothing to this version")),
    }
}
