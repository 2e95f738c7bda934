//! One request in a guest: what is remembered of it between hooks, and the hook that waits.
#![expect(unsafe_code, reason = "a hook that waits is kept beside what it borrows")]

use std::hash::Hasher;
use std::pin::Pin;
use std::task::{Context as Polling, Poll, Waker};

use crate::flow::Flow;
use crate::hook::Hook;
use crate::linked;
use crate::module::Called;
use crate::operation::{OperationError, Outcome};
use crate::plugin::Plugin;
use crate::wasm::border::Border;
use crate::wasm::landing::Waits;

/// One request. The future borrows what is kept for it, and goes first.
pub(super) struct Context<P: Plugin> {
    future: Option<Waiting<'static>>,
    kept: *mut Kept<P>,
}

/// A hook that waits.
struct Waiting<'a> {
    hook: Pin<Box<dyn Future<Output = Flow> + Send + 'a>>,
    _waits: Waits,
}

/// What outlives hooks of a request.
struct Kept<P: Plugin> {
    state: P::State,
    border: Border,
}

impl<P: Plugin> Context<P> {
    pub(super) fn new(is_known: bool) -> Self {
        // SAFETY: `begin` drops the future of the hook before, which alone has hold of what the border gave it; and one that waits has a
        // `Waits`.
        let border = unsafe { Border::new(is_known) };
        Self {
            future: None,
            kept: Box::into_raw(Box::new(Kept { state: Default::default(), border })),
        }
    }

    /// Begins a hook; how the request goes on, or `None` while it waits.
    pub(super) fn begin(&mut self, plugin: &'static P, hook: Hook, is_last: bool) -> Option<Flow> {
        self.future = None;
        // SAFETY: they were made by `new` and are freed by `drop` alone. Whoever borrowed them before was the future, which is gone.
        let (state, border) = unsafe { (&mut (*self.kept).state, &mut (*self.kept).border) };
        border.begin_hook(hook, is_last);
        match linked::call(plugin, hook, state, border) {
            Called::Done(flow) => Some(flow),
            Called::Waits(future) => {
                self.future = Some(Waiting { hook: future, _waits: Waits::new() });
                self.poll()
            }
        }
    }

    /// Goes on with the hook that waits; how the request goes on, or `None` while it waits.
    pub(super) fn poll(&mut self) -> Option<Flow> {
        let future = self.future.as_mut()?;
        match future.hook.as_mut().poll(&mut Polling::from_waker(Waker::noop())) {
            Poll::Ready(flow) => {
                self.future = None;
                Some(flow)
            }
            Poll::Pending => None,
        }
    }

    /// Takes the response to a request of its own, on a host that has only proxy-wasm; whether it was one.
    pub(super) fn called(&mut self, call: u32, outcome: &Result<Outcome, OperationError>) -> bool {
        // SAFETY: as above; the future uses the border only while it is polled, and reaches it through the same pointer.
        unsafe { (*self.kept).border.called(call, outcome) }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.future.is_some()
    }

    /// Gives up the hook that waits.
    pub(super) fn abandon(&mut self) {
        self.future = None;
    }

    /// The hook that was called last.
    pub(super) fn hook(&self) -> Hook {
        // SAFETY: as above.
        unsafe { (*self.kept).border.hook }
    }
}

impl<P: Plugin> Drop for Context<P> {
    fn drop(&mut self) {
        self.future = None;
        // SAFETY: made by `new` with `Box::into_raw`, and borrowed by nobody any more.
        drop(unsafe { Box::from_raw(self.kept) });
    }
}

/// Hashes numbers of contexts, which are given by the host, one after the other: nobody can have many of them fall into one place.
#[derive(Default)]
pub(super) struct ById(u64);

impl Hasher for ById {
    fn finish(&self) -> u64 {
        // The upper bits choose among the groups of the table.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = u64::from(id);
    }
}
