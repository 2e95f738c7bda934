//! What it costs to ask plugins that are linked in: nobody, one that does nothing, five of those, and one that reads a header and sets
//! another.
//!
//! Prints the lowest mean of many rounds, in nanoseconds, and what reading and setting takes in the map itself. With `--tiny`, with
//! `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little input, and only shows that it runs. That the heap is not asked is a test's to say: counting that takes longer than the hooks.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::expect_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

#[path = "../../benches/rounds.rs"]
mod rounds;

use std::hint::black_box;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderName, HeaderValue};
use rounds::{Case, Size};
use switchback_plugin::testing::{Harness, Scene, Stage, World};
use switchback_plugin::{BuildError, Exchange, Flow, Hook, Map, Plugin, Request, Setup, hooks};
use switchback_plugin_host::{
    Chain, Configured, Metrics, Node, Observer, Policy, Running, Verdict,
};

/// As in the binary.
#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

struct Idle;

#[hooks]
impl Plugin for Idle {
    const NAME: &'static str = "idle";
    type Options = Nothing;
    type State = ();

    fn build(_: Nothing, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), _: &mut Request<'_>) -> Flow {
        Flow::Continue
    }
}

struct Tier;

#[hooks]
impl Plugin for Tier {
    const NAME: &'static str = "tier";
    type Options = Nothing;
    type State = ();

    fn build(_: Nothing, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        let tier = if request.header("x-tenant-id").is_some() { "gold" } else { "none" };
        match request.set_header("x-tier", tier) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }
}

/// The same with names and values that are made once.
struct MadeTier {
    tenant: HeaderName,
    tier: HeaderName,
    gold: HeaderValue,
    none: HeaderValue,
}

#[hooks]
impl Plugin for MadeTier {
    const NAME: &'static str = "made-tier";
    type Options = Nothing;
    type State = ();

    fn build(_: Nothing, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        let (name, value) = (HeaderName::from_static, HeaderValue::from_static);
        Ok(Self {
            tenant: name("x-tenant-id"),
            tier: name("x-tier"),
            gold: value("gold"),
            none: value("none"),
        })
    }

    async fn on_request(&self, _: &mut (), request: &mut Request<'_>) -> Flow {
        let is_known = request.header_bytes(&self.tenant).is_some();
        match request.set_header_value(&self.tier, if is_known { &self.gold } else { &self.none }) {
            Ok(()) => Flow::Continue,
            Err(refused) => Flow::fail(refused.to_string()),
        }
    }
}

fn chain<P: Plugin>(count: usize) -> Chain {
    let metrics: Arc<dyn Observer> = Arc::new(Metrics::default());
    let nodes = (0..count).map(|_| {
        let harness = Harness::<P>::new("{}").expect("options");
        let instance = Arc::clone(harness.instance());
        let policy = Policy::default();
        Node::One(Configured::new(P::NAME, instance, policy, Arc::clone(&metrics)))
    });
    Chain::new(nodes.collect())
}

fn ask(chain: &Chain, running: &mut Running, exchange: &mut dyn Exchange) -> Verdict {
    let run = pin!(chain.run(Hook::Request, running, exchange));
    match run.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => Verdict::Refuse,
    }
}

/// A request that is there, asked about at one hook.
fn hook<'a>(name: &str, chain: &'a Chain, (scene, world): &'a mut (Scene, World)) -> Case<'a> {
    let mut stage = Stage::new(Hook::Request, scene, world);
    let mut running = chain.start();
    Case::new(name, move || {
        let verdict = ask(chain, &mut running, black_box(&mut stage));
        matches!(black_box(verdict), Verdict::Continue)
    })
}

/// A request that begins and ends with it: with what is remembered, and forgotten in the end.
fn whole<'a>(name: &str, chain: &'a Chain, (scene, world): &'a mut (Scene, World)) -> Case<'a> {
    let mut stage = Stage::new(Hook::Request, scene, world);
    Case::new(name, move || {
        let verdict = ask(chain, &mut chain.start(), black_box(&mut stage));
        matches!(black_box(verdict), Verdict::Continue)
    })
}

/// Reading a header and setting another in the map itself.
fn map() -> Case<'static> {
    let mut map = headers(Scene::get("/")).fields(Map::RequestHeaders).clone();
    Case::new("map", move || {
        let map = black_box(&mut map);
        let tier = if map.get(black_box("x-tenant-id")).is_some() { "gold" } else { "none" };
        let value = HeaderValue::from_bytes(black_box(tier).as_bytes()).expect("a value");
        black_box(map.insert(black_box("x-tier"), value));
        true
    })
}

/// What a browser sends, about.
fn headers(scene: Scene) -> Scene {
    [
        ("accept", "text/html,application/xhtml+xml"),
        ("accept-encoding", "gzip, br, zstd"),
        ("accept-language", "en"),
        ("cookie", "session=0123456789abcdef"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("x-tenant-id", "tenant-17"),
    ]
    .into_iter()
    .fold(scene, |scene, (name, value)| scene.with_header(name, value))
}

fn main() -> ExitCode {
    let chains = [
        chain::<Idle>(0),
        chain::<Idle>(1),
        chain::<Idle>(5),
        chain::<Tier>(1),
        chain::<MadeTier>(1),
    ];
    let [empty, idle, five, tier, made] = &chains;
    let mut scenes: [(Scene, World); 6] =
        std::array::from_fn(|_| (headers(Scene::get("/api/v1/orders?page=2")), World::default()));
    let [first, second, third, fourth, fifth, sixth] = &mut scenes;
    let mut cases = [
        map(),
        hook("empty", empty, first),
        hook("idle", idle, second),
        whole("idle_whole", idle, third),
        hook("five_idle", five, fourth),
        hook("get_and_set", tier, fifth),
        hook("get_and_set_made", made, sixth),
    ];
    let Some(lowest) = rounds::lowest(&mut cases, Size::of(4_000, 1_000)) else {
        return ExitCode::FAILURE;
    };
    for (case, lowest) in cases.iter().zip(lowest) {
        println!("{}_ns: {lowest:.1}", case.name);
    }
    ExitCode::SUCCESS
}
