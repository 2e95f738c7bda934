//! One endpoint of three is slow for one of twenty of its answers: what second copies save, and what they cost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use super::keep_alive::Connection;
use crate::client::Client;
use crate::config::{Config, config};
use crate::counted::Counted;
use crate::grammar::Random;
use crate::message::{Reply, get};
use crate::origin::Origin;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// What came of one way to ask.
#[derive(Clone, Copy, Debug)]
pub struct Hedged {
    /// Reads that were answered with 200.
    pub reads: usize,
    /// Half of them took no longer than this.
    pub median: Duration,
    /// 99 of 100 of them took no longer than this.
    pub p99: Duration,
    /// The slowest of them.
    pub slowest: Duration,
    /// Requests that were not answered with 200.
    pub failed: usize,
    /// Reads that endpoints had, beyond those that clients sent, for each that clients sent.
    pub extra: f64,
    /// Requests that change something.
    pub posts: usize,
    /// Those that endpoints had more than once, or not.
    pub posts_astray: usize,
}

const ENDPOINTS: usize = 3;
/// How long an answer takes, half of it more or less.
const SERVICE: Duration = Duration::from_millis(10);
/// How long a slow one takes.
const SLOW: Duration = Duration::from_millis(500);
/// Of the answers of the first endpoint, one of so many is slow.
const ONE_OF: usize = 20;
/// Requests in a second.
const RATE: u64 = 150;
/// One request of so many changes something.
const POST_OF: usize = 10;
/// Until it is known what is late.
const WARM: Duration = Duration::from_secs(4);

/// Asks for `lasting` after it is warm, with `lines` in the upstream.
///
/// # Panics
/// When something cannot be started.
#[must_use]
pub fn hedged(lines: &str, lasting: Duration) -> Hedged {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ledger = Ledger::default();
        let mut addresses = Vec::with_capacity(ENDPOINTS);
        for number in 0..ENDPOINTS {
            addresses.push(endpoint(number, Arc::clone(&ledger)).await);
        }
        let proxy = Proxy::start(&before(&addresses, lines));
        let address = proxy.address("web");
        come(address, "warm", WARM).await;
        ledger.lock().clear();
        let seen = come(address, "asked", lasting).await;
        told(&seen, &ledger.lock())
    })
}

/// All are asked in turn, whatever they do: what is shown is what second copies do about it, and not what the balancer does.
fn before(addresses: &[String], lines: &str) -> Config {
    let lines = format!("balance = \"round_robin\"\noutliers = \"off\"\n{lines}");
    config()
        .top("workers = 1")
        .web("limits = { keepalive_requests = 1000000 }")
        .site("")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", addresses, lines)
}

/// How often endpoints had each request, by its method and target.
type Ledger = Arc<Mutex<HashMap<String, usize>>>;

