//! A plugin that does what the header `x-do` of a request says: one thing for each that can go right or wrong.

use std::time::Duration;

use switchback_plugin::{
    Answer, Background, Body, BuildError, Counter, Done, Endpoints, Fact, Flow, HttpRequest, Level,
    Operating, Operation, Part, Plugin, Request, Response, Route, Setup, Steer,
    StoreAction, hooks, plugin,
};

/// Does what it is told.
struct Guest {
    options: Options,
    counter: Counter,
}

/// What an operator may say.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Options {
    /// The header that is set.
    #[serde(default = "seen")]
    header: String,
    /// Whom to ask.
    upstream: Option<String>,
}

fn seen() -> String {
    "x-seen".to_owned()
}

/// What is remembered of a request.
#[derive(Default)]
struct State {
    hooks: Vec<&'static str>,
}

#[hooks]
impl Plugin for Guest {
    const NAME: &'static str = "guest";
    const VERSION: &'static str = "1.2.3";
    type Options = Options;
    type State = State;

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if options.header.is_empty() {
            return Err(BuildError::new("header", "is empty").with_help("name one"));
        }
        if let Some(upstream) = &options.upstream {
            setup.upstream("upstream", upstream)?;
        }
        setup.every(Duration::from_millis(100));
        setup.timeout(Duration::from_millis(700));
        setup.log(Level::Info, &format!("built as {}", setup.instance_name()));
        let counter = setup.counter("requests", "Requests seen.", &[("kind", "all")])?;
        Ok(Self { options, counter })
    }

    async fn on_request(&self, state: &mut State, request: &mut Request<'_>) -> Flow {
        state.hooks.push("request");
        let Some(what) = request.header("x-do") else { return Flow::Continue };
        match &*what.into_owned() {
            "get-set" => {
                let agent = request.header("user-agent").unwrap_or_default().into_owned();
                if request.set_header(&self.options.header, agent).is_err() {
                    return Flow::fail("not set");
                }
            }
            "count" => self.counter.add(2),
            "answer" => {
                return Answer::new(403).with_header("x-why", "told").with_body("no\n").into();
            }
            "fail" => return Flow::fail("told to fail"),
            "panic" => panic!("told to panic"),
            "spin" => loop {
                std::hint::black_box(());
            },
            "memory" => {
                let mut all = Vec::new();
                loop {
                    all.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&all);
                }
            }
            "sleep" => {
                let slept = request.sleep(Duration::from_millis(20)).await;
                return told(request, format!("slept {}", slept.is_ok()));
            }
            "long" => {
                let slept = request.sleep(Duration::from_secs(3600)).await;
                return told(request, format!("slept {}", slept.is_ok()));
            }
            "http" => {
                let upstream = self.options.upstream.clone().unwrap_or_default();
                let ask = HttpRequest::post(upstream, "/ask?x=1", "question")
                    .with_header("x-from", "guest");
                let text = match request.http(ask).await {
                    Ok(response) => format!(
                        "{} {} {}",
                        response.status.as_u16(),
                        response.headers.len(),
                        String::from_utf8_lossy(&response.body)
                    ),
                    Err(error) => error.to_string(),
                };
                return told(request, text);
            }
            "two" => return two(request).await,
            "store" => return store(request).await,
            "blocking" => {
                let sum = request.blocking(|| (1..=10).sum::<u32>()).await;
                return told(request, format!("{sum:?}"));
            }
            "body" => {
                let body = request.body(100).await;
                return told(request, format!("{body:?}"));
            }
            "resolve" => {
                let found = request.operate(Operation::Resolve("origin".to_owned())).await;
                return told(request, format!("{found:?}"));
            }
            "refused" => {
                let text = refusals(request);
                return told(request, text);
            }
            "facts" => {
                let text = facts(request);
                return told(request, text);
            }
            "part" => {
                let all = [(Part::Path, "/else"), (Part::Query, "a=b"), (Part::Method, "PUT")];
                for (part, value) in all {
                    if let Err(refused) = request.set(part, value) {
                        return Flow::fail(format!("{part:?}: {refused}"));
                    }
                }
            }
            "inform" => {
                let informed = request.inform(103, &[("link", b"</a.css>")]);
                return told(request, format!("{informed:?}"));
            }
            _ => {}
        }
        Flow::Continue
    }

    async fn on_route(&self, state: &mut State, route: &mut Route<'_>) -> Flow {
        state.hooks.push("route");
        if route.request().header("x-do").as_deref() == Some("steer") {
            let done = route
                .upstream("other")
                .and_then(|()| route.shard_key("key"))
                .and_then(|()| route.steer(Steer::CacheKey(b"cache")))
                .and_then(|()| route.steer(Steer::BypassCache))
                .and_then(|()| route.steer(Steer::ReadTimeout(Duration::from_secs(7))))
                .and_then(|()| route.steer(Steer::Tries(2)));
            if let Err(refused) = done {
                return Flow::fail(refused.to_string());
            }
        }
        Flow::Continue
    }

    async fn on_upstream(&self, state: &mut State, endpoints: &mut Endpoints<'_>) -> Flow {
        state.hooks.push("upstream");
        let last = endpoints.len().checked_sub(1);
        if let Some(last) = last {
            let address = endpoints.at(last).map(|endpoint| endpoint.address.to_owned());
            endpoints.log(Level::Info, &address.unwrap_or_default());
            if let Err(refused) = endpoints.prefer(&[last, 0]) {
                return Flow::fail(refused.to_string());
            }
        }
        Flow::Continue
    }

    async fn on_response(&self, state: &mut State, response: &mut Response<'_>) -> Flow {
        state.hooks.push("response");
        if response.status() == 404 && response.set_status(410).is_err() {
            return Flow::fail("no status");
        }
        match response.set_header("x-hooks", state.hooks.join(",")) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }

    async fn on_request_body(&self, _: &mut State, body: &mut Body<'_>) -> Flow {
        let piece = body.piece().to_ascii_uppercase();
        match body.set(piece) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }

    fn on_response_body(&self, _: &mut State, body: &mut Body<'_>) -> Flow {
        if !body.is_last() {
            return body.hold().map_or_else(|refused| Flow::fail(refused.to_string()), |()| Flow::Continue);
        }
        let mut piece = body.piece().to_vec();
        piece.reverse();
        body.set(piece).map_or_else(|refused| Flow::fail(refused.to_string()), |()| Flow::Continue)
    }

    fn on_log(&self, state: &mut State, done: &Done<'_>) {
        let line = format!("{} after {}", done.status(), state.hooks.join(","));
        done.log(Level::Info, &line);
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let _ = background.sleep(Duration::from_millis(1)).await;
        let action = StoreAction::Add { delta: 1, ttl: None };
        let _ = background.store("guest", "ticks", action).await;
    }
}

