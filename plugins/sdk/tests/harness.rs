//! The harness from a plugin author's side: each thing that a plugin can ask for, in time that passes when a test says so.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::testing::{Harness, Scene, Surroundings};
use switchback_plugin::{
    Answer, Background, Body, BuildError, Cause, Counter, Done, Endpoints, Fact, Flow, Hook, Hooks,
    HttpRequest, HttpResponse, Level, Operating, OperationError, Part, Plugin, Refused, Request,
    Response, Route, Setup, Steer, StoreAction, hooks,
};

/// Does at each hook what its path says.
struct Busy {
    ended: Counter,
}

#[derive(Deserialize, JsonSchema)]
struct BusyOptions {
    #[serde(default)]
    upstream: Option<String>,
}

#[derive(Default)]
struct Seen {
    hooks: Vec<&'static str>,
}

fn refused(result: Result<(), Refused>) -> Flow {
    match result {
        Ok(()) => Flow::Continue,
        Err(refused) => Flow::fail(refused.to_string()),
    }
}

#[hooks]
impl Plugin for Busy {
    const NAME: &'static str = "busy";
    type Options = BusyOptions;
    type State = Seen;

    fn build(options: BusyOptions, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if let Some(upstream) = options.upstream {
            setup.upstream("upstream", &upstream)?;
        }
        setup.every(Duration::from_secs(60));
        setup.timeout(Duration::from_millis(100));
        setup.log(Level::Info, setup.instance_name());
        let ended = setup.counter("busy_ended_total", "Requests.", &[("kind", "all")])?;
        Ok(Self { ended })
    }

    async fn on_request(&self, seen: &mut Seen, request: &mut Request<'_>) -> Flow {
        seen.hooks.push("request");
        let path = request.path().into_owned();
        match &*path {
            "/denied" => Flow::status(403),
            "/fails" => Flow::fail("cannot"),
            "/slow" => {
                let _ = request.sleep(Duration::from_millis(200)).await;
                Flow::Continue
            }
            "/patient" => {
                let before = request.now();
                let _ = request.sleep(Duration::from_millis(90)).await;
                let passed = Duration::from_nanos(request.now() - before);
                refused(request.set_header("x-waited", format!("{passed:?}")))
            }
            "/ask" => {
                let asked =
                    HttpRequest::get("users", "/who").with_timeout(Duration::from_millis(50));
                match request.http(asked).await {
                    Ok(response) => refused(request.set_header("x-user", &response.body)),
                    Err(error) => Answer::new(503).with_body(error.to_string()).into(),
                }
            }
            "/count" => {
                let add = StoreAction::Add { delta: 1, ttl: Some(Duration::from_secs(1)) };
                let _ = request.store("counts", "all", add).await;
                let count = request.stored("counts", "all").await.ok().flatten();
                refused(request.set_header("x-count", count.unwrap_or_default()))
            }
            "/body" => match request.body(8).await {
                Ok(body) => refused(request.set_header("x-length", body.len().to_string())),
                Err(error) => Answer::new(413).with_body(error.to_string()).into(),
            },
            "/work" => {
                let sum = request.blocking(|| (1..=100).sum::<u32>()).await.unwrap_or_default();
                refused(request.set_header("x-sum", sum.to_string()))
            }
            "/rewrite" => {
                let _ = request.inform(103, &[("link", b"</a.css>; rel=preload")]);
                let _ = request.set_variable("tier", "gold");
                refused(request.set(Part::Path, "/new").and(request.set(Part::Query, "a=1")))
            }
            "/too-early" => refused(request.exchange().set_status(204)),
            _ => Flow::Continue,
        }
    }

    async fn on_route(&self, seen: &mut Seen, route: &mut Route<'_>) -> Flow {
        seen.hooks.push("route");
        let path = route.request().path().into_owned();
        match &*path {
            "/steer" => {
                let _ = route.upstream("b");
                let _ = route.shard_key("tenant-1");
                refused(route.steer(Steer::Tries(2)))
            }
            "/nowhere" => refused(route.upstream("nowhere")),
            _ => Flow::Continue,
        }
    }

    async fn on_upstream(&self, seen: &mut Seen, endpoints: &mut Endpoints<'_>) -> Flow {
        seen.hooks.push("upstream");
        match endpoints.len() {
            0 => Flow::Continue,
            count => refused(endpoints.prefer(&[count - 1, 0])),
        }
    }

