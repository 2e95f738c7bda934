//! Plugins in tests: run without a proxy, a network or time that passes.
//!
//! ```
//! use switchback_plugin::testing::{Harness, Scene};
//! use switchback_plugin::{BuildError, Flow, Plugin, Request, Setup, hooks};
//!
//! struct Teapot;
//!
//! #[hooks]
//! impl Plugin for Teapot {
//!     const NAME: &'static str = "teapot";
//!     type Options = Options;
//!     type State = ();
//!
//!     fn build(_: Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
//!         Ok(Self)
//!     }
//!
//!     async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
//!         if request.path() == "/coffee" { Flow::status(418) } else { Flow::Continue }
//!     }
//! }
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Options {}
//!
//! # fn main() -> Result<(), BuildError> {
//! let mut harness = Harness::<Teapot>::new("{}")?;
//! assert_eq!(harness.request(&mut Scene::get("/coffee")).status, 418);
//! assert_eq!(harness.request(&mut Scene::get("/tea").with_response(200)).status, 200);
//! # Ok(())
//! # }
//! ```

mod scene;
mod stage;
mod world;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::flow::{Answer, Cause, Flow};
use crate::hook::{Hook, Hooks};
use crate::linked::Linked;
use crate::module::{Called, Instance, Module};
use crate::operation::{HttpRequest, HttpResponse, OperationError, StoreAction, StoreOperation};
use crate::plugin::Plugin;
use crate::setup::BuildError;
use world::{Estate, Making, Metric, nanoseconds};

pub use scene::{Line, Scene};
pub use stage::Stage;
pub use world::{Surroundings, World};

/// A plugin of whatever kind, in a [`Harness`].
#[derive(Debug)]
pub struct AnyModule;

/// One configured plugin, and all that is around it.
///
/// Time stands still but while a hook waits, and when it is [advanced](Self::advance). A panic of the plugin comes through: it is the test's.
pub struct Harness<P = AnyModule> {
    instance: Arc<dyn Instance>,
    world: World,
    period: Option<Duration>,
    next_tick: u64,
    timeout: Duration,
    metrics: Vec<Metric>,
    lines: Vec<Line>,
    estate: Estate,
    plugin: PhantomData<fn() -> P>,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
    /// Why the plugin failed, if it did; the status is 500 then.
    pub failure: Option<String>,
}

impl Reply {
    /// A header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl<P: Plugin> Harness<P> {
    /// The plugin, made of `options` (a JSON object), where every upstream and variable that it asks for is there.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where.
    pub fn new(options: &str) -> Result<Self, BuildError> {
        Self::within(Surroundings::default(), options)
    }

    /// The plugin, made of `options` (a JSON object), with that around it.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where.
    pub fn within(around: Surroundings, options: &str) -> Result<Self, BuildError> {
        Self::make(&*Linked::<P>::module(), around, options)
    }

    /// Makes the plugin anew of other options, as a reload does: with what it has [carried](crate::Setup::carry), stored and counted.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where; the plugin stays as it is.
    pub fn reconfigure(&mut self, options: &str) -> Result<(), BuildError> {
        let before = (&mut self.metrics, &self.estate);
        let made = Made::new(&*Linked::<P>::module(), &self.world.around, options, before)?;
        let Made { instance, period, timeout, lines, estate } = made;
        (self.instance, self.period, self.timeout) = (instance, period, timeout);
        (self.next_tick, self.estate) = (self.world.now(), estate);
        self.lines.extend(lines);
        Ok(())
    }
}

impl Harness {
    /// A module's plugin, made of `options` (a JSON object), with that around it.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where.
    pub fn of(
        module: &dyn Module,
        around: Surroundings,
        options: &str,
    ) -> Result<Self, BuildError> {
        Self::make(module, around, options)
    }
}

impl<P> Harness<P> {
    fn make(
        module: &dyn Module,
        mut around: Surroundings,
        options: &str,
    ) -> Result<Self, BuildError> {
        around.name.get_or_insert_with(|| module.name().to_owned());
        let (mut metrics, nothing) = (Vec::new(), Estate::new());
        let made = Made::new(module, &around, options, (&mut metrics, &nothing))?;
        let Made { instance, period, timeout, lines, estate } = made;
        let world = World::new(around);
        Ok(Self {
            instance,
            period,
            next_tick: world.now(),
            world,
            timeout,
            metrics,
            lines,
            estate,
            plugin: PhantomData,
        })
    }

    /// Has `upstream` answer requests of the plugin's own with what `respond` makes of them, at once. The last one said counts.
    pub fn respond(
        &mut self,
        upstream: &str,
        respond: impl FnMut(&HttpRequest) -> Result<HttpResponse, OperationError> + Send + 'static,
    ) {
        self.respond_after(Duration::ZERO, upstream, respond);
    }

