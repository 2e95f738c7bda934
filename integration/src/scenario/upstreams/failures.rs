//! One of ten endpoints fails in some way and recovers: how many requests it costs, and for how long.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::config::site;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// How one endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It takes ten times as long.
    Slow,
    /// It answers 503 at once.
    Failing,
    /// It accepts connections and says nothing.
    Stopped,
}

/// Who is before the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// This proxy.
    Ours,
    /// HAProxy: leastconn, with checks as often as ours.
    Haproxy,
    /// nginx: `max_fails=1 fail_timeout=10s`, as it comes.
    Nginx,
}

/// What a failure cost.
#[derive(Clone, Copy, Debug)]
pub struct FailureCost {
    /// Of the requests while it lasted, the share that failed or took five times as long as they should.
    pub hit: f64,
    /// From its beginning until hardly any was hit for a second; `None` when that was never.
    pub eject: Option<Duration>,
    /// From its end until the endpoint had half its share again; `None` when that was never.
    pub back: Option<Duration>,
}

const ENDPOINTS: usize = 10;
const SERVICE: Duration = Duration::from_millis(10);
const RATE: u64 = 200;
const WELL: u8 = 0;

/// Plays it; `None` when the program is not installed.
///
/// # Panics
/// When there are no ports.
#[must_use]
pub fn one_of_ten(failure: Failure, balancer: Balancer, lasting: Duration) -> Option<FailureCost> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let endpoints: Vec<_> = (0..ENDPOINTS).map(|_| Simulated::start(&runtime)).collect();
    let running = Running::start(balancer, &endpoints)?;
    let address = running.address();
    let cost = runtime.block_on(play(address, &endpoints, failure, lasting));
    runtime.shutdown_background();
    Some(cost)
}

/// An endpoint with a simulated service time.
struct Simulated {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    mode: AtomicU8,
    asked: AtomicU64,
}

impl Simulated {
    fn start(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    fn become_(&self, mode: u8) {
        self.state.mode.store(mode, Ordering::Release);
    }

    fn asked(&self) -> u64 {
        self.state.asked.load(Ordering::Acquire)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let _sent_at_once = stream.set_nodelay(true);
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length) = stream.read(&mut piece).await {
        if length == 0 {
            return;
        }
        head.extend_from_slice(&piece[..length]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET / ") {
            state.asked.fetch_add(1, Ordering::AcqRel);
        }
        head.clear();
        let mode = state.mode.load(Ordering::Acquire);
        let status = if mode == Failure::Failing as u8 + 1 { "503 Off" } else { "200 On" };
        match mode {
            mode if mode == Failure::Failing as u8 + 1 => {}
            mode if mode == Failure::Slow as u8 + 1 => tokio::time::sleep(SERVICE * 10).await,
            mode if mode == Failure::Stopped as u8 + 1 => continue,
            _ => tokio::time::sleep(SERVICE).await,
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

enum Running {
    Ours(Box<Proxy>),
    Peer(Peer),
}

impl Running {
    fn start(balancer: Balancer, endpoints: &[Simulated]) -> Option<Self> {
        let addresses = || endpoints.iter().map(|endpoint| endpoint.address.to_string());
        Some(match balancer {
            Balancer::Ours => {
                let lines = "timeouts = { connect = \"1s\", read = \"1s\" }\n\
                    health = { path = \"/healthz\", every = \"1s\", timeout = \"1s\", rise = 2, fall = 2 }";
                let endpoints: Vec<_> = addresses().collect();
                let config =
                    site().route("/*", "proxy = \"app\"").endpoints("app", &endpoints, lines);
                Self::Ours(Box::new(Proxy::start(&config)))
            }
            Balancer::Haproxy => {
                let mut section =
                    "balance leastconn\n option httpchk GET /healthz\n option redispatch\n \
                    timeout connect 1s\n timeout server 1s\n"
                        .to_owned();
                for (number, address) in addresses().enumerate() {
                    let _ = writeln!(
                        section,
                        " server s{number} {address} check inter 1s rise 2 fall 2"
                    );
                }
                Self::Peer(Peer::haproxy(&section)?)
            }
            Balancer::Nginx => {
                let servers: String = addresses()
                    .map(|address| format!("server {address} max_fails=1 fail_timeout=10s; "))
                    .collect();
                let http = format!("upstream app {{ {servers} keepalive 32; }}");
                let server = "location / { proxy_pass http://app; proxy_http_version 1.1; \
                    proxy_set_header Connection ''; proxy_connect_timeout 1s; proxy_read_timeout 1s; }";
                Self::Peer(Peer::nginx_with(&http, server)?)
            }
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(proxy) => proxy.address("web"),
            Self::Peer(peer) => peer.address(),
        }
    }
}

/// Requests at a steady rate, whatever becomes of those before: when each began, and whether it was hit.
async fn play(
    address: SocketAddr,
    endpoints: &[Simulated],
    failure: Failure,
    lasting: Duration,
) -> FailureCost {
    let Some(bad) = endpoints.get(3) else {
        return FailureCost { hit: 1.0, eject: None, back: None };
    };
    let _warm = load(address, Duration::from_secs(3)).await;
    bad.become_(failure as u8 + 1);
    let seen = load(address, lasting).await;
    bad.become_(WELL);
    let back = returns(address, bad).await;
    let hits = seen.iter().filter(|(_, hit)| *hit).count();
    let hit = hits as f64 / seen.len().max(1) as f64;
    FailureCost { hit, eject: ejected_after(&seen, lasting), back }
}

async fn load(address: SocketAddr, lasting: Duration) -> Vec<(Duration, bool)> {
    let began = Instant::now();
    let mut tasks = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    while began.elapsed() < lasting {
        ticks.tick().await;
        let at = began.elapsed();
        tasks.push(tokio::spawn(async move { (at, !is_well(address).await) }));
    }
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await);
    }
    seen
}

async fn is_well(address: SocketAddr) -> bool {
    let began = Instant::now();
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
    matches!(answer, Ok(Ok(true))) && began.elapsed() < SERVICE * 5
}

/// The first moment after which at most one of a hundred is hit for a second.
fn ejected_after(seen: &[(Duration, bool)], lasting: Duration) -> Option<Duration> {
    let second = Duration::from_secs(1);
    let mut moments = (0..).map(|step| Duration::from_millis(50) * step);
    moments.by_ref().take_while(|moment| *moment + second <= lasting).find(|moment| {
        let within = seen.iter().filter(|(at, _)| (*moment..*moment + second).contains(at));
        let (count, hits) =
            within.fold((0, 0), |(count, hits), (_, hit)| (count + 1, hits + usize::from(*hit)));
        hits * 100 <= count
    })
}

/// How long until it has half its share within half a second.
async fn returns(address: SocketAddr, endpoint: &Simulated) -> Option<Duration> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let before = endpoint.asked();
        let at = began.elapsed();
        let sent = load(address, Duration::from_millis(500)).await.len();
        if (endpoint.asked() - before) as usize * ENDPOINTS * 2 >= sent {
            return Some(at);
        }
    }
    None
}
