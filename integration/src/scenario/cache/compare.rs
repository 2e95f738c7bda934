//! The same requests to Switchback, nginx and Varnish, each with a cache for a tenth of all bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::wire::{Asker, serve};
use crate::config::config;
use crate::grammar::Random;
use crate::peer::Peer;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct ComparePlan {
    /// Objects at the origin, the n-th asked for with a weight of 1/n.
    pub objects: usize,
    /// Requests before anything is measured.
    pub warm: usize,
    /// Rounds that are measured, interleaved.
    pub rounds: usize,
    /// Requests in each.
    pub requests: usize,
}

/// What one of them came to.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Who.
    pub name: &'static str,
    /// The share of requests for which the origin was not asked.
    pub hit_ratio: f64,
    /// Processor time for a request in the cheapest round.
    pub each: Duration,
    /// 99 of 100 answers came sooner, in the median round.
    pub p99: Duration,
    /// Answers that were wrong.
    pub wrong: u64,
    /// The bytes that it was allowed for what it stores, and those that it has in the end where that can be seen.
    pub stored: (u64, Option<u64>),
}

/// The smallest and the largest object.
const SMALLEST: f64 = 2048.0;
const LARGEST: f64 = 1_048_576.0;
/// Connections of the clients.
const CONNECTIONS: usize = 32;

/// Plays it; peers that are not installed are left out.
///
/// # Panics
/// When one of them does not start.
#[must_use]
pub fn compare(plan: &ComparePlan) -> Vec<Compared> {
    let sizes: Arc<[usize]> = sizes(plan.objects).into();
    let total: usize = sizes.iter().sum();
    let megabytes = (total / 10).div_ceil(1 << 20);
    let mut targets: Vec<Target> = [ours, nginx, varnish]
        .into_iter()
        .filter_map(|start| start(Source::start(&sizes), plan.objects, megabytes))
        .collect();
    let trace = trace(plan);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for target in &mut targets {
        target.allowed = (megabytes as u64) << 20;
    }
    let (warm, measured) = trace.split_at(plan.warm);
    for target in &mut targets {
        runtime.block_on(ask_all(target.address, warm, &sizes));
    }
    for round in measured.chunks(plan.requests) {
        for target in &mut targets {
            target.round(round, &sizes, &runtime);
        }
    }
    targets.into_iter().map(Target::compared).collect()
}

/// Many small ones and few large ones: of twice the size there are half as many (Pareto, bounded).
fn sizes(objects: usize) -> Vec<usize> {
    let mut random = Random::new(7);
    (0..objects)
        .map(|_| {
            let share = random.below(1 << 30) as f64 / f64::from(1 << 30);
            let size = 1.0 / (1.0 / SMALLEST - share * (1.0 / SMALLEST - 1.0 / LARGEST));
            size as usize
        })
        .collect()
}

/// The objects in the order in which they are asked for.
fn trace(plan: &ComparePlan) -> Vec<usize> {
    let mut sum = 0.0;
    let weights: Vec<f64> = (1..=plan.objects)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut random = Random::new(11);
    let length = plan.warm + plan.rounds * plan.requests;
    (0..length)
        .map(|_| {
            let point = random.below(1 << 30) as f64 / f64::from(1 << 30) * sum;
            weights.partition_point(|weight| *weight < point).min(plan.objects - 1)
        })
        .collect()
}

/// Somebody who is measured.
struct Target {
    name: &'static str,
    address: SocketAddr,
    pid: u32,
    source: Source,
    running: Running,
    allowed: u64,
    asked: u64,
    fetched: u64,
    each: Duration,
    p99: Vec<Duration>,
    wrong: u64,
}

/// What is ended when dropped.
#[expect(dead_code, reason = "most of it is kept to be dropped")]
enum Running {
    Ours(Proxy),
    Nginx(Peer, TempDir),
    Varnish(Peer),
}

impl Target {
    fn new(
        name: &'static str,
        address: SocketAddr,
        pid: u32,
        source: Source,
        running: Running,
    ) -> Self {
        Self {
            name,
            address,
            pid,
            source,
            running,
            allowed: 0,
            asked: 0,
            fetched: 0,
            each: Duration::MAX,
            p99: Vec::new(),
            wrong: 0,
        }
    }

    fn round(&mut self, round: &[usize], sizes: &Arc<[usize]>, runtime: &tokio::runtime::Runtime) {
        let fetched = self.source.count();
        let before = ProcessStats::processor_time_of_tree(self.pid);
        let (mut times, wrong) = runtime.block_on(ask_all(self.address, round, sizes));
        let spent = ProcessStats::processor_time_of_tree(self.pid) - before;
        self.each = self.each.min(spent / u32::try_from(round.len()).unwrap_or(u32::MAX));
        self.asked += round.len() as u64;
        self.fetched += self.source.count() - fetched;
        self.wrong += wrong;
        times.sort_unstable();
        self.p99.extend(times.get(times.len() * 99 / 100));
    }

    fn compared(self) -> Compared {
        Compared {
            name: self.name,
            hit_ratio: 1.0 - self.fetched as f64 / self.asked.max(1) as f64,
            each: self.each,
            p99: super::super::median(self.p99),
            wrong: self.wrong,
            stored: (self.allowed, self.running.stored()),
        }
    }
}

