//! Calls of plugins from which no panic comes out, and which end in time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use switchback_plugin::{Called, Cause, Exchange, Failure, Flow, Hook, Instance, State};

/// How a call began.
pub(crate) enum Began<'a> {
    Done(Flow),
    Waits(Waiting<'a>),
}

/// Has an instance make what it remembers of a request.
pub(crate) fn start(instance: &dyn Instance) -> Result<State, Box<Failure>> {
    caught(|| instance.start())
}

/// Calls a hook.
#[inline]
pub(crate) fn call<'a>(
    instance: &'a dyn Instance,
    hook: Hook,
    state: &'a mut State,
    exchange: &'a mut (dyn Exchange + 'a),
) -> Began<'a> {
    match caught(move || instance.call(hook, state, exchange)) {
        Ok(Called::Done(flow)) => Began::Done(flow),
        Err(failure) => Began::Done(Flow::Fail(failure)),
        Ok(Called::Waits(future)) => Began::Waits(Waiting { future: Some(future) }),
    }
}

/// Calls a hook where nobody can wait, or will.
#[inline]
pub(crate) fn call_now(
    instance: &dyn Instance,
    hook: Hook,
    state: &mut State,
    exchange: &mut dyn Exchange,
) -> Flow {
    match call(instance, hook, state, exchange) {
        Began::Done(flow) => flow,
        Began::Waits(waiting) => waiting.now(),
    }
}

/// Drops what belongs to a plugin.
pub(crate) fn forget<T>(remains: T) {
    if std::mem::needs_drop::<T>() {
        // Its last words are of no use to anybody.
        drop(caught(move || drop(remains)));
    }
}

/// A hook that waits. Given up when dropped.
pub(crate) struct Waiting<'a> {
    /// There until it has ended.
    future: Option<Pin<Box<dyn Future<Output = Flow> + Send + 'a>>>,
}

impl Waiting<'_> {
    /// Waits for its end, no longer than `limit`. No timer is set before it has to wait.
    pub(crate) async fn within(mut self, limit: Duration) -> Flow {
        let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
        std::future::poll_fn(move |context| {
            if let Poll::Ready(flow) = self.poll(context) {
                return Poll::Ready(flow);
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // Operations are given up here, while whoever runs them is at hand.
            self.give_up();
            let message = format!("not done after {limit:?}");
            Poll::Ready(Flow::broken(Cause::Timeout, message))
        })
        .await
    }

    /// Its end, where nobody can wait for it.
    #[cold]
    pub(crate) fn now(mut self) -> Flow {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flow) => flow,
            Poll::Pending => {
                self.give_up();
                Flow::broken(Cause::Waited, "waited where the proxy cannot")
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Flow> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let flow = match caught(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(flow)) => flow,
            Err(failure) => Flow::Fail(failure),
        };
        self.give_up();
        Poll::Ready(flow)
    }

    fn give_up(&mut self) {
        forget(self.future.take());
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.give_up();
        }
    }
}

/// What `call` gives, or what follows from its panic.
#[inline]
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Box<Failure>> {
    // What the plugin leaves behind is dropped after a panic: nobody sees it half done. What the host lends it keeps its own promises.
    catch_unwind(AssertUnwindSafe(call)).map_err(panicked)
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> Box<Failure> {
    let message = match panic.downcast_ref::<&str>() {
        Some(message) => (*message).to_owned(),
        None => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    // What is thrown may throw when it is dropped.
    forget(panic);
    Box::new(Failure { message, cause: Cause::Panic })
}
