//! The services that requests are passed on to.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::balance::{Balance, HotKeys};
use super::define::model;
use super::discovery::Resolve;
use super::health::{HealthOrPath, Outliers, OutliersOrOff};
use super::overload::{AtOnce, Breaker, Hedge, Percent, Queue, Retry};
use super::proxy_protocol::SendProxy;
use super::shard::{Mapping, Shard, ShardBy, Shuffle};
use super::spill::Spill;
use super::sticky::Sticky;
use super::switch::OrOn;
use super::table::Table;
use super::text::{Count, Name, OrOff, OrText, Short, TemplateText};
use super::tls::UpstreamTls;
use crate::at::At;
use crate::native::{Decoder, Node, Problem, Setting};
use crate::plan::{EndpointAddress, EndpointRole, UpstreamProtocol};
use crate::units::Timeout;

model! {
    /// A service: interchangeable endpoints, or shards that each have some of its keys.
    pub struct Upstream {
        /// Where it is: addresses such as `"10.0.0.1:8080"`, `"app.example:80"`, `"srv:_http._tcp.app.example"` or
        /// `"unix:/run/app.sock"`, or tables. At least one, here or in `endpoints_file`, unless it has `shards`. Each
        /// address that a name stands for is an endpoint of its own.
        pub endpoints: Vec<OrText<Endpoint>> = Vec::new(),
        /// What is spoken to it: `"http1"` or `"h2"`.
        pub protocol: UpstreamProtocol = UpstreamProtocol::Http1,
        /// TLS. Without it, plain text.
        pub tls: Option<At<UpstreamTls>> = None,
        /// The PROXY header that each connection begins with, before TLS: `"v1"`, `"v2"`, or a table. Such a connection is one
        /// client connection's alone: it is used again for no other, and for no request whose header would be different.
        pub send_proxy: Option<At<OrText<SendProxy>>> = None,
        /// How long it may take.
        pub timeouts: UpstreamTimeouts = UpstreamTimeouts::default(),
        /// The most attempts for one request. Only those that surely had no effect are repeated.
        pub tries: Count<1, 100> = Count::clamped(3),
        /// How it is chosen among its endpoints: `"p2c"`, `"round_robin"`, `"least_requests"`, `"least_time"`, `"random"`,
        /// `"ip_hash"`, or a table.
        pub balance: OrText<Balance> = Balance::usual(),
        /// The time over which an endpoint that a reload, a name or a file adds, or that probes find well again, comes from a tenth of its share to all of it.
        /// Without it, at once.
        pub slow_start: Option<At<Timeout>> = None,
        /// The zone that this process is in. Endpoints of that zone are chosen before others: those have what is more than
        /// the `max_connections` of the zone's own, or than are there. Without it, all zones are alike.
        pub zone: Option<At<Name>> = None,
        /// Whether keys of a `"hash"` that are asked for very often have several endpoints while they are: `"on"`, or a table.
        pub hot_keys: OrOff<At<OrOn<HotKeys>>> = OrOff::Off,
        /// How long a client that has written something reads from primaries alone, which a cookie remembers. Without it, replicas may
        /// answer at once with what was there before.
        pub read_your_writes: Option<At<Timeout>> = None,
        /// What decides which of its shards has a request: a template, or a table.
        pub shard_by: Option<At<OrText<ShardBy>>> = None,
        /// Which shard has which key: a word, or a table. Without it `"anchor"`.
        pub mapping: Option<At<OrText<Mapping>>> = None,
        /// Keys that have their shard whatever the mapping says, such as those of a large customer.
        pub pins: Table<Box<str>, At<Name>> = Table::new(),
        /// Its shards, in place of `endpoints`.
        pub shards: Vec<At<Shard>> = Vec::new(),
        /// Shuffle sharding among its endpoints.
        pub shuffle: Option<At<Shuffle>> = None,
        /// Whether clients are told by `X-Shard: NAME EPOCH` who has answered. For tests and debugging.
        pub shard_header: Option<At<bool>> = None,
        /// How the requests of one visitor stay with one endpoint.
        pub sticky: Option<At<Sticky>> = None,
        /// Which tries that failed are followed by another.
        pub retry: Retry = Retry::default(),
        /// Whether what is read is asked of a second endpoint when the first is slow to answer: `"on"`, or a table.
        pub hedge: OrOff<At<OrOn<Hedge>>> = OrOff::Off,
        /// When endpoints that fail are not asked for a while: `"on"`, a table, or `"off"`, with which each is always asked.
        pub breaker: OrOff<At<OrOn<Breaker>>> = OrOff::Off,
        /// How many requests it may have at once, or each of its shards: a number; `"adaptive"`, as many as it can work at, which
        /// is found by watching it: nothing is limited until requests queue in it, and no limit is kept with which fewer are
        /// answered; or `"off"`. A request counts until its answer is over. For `"adaptive"` it counts from when all of it was sent
        /// until its answer begins: neither who uploads slowly nor who reads slowly keeps others waiting.
        pub concurrency: At<AtOnce> = At::from(AtOnce::Adaptive),
        /// Who waits where it has as many as it may have.
        pub queue: Option<At<Queue>> = None,
        /// How important a request is to those that wait: a template such as `"$http_priority"`. It gives a digit, 0 for the
        /// most important to 7, `high`, `normal` or `low`, or a `Priority` field (RFC 9218); anything else is `normal`, which
        /// is 3. Without it, all are alike. Whom clients may not choose for themselves, a map decides.
        pub priority: Option<At<TemplateText>> = None,
        /// Addresses of this machine to connect from, in turn; where one has no port left, the next.
        pub source: Vec<At<IpAddr>> = Vec::new(),
        /// How often host names are looked up again at least. Without it, as their records and `resolve` say.
        pub resolve_every: Option<Timeout> = None,
        /// Probes of its endpoints: a path such as `"/healthz"`, or a table. Without it, only what they answer counts.
        pub health: Option<At<HealthOrPath>> = None,
        /// Which endpoints are not asked for a while because of what they answered. `"off"` is none.
        pub outliers: OutliersOrOff = OrOff::On(Outliers::default()),
        /// When fewer endpoints than that can be asked, all are, as if nothing was known of them, unless backups or those of other
        /// zones can stand in. In a shard, of its own. `"0%"` is never.
        pub panic: Percent = Percent::clamped(50),
        /// How long what a name of an endpoint stands for is believed. A failing or empty answer leaves the last good one in force.
        pub resolve: Resolve = Resolve::default(),
        /// A file with more endpoints, one in a line, perhaps with `weight=2` behind it; `#` begins a comment. It is read again when it
        /// changes; a file with mistakes, or whose last line has no end, leaves the last good one in force.
        pub endpoints_file: Option<At<PathBuf>> = None,
        /// Where requests go that it has no room for: the name of another upstream, or a table.
        pub spill: Option<OrText<Spill>> = None,
    }
}

