//! A plugin that does whatever it is told to, at every hook, and writes down what came of it: built as each kind, it must do the same.
//!
//! What it is told is a list of actions, as in `set 0 x-a b; get 0 x-a`, in the request's header `x-on-request` for
//! [`Hook::Request`], and so on; in the option `script` for all requests, and where there is none. Numbers are those of the C interface, `_`
//! is empty, and `~` a space.
#![expect(clippy::panic, reason = "it panics where it is told to")]

mod act;
mod speak;
mod wait;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, Background, Body, BuildError, Counter, Done, Endpoints, Exchange, Flow, Gauge,
    Histogram, Hook, Level, Map, Operating, OperationId, Plugin, Request, Response, Route, Setup,
    hooks,
};

use act::act;

switchback_plugin::plugin!(Conformance);

/// What an operator may say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Actions by hook: `on_tick = "now"`.
    pub script: BTreeMap<String, String>,
    /// Upstreams that must be there.
    pub upstreams: Vec<String>,
    /// Variables that must be there.
    pub variables: Vec<String>,
    /// Milliseconds between two ticks.
    pub every: Option<u64>,
    /// Milliseconds that a hook may take.
    pub timeout: Option<u64>,
    /// Has building end in a panic that says so.
    pub panic: Option<String>,
    /// A name of a metric; `Bad Name` is refused.
    pub metric: Option<String>,
    /// A list with something to get wrong in it.
    pub rules: Vec<Rule>,
}

/// One of a list.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A number from 1 to 9.
    pub rate: u32,
}

/// The plugin.
pub struct Conformance {
    script: BTreeMap<String, String>,
    metrics: Metrics,
}

/// One of each kind.
pub(crate) struct Metrics {
    pub(crate) counter: Counter,
    pub(crate) gauge: Gauge,
    pub(crate) histogram: Histogram,
}

/// What it remembers of a request.
#[derive(Default)]
pub struct State {
    calls: u32,
    begun: Vec<OperationId>,
}

#[hooks]
impl Plugin for Conformance {
    const NAME: &'static str = "conformance";
    const VERSION: &'static str = "1.2.3";

    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if let Some(message) = &options.panic {
            panic!("{message}");
        }
        for (index, name) in options.upstreams.iter().enumerate() {
            setup.upstream(&format!("upstreams[{index}]"), name)?;
        }
        for (index, name) in options.variables.iter().enumerate() {
            setup.variable(&format!("variables[{index}]"), name)?;
        }
        for (index, rule) in options.rules.iter().enumerate() {
            if !(1..10).contains(&rule.rate) {
                let path = format!("rules[{index}].rate");
                return Err(BuildError::new(path, "not from 1 to 9").with_help("say 1"));
            }
        }
        if let Some(period) = options.every {
            setup.every(Duration::from_millis(period));
        }
        if let Some(timeout) = options.timeout {
            setup.timeout(Duration::from_millis(timeout));
        }
        let path = setup.path(std::path::Path::new("file"));
        setup.log(Level::Info, &format!("{} {}", setup.instance_name(), path.display()));
        let name = options.metric.as_deref().unwrap_or("conformance_total");
        let metrics = Metrics {
            counter: setup.counter(name, "Actions.", &[("kind", "counter")])?,
            gauge: setup.gauge("conformance_gauge", "A gauge.", &[])?,
            histogram: setup.histogram("conformance_sizes", "Sizes.", &[("a", "1"), ("b", "2")])?,
        };
        Ok(Self { script: options.script, metrics })
    }

    async fn on_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        self.run(Hook::Request, state, request).await
    }

    async fn on_route(&self, state: &mut State, route: &mut Route<'_>) -> Flow {
        self.run(Hook::Route, state, route).await
    }

    async fn on_upstream(&self, state: &mut State, endpoints: &mut Endpoints<'_>) -> Flow {
        self.run(Hook::Upstream, state, endpoints).await
    }

    async fn on_upstream_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        self.run(Hook::UpstreamRequest, state, request).await
    }

    async fn on_upstream_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        self.run(Hook::UpstreamResponse, state, response).await
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        self.run(Hook::Response, state, response).await
    }

    async fn on_request_body(&self, state: &mut State, body: &mut Body<'_>) -> Flow {
        self.run(Hook::RequestBody, state, body).await
    }

    fn on_response_body(&self, state: &mut State, body: &mut Body<'_>) -> Flow {
        let exchange = body.border();
        for action in self.actions(Hook::ResponseBody, exchange) {
            state.calls += 1;
            let words: Vec<&str> = action.split_whitespace().collect();
            if let Some(flow) = end(&words) {
                return flow;
            }
            let came = act(exchange, &self.metrics, &words);
            note(exchange, Hook::ResponseBody, &action, came.as_deref());
        }
        Flow::Continue
    }

    fn on_log(&self, state: &mut State, done: &Done<'_>) {
        let script = done.request_header(&header(Hook::Log)).map(|script| script.into_owned());
        let script = script.or_else(|| self.script.get(Hook::Log.name()).cloned());
        let Some(script) = script else { return };
        assert!(!script.starts_with("panic"), "told to");
        let line = format!(
            "on_log: {} {:?} {:?} {:?} {:?} after {} calls",
            done.status(),
            done.elapsed(),
            done.request_header("x-a"),
            done.response_header("x-b"),
            done.variable("v"),
            state.calls,
        );
        done.log(Level::Info, &line);
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let mut state = State::default();
        drop(self.run(Hook::Tick, &mut state, background).await);
    }
}

