//! A request, or a tick, that a module has wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};

use bytes::Bytes;
use switchback_plugin::{Cause, Exchange, Flow, Hook, Operation, OperationId, Outcome};

use crate::functions;
use crate::guest::{AtHand, Guest, Trapped};
use crate::host::ROOT;
use crate::lent::Loan;
use crate::limits::Work;
use crate::request::{self, Early, Request};

/// How much of a request's body is read for a module that has the head wait for it.
const EARLY_BODY: usize = 1 << 20;

/// A request that a module for Envoy has wait: for requests of its own, for the body, or for something that happens elsewhere in it.
pub(crate) struct Waiting<'a> {
    pub(crate) guest: Arc<Guest>,
    pub(crate) context: u32,
    pub(crate) hook: Hook,
    pub(crate) exchange: &'a mut (dyn Exchange + 'a),
    pub(crate) body: Body<'a>,
    pub(crate) is_over: bool,
}

/// The body that the head of a request may wait for.
pub(crate) enum Body<'a> {
    /// None is to come, or it is not known how to wait for it.
    None,
    /// Not read yet; what comes of it is put there.
    Unread(&'a mut Early),
    Reading(OperationId, &'a mut Early),
}

impl Future for Waiting<'_> {
    type Output = Flow;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Flow> {
        let waiting = self.get_mut();
        let polled = match waiting.go_on(polling) {
            Ok(polled) => polled,
            Err(trapped) => Poll::Ready(trapped.into()),
        };
        waiting.is_over = polled.is_ready();
        polled
    }
}

impl Waiting<'_> {
    fn go_on(&mut self, polling: &mut Polling<'_>) -> Result<Poll<Flow>, Trapped> {
        loop {
            let waker = polling.waker();
            let (context, hook) = (self.context, self.hook);
            let loan = Loan { exchange: &mut *self.exchange, context, hook, waker: Some(waker) };
            let called = request::deliver(&self.guest, loan)?;
            if let Some(flow) = self.state(waker)? {
                return Ok(Poll::Ready(flow));
            }
            if called {
                continue;
            }
            if self.read_body(polling)? {
                continue;
            }
            if !self.has_hope() {
                let why = "the module has the request wait, and nothing is under way that could have it go on";
                return Ok(Poll::Ready(Flow::broken(Cause::Waited, why)));
            }
            return Ok(Poll::Pending);
        }
    }

    /// What the module has said meanwhile, here or elsewhere.
    fn state(&self, waker: &Waker) -> Result<Option<Flow>, Trapped> {
        let (context, side) = (self.context, request::side(self.hook));
        let state = self.guest.look(|running| {
            let entry = running.store.data_mut().contexts.get_mut(&context)?;
            entry.waker = Some(waker.clone());
            let goes_on = match context {
                ROOT => entry.calls.is_empty(),
                _ => entry.goes_on[side],
            };
            request::said(entry).or_else(|| goes_on.then_some(Flow::Continue))
        });
        if self.guest.is_dead() {
            return Err(Trapped::lost());
        }
        Ok(state)
    }

    /// Whether the body was shown to the module.
    fn read_body(&mut self, polling: &mut Polling<'_>) -> Result<bool, Trapped> {
        let has_calls =
            self.guest.look(|running| running.store.data_mut().is_waiting_for_calls(self.context));
        match std::mem::replace(&mut self.body, Body::None) {
            Body::None => return Ok(false),
            // First its own requests, which may well end the matter.
            Body::Unread(early) if has_calls => self.body = Body::Unread(early),
            Body::Unread(early) => {
                let begun = self.exchange.begin(Operation::Body { limit: EARLY_BODY });
                let Ok(operation) = begun else { return Ok(false) };
                self.body = Body::Reading(operation, early);
            }
            reading @ Body::Reading(..) => self.body = reading,
        }
        let Body::Reading(operation, _) = self.body else { return Ok(false) };
        let Poll::Ready(outcome) = self.exchange.poll(operation, polling) else { return Ok(false) };
        let Body::Reading(_, early) = std::mem::replace(&mut self.body, Body::None) else {
            return Ok(false);
        };
        let Ok(Outcome::Value(body)) = outcome else {
            return Err(Trapped(
                Cause::Said,
                "the body that the module waits for cannot be read".to_owned(),
            ));
        };
        let waker = polling.waker();
        *early = show(&self.guest, self.context, self.exchange, &body, waker)?;
        Ok(true)
    }

    /// Whether anything could still have it go on.
    fn has_hope(&self) -> bool {
        matches!(self.body, Body::Reading(..))
            || self.guest.look(|running| {
                let host = running.store.data_mut();
                let others = host.contexts.values().filter(|entry| !entry.calls.is_empty()).count();
                others > 0 || host.period.is_some() || !host.queues.is_empty()
            })
    }
}