impl Running {
    /// The bytes in its folder, if it keeps them in one.
    fn stored(&self) -> Option<u64> {
        let Self::Nginx(_, folder) = self else { return None };
        let mut output = std::process::Command::new("du");
        let output = output.args(["-sb"]).arg(folder.path()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).split_whitespace().next()?.parse().ok()
    }
}

fn ours(source: Source, _objects: usize, megabytes: usize) -> Option<Target> {
    let proxy = Proxy::start(
        &config()
            .top("workers = 2")
            .web("limits = { keepalive_requests = 1000000 }")
            .toml(format_args!("[zones.main]\nmemory = \"{megabytes}MiB\"\n"))
            .site("")
            .route("/*", "proxy = \"app\"\ncache = \"main\"")
            .endpoints("app", &[source.address.to_string()], ""),
    );
    let (address, pid) = (proxy.address("web"), proxy.pid());
    Some(Target::new("switchback", address, pid, source, Running::Ours(proxy)))
}

fn nginx(source: Source, objects: usize, megabytes: usize) -> Option<Target> {
    let address = crate::peer::free_address();
    let (backend, cache) = (source.address, std::path::Path::new("/dev/shm"));
    // In memory, as with the others. `max_size` alone is looked after every ten seconds and overrun by as many misses; a zone
    // with room for a tenth of the keys (128 bytes each) is kept to at once, and objects are of one size on the whole.
    let keys = objects / 10 * 128 / 1024 + 32;
    let folder = TempDir::new_in(cache).expect("room in memory");
    let config = format!(
        "worker_processes 2; pid nginx.pid; error_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n access_log off; keepalive_requests 1000000;\n\
         proxy_cache_path {} levels=1:2 keys_zone=main:{keys}k max_size={megabytes}m inactive=1h use_temp_path=off;\n\
         upstream app {{ server {backend}; keepalive 64; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://app; proxy_http_version 1.1; \
         proxy_set_header Connection ''; proxy_cache main; }} }} }}\n",
        folder.path().display()
    );
    let peer = Peer::nginx_whole(&config, address)?;
    let pid = peer.pid();
    Some(Target::new("nginx", address, pid, source, Running::Nginx(peer, folder)))
}

fn varnish(source: Source, _objects: usize, megabytes: usize) -> Option<Target> {
    let peer = Peer::varnish_with(source.address, megabytes, &[])?;
    let (address, pid) = (peer.address(), peer.pid());
    Some(Target::new("varnish", address, pid, source, Running::Varnish(peer)))
}

/// An origin of its own for each, which counts.
struct Source {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Source {
    fn start(sizes: &Arc<[usize]>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket of ours");
        let asked = Arc::new(AtomicU64::new(0));
        let (counted, sizes) = (Arc::clone(&asked), Arc::clone(sizes));
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(objects(stream, Arc::clone(&counted), Arc::clone(&sizes)));
                }
            });
        });
        Self { address, asked }
    }

    fn count(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
}

/// Answers on one connection with objects of these sizes, and counts.
async fn objects(stream: TcpStream, counted: Arc<AtomicU64>, sizes: Arc<[usize]>) {
    let _ended = serve(stream, |target| {
        counted.fetch_add(1, Ordering::AcqRel);
        let object = target.rsplit('/').next().and_then(|name| name.parse().ok());
        let length = sizes.get(object.unwrap_or(0_usize)).copied().unwrap_or(0);
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=86400\r\n\
             Content-Type: application/octet-stream\r\nETag: \"{length}\"\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        (head, length)
    })
    .await;
}

/// Asks for all of them, on some connections at once; how long each took, and how many answers were wrong.
async fn ask_all(
    address: SocketAddr,
    objects: &[usize],
    sizes: &Arc<[usize]>,
) -> (Vec<Duration>, u64) {
    let mut asking = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mine: Vec<usize> =
            objects.iter().skip(connection).step_by(CONNECTIONS).copied().collect();
        let sizes = Arc::clone(sizes);
        asking.spawn(async move {
            let (mut times, mut wrong) = (Vec::with_capacity(mine.len()), 0);
            let mut asker = None;
            for object in mine {
                let began = Instant::now();
                let (kept, right) = ask(address, asker.take(), object, &sizes).await;
                asker = kept;
                times.push(began.elapsed());
                wrong += u64::from(!right);
            }
            (times, wrong)
        });
    }
    let (mut times, mut wrong) = (Vec::with_capacity(objects.len()), 0);
    while let Some(ended) = asking.join_next().await {
        let (some, bad) = ended.expect("a client does not panic");
        times.extend(some);
        wrong += bad;
    }
    (times, wrong)
}

async fn ask(
    address: SocketAddr,
    asker: Option<Asker>,
    object: usize,
    sizes: &[usize],
) -> (Option<Asker>, bool) {
    let connected = match asker {
        Some(asker) => Ok(asker),
        None => Asker::connect(address).await,
    };
    let Ok(mut asker) = connected else { return (None, false) };
    match asker.get(&format!("/object/{object}")).await {
        Ok(got) => {
            let right = got.status == 200 && Some(&got.length) == sizes.get(object);
            let closes = super::wire::field(&got.head, "connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            (Some(asker).filter(|_| !closes), right)
        }
        Err(_) => (None, false),
    }
}
