//! The trait that a plugin implements.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::facade::{Background, Body, Done, Endpoints, Request, Response, Route};
use crate::flow::Flow;
use crate::hook::Hooks;
use crate::setup::{BuildError, Setup};

/// A plugin: a value that is made of options once, and asked at the hooks it has.
///
/// Put [`#[hooks]`](crate::hooks) on the implementation: it tells the proxy which hooks are there, so that others cost nothing.
///
/// Hooks of requests are called in the order in which filters are configured, those of responses in the opposite one. Many requests
/// are in the same plugin at once; what belongs to one is in its [`State`](Self::State).
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The name by which configurations use it: lower case, words joined by `-`.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str = "0.0.0";
    /// The hooks that it has. Written by [`#[hooks]`](crate::hooks).
    const HOOKS: Hooks;
    /// Those of them that never wait: they are called without a future on the heap. Written by [`#[hooks]`](crate::hooks).
    const IMMEDIATE: Hooks = Hooks::NONE;

    /// What an operator may say. Keys that are not known are refused.
    type Options: DeserializeOwned + JsonSchema;
    /// What is remembered of one request, from its first hook to its last.
    type State: Default + Send + 'static;

    /// Makes the plugin, when a configuration is read or checked. What is wrong with `options` is said here, never later.
    ///
    /// # Errors
    ///
    /// The configuration is refused with it, and the one in force stays.
    fn build(options: Self::Options, setup: &mut Setup<'_>) -> Result<Self, BuildError>;

    /// The head was received and its route is known; nothing was asked or answered. A plugin that changes host, path or method has routes
    /// looked for anew.
    fn on_request(
        &self,
        state: &mut Self::State,
        request: &mut Request<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, request);
        std::future::ready(Flow::Continue)
    }

    /// Before the cache and the upstream: says where the request goes.
    fn on_route(
        &self,
        state: &mut Self::State,
        route: &mut Route<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, route);
        std::future::ready(Flow::Continue)
    }

    /// Before each try: who may be asked, and in which order.
    fn on_upstream(
        &self,
        state: &mut Self::State,
        endpoints: &mut Endpoints<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, endpoints);
        std::future::ready(Flow::Continue)
    }

    /// The head as it goes to the endpoint, once per try. Changes are not seen by anybody else.
    fn on_upstream_request(
        &self,
        state: &mut Self::State,
        request: &mut Request<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, request);
        std::future::ready(Flow::Continue)
    }

    /// The head that came from the endpoint, before it is stored: once per fill of the cache.
    fn on_upstream_response(
        &self,
        state: &mut Self::State,
        response: &mut Response<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, response);
        std::future::ready(Flow::Continue)
    }

    /// The head as it goes to the client, wherever it came from: also of what a cache has stored, and of what another plugin answered.
    fn on_response(
        &self,
        state: &mut Self::State,
        response: &mut Response<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, response);
        std::future::ready(Flow::Continue)
    }

    /// A piece of the request's body.
    fn on_request_body(
        &self,
        state: &mut Self::State,
        body: &mut Body<'_>,
    ) -> impl Future<Output = Flow> + Send {
        let _ = (state, body);
        std::future::ready(Flow::Continue)
    }

    /// A piece of the response's body. The proxy cannot wait here.
    fn on_response_body(&self, state: &mut Self::State, body: &mut Body<'_>) -> Flow {
        let _ = (state, body);
        Flow::Continue
    }

    /// The request has ended.
    fn on_log(&self, state: &mut Self::State, done: &Done<'_>) {
        let _ = (state, done);
    }

    /// The time of [`Setup::every`] has passed. The first is right after the configuration is in force; the next never begins before this
    /// one has ended.
    fn on_tick(&self, background: &mut Background<'_>) -> impl Future<Output = ()> + Send {
        let _ = background;
        std::future::ready(())
    }
}
