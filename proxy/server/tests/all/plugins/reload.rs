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
    Background, BuildError, Flow, Operating, Plugin, Request, Response, Setup, StoreAction, hooks,
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
