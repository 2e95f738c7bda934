//! One request in an instance: its hooks, as proxy-wasm has them.

use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};

use bytes::Bytes;
use switchback_plugin::{Cause, Exchange, Flow, Hook, HttpResponse, OperationId, Outcome};
use wasmtime::Store;

use crate::calls::maps;
use crate::exports::Exports;
use crate::functions;
use crate::guest::{AtHand, Guest, Trapped};
use crate::host::{Context, Host, ROOT};
use crate::lent::Loan;
use crate::limits::Work;
use crate::pairs::Encoder;

/// Contexts that an instance may keep beyond the end of their requests.
const MAX_LINGERING: usize = 1024;

/// What is remembered of a request.
pub(crate) struct Request {
    /// The instance that it is in, from its first hook on.
    pub(crate) guest: Option<Arc<Guest>>,
    /// Its number there; 0 before the first hook.
    pub(crate) context: u32,
    /// Whether a module that had the head wait has seen the body already, and what it made of it.
    pub(crate) early: Early,
}

/// The body of a request, read before its head went on.
pub(crate) enum Early {
    No,
    /// It was read, and goes on as it is.
    Read,
    /// It was read, and this is sent instead.
    Changed(Bytes),
}

/// How a request goes on after a call.
pub(crate) enum Step {
    Flow(Flow),
    Waits,
}

impl From<Trapped> for Step {
    fn from(trapped: Trapped) -> Self {
        Self::Flow(trapped.into())
    }
}

impl Request {
    /// Calls the function of a hook.
    pub(crate) fn step(&mut self, hook: Hook, exchange: &mut dyn Exchange) -> Step {
        if hook == Hook::RequestBody && !matches!(self.early, Early::No) {
            return Step::Flow(self.replay(exchange));
        }
        let context = self.context();
        let Some(guest) = self.guest.as_deref() else {
            return Step::Flow(Flow::fail("it is in no instance"));
        };
        let work = match hook {
            Hook::RequestBody | Hook::ResponseBody => Work::Body,
            _ => Work::Head,
        };
        let mut is_told = false;
        loop {
            let loan = Loan { exchange: &mut *exchange, context, hook, waker: None };
            let stepped = guest.call(AtHand::Request(loan), work, |store, exports| {
                if let Arrival::HasCalls = arrive(store, exports, context, is_told)? {
                    return Ok(Settled::HasCalls);
                }
                let action = match hook {
                    Hook::Log => {
                        close(store, exports, context, true)?;
                        0
                    }
                    hook => functions::call(store, exports, context, hook)?,
                };
                Ok(settled(store, context, hook, action != 0))
            });
            match stepped {
                Err(trapped) => return trapped.into(),
                Ok(Settled::Flow(flow)) => return Step::Flow(flow),
                Ok(Settled::Ended(calls)) => {
                    calls.into_iter().for_each(|call| exchange.cancel(call));
                    self.context = 0;
                    return Step::Flow(Flow::Continue);
                }
                Ok(Settled::Pauses) => return pause(hook, exchange),
                // What has come meanwhile is told first.
                Ok(Settled::HasCalls) => {
                    let loan = Loan { exchange: &mut *exchange, context, hook, waker: None };
                    if let Err(trapped) = deliver(guest, loan) {
                        return trapped.into();
                    }
                    is_told = true;
                }
            }
        }
    }

    /// Its number in its instance; 0 in none.
    pub(crate) fn context(&mut self) -> u32 {
        if self.context == 0
            && let Some(guest) = &self.guest
        {
            self.context = guest.look(|running| {
                let host = running.store.data_mut();
                let context = host.next_context();
                host.contexts.insert(context, Context { is_new: true, ..Context::default() });
                context
            });
        }
        self.context
    }

    /// The body that the module has seen already goes on, as it is or as the module has made it.
    fn replay(&mut self, exchange: &mut dyn Exchange) -> Flow {
        let Early::Changed(body) = &mut self.early else { return Flow::Continue };
        let piece = if exchange.is_last_piece() { std::mem::take(body) } else { Bytes::new() };
        match exchange.set_piece(piece) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(format!("the body could not be changed: {refused}")),
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let (Some(guest), true) = (&self.guest, self.context != 0) else { return };
        let context = self.context;
        // The request was given up, or the module wants to hear nothing of its end. Nobody can be told of a trap here, but the instance
        // has ended with it.
        let _ = guest.call(AtHand::Nothing(context), Work::Head, |store, exports| {
            close(store, exports, context, false)
        });
    }
}

/// What a call came to.
pub(crate) enum Settled {
    Flow(Flow),
    Pauses,
    /// Nothing yet: requests of its own are under way, whose ends come first.
    HasCalls,
    /// The request is over, and nobody needs what is still under way.
    Ended(Vec<OperationId>),
}

/// How a hook of a request begins.
enum Arrival {
    /// What has come meanwhile is to be told first.
    HasCalls,
    Begins,
}

/// Begins a hook, unless requests of the module's own are under way of whose ends it is not told yet.
fn arrive(
    store: &mut Store<Host>,
    exports: &Exports,
    context: u32,
    is_told: bool,
) -> wasmtime::Result<Arrival> {
    let Some(entry) = store.data_mut().contexts.get_mut(&context) else {
        return Ok(Arrival::Begins);
    };
    if !is_told && !entry.calls.is_empty() {
        return Ok(Arrival::HasCalls);
    }
    entry.goes_on = [false; 2];
    if entry.is_new {
        open(store, exports, context)?;
        if let Some(entry) = store.data_mut().contexts.get_mut(&context) {
            entry.goes_on = [false; 2];
        }
        // Which it may have said to mean another one.
        store.data_mut().current = context;
    }
    Ok(Arrival::Begins)
}

