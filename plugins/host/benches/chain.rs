//! What it costs to ask plugins that are linked in: nobody, one that does nothing, five of those, and one that reads a header and sets
//! another.
//!
//! Prints the lowest mean of many rounds, in nanoseconds, beside what is promised of a machine that has nothing else to do, and what
//! reading and setting takes in the map itself. With `--tiny`, with `SWITCHBACK_BENCH_TINY=1` or as a test it runs with little input, and
//! only shows that it runs. That the heap is not asked is a test's to say: counting that takes longer than the hooks.
#![expect(clippy::print_stdout, reason = "the figures are read from standard output")]
#![expect(
    clippy::expect_used,
    reason = "what is built here is right, or the bench is wrong and stops"
)]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
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

/// One case: its name, what it may cost in nanoseconds.
struct Case {
    name: &'static str,
    goal: f64,
    chain: Chain,
    /// Whether the request begins and ends with it.
    is_whole: bool,
}

fn ask(chain: &Chain, running: &mut Running, exchange: &mut dyn Exchange) -> Verdict {
    let run = pin!(chain.run(Hook::Request, running, exchange));
    match run.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict,
        Poll::Pending => Verdict::Refuse,
    }
}

impl Case {
    fn pass(&self, running: &mut Running, exchange: &mut dyn Exchange) {
        let verdict = if self.is_whole {
            ask(&self.chain, &mut self.chain.start(), exchange)
        } else {
            ask(&self.chain, running, exchange)
        };
        assert!(matches!(black_box(verdict), Verdict::Continue));
    }

    /// The lowest mean of `rounds` times `calls`, in nanoseconds.
    fn measure(&self, rounds: usize, calls: u32) -> f64 {
        let mut scene = headers(Scene::get("/api/v1/orders?page=2"));
        let mut world = World::default();
        let mut stage = Stage::new(Hook::Request, &mut scene, &mut world);
        let mut running = self.chain.start();
        let best = (0..rounds).map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                self.pass(&mut running, black_box(&mut stage));
            }
            start.elapsed()
        });
        let best = best.min().unwrap_or(Duration::ZERO);
        best.as_secs_f64() * 1e9 / f64::from(calls)
    }
}

/// The lowest mean of reading a header and setting another in the map itself.
fn map(rounds: usize, calls: u32) -> f64 {
    let mut map = headers(Scene::get("/")).fields(Map::RequestHeaders).clone();
    let best = (0..rounds).map(|_| {
        let start = Instant::now();
        for _ in 0..calls {
            let map = black_box(&mut map);
            let tier = if map.get(black_box("x-tenant-id")).is_some() { "gold" } else { "none" };
            let value = HeaderValue::from_bytes(black_box(tier).as_bytes()).expect("a value");
            black_box(map.insert(black_box("x-tier"), value));
        }
        start.elapsed()
    });
    best.min().unwrap_or(Duration::ZERO).as_secs_f64() * 1e9 / f64::from(calls)
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

fn main() {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let wants_tiny = std::env::args().any(|argument| argument == "--tiny");
    let is_tiny = wants_tiny
        || !is_bench
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1");
    let (rounds, calls) = if is_tiny { (1, 10) } else { (4000, 1000) };

    let case = |name, goal, chain| Case { name, goal, chain, is_whole: false };
    let cases = [
        case("empty", 5.0, chain::<Idle>(0)),
        case("idle", 10.0, chain::<Idle>(1)),
        // With what is remembered, and forgotten in the end.
        Case { is_whole: true, ..case("idle_whole", 20.0, chain::<Idle>(1)) },
        case("five_idle", 50.0, chain::<Idle>(5)),
        case("get_and_set", 60.0, chain::<Tier>(1)),
        case("get_and_set_made", 60.0, chain::<MadeTier>(1)),
    ];
    println!("map_ns: {:.1} (what the map itself takes for get_and_set)", map(rounds, calls));
    let wanted = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    for case in cases {
        if wanted.as_ref().is_none_or(|wanted| wanted == case.name) {
            println!(
                "{}_ns: {:.1} (at most {})",
                case.name,
                case.measure(rounds, calls),
                case.goal
            );
        }
    }
}
