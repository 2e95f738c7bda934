//! Hooks of modules that were made with our own SDK: one function has them all.

use switchback_plugin::{Cause, Exchange, Flow, Hook};
use wasmtime::Store;

use crate::guest::{AtHand, Guest};
use crate::host::Host;
use crate::lent::Loan;
use crate::limits::Work;
use crate::request::{self, Step};

/// What `switchback_hook` and `switchback_resume` give back.
const GOES_ON: u32 = 0;
const ANSWERS: u32 = 1;
const WAITS: u32 = 2;

/// Calls a hook.
pub(crate) fn step(guest: &Guest, context: u32, hook: Hook, exchange: &mut dyn Exchange) -> Step {
    let is_body = matches!(hook, Hook::RequestBody | Hook::ResponseBody);
    let is_last = is_body && exchange.is_last_piece();
    let work = if is_body { Work::Body } else { Work::Head };
    let loan = Loan { exchange, context, hook, waker: None };
    let called = guest.call(AtHand::Request(loan), work, |store, exports| {
        let Some(ours) = &exports.ours else { return Ok(Some(Flow::Continue)) };
        request::open(store, exports, context)?;
        let code = ours.hook.call(&mut *store, (context, hook as u32, u32::from(is_last)))?;
        Ok(flow(store, context, code))
    });
    match called {
        Ok(Some(flow)) => Step::Flow(flow),
        Ok(None) if hook.may_wait() => Step::Waits,
        Ok(None) => Step::Flow(Flow::broken(Cause::Waited, "it waits where the proxy cannot")),
        Err(trapped) => trapped.into(),
    }
}

/// What a code means; `None` when it waits.
pub(crate) fn flow(store: &mut Store<Host>, context: u32, code: u32) -> Option<Flow> {
    let host = store.data_mut();
    let said = host.contexts.get_mut(&context).and_then(request::said);
    Some(match (code, said) {
        (GOES_ON, _) => Flow::Continue,
        (ANSWERS, Some(flow)) => flow,
        (WAITS, _) => return None,
        _ => Flow::fail(host.failure.take().unwrap_or_else(|| "no reason was said".to_owned())),
    })
}