    async fn on_upstream_request(&self, seen: &mut Seen, request: &mut Request<'_>) -> Flow {
        seen.hooks.push("upstream request");
        refused(request.set_header("x-secret", "1"))
    }

    async fn on_upstream_response(&self, seen: &mut Seen, response: &mut Response<'_>) -> Flow {
        seen.hooks.push("upstream response");
        refused(response.append_header("via", "busy"))
    }

    async fn on_response(&self, seen: &mut Seen, response: &mut Response<'_>) -> Flow {
        seen.hooks.push("response");
        match response.status() {
            404 => refused(response.set_status(410)),
            500 if response.header("x-hide").is_some() => Flow::status(502),
            _ => refused(response.set_header("x-seen", seen.hooks.join(", "))),
        }
    }

    async fn on_request_body(&self, _: &mut Seen, body: &mut Body<'_>) -> Flow {
        let upper = body.piece().to_ascii_uppercase();
        refused(body.set(upper))
    }

    /// Takes pairs apart, also across pieces.
    fn on_response_body(&self, _: &mut Seen, body: &mut Body<'_>) -> Flow {
        if body.piece().ends_with(b"a") && !body.is_last() {
            return refused(body.hold());
        }
        let text = String::from_utf8_lossy(body.piece()).replace("ab", "-");
        refused(body.set(text))
    }

    fn on_log(&self, seen: &mut Seen, done: &Done<'_>) {
        self.ended.add(1);
        done.log(Level::Info, &format!("{} after {} hooks", done.status(), seen.hooks.len()));
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        background.log(Level::Debug, "tick");
        let _ = background.sleep(Duration::from_millis(10)).await;
    }
}

fn harness() -> Harness<Busy> {
    Harness::new("{}").unwrap()
}

#[test]
fn every_hook_that_is_written_is_there() {
    assert_eq!(harness().hooks(), Hooks::of(&Hook::ALL));
}

#[test]
fn a_whole_request_passes_all_hooks_in_order() {
    let mut harness = harness();
    let mut scene = Scene::post("/", "hello")
        .with_endpoint("10.0.0.1:80")
        .with_endpoint("10.0.0.2:80")
        .with_response(200)
        .with_response_body(["xa", "b ab", "a"]);
    let reply = harness.request(&mut scene);
    assert_eq!((reply.status, &*reply.body, &reply.failure), (200, &b"x- -a"[..], &None));
    assert_eq!(reply.header("via"), Some("busy"));
    assert_eq!(
        reply.header("x-seen"),
        Some("request, route, upstream, upstream request, upstream response, response")
    );
    assert_eq!(scene.preferred(), Some(&[1, 0][..]));
    assert_eq!(scene.sent().unwrap().get("x-secret").unwrap(), "1");
    assert_eq!(scene.header("x-secret"), None, "that is between the proxy and the endpoint");
    assert_eq!(scene.sent_body(), b"HELLO");
    assert_eq!(harness.metric("busy_ended_total", &[("kind", "all")]), Some(1.0));
    assert_eq!(scene.lines()[0].message, "200 after 6 hooks");
}

#[test]
fn an_answer_ends_the_request_and_passes_the_response_hooks() {
    let reply = harness().request(&mut Scene::get("/denied"));
    assert_eq!((reply.status, &*reply.body), (403, &b"Forbidden\n"[..]));
    assert_eq!(reply.header("x-seen"), Some("request, response"));
    let mut scene = Scene::get("/").with_response(500).with_response_header("x-hide", "1");
    assert_eq!(harness().request(&mut scene).status, 502);
    assert_eq!(harness().request(&mut Scene::get("/").with_response(404)).status, 410);
}

#[test]
fn a_failure_is_told() {
    let reply = harness().request(&mut Scene::get("/fails"));
    assert_eq!((reply.status, reply.failure.as_deref()), (500, Some("cannot")));
}