impl Upstream {
    /// A plain-text service with all defaults.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = EndpointAddress>) -> Self {
        let endpoint = |address: EndpointAddress| OrText(Endpoint::from_key(address.into()));
        Self {
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            protocol: UpstreamProtocol::Http1,
            tls: None,
            send_proxy: None,
            timeouts: UpstreamTimeouts::default(),
            tries: Count::clamped(3),
            balance: Balance::usual(),
            slow_start: None,
            zone: None,
            hot_keys: OrOff::Off,
            read_your_writes: None,
            shard_by: None,
            mapping: None,
            pins: Table::new(),
            shards: Vec::new(),
            shuffle: None,
            shard_header: None,
            sticky: None,
            retry: Retry::default(),
            hedge: OrOff::Off,
            breaker: OrOff::Off,
            concurrency: At::from(AtOnce::Adaptive),
            queue: None,
            priority: None,
            source: Vec::new(),
            resolve_every: None,
            health: None,
            outliers: OrOff::On(Outliers::default()),
            panic: Percent::clamped(50),
            resolve: Resolve::default(),
            endpoints_file: None,
            spill: None,
        }
    }
}

model! {
    /// One address of a service. Where only `address` is written, it alone will do.
    pub struct Endpoint {
        /// Host and port, `"srv:"` and the name of a service, or `"unix:/path"`.
        pub address: At<EndpointAddress>,
        /// Its share of the requests, against the other endpoints. One of weight 0 has none but those that stick to it.
        pub weight: Count<0, 1000> = Count::clamped(1),
        /// Whether it is chosen only while none of the others can be.
        pub backup: bool = false,
        /// The most requests that it has in flight. When all endpoints have as many as they may, the answer is 503. Without it,
        /// any number.
        pub max_connections: Option<At<Count<1, 1_000_000>>> = None,
        /// Whether it is to become idle: it gets no new requests but those that stick to it.
        pub drain: bool = false,
        /// The zone that it is in, for the upstream's `zone`.
        pub zone: Option<At<Name>> = None,
        /// What `sticky` calls it. Without it, its address.
        pub id: Option<At<Name>> = None,
        /// `"primary"`, or `"replica"`: that one has GET, HEAD, OPTIONS and TRACE requests only; primaries have all.
        pub role: At<EndpointRole> = EndpointRole::Primary.into(),
    }
}