    /// The same after that time.
    pub fn respond_after(
        &mut self,
        time: Duration,
        upstream: &str,
        respond: impl FnMut(&HttpRequest) -> Result<HttpResponse, OperationError> + Send + 'static,
    ) {
        self.world.responders.push((upstream.to_owned(), time, Box::new(respond)));
    }

    /// Has a name mean these addresses, and these addresses that name.
    pub fn resolve(&mut self, name: &str, addresses: impl IntoIterator<Item = std::net::IpAddr>) {
        self.world.names.insert(name.to_owned(), addresses.into_iter().collect());
    }

    /// The hooks that the plugin has.
    #[must_use]
    pub fn hooks(&self) -> Hooks {
        self.instance.hooks()
    }

    /// The instance itself.
    #[must_use]
    pub fn instance(&self) -> &Arc<dyn Instance> {
        &self.instance
    }

    /// Calls one hook, if the plugin has it, and waits for its end: in time that passes at once. What it remembers is with `scene`.
    ///
    /// For a hook of bodies, see [`piece`](Self::piece).
    pub fn call(&mut self, hook: Hook, scene: &mut Scene) -> Flow {
        if !self.instance.hooks().contains(hook) {
            return Flow::Continue;
        }
        let mut state = scene.state.take().unwrap_or_else(|| self.instance.start());
        let limit = self.world.now().saturating_add(nanoseconds(self.timeout));
        let clock = Arc::clone(&self.world.clock);
        let mut stage = Stage::new(hook, &mut *scene, &mut self.world);
        // As chains do.
        let is_blank = self.instance.is_stateless() && self.instance.immediate().contains(hook);
        let flow = match if is_blank {
            Called::Done(self.instance.answer(hook, &mut stage))
        } else {
            self.instance.call(hook, &mut state, &mut stage)
        } {
            Called::Done(flow) => flow,
            Called::Waits(mut future) => loop {
                clock.due.store(u64::MAX, Ordering::Relaxed);
                if let Poll::Ready(flow) =
                    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    break flow;
                }
                if !hook.may_wait() {
                    break Flow::broken(Cause::Waited, "waited where the proxy cannot");
                }
                let due = clock.due.load(Ordering::Relaxed);
                if due == u64::MAX {
                    break Flow::broken(Cause::Waited, "waits for what never comes");
                }
                clock.now.store(due.min(limit), Ordering::Relaxed);
                if due > limit {
                    let message = format!("not done after {:?}", self.timeout);
                    break Flow::broken(Cause::Timeout, message);
                }
            },
        };
        if !matches!(&flow, Flow::Fail(failure) if failure.cause != Cause::Said) {
            scene.state = Some(state);
        }
        flow
    }

    /// Calls the hook of a body with one piece, behind the one that waits. What is sent on is [`Scene::piece`].
    pub fn piece(
        &mut self,
        hook: Hook,
        scene: &mut Scene,
        piece: impl Into<Bytes>,
        is_last: bool,
    ) -> Flow {
        let piece = piece.into();
        scene.piece = match scene.held.take() {
            Some(held) => [held, piece].concat().into(),
            None => piece,
        };
        scene.is_last = is_last;
        let flow = self.call(hook, scene);
        if is_last {
            scene.held = None;
        }
        flow
    }

    /// A whole request, with all its hooks: what the client gets. The endpoint's response is that of `scene`, 200 if it has none.
    pub fn request(&mut self, scene: &mut Scene) -> Reply {
        let mut failure = None;
        if let Some(answer) = self.ask(scene, &mut failure) {
            replace(scene, answer);
        }
        match self.call(Hook::Response, scene) {
            Flow::Continue => {}
            flow => drop(ended(flow, &mut failure).map(|answer| replace(scene, answer))),
        }
        let pieces = std::mem::take(&mut scene.response_body);
        let mut body = Vec::new();
        if let Some(answer) =
            self.body(Hook::ResponseBody, scene, pieces, (&mut body, &mut failure))
        {
            // Its head was sent already: the stream is broken off.
            drop(answer);
        }
        drop(self.call(Hook::Log, scene));
        Reply {
            status: scene.status(),
            headers: scene.response.clone(),
            body: body.into(),
            failure,
        }
    }

    /// Up to the endpoint's response; the answer of the plugin, if it has one.
    fn ask(&mut self, scene: &mut Scene, failure: &mut Option<String>) -> Option<Answer> {
        for hook in [Hook::Request, Hook::Route, Hook::Upstream] {
            if let Some(answer) = ended(self.call(hook, scene), failure) {
                return Some(answer);
            }
        }
        // What goes to the endpoint is seen by nobody else.
        let head = scene.request.clone();
        let flow = self.call(Hook::UpstreamRequest, scene);
        scene.sent = Some(std::mem::replace(&mut scene.request, head));
        if let Some(answer) = ended(flow, failure) {
            return Some(answer);
        }
        let pieces = scene.request_body.clone();
        let mut sent = Vec::new();
        let answer = self.body(Hook::RequestBody, scene, pieces, (&mut sent, failure));
        scene.sent_body = sent;
        if answer.is_some() {
            return answer;
        }
        scene.status.get_or_insert_with(|| "200".to_owned());
        ended(self.call(Hook::UpstreamResponse, scene), failure)
    }

    fn body(
        &mut self,
        hook: Hook,
        scene: &mut Scene,
        pieces: Vec<Bytes>,
        (sent, failure): (&mut Vec<u8>, &mut Option<String>),
    ) -> Option<Answer> {
        let count = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let flow = self.piece(hook, scene, piece, index + 1 == count);
            if let Some(answer) = ended(flow, failure) {
                return Some(answer);
            }
            sent.extend_from_slice(scene.piece().map_or(&[], |piece| piece));
        }
        None
    }

    /// Lets time pass, and calls [`Hook::Tick`] whenever it is due. What came of each call.
    pub fn advance(&mut self, time: Duration) -> Vec<Flow> {
        let end = self.world.now().saturating_add(nanoseconds(time));
        let mut flows = Vec::new();
        while let Some(period) = self.period
            && self.next_tick <= end
        {
            let now = self.next_tick.max(self.world.now());
            self.world.clock.now.store(now, Ordering::Relaxed);
            flows.push(self.tick());
            self.next_tick = now.max(self.world.now()).saturating_add(nanoseconds(period));
        }
        let now = end.max(self.world.now());
        self.world.clock.now.store(now, Ordering::Relaxed);
        flows
    }

    /// Calls [`Hook::Tick`] now.
    pub fn tick(&mut self) -> Flow {
        let mut scene = Scene::get("/");
        let flow = self.call(Hook::Tick, &mut scene);
        self.lines.append(scene.lines.get_mut());
        flow
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.world.now()
    }

    /// How often the plugin wants [`Hook::Tick`].
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// How long a hook may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// As an operator says it.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// The requests of the plugin's own, in the order in which they were begun.
    #[must_use]
    pub fn asked(&self) -> &[HttpRequest] {
        &self.world.asked
    }

    /// How many operations were given up.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.world.given_up
    }

    /// Puts a value into a store.
    pub fn store(&mut self, store: &str, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let action = StoreAction::Put { value: value.into(), ttl: None };
        let operation = StoreOperation { store: store.to_owned(), key: key.into(), action };
        // To put something there never fails.
        let _ = self.world.store(&operation);
    }

    /// What a store has.
    #[must_use]
    pub fn stored(&self, store: &str, key: impl Into<Bytes>) -> Option<Bytes> {
        let (value, until) = self.world.stored.get(&(store.to_owned(), key.into()))?;
        until.is_none_or(|until| until > self.world.now()).then(|| value.clone())
    }

    /// A metric: the sum of a counter or a histogram, or what a gauge shows; `None` if it is not defined.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let same = |metric: &&Metric| {
            let own = metric.labels.iter().map(|(name, value)| (&**name, &**value));
            metric.name == name && own.eq(labels.iter().copied())
        };
        self.metrics.iter().find(same).map(|metric| metric.value.value())
    }

    /// What was written to the log without a request: while the plugin was made, and in ticks.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// What comes of options.
