//! The plugins of these tests.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{
    Answer, Body, BuildError, Done, Endpoints, Fact, Flow, HttpRequest, Operating, Part, Plugin,
    Request, Response, Route, Setup, Steer, StoreAction, hooks,
};

/// Remembers the hooks that it was asked at, and tells them in `X-Trace`, and at the end in [`LOGGED`].
pub(super) struct Traces;

/// What requests that have ended have to say, by their `X-Tag`.
pub(super) static LOGGED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Waits until the request with this tag has ended.
pub(super) fn logged(tag: &str) -> String {
    loop {
        if let Some(line) = LOGGED.lock().get(tag) {
            return line.clone();
        }
        std::thread::yield_now();
    }
}

type Steps = Vec<&'static str>;

#[derive(Deserialize, JsonSchema)]
pub(super) struct NoOptions {}

#[hooks]
impl Plugin for Traces {
    const NAME: &'static str = "traces";
    type Options = NoOptions;
    type State = Steps;

    fn build(_: NoOptions, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, steps: &mut Steps, request: &mut Request<'_>) -> Flow {
        steps.push("request");
        let said = request.header("x-said").map(|said| said.into_owned()).unwrap_or_default();
        let (method, path, host) = (request.method(), request.path(), request.host());
        let seen = format!("{method} {host}{path} {said}");
        request.set_variable("seen", seen).unwrap();
        Flow::Continue
    }

    async fn on_route(&self, steps: &mut Steps, _: &mut Route<'_>) -> Flow {
        steps.push("route");
        Flow::Continue
    }

    async fn on_upstream(&self, steps: &mut Steps, endpoints: &mut Endpoints<'_>) -> Flow {
        steps.push("upstream");
        assert!(endpoints.at(0).is_some_and(|endpoint| endpoint.ready));
        Flow::Continue
    }

    async fn on_upstream_request(&self, steps: &mut Steps, request: &mut Request<'_>) -> Flow {
        steps.push("upstream_request");
        request.set_header("x-from-plugin", steps.join(" ")).unwrap();
        Flow::Continue
    }

    async fn on_upstream_response(&self, steps: &mut Steps, response: &mut Response<'_>) -> Flow {
        steps.push("upstream_response");
        response.set_header("x-fetched", steps.join(" ")).unwrap();
        Flow::Continue
    }

    async fn on_response(&self, steps: &mut Steps, response: &mut Response<'_>) -> Flow {
        steps.push("response");
        let seen = response.request().variable("plugin_seen").map(|seen| seen.into_owned());
        response.set_header("x-trace", steps.join(" ")).unwrap();
        response.set_header("x-seen", seen.unwrap_or_default()).unwrap();
        Flow::Continue
    }

    async fn on_request_body(&self, steps: &mut Steps, body: &mut Body<'_>) -> Flow {
        if body.is_last() {
            steps.push("request_body");
        }
        Flow::Continue
    }

    fn on_response_body(&self, steps: &mut Steps, body: &mut Body<'_>) -> Flow {
        if body.is_last() {
            steps.push("response_body");
        }
        Flow::Continue
    }

    fn on_log(&self, steps: &mut Steps, done: &Done<'_>) {
        steps.push("log");
        if let Some(tag) = done.request_header("x-tag") {
            let (status, sent) = (done.fact(Fact::Status), done.fact(Fact::BytesSent));
            let line = format!("{} status={status} sent={sent}", steps.join(" "));
            LOGGED.lock().insert(tag.into_owned(), line);
        }
    }
}

/// Does one thing at one hook.
pub(super) struct Does(Options);

#[derive(Deserialize, JsonSchema)]
pub(super) struct Options {
    /// The hook, without `on_`.
    at: String,
    /// What.
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize, JsonSchema)]
struct Rule {
    rate: u32,
}

/// Dropped with the request that a plugin was asked about.
#[derive(Default)]
pub(super) struct Guard(Option<String>);

/// Those that spin and may come back, by their value.
pub(super) static RELEASED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Guards that were dropped.
pub(super) static DROPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Drop for Guard {
    fn drop(&mut self) {
        DROPPED.lock().extend(self.0.take());
    }
}

impl Does {
    async fn act(&self, at: &str, request: &mut Request<'_>) -> Flow {
        let value = &*self.0.value;
        if self.0.at != at {
            return Flow::Continue;
        }
        match &*self.0.what {
            "deny" => return Answer::plain(403).with_header("x-denied", value).into(),
            "panic" => panic!("as it was told to"),
            "fail" => return Flow::fail("as it was told to"),
            "hang" => drop(request.sleep(Duration::from_secs(600)).await),
            "spin" => {
                while !RELEASED.lock().iter().any(|own| own == value) {
                    std::hint::spin_loop();
                }
            }
            "nap" => request.sleep(Duration::from_millis(5)).await.unwrap(),
            "header" => request.set_header("x-set", value).unwrap(),
            "headers" => set_many(value.parse().unwrap(), request),
            "path" => request.set(Part::Path, value).unwrap(),
            "host" => request.set(Part::Host, value).unwrap(),
            "method" => request.set(Part::Method, value).unwrap(),
            "variable" => request.set_variable("tier", value).unwrap(),
            "own_host" => request.set_variable("plugin_host", value).unwrap(),
            "hints" => {
                let link: &[(&str, &[u8])] = &[("link", b"</a.css>; rel=preload")];
                request.inform(103, link).unwrap();
            }
            "body" => {
                let body = request.body(value.parse().unwrap()).await;
                let said = body.map(|body| body.len().to_string());
                let said = said.unwrap_or_else(|error| error.to_string());
                request.set_header("x-body", said).unwrap();
            }
            "http" => {
                let asked = HttpRequest::get("other", value).with_header("x-asked-by", "plugin");
                let said = match request.http(asked).await {
                    Ok(response) => format!("{} {}", response.status.as_u16(), response.body.len()),
                    Err(error) => error.to_string(),
                };
                request.set_header("x-http", said).unwrap();
            }
            "count" => {
                let action = StoreAction::Add { delta: 1, ttl: None };
                let sum = request.store(value, "all", action).await.unwrap();
                request.set_header("x-count", format!("{sum:?}")).unwrap();
            }
            "blocking" => {
                let said = request.blocking(|| "done beside").await.unwrap();
                request.set_header("x-blocking", said).unwrap();
            }
            what => steer(what, value, request),
        }
        Flow::Continue
    }
}