/// Tells the module of a request that is new to it.
pub(crate) fn open(
    store: &mut Store<Host>,
    exports: &Exports,
    context: u32,
) -> wasmtime::Result<()> {
    let Some(entry) = store.data_mut().contexts.get_mut(&context) else { return Ok(()) };
    if std::mem::take(&mut entry.is_new)
        && let Some(create) = &exports.on_context_create
    {
        create.call(store, (context, ROOT))?;
    }
    Ok(())
}

/// What the module has said beside the action that it gave back.
fn settled(store: &mut Store<Host>, context: u32, hook: Hook, pauses: bool) -> Settled {
    let host = store.data_mut();
    let Some(entry) = host.contexts.get_mut(&context) else {
        return Settled::Ended(std::mem::take(&mut host.given_up));
    };
    if hook == Hook::Log {
        return Settled::Ended(entry.calls.drain(..).map(|(_, call)| call).collect());
    }
    if let Some(flow) = said(entry) {
        return Settled::Flow(flow);
    }
    match pauses && !entry.goes_on[side(hook)] {
        true => Settled::Pauses,
        false => Settled::Flow(Flow::Continue),
    }
}

/// An answer, or an end.
pub(crate) fn said(entry: &mut Context) -> Option<Flow> {
    if let Some(answer) = entry.answer.take() {
        return Some(Flow::Answer(answer));
    }
    entry.is_closed.then(|| Flow::fail("the module closed the stream"))
}

/// Which of the two ways a hook is on, by proxy-wasm's number.
pub(crate) fn side(hook: Hook) -> usize {
    usize::from(matches!(hook, Hook::Response | Hook::ResponseBody))
}

fn pause(hook: Hook, exchange: &mut dyn Exchange) -> Step {
    let is_body = matches!(hook, Hook::RequestBody | Hook::ResponseBody);
    if is_body && !exchange.is_last_piece() {
        return Step::Flow(match exchange.hold_piece() {
            Ok(()) => Flow::Continue,
            Err(refused) => {
                Flow::fail(format!("the module waits for more of the body than is kept: {refused}"))
            }
        });
    }
    match hook {
        Hook::ResponseBody => Step::Flow(Flow::broken(
            Cause::Waited,
            "the module has the end of a response's body wait, which cannot be",
        )),
        _ => Step::Waits,
    }
}

/// The end of a request. With `is_told`, the module may still read what came of it.
fn close(
    store: &mut Store<Host>,
    exports: &Exports,
    context: u32,
    is_told: bool,
) -> wasmtime::Result<()> {
    let is_new = store.data_mut().contexts.get(&context).is_none_or(|entry| entry.is_new);
    if !is_new {
        let is_done = match &exports.on_done {
            Some(done) => done.call(&mut *store, context)? != 0,
            None => true,
        };
        let host = store.data_mut();
        if !is_done
            && host.lingering < MAX_LINGERING
            && let Some(entry) = host.contexts.get_mut(&context)
        {
            entry.lingers = true;
            host.lingering += 1;
            return Ok(());
        }
        if is_told && let Some(log) = &exports.on_log {
            log.call(&mut *store, context)?;
        }
        if let Some(delete) = &exports.on_delete {
            delete.call(&mut *store, context)?;
        }
    }
    let host = store.data_mut();
    if let Some(mut entry) = host.contexts.remove(&context) {
        host.given_up = entry.calls.drain(..).map(|(_, call)| call).collect();
    }
    Ok(())
}

/// Tells the module of its own requests that have come to an end; whether there was one.
pub(crate) fn deliver(guest: &Guest, mut loan: Loan<'_>) -> Result<bool, Trapped> {
    let context = loan.context;
    let calls = guest.look(|running| {
        let entry = running.store.data_mut().contexts.get(&context);
        entry.map(|entry| entry.calls.clone()).unwrap_or_default()
    });
    let waker = loan.waker.unwrap_or(Waker::noop()).clone();
    let mut called = false;
    for (token, operation) in calls {
        let polled = loan.exchange.poll(operation, &mut Polling::from_waker(&waker));
        let Poll::Ready(outcome) = polled else { continue };
        called = true;
        let response = match outcome {
            Ok(Outcome::Http(response)) => Some(*response),
            _ => None,
        };
        guest.call(AtHand::Request(loan.again()), Work::Head, |store, exports| {
            tell(store, exports, (context, token), response)
        })?;
    }
    Ok(called)
}

fn tell(
    store: &mut Store<Host>,
    exports: &Exports,
    (context, token): (u32, u32),
    response: Option<HttpResponse>,
) -> wasmtime::Result<()> {
    let host = store.data_mut();
    if let Some(entry) = host.contexts.get_mut(&context) {
        entry.calls.retain(|(known, _)| *known != token);
    }
    host.current = ROOT;
    let mut fields = Encoder::default();
    if let Some(response) = &response {
        maps::of_response(response, &mut fields);
    }
    let body = response.as_ref().map_or(0, |response| response.body.len());
    let body = u32::try_from(body).unwrap_or(u32::MAX);
    host.response = response;
    match &exports.on_call_response {
        Some(function) => function.call(store, (ROOT, token, fields.len(), body, 0)),
        None => Ok(()),
    }
}