impl Endpoint {
    /// One with all defaults.
    pub(crate) fn at(address: At<EndpointAddress>) -> Self {
        Self::from_key(address)
    }
}

impl Short for Endpoint {
    type Key = EndpointAddress;

    fn from_key(address: At<EndpointAddress>) -> Self {
        Self {
            address,
            weight: Count::clamped(1),
            backup: false,
            max_connections: None,
            drain: false,
            zone: None,
            id: None,
            role: EndpointRole::Primary.into(),
        }
    }

    fn as_key(&self) -> Option<&EndpointAddress> {
        let is_usual = *self == Self::from_key(self.address.clone());
        is_usual.then_some(&self.address.value)
    }
}

model! {
    /// How long a service may take. None of them can be turned off.
    pub struct UpstreamTimeouts: Default {
        /// To connect, TLS included.
        pub connect: Timeout = Timeout::seconds(5),
        /// Between two pieces of an answer, and until the first.
        pub read: Timeout = Timeout::seconds(60),
        /// Until a piece of a request is taken.
        pub write: Timeout = Timeout::seconds(60),
        /// How long a connection that nobody uses is kept.
        pub idle: Timeout = Timeout::seconds(60),
    }
}

impl EndpointAddress {
    /// As it is written in a file in this folder.
    pub(crate) fn read(text: &str, folder: Option<&Path>) -> Option<Self> {
        match (Self::parse(text).ok()?, folder) {
            (Self::Unix(path), Some(folder)) => Some(Self::Unix(folder.join(path))),
            (address, _) => Some(address),
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let problem = || {
            let problem = Problem::new(format!("`{text}` is not an address to connect to"));
            problem.hint("as in \"10.0.0.1:8080\", \"[::1]:80\", \"app.example:80\" or \"unix:/run/app.sock\"")
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(problem()) } else { Ok(Self::Unix(path.into())) };
        }
        if let Some(name) = text.strip_prefix("srv:") {
            let hint = "as in \"srv:_http._tcp.app.example\"";
            return match is_host_name(name) {
                true => Ok(Self::Srv(name.to_ascii_lowercase().into())),
                false => Err(problem().hint(hint)),
            };
        }
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return if address.port() == 0 { Err(problem()) } else { Ok(Self::Ip(address)) };
        }
        if text.contains("://") {
            return Err(problem().hint("without a scheme: TLS is said with `tls = {}`"));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| problem().hint("a port is missing, as in \"app:80\""))?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(problem)?;
        match is_host_name(host) {
            true => Ok(Self::Name { host: host.to_ascii_lowercase().into(), port }),
            false => Err(problem()),
        }
    }
}

/// Whether `text` can be looked up: labels of letters, digits, hyphens and underscores.
pub(crate) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_suffix('.').unwrap_or(text);
    let last_is_number = text.rsplit('.').next().is_some_and(is_number);
    text.len() <= 253 && !last_is_number && text.split('.').all(is_label)
}

impl Setting for EndpointAddress {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text(node, "an address such as \"10.0.0.1:8080\"")?;
        match Self::parse(&text) {
            Ok(Self::Unix(path)) => Some(Self::Unix(node.directory().join(path))),
            Ok(address) => Some(address),
            Err(problem) => {
                decoder.bad_value(node.at(), problem);
                None
            }
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "address" })
    }
}

impl std::fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Srv(name) => write!(f, "srv:{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_addresses_names_or_sockets() {
        for text in [
            "10.0.0.1:80",
            "[::1]:443",
            "localhost:3000",
            "a_b-c.example:1",
            "unix:/run/x.sock",
            "a.example.:80",
            "srv:_http._tcp.a.example",
        ] {
            assert_eq!(EndpointAddress::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(EndpointAddress::parse("APP:80").unwrap().to_string(), "app:80");
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        let no_addresses = [
            "",
            "app",
            "app:0",
            "10.0.0.1:0",
            "app:65536",
            "a b:80",
            "unix:",
            "http://a:80",
            "1.2.3:80",
            "srv:",
            "srv:a b",
        ];
        for text in no_addresses.into_iter().chain([":80", "a..b:80", "::1:80", "ä.example:80"]) {
            assert!(EndpointAddress::parse(text).is_err(), "{text}");
        }
    }
}
