//! Calls of plugins from which no panic comes out, and which end in time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use switchback_plugin::{Called, Cause, Exchange, Failure, Flow, Hook, Instance, State};

use crate::configured::Configured;
use crate::watch::{self, Mark, Post};

/// How a call began.
pub(crate) enum Began<'a> {
    Done(Ended),
    Waits(Waiting<'a>),
}

/// What came of a call.
pub(crate) type Ended = Result<Flow, Late>;

/// It has held up its thread for too long, and was told of and counted while it did. Whatever it says counts as a failure.
#[derive(Debug)]
pub(crate) struct Late;

/// Has an instance make what it remembers of a request.
pub(crate) fn start(instance: &dyn Instance) -> Result<State, Box<Failure>> {
    caught(|| instance.start())
}

/// Calls a hook.
#[inline]
pub(crate) fn call<'a>(
    plugin: &'a Configured,
    hook: Hook,
    state: &'a mut State,
    exchange: &'a mut (dyn Exchange + 'a),
) -> Began<'a> {
    let post = watch::mine();
    call_from((post, post.turn()), (plugin, hook), state, exchange)
}

/// The same from the thread that has this post, as this turn of it.
#[inline]
fn call_from<'a>(
    (post, turn): (&Post, u64),
    (plugin, hook): (&'a Configured, Hook),
    state: &'a mut State,
    exchange: &'a mut (dyn Exchange + 'a),
) -> Began<'a> {
    let mark = plugin.mark(hook);
    let at = post.enter(turn, mark);
    let called = caught(move || plugin.instance.call(hook, state, exchange));
    if post.leave(at) {
        return late(called);
    }
    match called {
        Ok(Called::Done(flow)) => Began::Done(Ok(flow)),
        Err(failure) => Began::Done(Ok(Flow::Fail(failure))),
        Ok(Called::Waits(future)) => Began::Waits(Waiting { future: Some(future), mark }),
    }
}

/// Calls a hook where it never waits, of a plugin that remembers nothing of a request. `None` if it lets the request pass, which is what
/// most do.
#[inline]
pub(crate) fn answer(
    (post, turn): (&Post, u64),
    (plugin, hook): (&Configured, Hook),
    exchange: &mut dyn Exchange,
) -> Option<Ended> {
    let at = post.enter(turn, plugin.mark(hook));
    let flow = caught(|| plugin.instance.answer(hook, exchange));
    match (post.leave(at), flow) {
        (false, Ok(Flow::Continue)) => None,
        (true, flow) => Some(too_late(flow)),
        (false, flow) => Some(Ok(flow.unwrap_or_else(Flow::Fail))),
    }
}

#[cold]
#[inline(never)]
fn too_late(flow: Result<Flow, Box<Failure>>) -> Ended {
    forget(flow);
    Err(Late)
}

/// What has come too late is of no use.
#[cold]
#[inline(never)]
fn late<'a>(called: Result<Called<'a>, Box<Failure>>) -> Began<'a> {
    forget(called);
    Began::Done(Err(Late))
}

/// Calls a hook where nobody can wait, or will.
#[inline]
pub(crate) fn call_now(
    from: (&Post, u64),
    asked: (&Configured, Hook),
    state: &mut State,
    exchange: &mut dyn Exchange,
) -> Ended {
    match call_from(from, asked, state, exchange) {
        Began::Done(ended) => ended,
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
    mark: Mark,
}

impl Waiting<'_> {
    /// Waits for its end, no longer than `limit`. No timer is set before it has to wait.
    pub(crate) async fn within(mut self, limit: Duration) -> Ended {
        let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
        std::future::poll_fn(move |context| {
            if let Poll::Ready(ended) = self.poll(context) {
                return Poll::Ready(ended);
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // Operations are given up here, while whoever runs them is at hand.
            self.give_up();
            let message = format!("not done after {limit:?}");
            Poll::Ready(Ok(Flow::broken(Cause::Timeout, message)))
        })
        .await
    }

    /// Its end, where nobody can wait for it.
    #[cold]
    pub(crate) fn now(mut self) -> Ended {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => ended,
            Poll::Pending => {
                self.give_up();
                Ok(Flow::broken(Cause::Waited, "waited where the proxy cannot"))
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let Some(future) = &mut self.future else { return Poll::Pending };
        let post = watch::mine();
        let at = post.enter(post.turn(), self.mark);
        let polled = caught(|| future.as_mut().poll(context));
        let ended = match (post.leave(at), polled) {
            (true, _) => Err(Late),
            (false, Ok(Poll::Pending)) => return Poll::Pending,
            (false, Ok(Poll::Ready(flow))) => Ok(flow),
            (false, Err(failure)) => Ok(Flow::Fail(failure)),
        };
        self.give_up();
        Poll::Ready(ended)
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
