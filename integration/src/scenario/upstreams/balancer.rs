//! Balancers before the same endpoints, told to look as often and to wait as long.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::config::site;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// Who is before the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancer {
    /// This proxy as it comes, with probes.
    Ours,
    /// HAProxy: leastconn, with checks as often as ours.
    Haproxy,
    /// nginx, which has no checks: whoever fails once is asked again as often as others check.
    Nginx,
}

/// A balancer that runs.
pub(super) enum Running {
    Ours(Box<Proxy>),
    Peer(Peer),
}

impl Running {
    /// Starts it before these; `None` when it is not installed.
    pub(super) fn start(balancer: Balancer, addresses: &[String]) -> Option<Self> {
        Some(match balancer {
            Balancer::Ours => {
                let lines = "timeouts = { connect = \"1s\", read = \"1s\" }\n\
                    health = { path = \"/healthz\", every = \"1s\", timeout = \"1s\", rise = 2, fall = 2 }";
                let config =
                    site().route("/*", "proxy = \"app\"").endpoints("app", addresses, lines);
                Self::Ours(Box::new(Proxy::start(&config)))
            }
            Balancer::Haproxy => {
                let mut section =
                    "balance leastconn\n option httpchk GET /healthz\n option redispatch\n \
                    timeout connect 1s\n timeout server 1s\n timeout check 1s\n"
                        .to_owned();
                for (number, address) in addresses.iter().enumerate() {
                    let server =
                        format!(" server s{number} {address} check inter 1s rise 2 fall 2");
                    // Writing to a String cannot fail.
                    let _ = writeln!(section, "{server}");
                }
                Self::Peer(Peer::haproxy(&section)?)
            }
            Balancer::Nginx => {
                let server = |address| format!("server {address} max_fails=1 fail_timeout=1s; ");
                let servers: String = addresses.iter().map(server).collect();
                let http = format!("upstream app {{ {servers} keepalive 32; }}");
                let server = "location / { proxy_pass http://app; proxy_http_version 1.1; \
                    proxy_set_header Connection ''; proxy_connect_timeout 1s; proxy_read_timeout 1s; }";
                Self::Peer(Peer::nginx_with(&http, server)?)
            }
        })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Ours(proxy) => proxy.address("web"),
            Self::Peer(peer) => peer.address(),
        }
    }
}