/// Shows the whole body to the module, while the head waits.
fn show(
    guest: &Guest,
    context: u32,
    exchange: &mut dyn Exchange,
    body: &Bytes,
    waker: &Waker,
) -> Result<Early, Trapped> {
    let loan = Loan { exchange, context, hook: Hook::Request, waker: Some(waker) };
    guest.call(AtHand::Request(loan), Work::Body, |store, exports| {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        store.data_mut().piece = Some(body.clone());
        let action = match &exports.on_request_body {
            Some(function) => function.call(&mut *store, (context, length, 1))?,
            None => 0,
        };
        let host = store.data_mut();
        if action == 0
            && let Some(entry) = host.contexts.get_mut(&context)
        {
            entry.goes_on[0] = true;
        }
        Ok(match host.piece.take() {
            Some(changed) if changed != *body => Early::Changed(changed),
            _ => Early::Read,
        })
    })
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over && self.context != ROOT {
            return;
        }
        // Given up: nobody waits for what it has under way.
        if let Body::Reading(operation, _) = self.body {
            self.exchange.cancel(operation);
        }
        let calls = self.guest.look(|running| {
            let entry = running.store.data_mut().contexts.get_mut(&self.context);
            entry.map(|entry| std::mem::take(&mut entry.calls)).unwrap_or_default()
        });
        calls.into_iter().for_each(|(_, call)| self.exchange.cancel(call));
    }
}

/// A hook of a module of our own SDK, which waits.
pub(crate) struct Resuming<'a> {
    pub(crate) guest: Arc<Guest>,
    pub(crate) context: u32,
    pub(crate) hook: Hook,
    pub(crate) exchange: &'a mut (dyn Exchange + 'a),
    pub(crate) is_over: bool,
}

impl Future for Resuming<'_> {
    type Output = Flow;

    fn poll(self: Pin<&mut Self>, polling: &mut Polling<'_>) -> Poll<Flow> {
        let resuming = self.get_mut();
        let waker = polling.waker();
        let (context, hook) = (resuming.context, resuming.hook);
        let loan = Loan { exchange: &mut *resuming.exchange, context, hook, waker: Some(waker) };
        let called = resuming.guest.call(AtHand::Request(loan), Work::Head, |store, exports| {
            let Some(ours) = &exports.ours else { return Ok(Some(Flow::Continue)) };
            let code = ours.resume.call(&mut *store, context)?;
            let flow = crate::ours::flow(store, context, code);
            if flow.is_none()
                && let Some(entry) = store.data_mut().contexts.get_mut(&context)
            {
                // Also when its instance ends.
                entry.waker = Some(waker.clone());
            }
            Ok(flow)
        });
        let polled = match called {
            Ok(None) => Poll::Pending,
            Ok(Some(flow)) => Poll::Ready(flow),
            Err(trapped) => Poll::Ready(trapped.into()),
        };
        resuming.is_over = polled.is_ready();
        polled
    }
}

impl Drop for Resuming<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (context, hook) = (self.context, self.hook);
        let loan = Loan { exchange: &mut *self.exchange, context, hook, waker: None };
        // It has ended if it does not even let itself be given up.
        let _ = self.guest.call(AtHand::Request(loan), Work::Head, |store, exports| match &exports
            .ours
        {
            Some(ours) => ours.abandon.call(store, context),
            None => Ok(()),
        });
    }
}

/// What of the body the head of a request may wait for.
pub(crate) fn body<'a>(request: &'a mut Request, hook: Hook, exchange: &dyn Exchange) -> Body<'a> {
    match hook == Hook::Request && functions::expects_body(exchange) {
        true => Body::Unread(&mut request.early),
        false => Body::None,
    }
}
