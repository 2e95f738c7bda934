//! A plugin of this program, as what runs plugins sees it.

use std::marker::PhantomData;
use std::mem::needs_drop;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::exchange::{Exchange, Level};
use crate::facade::{Background, Body, Done, Endpoints, Operating as _, Request, Response, Route};
use crate::flow::Flow;
use crate::hook::{Hook, Hooks};
use crate::module::{Called, Instance, Kind, Module, State, waited};
use crate::operation::StoreOperation;
use crate::options;
use crate::plugin::Plugin;
use crate::setup::{BuildError, Services, Setup};

/// A plugin that is linked in.
pub struct Linked<P>(PhantomData<fn() -> P>);

impl<P: Plugin> Linked<P> {
    /// The plugin, not configured yet.
    #[must_use]
    pub fn module() -> Arc<dyn Module> {
        Arc::new(Self(PhantomData))
    }

    /// The plugin, made of `options`.
    ///
    /// # Errors
    ///
    /// As [`Module::build`].
    pub fn instance(options_json: &str, services: &mut dyn Services) -> Result<P, BuildError> {
        P::build(options::read(options_json)?, &mut Setup::new(services))
    }
}

impl<P: Plugin> Module for Linked<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn version(&self) -> &str {
        P::VERSION
    }

    fn kind(&self) -> Kind {
        Kind::Linked
    }

    fn schema(&self) -> Option<String> {
        serde_json::to_string(&schemars::schema_for!(P::Options)).ok()
    }

    fn hooks(&self) -> Hooks {
        P::HOOKS
    }

    fn build(
        &self,
        options: &str,
        services: &mut dyn Services,
    ) -> Result<Arc<dyn Instance>, BuildError> {
        Ok(Arc::new(Configured(Self::instance(options, services)?)))
    }
}

struct Configured<P>(P);

impl<P: Plugin> Instance for Configured<P> {
    fn hooks(&self) -> Hooks {
        P::HOOKS
    }

    fn immediate(&self) -> Hooks {
        P::IMMEDIATE.union(Hooks::of(&[Hook::ResponseBody, Hook::Log]))
    }

    fn is_stateless(&self) -> bool {
        size_of::<P::State>() == 0 && !needs_drop::<P::State>()
    }

    fn start(&self) -> State {
        Box::new(P::State::default())
    }

    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a> {
        let Some(state) = state.downcast_mut::<P::State>() else {
            return Called::Done(Flow::fail("called with another plugin's state"));
        };
        call(&self.0, hook, state, exchange)
    }

    fn answer(&self, hook: Hook, exchange: &mut dyn Exchange) -> Flow {
        // One that is nothing is like another, and need not be looked for.
        answer(&self.0, hook, &mut P::State::default(), exchange)
    }
}

/// Calls one hook of a plugin: `run` has what it is given, which may wait, come to its end, and `done` takes what ended at once.
macro_rules! hook {
    ($plugin:ident, $hook:ident, $state:ident, $exchange:ident, $run:ident, $done:expr) => {{
        macro_rules! run {
            ($facade:ident, $method:ident) => {
                $run::<P, _>($hook, async move {
                    $plugin.$method($state, &mut $facade::new($exchange)).await
                })
            };
        }
        match $hook {
            Hook::Request => run!(Request, on_request),
            Hook::Route => run!(Route, on_route),
            Hook::Upstream => run!(Endpoints, on_upstream),
            Hook::UpstreamRequest => run!(Request, on_upstream_request),
            Hook::UpstreamResponse => run!(Response, on_upstream_response),
            Hook::Response => run!(Response, on_response),
            Hook::RequestBody => run!(Body, on_request_body),
            Hook::ResponseBody => {
                $done($plugin.on_response_body($state, &mut Body::new($exchange)))
            }
            Hook::Log => {
                let done = Done::new(&*$exchange);
                $plugin.on_log($state, &done);
                keep(done.into_wanted(), $exchange);
                $done(Flow::Continue)
            }
            Hook::Tick => $run::<P, _>($hook, async move {
                $plugin.on_tick(&mut Background::new($exchange)).await;
                Flow::Continue
            }),
        }
    }};
}

/// Calls one hook of `plugin`. What never waits is polled where it stands, and takes nothing from the heap.
pub(crate) fn call<'a, P: Plugin>(
    plugin: &'a P,
    hook: Hook,
    state: &'a mut P::State,
    exchange: &'a mut (dyn Exchange + 'a),
) -> Called<'a> {
    hook!(plugin, hook, state, exchange, begin, Called::Done)
}

/// The same of a hook that never waits.
pub(crate) fn answer<P: Plugin>(
    plugin: &P,
    hook: Hook,
    state: &mut P::State,
    exchange: &mut dyn Exchange,
) -> Flow {
    hook!(plugin, hook, state, exchange, end, std::convert::identity)
}

/// Does what a request that has ended is to leave in stores.
fn keep(wanted: Vec<StoreOperation>, exchange: &mut dyn Exchange) {
    for operation in wanted {
        let StoreOperation { store, key, action } = operation;
        if let Err(error) = Request::new(exchange).store_now(&store, key, action) {
            exchange.log(Level::Warn, &format!("on_log: store `{store}`: {error}"));
        }
    }
}

fn begin<'a, P: Plugin, F: Future<Output = Flow> + Send + 'a>(hook: Hook, future: F) -> Called<'a> {
    if P::IMMEDIATE.contains(hook) {
        Called::Done(end::<P, F>(hook, future))
    } else {
        Called::Waits(Box::pin(future))
    }
}

#[inline]
fn end<P: Plugin, F: Future<Output = Flow>>(hook: Hook, future: F) -> Flow {
    if !P::IMMEDIATE.contains(hook) {
        return waited();
    }
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(flow) => flow,
        Poll::Pending => waited(),
    }
}