/// Shows what came of something.
fn told(request: &mut Request<'_>, text: String) -> Flow {
    match request.set_header("x-told", text) {
        Ok(()) => Flow::Continue,
        Err(refused) => Flow::fail(refused.to_string()),
    }
}

/// Two at once.
async fn two(request: &mut Request<'_>) -> Flow {
    let first = request.begin(Operation::Sleep(Duration::from_millis(30)));
    let second = request.begin(Operation::Sleep(Duration::from_millis(10)));
    let (Ok(first), Ok(second)) = (first, second) else { return Flow::fail("not begun") };
    let before = request.now();
    let both = (request.finish(second).await, request.finish(first).await);
    let time = Duration::from_nanos(request.now() - before);
    told(request, format!("{both:?} {time:?}"))
}

async fn store(request: &mut Request<'_>) -> Flow {
    let put = StoreAction::Put { value: "1".into(), ttl: None };
    let swap =
        StoreAction::Swap { expected: Some("1".into()), value: "5".into(), ttl: None };
    let mut all = Vec::new();
    for action in [put, swap.clone(), swap, StoreAction::Add { delta: -7, ttl: None }] {
        all.push(request.store("s", "k", action).await);
    }
    let value = request.stored("s", "k").await;
    let removed = request.store("s", "k", StoreAction::Remove).await;
    let none = request.stored("s", "k").await;
    told(request, format!("{all:?} {value:?} {removed:?} {none:?}"))
}

/// What is not done, and why.
fn refusals(request: &mut Request<'_>) -> String {
    let all = [
        request.set_header("content-length", "1"),
        request.set_header("bad name", "1"),
        request.set_variable("x", "1"),
        request.steer(Steer::Upstream("nowhere")),
        request.exchange().set_status(200),
        request.exchange().set_piece("x".into()),
        request.exchange().prefer(&[3]),
    ];
    let begun = request.begin(Operation::Http(Box::new(HttpRequest::get("nowhere", "/"))));
    format!("{all:?} {begun:?}")
}

fn facts(request: &mut Request<'_>) -> String {
    let all = [Fact::Method, Fact::Host, Fact::Path, Fact::Target, Fact::Site, Fact::RequestId];
    let facts: Vec<_> = all.into_iter().map(|fact| request.fact(fact).into_owned()).collect();
    let mut fields = Vec::new();
    request.headers(|name, _| fields.push(name.to_owned()));
    let variable = request.variable("v").map(std::borrow::Cow::into_owned);
    let query = request.query().map(std::borrow::Cow::into_owned);
    format!("{facts:?} {fields:?} {variable:?} {query:?}")
}


plugin!(Guest);