struct Made {
    instance: Arc<dyn Instance>,
    period: Option<Duration>,
    timeout: Duration,
    lines: Vec<Line>,
    estate: Estate,
}

impl Made {
    fn new(
        module: &dyn Module,
        around: &Surroundings,
        options: &str,
        (metrics, left): (&mut Vec<Metric>, &Estate),
    ) -> Result<Self, BuildError> {
        let mut making = Making {
            around,
            name: around.name.as_deref().unwrap_or_default(),
            period: None,
            timeout: None,
            metrics,
            lines: RefCell::default(),
            left,
            estate: Estate::new(),
        };
        let instance = module.build(options, &mut making)?;
        let Making { period, timeout, lines, estate, .. } = making;
        let timeout = timeout.unwrap_or(Duration::from_millis(50));
        Ok(Self { instance, period, timeout, lines: lines.into_inner(), estate })
    }
}

/// The answer that follows from what a hook said, if the request ends with it.
fn ended(flow: Flow, failure: &mut Option<String>) -> Option<Answer> {
    match flow {
        Flow::Continue => None,
        Flow::Answer(answer) => Some(*answer),
        Flow::Fail(failed) => {
            *failure = Some(failed.message);
            Some(Answer::plain(500))
        }
    }
}

fn replace(scene: &mut Scene, answer: Answer) {
    scene.status = Some(answer.status.as_u16().to_string());
    scene.response = answer.headers;
    scene.response_body = if answer.body.is_empty() { Vec::new() } else { vec![answer.body] };
}