impl Conformance {
    async fn run(
        &self,
        hook: Hook,
        state: &mut State,
        facade: &mut (impl Operating + Send),
    ) -> Flow {
        for action in self.actions(hook, facade.border()) {
            state.calls += 1;
            let words: Vec<&str> = action.split_whitespace().collect();
            if let Some(flow) = end(&words) {
                return flow;
            }
            let came = match act(facade.border(), &self.metrics, &words) {
                Some(came) => Some(came),
                None => wait::wait(facade, &mut state.begun, &words).await,
            };
            let came = came.or_else(|| (words == ["calls"]).then(|| state.calls.to_string()));
            note(facade.border(), hook, &action, came.as_deref());
        }
        Flow::Continue
    }

    /// What is to be done at a hook.
    fn actions(&self, hook: Hook, exchange: &dyn Exchange) -> Vec<String> {
        let header = exchange.field(Map::RequestHeaders, header(hook).as_str().into());
        let said = header.map(|script| String::from_utf8_lossy(&script).into_owned());
        let script = said.or_else(|| self.script.get(hook.name()).cloned()).unwrap_or_default();
        let actions = script.split(';').map(str::trim).filter(|action| !action.is_empty());
        actions.map(str::to_owned).collect()
    }
}

fn header(hook: Hook) -> String {
    format!("x-{}", hook.name().replace('_', "-"))
}

fn note(exchange: &dyn Exchange, hook: Hook, action: &str, came: Option<&str>) {
    let came = came.unwrap_or("no such action");
    exchange.log(Level::Info, &format!("{}: {action} -> {came}", hook.name()));
}

/// Actions that end a hook.
fn end(words: &[&str]) -> Option<Flow> {
    Some(match words {
        ["continue"] => Flow::Continue,
        ["answer", status, body] => Answer::new(status.parse().ok()?)
            .with_header("x-first", "1")
            .with_header("x-twice", "a")
            .with_header("x-twice", "b")
            .with_header("x-empty", "")
            .with_body(speak::word(body))
            .into(),
        ["deny", status] => Flow::status(status.parse().ok()?),
        ["fail", words @ ..] => Flow::fail(words.join(" ")),
        ["panic", words @ ..] => panic!("{}", words.join(" ")),
        _ => return None,
    })
}
