//! One of ten endpoints fails in some way and recovers: how many requests it costs, and for how long.
//!
//! Several balancers are played at the same time, each before ten endpoints of its own, so that whatever else the machine has to
//! do is the same for all of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::balancer::{Balancer, Running};
use super::simulated::{SERVICE, Simulated};

/// How one endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It takes ten times as long.
    Slow,
    /// It answers 500 at once.
    Failing,
    /// It accepts connections and says nothing.
    Silent,
    /// It says nothing and has no room for connections: who connects hears nothing, either.
    Unreachable,
}

/// What a failure cost, over all rounds.
#[derive(Clone, Debug, Default)]
pub struct FailureCost {
    /// Requests while it lasted.
    pub asked: usize,
    /// Those that were answered with an error, or not.
    pub errors: usize,
    /// Those that took four times as long as they should.
    pub late: usize,
    /// Per round, from its beginning until the last request that met it began; `None` where it kept being met.
    pub out: Vec<Option<Duration>>,
    /// Per round, from its end until the endpoint had a request again; `None` when it had none for long.
    pub back: Vec<Option<Duration>>,
}

impl FailureCost {
    /// The share of requests that failed or were late.
    #[must_use]
    pub fn hit(&self) -> f64 {
        (self.errors + self.late) as f64 / self.asked.max(1) as f64
    }
}

/// How long a failure lasts.
const LASTING: Duration = Duration::from_secs(6);
/// How long all is well before.
const WELL: Duration = Duration::from_secs(3);
/// By how much longer in each round: what somebody does every second is not met at the same point of its second each time.
const A_TURN: Duration = Duration::from_millis(1_250);
/// Who is asked within the last so much of it is not out.
const STILL: Duration = Duration::from_millis(1_500);
/// The longest that anybody is waited for.
const LONGEST: Duration = Duration::from_secs(20);
/// Requests in a second, at each balancer.
const RATE: u64 = 200;
/// The endpoint that fails.
const BAD: usize = 3;
const ENDPOINTS: usize = 10;

/// Plays it so many times before each of them at once; `None` for a program that is not installed.
///
/// # Panics
/// When there are no ports.
#[must_use]
pub fn one_of_ten(
    failure: Failure,
    balancers: &[Balancer],
    rounds: usize,
) -> Vec<Option<FailureCost>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let stages: Vec<_> = balancers.iter().map(|one| Stage::set(*one, &runtime)).collect();
    let mut costs: Vec<_> =
        stages.iter().map(|stage| stage.as_ref().map(|_| FailureCost::default())).collect();
    for number in (0..).take(rounds) {
        let well = WELL + A_TURN * number;
        let playing = stages.iter().map(|stage| {
            stage.as_ref().map(|stage| {
                let (address, bad) = (stage.running.address(), stage.endpoints[BAD].clone());
                runtime.spawn(async move { round(address, &bad, (failure, well)).await })
            })
        });
        let playing: Vec<_> = playing.collect();
        for (cost, played) in costs.iter_mut().zip(playing) {
            let played = played.map(|played| runtime.block_on(played).expect("no panic"));
            if let (Some(cost), Some(played)) = (cost, played) {
                played.add_to(cost);
            }
        }
    }
    runtime.shutdown_background();
    costs
}

/// A balancer before its endpoints.
struct Stage {
    endpoints: Vec<Simulated>,
    running: Running,
}

impl Stage {
    fn set(balancer: Balancer, runtime: &Runtime) -> Option<Self> {
        let endpoints: Vec<_> = (0..ENDPOINTS).map(|_| Simulated::start(runtime)).collect();
        let addresses: Vec<_> = endpoints.iter().map(|one| one.address().to_string()).collect();
        Some(Self { running: Running::start(balancer, &addresses)?, endpoints })
    }
}

/// What came of one round.
struct Round {
    seen: Vec<Seen>,
    out: Option<Duration>,
    back: Option<Duration>,
}

impl Round {
    fn add_to(self, cost: &mut FailureCost) {
        cost.asked += self.seen.len();
        cost.errors += self.seen.iter().filter(|seen| seen.is_error).count();
        cost.late += self.seen.iter().filter(|seen| seen.is_late()).count();
        cost.out.push(self.out);
        cost.back.push(self.back);
    }
}

/// What a client saw.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it asked.
    at: Instant,
    is_error: bool,
    took: Duration,
}

impl Seen {
    fn is_late(&self) -> bool {
        !self.is_error && self.took >= SERVICE * 4
    }

    /// Whether that was surely the endpoint's doing, and not the machine's.
    fn met_it(&self) -> bool {
        self.is_error || self.took >= SERVICE * 9
    }
}

async fn round(
    address: SocketAddr,
    bad: &Simulated,
    (failure, well): (Failure, Duration),
) -> Round {
    // Whoever was away is to have forgotten it.
    load(address, well, || false).await;
    bad.fail(failure);
    let began = Instant::now();
    let seen = load(address, LASTING, || false).await;
    let met = seen.iter().filter(|seen| seen.met_it());
    let met: Vec<_> = met.map(|seen| seen.at.saturating_duration_since(began)).collect();
    let ended = Instant::now();
    bad.recover();
    load(address, LONGEST, || !bad.asked_since(ended).is_empty()).await;
    let back = bad.asked_since(ended).first().copied();
    Round { out: last_of(&met, failure), seen, back }
}

/// When a request met it for the last time. One that is slow may be asked now and then whether it still is: for it, the end of
/// the last second in which more than one of a hundred did.
fn last_of(met: &[Duration], failure: Failure) -> Option<Duration> {
    let few = if failure == Failure::Slow { RATE as usize / 100 } else { 0 };
    let second = Duration::from_secs(1);
    let is_one_of_many = |index: &usize| {
        let at = met[*index];
        let near = met.iter().filter(|other| other.abs_diff(at) < second / 2).count();
        near > few
    };
    let last = (0..met.len()).rev().find(is_one_of_many).map(|index| met[index]);
    let last = last.unwrap_or_default();
    (last + STILL < LASTING).then_some(last)
}

/// Requests at a steady rate, whatever becomes of those before, for so long or until it is enough.
async fn load(address: SocketAddr, lasting: Duration, enough: impl Fn() -> bool) -> Vec<Seen> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    while began.elapsed() < lasting && !enough() {
        ticks.tick().await;
        tasks.push(tokio::spawn(ask(address)));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await);
    }
    seen
}

async fn ask(address: SocketAddr) -> Seen {
    let began = Instant::now();
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    let answer = tokio::time::timeout(Duration::from_secs(8), asked).await;
    Seen { at: began, is_error: !matches!(answer, Ok(Ok(true))), took: began.elapsed() }
}
