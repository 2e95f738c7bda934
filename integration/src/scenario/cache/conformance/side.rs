//! The caches that the cases are played before.

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::config::{Config, config};
use crate::origin::{Answer, Choice, Origin};
use crate::peer::{Peer, free_address};
use crate::proxy::Proxy;

/// Which cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Ours.
    Switchback,
    /// Ours with the cache turned off: whatever asks for a stored response must fail.
    Uncached,
    /// nginx, from the distribution.
    Nginx,
    /// Varnish, from the distribution.
    Varnish,
}

/// The routes of ours, each with what it says of the cache.
const ROUTES: [(&str, &str); 10] = [
    ("plain", ""),
    ("cookies", "store_cookies = true"),
    ("stingy", "heuristic = \"off\""),
    ("disobedient", "obey_client = false"),
    ("untargeted", "targeted = []"),
    ("targeted", "targeted = [\"Ours-Cache-Control\", \"CDN-Cache-Control\"]"),
    ("early", "early_hints = true"),
    ("polyglot", "match_language = true"),
    ("query", "methods = [\"GET\", \"HEAD\", \"QUERY\"]"),
    (
        "graced",
        "stale_if_error = \"1h\", stale_on = [\"error\", \"timeout\", \"500\", \"502\", \"503\", \"504\"]",
    ),
];

/// One cache between the cases and their origin.
pub(super) struct Side {
    door: Door,
    _origin: Origin,
    _process: Process,
}

/// How it is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Door {
    address: SocketAddr,
    settles: Duration,
}

enum Process {
    Ours { _proxy: Box<Proxy> },
    Theirs { _peer: Peer },
}

impl Side {
    /// `None` where the program is not installed.
    pub(super) fn start(cache: &Cache, choice: Choice) -> Option<Self> {
        let origin = Origin::start().serve("*", Answer::Chosen(choice));
        let (address, process) = match cache {
            Cache::Switchback => ours(&with_cache(&origin)),
            Cache::Uncached => ours(&config().web("").site("").proxy_to(&origin)),
            Cache::Nginx => {
                let address = free_address();
                let peer = Peer::nginx_whole(&nginx(address, origin.port()), address)?;
                (address, Process::Theirs { _peer: peer })
            }
            Cache::Varnish => {
                // As RFC 9111 has it: without freshness from the origin there is none, and nothing is used once it is stale.
                let parameters = ["default_ttl=0", "default_grace=0", "default_keep=60"];
                let backend = SocketAddr::from(([127, 0, 0, 1], origin.port()));
                let peer = Peer::varnish_with(backend, 16, &parameters)?;
                (peer.address(), Process::Theirs { _peer: peer })
            }
        };
        // They store a moment after the client has the last byte.
        let settles = match cache {
            Cache::Switchback | Cache::Uncached => Duration::ZERO,
            Cache::Nginx | Cache::Varnish => Duration::from_millis(50),
        };
        Some(Self { door: Door { address, settles }, _origin: origin, _process: process })
    }

    pub(super) fn door(&self) -> Door {
        self.door
    }
}

impl Door {
    pub(super) fn client(self) -> Client {
        let client = Client::tcp(self.address);
        // Peers leave one case or the other without an answer.
        client.set_patience(Duration::from_secs(6));
        client
    }

    /// How long after an answer the next request may be sent.
    pub(super) fn settles(self) -> Duration {
        self.settles
    }
}

fn ours(config: &Config) -> (SocketAddr, Process) {
    // A time zone far from that of the dates of HTTP, which nothing may depend upon.
    let proxy = Proxy::start_with(config, &[("TZ", "Pacific/Kiritimati")]);
    (proxy.address("web"), Process::Ours { _proxy: Box::new(proxy) })
}

fn with_cache(origin: &Origin) -> Config {
    let start = config().toml("[zones.main]\nmemory = \"64MiB\"\n").web("").site("");
    let routed = ROUTES.iter().fold(start, |config, (name, lines)| {
        let comma = if lines.is_empty() { "" } else { ", " };
        let cache = format!("proxy = \"app\"\ncache = {{ zone = \"main\"{comma}{lines} }}");
        config.route(&format!("/{name}/*"), cache)
    });
    routed.upstream("app", &[origin], "")
}

fn nginx(address: SocketAddr, origin: u16) -> String {
    format!(
        "worker_processes 1; pid nginx.pid; error_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n access_log off;\n\
         proxy_cache_path store levels=1:2 keys_zone=main:16m inactive=600m;\n\
         server {{ listen {address} backlog=1024; location / {{\n\
         proxy_pass http://127.0.0.1:{origin}; proxy_http_version 1.1;\n\
         proxy_cache main; proxy_cache_revalidate on; }} }} }}\n"
    )
}