/// Sets so many headers, as far as there is room, and takes them out again.
fn set_many(wanted: usize, request: &mut Request<'_>) {
    let name = |number: usize| format!("x-of-many-{number}");
    let set = (0..wanted).take_while(|number| request.set_header(&*name(*number), "1").is_ok());
    let count = set.count();
    (0..count).for_each(|number| request.remove_header(&*name(number)).unwrap());
    request.set_header("x-set", count.to_string()).unwrap();
}

/// Decides where the request goes.
fn steer(what: &str, value: &str, request: &mut Request<'_>) {
    let part = request.header("x-tenant").unwrap_or_default().into_owned();
    let steer = match what {
        "site" => Steer::Site(value),
        "upstream" => Steer::Upstream(value),
        "shard_key" => Steer::ShardKey(value.as_bytes()),
        "cache_key" => Steer::CacheKey(part.as_bytes()),
        "bypass" => Steer::BypassCache,
        "read_timeout" => Steer::ReadTimeout(Duration::from_millis(50)),
        "tries" => Steer::Tries(value.parse().unwrap()),
        "mirror" => Steer::Mirror(value),
        "mirror_body" => Steer::MirrorBody(value.parse().unwrap()),
        other => panic!("{other} is nothing to do"),
    };
    request.steer(steer).unwrap();
}

#[hooks]
impl Plugin for Does {
    const NAME: &'static str = "does";
    type Options = Options;
    type State = Guard;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if let Some(at) = options.rules.iter().position(|rule| rule.rate == 0) {
            return Err(BuildError::new(format!("rules[{at}].rate"), "nobody may come at all")
                .with_help("write 1 or more"));
        }
        if options.what == "http" {
            setup.upstream("value", "other")?;
        }
        Ok(Self(options))
    }

    async fn on_request(&self, guard: &mut Guard, request: &mut Request<'_>) -> Flow {
        guard.0 = request.header("x-guard").map(|tag| tag.into_owned());
        self.act("request", request).await
    }

    async fn on_route(&self, _: &mut Guard, route: &mut Route<'_>) -> Flow {
        self.act("route", route.request_mut()).await
    }

    async fn on_upstream(&self, _: &mut Guard, endpoints: &mut Endpoints<'_>) -> Flow {
        if self.0.at == "upstream" && self.0.what == "last" {
            // The last one first, then each further one of the rest.
            let attempt = endpoints.attempt() as usize;
            let last = endpoints.len() - attempt;
            endpoints.prefer(&[last]).unwrap();
            return Flow::Continue;
        }
        self.act("upstream", endpoints.request_mut()).await
    }

    async fn on_upstream_request(&self, _: &mut Guard, request: &mut Request<'_>) -> Flow {
        self.act("upstream_request", request).await
    }

    async fn on_upstream_response(&self, _: &mut Guard, response: &mut Response<'_>) -> Flow {
        self.act("upstream_response", response.request_mut()).await
    }

    async fn on_response(&self, _: &mut Guard, response: &mut Response<'_>) -> Flow {
        if self.0.at == "response" && self.0.what == "status" {
            response.set_status(self.0.value.parse().unwrap()).unwrap();
            response.remove_header("content-type").unwrap();
            return Flow::Continue;
        }
        self.act("response", response.request_mut()).await
    }

    async fn on_request_body(&self, _: &mut Guard, body: &mut Body<'_>) -> Flow {
        if self.0.at == "request_body" && self.0.what == "double" {
            let twice = [body.piece(), body.piece()].concat();
            body.set(twice).unwrap();
            return Flow::Continue;
        }
        self.act("request_body", body.request_mut()).await
    }

    fn on_response_body(&self, _: &mut Guard, body: &mut Body<'_>) -> Flow {
        if self.0.at != "response_body" {
            return Flow::Continue;
        }
        match &*self.0.what {
            "panic" => panic!("as it was told to"),
            "count" if body.is_last() => {
                let action = StoreAction::Add { delta: 1_000_000, ttl: None };
                body.store_now(&self.0.value, "all", action).unwrap();
            }
            "whole" if !body.is_last() => body.hold().unwrap(),
            "whole" => {
                let whole = String::from_utf8_lossy(body.piece()).into_owned();
                body.set(format!("<{}>", whole.replace("shop", "store"))).unwrap();
            }
            _ => {}
        }
        Flow::Continue
    }

    fn on_log(&self, _: &mut Guard, done: &Done<'_>) {
        if self.0.at == "log" && self.0.what == "count" {
            done.store(&self.0.value, "all", StoreAction::Add { delta: 1000, ttl: None });
        }
    }
}

/// Fails, and has no other hook.
pub(super) struct Fails;

#[hooks]
impl Plugin for Fails {
    const NAME: &'static str = "fails";
    type Options = NoOptions;
    type State = ();

    fn build(_: NoOptions, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, (): &mut (), _: &mut Request<'_>) -> Flow {
        Flow::fail("as it always does")
    }
}