async fn endpoint(number: usize, ledger: Ledger) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("a bound socket");
    let served = Arc::new(Mutex::new(0_usize));
    tokio::spawn(async move {
        let mut random = Random::new(number as u64 + 1);
        while let Ok((stream, _)) = listener.accept().await {
            let _sent_at_once = stream.set_nodelay(true);
            let (ledger, served) = (Arc::clone(&ledger), Arc::clone(&served));
            let mut random = Random::new(random.number() | 1);
            tokio::spawn(async move {
                let mut connection = Connection::new(stream);
                while let Ok(Some(asked)) = connection.next().await {
                    let line = format!("{} {}", asked.word(0), asked.word(1));
                    *ledger.lock().entry(line).or_default() += 1;
                    tokio::time::sleep(takes(number, &served, &mut random)).await;
                    let sent = connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    if sent.await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address.to_string()
}

fn takes(endpoint: usize, served: &Mutex<usize>, random: &mut Random) -> Duration {
    let mut served = served.lock();
    *served += 1;
    if endpoint == 0 && served.is_multiple_of(ONE_OF) {
        return SLOW;
    }
    SERVICE.mul_f64(0.5 + (random.number() >> 11) as f64 / (1_u64 << 53) as f64)
}

/// What a client saw.
struct Seen {
    line: String,
    is_good: bool,
    took: Duration,
}

impl Seen {
    fn is_post(&self) -> bool {
        self.line.starts_with("POST")
    }
}

/// Has requests come at a steady rate, whatever becomes of those before.
async fn come(address: SocketAddr, name: &'static str, lasting: Duration) -> Vec<Seen> {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    let mut tasks = Vec::new();
    let kept = Kept::default();
    for number in 0_usize.. {
        ticks.tick().await;
        if began.elapsed() >= lasting {
            break;
        }
        let method = if number.is_multiple_of(POST_OF) { "POST" } else { "GET" };
        let line = format!("{method} /{name}/{number}");
        tasks.push(tokio::spawn(ask(address, line, Arc::clone(&kept))));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await);
    }
    seen
}

/// Connections that nobody asks on.
type Kept = Arc<Mutex<Vec<Connection>>>;

async fn ask(address: SocketAddr, line: String, kept: Kept) -> Seen {
    let began = Instant::now();
    let asked = async {
        let unused = kept.lock().pop();
        let mut connection = match unused {
            Some(connection) => connection,
            None => Connection::open(address).await?,
        };
        let length = if line.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
        connection.send(&format!("{line} HTTP/1.1\r\nHost: app\r\n{length}\r\n")).await?;
        let answer = connection.next().await?;
        let is_good = answer.is_some_and(|answer| answer.status() == 200);
        if is_good {
            kept.lock().push(connection);
        }
        std::io::Result::Ok(is_good)
    };
    let is_good = matches!(tokio::time::timeout(SLOW * 20, asked).await, Ok(Ok(true)));
    Seen { line, is_good, took: began.elapsed() }
}

fn told(seen: &[Seen], ledger: &HashMap<String, usize>) -> Hedged {
    let reads: Vec<_> = seen.iter().filter(|one| !one.is_post()).collect();
    let mut times: Vec<_> = reads.iter().filter(|one| one.is_good).map(|one| one.took).collect();
    times.sort_unstable();
    let share = |hundredths: usize| {
        times.get(times.len() * hundredths / 100).copied().unwrap_or(Duration::MAX)
    };
    let had = |method: &str| -> usize {
        let lines = ledger.iter().filter(|(line, _)| line.starts_with(method));
        lines.map(|(_, count)| count).sum()
    };
    let posts: Vec<_> = seen.iter().filter(|one| one.is_post()).collect();
    let is_astray = |one: &&&Seen| ledger.get(&one.line).copied() != Some(1);
    Hedged {
        reads: times.len(),
        median: share(50),
        p99: share(99),
        slowest: times.last().copied().unwrap_or(Duration::MAX),
        failed: seen.iter().filter(|one| !one.is_good).count(),
        extra: (had("GET") as f64 - reads.len() as f64) / reads.len().max(1) as f64,
        posts: posts.len(),
        posts_astray: posts.iter().filter(is_astray).count(),
    }
}

/// What a read costs whose answer is in time.
#[derive(Clone, Copy, Debug)]
pub struct HedgeCost {
    /// Instructions in user space without and with second copies configured; `None` where the counting program is not installed.
    pub instructions: Option<[f64; 2]>,
    /// Time of a processor, likewise, the kernel's included.
    pub processor: [Duration; 2],
}

/// Rounds of which the cheapest counts.
const ROUNDS: usize = 5;
/// Requests that go before those that count.
const WARMING: usize = 200;

/// What so many reads cost each, of which none is late, counted and timed.
///
/// # Panics
/// When the proxy does not start, or an answer is wrong.
#[must_use]
pub fn hedge_cost(requests: usize) -> HedgeCost {
    let origins = [(); 2].map(|()| Origin::start().serve("*", Reply::ok("ok")));
    let addresses: Vec<_> = origins.iter().map(|origin| origin.endpoint().to_string()).collect();
    // What is late is said: while callgrind runs it, the machine decides when an answer comes.
    let lines = ["", "hedge = { after = \"20s\" }"];
    let configs = lines.map(|lines| before(&addresses, &format!("retry.within = \"1m\"\n{lines}")));
    let instructions = configs.each_ref().map(|config| {
        let mut counted = Counted::start(config)?;
        let mut client = counted.proxy.client();
        let asked = get("/");
        let mut ask = || {
            client.ask(&asked).expect_status(200);
        };
        (0..WARMING).for_each(|_| ask());
        let rounds = (0..3).map(|_| counted.each(requests.min(1000), &mut ask));
        Some(rounds.fold(f64::INFINITY, f64::min))
    });
    let proxies = configs.map(|config| Proxy::start(&config));
    let mut clients = proxies.each_ref().map(Proxy::client);
    let asked = get("/");
    let ask = |client: &mut Client, times| {
        for _ in 0..times {
            client.ask(&asked).expect_status(200);
        }
    };
    let mut processor = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for ((proxy, client), least) in proxies.iter().zip(&mut clients).zip(&mut processor) {
            ask(client, WARMING);
            let before = ProcessStats::processor_time_of_tree(proxy.pid());
            ask(client, requests);
            let spent = ProcessStats::processor_time_of_tree(proxy.pid()) - before;
            *least = (spent / u32::try_from(requests).unwrap_or(u32::MAX)).min(*least);
        }
    }
    let instructions = match instructions {
        [Some(without), Some(with)] => Some([without, with]),
        _ => None,
    };
    HedgeCost { instructions, processor }
}
