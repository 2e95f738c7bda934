//! Configurations change while plugins are asked: nobody fails, and what stays the same goes on with what it remembers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback::Server;
use switchback_conf::read_text;
use switchback_plugin::{
    Answer, Background, BuildError, Flow, Operating, Plugin, Request, Response, Setup, StoreAction,
    hooks,
};

use super::origin::Origin;
use super::{BASE, World};

/// Counts the requests that it has been asked about, and those of it that are alive.
struct Counts {
    asked: AtomicUsize,
    mark: String,
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

#[derive(Deserialize, JsonSchema)]
struct Mark {
    mark: String,
}

impl Drop for Counts {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

#[hooks]
impl Plugin for Counts {
    const NAME: &'static str = "counts";
    type Options = Mark;
    type State = ();

    fn build(options: Mark, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        setup.every(Duration::from_millis(10));
        Ok(Self { asked: AtomicUsize::new(0), mark: options.mark })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (Ok(()) | Err(_)) = request.sleep(Duration::from_millis(1)).await;
        Flow::Continue
    }

    async fn on_response(&self, (): &mut (), response: &mut Response<'_>) -> Flow {
        let asked = self.asked.load(Ordering::SeqCst);
        let ticks = response.request_mut().stored("ticks", self.mark.clone()).await;
        let ticks = ticks.unwrap().map(|ticks| String::from_utf8_lossy(&ticks).into_owned());
        response.set_header("x-counts", format!("{} {asked}", self.mark)).unwrap();
        response.set_header("x-ticks", ticks.unwrap_or_default()).unwrap();
        Flow::Continue
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let add = StoreAction::Add { delta: 1, ttl: None };
        drop(background.store("ticks", self.mark.clone(), add).await);
    }
}

fn text(mark: &str, more: &str) -> String {
    format!(
        "{BASE}[[sites]]\n{more}[[sites.routes]]\nfilters = [\"counts\"]\nproxy = \"app\"\n\
         [plugins.counts]\noptions = {{ mark = \"{mark}\" }}\n[upstreams.app]\nendpoints = [\"ORIGIN\"]\n"
    )
}

#[test]
fn reloads_fail_nobody_and_keep_what_has_not_changed() {
    let origin = Origin::start();
    let config = |mark: &str, more: &str| {
        let text = text(mark, more).replace("ORIGIN", &origin.address);
        read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap()
    };
    let handle = Server::new(config("a", "")).plugin::<Counts>().spawn().unwrap();
    let configs: Vec<_> =
        (0..20).map(|round| config(if round % 2 == 0 { "b" } else { "c" }, "")).collect();
    let (same, last) = (config("a", "body_limit = \"2MiB\"\n"), config("last", ""));
    let world = Arc::new(World { handle, origin });
    assert_eq!(world.get("/").field("x-counts"), "a 1");
    assert!(world.handle.replace(same).accepted);
    assert_eq!(world.get("/").field("x-counts"), "a 2");
    let is_over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut asked = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let answer = world.get("/");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for config in configs {
        assert!(world.handle.replace(config).accepted);
        let answer = world.get("/");
        assert!(answer.field("x-counts").starts_with(['b', 'c']), "{answer:?}");
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(asking.into_iter().map(|thread| thread.join().unwrap()).sum::<i32>() > 0);
    assert!(world.handle.replace(last.clone()).accepted);
    assert!(world.handle.replace(last).accepted);
    // Those of old configurations go with them.
    while ALIVE.load(Ordering::SeqCst) > 1 {
        thread::yield_now();
    }
    // And what is there is ticked.
    while world.get("/").field("x-ticks").parse().unwrap_or(0) < 3 {
        thread::yield_now();
    }
}

/// Knows how many of it there are, and who of them is ticked.
struct Lives {
    mark: String,
}

static LIVES: AtomicUsize = AtomicUsize::new(0);

impl Drop for Lives {
    fn drop(&mut self) {
        LIVES.fetch_sub(1, Ordering::SeqCst);
    }
}

#[hooks]
impl Plugin for Lives {
    const NAME: &'static str = "lives";
    type Options = Mark;
    type State = ();

    fn build(options: Mark, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        if options.mark == "bad" {
            return Err(BuildError::new("mark", "is bad"));
        }
        LIVES.fetch_add(1, Ordering::SeqCst);
        setup.every(Duration::from_millis(10));
        setup.counter("lives_total", "Made.", &[("mark", &options.mark)])?.add(1);
        Ok(Self { mark: options.mark })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let asked = request.header("x-mark").unwrap_or_default().into_owned();
        let ticks = request.stored("lives", asked).await;
        Answer::new(200).with_body(ticks.unwrap().unwrap_or_default()).into()
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        let add = StoreAction::Add { delta: 1, ttl: None };
        drop(background.store("lives", self.mark.clone(), add).await);
    }
}

#[test]
fn what_is_not_in_force_is_let_go_and_never_ticked() {
    let lives = |name: &str, mark: &str| {
        format!("[plugins.{name}]\nuse = \"lives\"\noptions = {{ mark = \"{mark}\" }}\n")
    };
    let config = |plugins: &[String]| {
        let text = format!(
            "{BASE}{}[[sites]]\n[[sites.routes]]\nfilters = [\"asked\"]\nrespond = {{ status = 204 }}\n",
            plugins.concat()
        );
        read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap()
    };
    let good = config(&[lives("asked", "good"), lives("idle", "idle")]);
    let handle = Server::new(good).plugin::<Lives>().spawn().unwrap();
    let world = World { handle, origin: Origin::start() };
    let ticks = |mark: &str| {
        let answer = world.ask(&format!("GET / HTTP/1.1\r\nX-Mark: {mark}\r\n"), b"");
        answer.body.parse().unwrap_or(0)
    };
    for round in 0..3 {
        let refused = config(&[lives("asked", &format!("new-{round}")), lives("broken", "bad")]);
        assert!(!world.handle.replace(refused).accepted);
    }
    // The one that is asked stays. That the other one could be made is all that was to be known of it.
    while LIVES.load(Ordering::SeqCst) > 1 {
        thread::yield_now();
    }
    let seen = ticks("good");
    while ticks("good") < seen + 3 {
        thread::yield_now();
    }
    assert_eq!((ticks("idle"), ticks("new-0"), ticks("new-2")), (0, 0, 0));
    assert!(world.handle.replace(config(&[lives("asked", "better")])).accepted);
    let metrics = || {
        let mut metrics = String::new();
        world.handle.metrics(&mut metrics);
        metrics
    };
    assert!(metrics().contains("lives_total{plugin=\"asked\",mark=\"better\"} 1"), "{}", metrics());
    while metrics().contains("plugin=\"idle\"") || metrics().contains("plugin=\"broken\"") {
        thread::yield_now();
    }
}

#[test]
fn limits_whose_rate_changes_go_on_counting() {
    let config = |(login, search): (&str, &str), more: &str| {
        let route = |path: &str, options: &str| {
            format!(
                "[[sites.routes]]\nmatch = {{ path = \"{path}\" }}\n\
                 filters = [{{ use = \"rate-limit\", options = {{ {options} }} }}]\nrespond = {{ status = 204 }}\n"
            )
        };
        let (login, search) = (route("/login", login), route("/search", search));
        let text = format!("{BASE}[[sites]]\n{more}{login}{search}");
        read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap()
    };
    let first = config(("rate = \"1/d\"", "rate = \"4/d\""), "");
    let handle = Server::new(first).spawn().unwrap();
    let world = World { handle, origin: Origin::start() };
    let ask = |path: &str| {
        let answer = world.get(path);
        (answer.status, answer.field("ratelimit").split(';').nth(1).unwrap_or_default().to_owned())
    };
    assert_eq!(ask("/login"), (204, "r=0".to_owned()));
    assert_eq!(ask("/login").0, 429);
    assert_eq!(ask("/search"), (204, "r=3".to_owned()));
    // A mistake changes nothing.
    assert!(!world.handle.replace(config(("rate = \"2/d\"", "rate = \"?\""), "")).accepted);
    assert_eq!(ask("/search"), (204, "r=2".to_owned()));
    // Both change at once: each goes on with what it has counted, of a day that is all or half spent.
    assert!(world.handle.replace(config(("rate = \"2/d\"", "rate = \"8/d\""), "")).accepted);
    assert_eq!(ask("/login").0, 429);
    assert_eq!(ask("/search"), (204, "r=3".to_owned()));
    // One changes, the other stays.
    let one = config(("rate = \"3/d\"", "rate = \"8/d\""), "");
    assert!(world.handle.replace(one.clone()).accepted);
    assert_eq!(ask("/login").0, 429);
    assert_eq!(ask("/search"), (204, "r=2".to_owned()));
    // A third of the same name: who is who cannot be told any more where they change.
    let more = "filters = [{ use = \"rate-limit\", options = { rate = \"9/s\" } }]\n";
    assert!(world.handle.replace(config(("rate = \"5/d\"", "rate = \"8/d\""), more)).accepted);
    assert_eq!(ask("/login").0, 204);
}