#[test]
fn waiting_takes_no_time_of_the_test_but_counts() {
    let mut scene = Scene::get("/patient");
    assert!(matches!(harness().call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(scene.header("x-waited"), Some("90ms"));

    let mut harness = harness();
    let flow = harness.call(Hook::Request, &mut Scene::get("/slow"));
    assert!(matches!(flow, Flow::Fail(failure) if failure.cause == Cause::Timeout));
    assert_eq!(harness.given_up(), 1);
    harness.set_timeout(Duration::from_secs(1));
    assert!(matches!(harness.call(Hook::Request, &mut Scene::get("/slow")), Flow::Continue));
}

#[test]
fn requests_of_its_own_are_answered_as_the_test_says() {
    let mut harness = harness();
    let ask = |harness: &mut Harness<Busy>| {
        let mut scene = Scene::get("/ask");
        let reply = harness.request(&mut scene);
        (reply.status, scene.header("x-user").map(str::to_owned), reply.body)
    };
    assert_eq!(
        ask(&mut harness),
        (503, None, OperationError::Failed.to_string().into()),
        "nobody is there"
    );
    harness.respond("users", |request| {
        let body = Bytes::from(format!("{} {}", request.method, request.target));
        Ok(HttpResponse { body, ..HttpResponse::default() })
    });
    assert_eq!(ask(&mut harness).1.as_deref(), Some("GET /who"));
    harness.respond_after(Duration::from_millis(51), "users", |_| Ok(HttpResponse::default()));
    assert_eq!(ask(&mut harness), (503, None, OperationError::Timeout.to_string().into()));
    assert_eq!(harness.asked().len(), 3);
}

#[test]
fn what_is_kept_is_kept_between_requests_as_long_as_it_may() {
    let mut harness = harness();
    let count = |harness: &mut Harness<Busy>| {
        let mut scene = Scene::get("/count");
        assert!(matches!(harness.call(Hook::Request, &mut scene), Flow::Continue));
        scene.header("x-count").map(str::to_owned)
    };
    assert_eq!(count(&mut harness).as_deref(), Some("1"));
    assert_eq!(count(&mut harness).as_deref(), Some("2"));
    assert_eq!(harness.stored("counts", "all").as_deref(), Some(&b"2"[..]));
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.stored("counts", "all"), None);
    assert_eq!(count(&mut harness).as_deref(), Some("1"));
    harness.store("counts", "all", "41");
    assert_eq!(count(&mut harness).as_deref(), Some("42"));
}

#[test]
fn the_body_is_there_up_to_its_limit() {
    for (body, wanted) in [("12345678", None), ("123456789", Some(413))] {
        let mut scene = Scene::post("/body", body);
        match harness().call(Hook::Request, &mut scene) {
            Flow::Answer(answer) => assert_eq!(Some(answer.status.as_u16()), wanted),
            _ => assert_eq!(scene.header("x-length"), Some("8")),
        }
    }
}

#[test]
fn long_work_is_done() {
    let mut scene = Scene::get("/work");
    assert!(matches!(harness().call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!(scene.header("x-sum"), Some("5050"));
}

#[test]
fn what_is_changed_and_decided_can_be_looked_at() {
    let mut scene = Scene::get("/rewrite?b=2");
    assert!(matches!(harness().call(Hook::Request, &mut scene), Flow::Continue));
    assert_eq!((scene.target(), scene.variable("tier")), ("/new?a=1".into(), Some(&b"gold"[..])));
    let (status, fields) = &scene.informed()[0];
    assert_eq!(
        (*status, fields.get("link").unwrap().to_str().unwrap()),
        (103, "</a.css>; rel=preload")
    );

    let mut scene = Scene::get("/steer");
    assert!(matches!(harness().call(Hook::Route, &mut scene), Flow::Continue));
    let steering = scene.steering();
    assert_eq!(steering.upstream.as_deref(), Some("b"));
    assert_eq!(steering.shard_key.as_deref(), Some(&b"tenant-1"[..]));
    assert_eq!(steering.tries, Some(2));
}

#[test]
fn what_is_not_there_is_refused_as_by_the_proxy() {
    let around = || Surroundings { upstreams: Some(vec!["b".into()]), ..Surroundings::default() };
    let mut harness = Harness::<Busy>::within(around(), r#"{"upstream": "b"}"#).unwrap();
    let reply = harness.request(&mut Scene::get("/nowhere"));
    assert_eq!(reply.failure, Some(Refused::Unknown.to_string()));
    let reply = harness.request(&mut Scene::get("/too-early"));
    assert_eq!(reply.failure, Some(Refused::NotNow.to_string()));
    let error = Harness::<Busy>::within(around(), r#"{"upstream": "c"}"#).err().unwrap();
    assert_eq!(error.to_string(), "upstream: upstream `c` is not defined (add [upstreams.c])");
}

#[test]
fn ticks_come_at_once_and_then_after_each_period() {
    let mut harness = harness();
    assert_eq!(harness.period(), Some(Duration::from_secs(60)));
    assert_eq!(harness.advance(Duration::ZERO).len(), 1);
    assert_eq!(harness.advance(Duration::from_secs(59)).len(), 0);
    assert_eq!(harness.advance(Duration::from_secs(121)).len(), 2);
    let lines: Vec<_> = harness.lines().iter().map(|line| &*line.message).collect();
    assert_eq!(lines, ["busy", "tick", "tick", "tick"]);
}

#[test]
fn facts_are_those_of_the_scene() {
    let scene = Scene::get("/a%20b?c").with_host("shop.example").with_client("2001:db8::1");
    assert_eq!(scene.target(), "/a%20b?c");
    /// Tells what it is told.
    struct Tells;

    #[derive(Deserialize, JsonSchema)]
    struct Nothing {}

    #[hooks]
    impl Plugin for Tells {
        const NAME: &'static str = "tells";
        type Options = Nothing;
        type State = ();

        fn build(_: Nothing, _: &mut Setup<'_>) -> Result<Self, BuildError> {
            Ok(Self)
        }

        async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
            let facts = [
                request.method().into_owned(),
                request.host().into_owned(),
                request.path().into_owned(),
                request.query().map(Into::into).unwrap_or_default(),
                request.client_address().map(|address| address.to_string()).unwrap_or_default(),
                request.fact(Fact::Plugin).into_owned(),
                request.fact(Fact::Status).into_owned(),
            ];
            Answer::new(200).with_body(facts.join("|")).into()
        }
    }
    let mut scene = scene.with_response(500);
    match Harness::<Tells>::new("").unwrap().call(Hook::Request, &mut scene) {
        Flow::Answer(answer) => {
            assert_eq!(answer.body, "GET|shop.example|/a b|c|2001:db8::1|tells|");
        }
        other => assert!(matches!(other, Flow::Answer(_)), "no answer"),
    }
}

#[test]
fn what_a_plugin_carries_and_counts_outlives_a_change_of_its_options() {
    /// Lets so many through, ever.
    struct Few {
        most: usize,
        passed: Arc<AtomicUsize>,
        denied: Counter,
    }

    #[derive(Deserialize, JsonSchema)]
    struct Most {
        most: usize,
        #[serde(default)]
        of: String,
    }

    #[hooks]
    impl Plugin for Few {
        const NAME: &'static str = "few";
        type Options = Most;
        type State = ();

        fn build(options: Most, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
            let denied = setup.counter("few_denied_total", "Denied.", &[])?;
            let passed = setup.carry(&options.of, AtomicUsize::default);
            if options.most == 0 {
                return Err(BuildError::new("most", "nobody passes"));
            }
            Ok(Self { most: options.most, passed, denied })
        }

        async fn on_request(&self, _: &mut (), _: &mut Request<'_>) -> Flow {
            if self.passed.fetch_add(1, Ordering::Relaxed) < self.most {
                return Flow::Continue;
            }
            self.denied.add(1);
            Flow::status(403)
        }
    }
    let mut harness = Harness::<Few>::new(r#"{ "most": 1 }"#).unwrap();
    let ask = |harness: &mut Harness<Few>| harness.request(&mut Scene::get("/")).status;
    assert_eq!((ask(&mut harness), ask(&mut harness)), (200, 403));
    harness.reconfigure(r#"{ "most": 3 }"#).unwrap();
    assert_eq!((ask(&mut harness), ask(&mut harness)), (200, 403));
    assert_eq!(harness.reconfigure(r#"{ "most": 0 }"#).unwrap_err().path, "most");
    harness.reconfigure(r#"{ "most": 5 }"#).unwrap();
    assert_eq!((ask(&mut harness), ask(&mut harness)), (200, 403), "as if nothing had been said");
    harness.reconfigure(r#"{ "most": 1, "of": "others" }"#).unwrap();
    assert_eq!((ask(&mut harness), ask(&mut harness)), (200, 403), "under another key");
    assert_eq!(harness.metric("few_denied_total", &[]), Some(4.0));
}
