//! What encoding costs, beside nginx: of pages that are asked for the first time, and of such as were asked for before.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::config::config;
use crate::message::{Reply, get};
use crate::origin::Origin;
use crate::patience::{Deadline, eventually};
use crate::peer::Peer;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct GzipPlan {
    /// Rounds, each against one after the other.
    pub rounds: usize,
    /// Pages of a round that nobody has asked for before.
    pub first: usize,
    /// Requests of a round for what was asked for before.
    pub later: usize,
}

/// What one of them came to.
#[derive(Clone, Debug)]
pub struct Gzipped {
    /// Who.
    pub name: &'static str,
    /// Processor time for a page that is asked for the first time, in the cheapest round.
    pub first: Duration,
    /// The same of a page that was asked for before.
    pub later: Duration,
    /// The bytes that it sends of the page that is asked for again.
    pub bytes: usize,
}

/// What the client can decode: what both of them encode.
const ACCEPTS: &str = "gzip";
/// Lines of a page; it has 50 KB.
const LINES: usize = 900;

/// Plays it; only one is there where nginx is not installed.
///
/// # Panics
/// When one of them does not start, or sends something else than was asked for.
#[must_use]
pub fn gzip(plan: &GzipPlan) -> Vec<Gzipped> {
    let mut targets: Vec<Target> = [ours, nginx].into_iter().filter_map(|start| start()).collect();
    for target in &mut targets {
        target.warm();
    }
    for round in 0..plan.rounds {
        for target in &mut targets {
            target.round(plan, round);
        }
    }
    targets.into_iter().map(|target| target.found).collect()
}

/// Somebody who is measured.
struct Target {
    pid: u32,
    client: Client,
    running: Running,
    found: Gzipped,
}

/// What is ended when dropped.
#[expect(dead_code, reason = "some of it is kept to be dropped")]
enum Running {
    Ours(Proxy, Origin),
    Nginx(Peer, Origin, TempDir),
}

impl Target {
    fn new(name: &'static str, address: SocketAddr, pid: u32, running: Running) -> Self {
        let found = Gzipped { name, first: Duration::MAX, later: Duration::MAX, bytes: 0 };
        Self { pid, client: Client::tcp(address), running, found }
    }

    /// Has it do what it does but once.
    fn warm(&mut self) {
        for _ in 0..20 {
            self.ask("/warm");
        }
        if let Running::Ours(proxy, _) = &self.running {
            eventually("the best form is stored", Deadline::soon(), || {
                let metrics = proxy.control("GET", "/metrics", None).text();
                metrics.contains("switchback_encode_improved_total 1\n").then_some(())
            });
        }
        self.found.bytes = self.ask("/warm");
    }

    fn round(&mut self, plan: &GzipPlan, round: usize) {
        let first = self.spent(plan.first, |number| format!("/{round}/{number}"));
        let later = self.spent(plan.later, |_| "/warm".to_owned());
        self.found.first = self.found.first.min(first);
        self.found.later = self.found.later.min(later);
    }

    /// Processor time of the whole process tree for each of so many requests.
    fn spent(&mut self, requests: usize, path: impl Fn(usize) -> String) -> Duration {
        let before = ProcessStats::processor_time_of_tree(self.pid);
        for number in 0..requests {
            self.ask(&path(number));
        }
        let spent = ProcessStats::processor_time_of_tree(self.pid) - before;
        spent / u32::try_from(requests).unwrap_or(u32::MAX)
    }

    /// Asks for a page; how many bytes its body came in.
    fn ask(&mut self, path: &str) -> usize {
        let answer = self.client.ask(&get(path).header("Accept-Encoding", ACCEPTS));
        answer.expect_status(200).expect_header("Content-Encoding", ACCEPTS);
        answer.body.len()
    }
}

fn ours() -> Option<Target> {
    let origin = origin();
    let cached = "proxy = \"app\"\ncache = \"main\"\nencode = \"on\"";
    let proxy = Proxy::start(
        &config()
            .top("workers = 1")
            .web("limits = { keepalive_requests = 1000000 }")
            .toml(format_args!("[zones.main]\nmemory = \"256MiB\"\n"))
            .site("")
            .route("/*", cached)
            .upstream("app", &[&origin], ""),
    );
    let (address, pid) = (proxy.address("web"), proxy.pid());
    Some(Target::new("switchback", address, pid, Running::Ours(proxy, origin)))
}

/// With a cache as well, in memory, and gzip as it comes: its cheapest level.
fn nginx() -> Option<Target> {
    let (origin, address) = (origin(), crate::peer::free_address());
    let folder = TempDir::new_in("/dev/shm").expect("room in memory");
    let config = format!(
        "worker_processes 1; pid nginx.pid; error_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n access_log off; keepalive_requests 1000000;\n\
         proxy_cache_path {} levels=1:2 keys_zone=main:16m max_size=256m inactive=1h use_temp_path=off;\n\
         upstream app {{ server 127.0.0.1:{}; keepalive 8; }}\n\
         server {{ listen {address}; gzip on; location / {{ proxy_pass http://app; \
         proxy_http_version 1.1; proxy_set_header Connection ''; proxy_cache main; }} }} }}\n",
        folder.path().display(),
        origin.port(),
    );
    let peer = Peer::nginx_whole(&config, address)?;
    let pid = peer.pid();
    Some(Target::new("nginx", address, pid, Running::Nginx(peer, origin, folder)))
}

/// The same page under all names.
fn origin() -> Origin {
    let line = |number: usize| {
        let word = number * 7919 % 9973;
        format!("<p class=\"row\" id=\"r{number}\">line {word} of a page</p>\n")
    };
    let body: String = (0..LINES).map(line).collect();
    let page = Reply::ok(body)
        .header("Content-Type", "text/html")
        .header("Cache-Control", "max-age=86400")
        .header("ETag", "\"v1\"");
    Origin::start().serve("*", page)
}
