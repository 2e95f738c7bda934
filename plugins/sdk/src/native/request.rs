//! What a module remembers of one request: the plugin's state, and the hook that waits.
//!
//! The future of a hook that waits borrows from the same allocation: the state and the shim, each by the one reference that it was given
//! when it was made. So nobody makes a reference to all of [`Remembered`] while there is a future; fields are reached through the pointer,
//! one by one. What changes from call to call, the host's exchange, is in [`Link`], which is only ever shared.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{NonNull, null_mut};
use std::task::{Context, Poll, Waker};

use switchback_plugin_abi as abi;

use super::exchange::Shim;
use super::link::Link;
use super::said;
use crate::flow::Flow;
use crate::hook::Hook;
use crate::linked::{answer, call};
use crate::module::Called;
use crate::plugin::Plugin;

type Future = Pin<Box<dyn core::future::Future<Output = Flow> + Send>>;

/// What is remembered of one request.
pub(super) struct Remembered<P: Plugin> {
    /// The hook that waits.
    waiting: Option<(Hook, Future)>,
    /// Borrowed by the future, if there is one.
    state: P::State,
    /// Borrowed by the future, if there is one.
    shim: Shim,
    /// What the shim points to. Only ever shared.
    link: Link,
    /// A hook panicked: the state is what it was then, and of no use.
    is_broken: Cell<bool>,
}

impl<P: Plugin> Remembered<P> {
    /// A new one, to be given to [`free`](Self::free).
    pub(super) fn boxed(host: &'static abi::Host) -> *mut Self {
        let this = Box::into_raw(Box::new(Self {
            waiting: None,
            state: P::State::default(),
            shim: Shim::new(NonNull::dangling()),
            link: Link::new(host, null_mut()),
            is_broken: Cell::new(false),
        }));
        // SAFETY: just made, and nobody else knows it. The link is reached through the pointer of the whole, and stays where it is.
        unsafe {
            let link = NonNull::new_unchecked(&raw mut (*this).link);
            (&raw mut (*this).shim).write(Shim::new(link));
        }
        this
    }

    /// # Safety
    ///
    /// `this` is from [`boxed`](Self::boxed), and is not used after.
    pub(super) unsafe fn free(this: *mut Self) {
        // The future goes first, while nobody else refers to what it borrows; a panic of it is told to nobody, and the rest goes too.
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: a reference to this field alone.
            let waiting = unsafe { &mut (*this).waiting };
            drop(waiting.take());
        }));
        // SAFETY: as whoever called says; nothing is borrowed any more.
        drop(unsafe { Box::from_raw(this) });
        drop(dropped);
    }

    /// # Safety
    ///
    /// `this` is from [`boxed`](Self::boxed), no hook of it runs, and `exchange` is the host's for this call.
    pub(super) unsafe fn abandon(this: *mut Self, exchange: *mut abi::Exchange) {
        // SAFETY: references to these fields alone; the link is only ever shared.
        let (link, waiting) = unsafe { (&(*this).link, &mut (*this).waiting) };
        let _at = link.at(exchange);
        drop(waiting.take());
    }

    /// Calls a hook that never waits.
    ///
    /// # Safety
    ///
    /// `this` is from [`boxed`](Self::boxed), and no hook of it runs.
    pub(super) unsafe fn immediate(this: *mut Self, plugin: &P, link: &Link, hook: Hook) -> i32 {
        // SAFETY: references to these fields alone.
        let (waiting, is_broken) = unsafe { (&mut (*this).waiting, &(*this).is_broken) };
        if is_broken.get() {
            return link.broken();
        }
        if waiting.is_some() {
            // Nobody waits for it any more, or the host would have called that hook. It would stand in the way of the state.
            // SAFETY: as whoever called says.
            unsafe { Self::abandon(this, link.exchange()) };
        }
        // SAFETY: no future borrows it any more.
        let state = unsafe { &mut (*this).state };
        let code = immediate(plugin, link, hook, state);
        is_broken.set(code == abi::PANICKED);
        code
    }

    /// Begins a hook that may wait, or goes on with it.
    ///
    /// # Safety
    ///
    /// `this` is from [`boxed`](Self::boxed), no hook of it runs, `plugin` is not freed before it, and `exchange` is the host's for this
    /// call.
    pub(super) unsafe fn wait(
        this: *mut Self,
        plugin: *const P,
        exchange: *mut abi::Exchange,
        hook: Hook,
    ) -> i32 {
        // SAFETY: references to these fields alone, which the future does not borrow; the link is only ever shared.
        let (link, is_broken) = unsafe { (&(*this).link, &(*this).is_broken) };
        let _at = link.at(exchange);
        if is_broken.get() {
            return link.broken();
        }
        let code = guarded(link, || {
            // SAFETY: as above.
            let waiting = unsafe { &mut (*this).waiting };
            if waiting.as_ref().is_none_or(|(waits, _)| *waits != hook) {
                drop(waiting.take());
                // SAFETY: the future borrows from what stays where it is until the future is dropped: see `free`, and the host's promise
                // to free an instance after its requests. No other future has the state or the shim.
                let called: Called<'static> =
                    unsafe { call(&*plugin, hook, &mut (*this).state, &mut (*this).shim) };
                match called {
                    Called::Done(flow) => return link.settle(flow),
                    Called::Waits(future) => *waiting = Some((hook, future)),
                }
            }
            link.wake();
            let Some((_, future)) = waiting else { return abi::PANICKED };
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => abi::PAUSE,
                Poll::Ready(flow) => {
                    drop(waiting.take());
                    link.settle(flow)
                }
            }
        });
        if code == abi::PANICKED {
            is_broken.set(true);
            // SAFETY: as above. Whatever the future still holds goes while there is an exchange to give it up to.
            let waiting = unsafe { &mut (*this).waiting };
            let _ = catch_unwind(AssertUnwindSafe(|| drop(waiting.take())));
        }
        code
    }
}

/// Calls a hook that never waits.
#[inline]
pub(super) fn immediate<P: Plugin>(
    plugin: &P,
    link: &Link,
    hook: Hook,
    state: &mut P::State,
) -> i32 {
    guarded(link, || {
        let mut shim = Shim::new(NonNull::from(link));
        link.settle(answer(plugin, hook, state, &mut shim))
    })
}

/// What `work` returns; a panic is told to the host.
#[inline]
fn guarded(link: &Link, work: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| panicked(link, panic))
}

#[cold]
#[inline(never)]
fn panicked(link: &Link, panic: Box<dyn Any + Send>) -> i32 {
    link.fail(said(&*panic));
    // What was panicked with may panic when it is dropped.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    abi::PANICKED
}
