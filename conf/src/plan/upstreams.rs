//! Named services.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::build::Findings;
use super::{
    BalancePlan, EndpointsFilePlan, FileStamp, HealthPlan, OutliersPlan, OverloadPlan, ResolvePlan,
    SendProxyPlan, ShardsPlan, ShufflePlan, SpillPlan, StickyPlan, UpstreamId,
};
use super::{balance, discovery, health, overload, proxy_protocol, shard_keys, shards, sticky};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{self, Config, Endpoint, Name, OrText, Upstream, UpstreamTls, is_host_name};

/// A named service.
#[derive(Clone, Debug)]
pub struct UpstreamPlan {
    /// Its name.
    pub name: Box<str>,
    /// Interchangeable endpoints.
    pub endpoints: Vec<EndpointPlan>,
    /// What is spoken to it.
    pub protocol: UpstreamProtocol,
    /// TLS, or plain text.
    pub tls: Option<UpstreamTlsPlan>,
    /// The PROXY header that connections begin with, if they do.
    pub send_proxy: Option<SendProxyPlan>,
    /// Deadlines towards it.
    pub timeouts: UpstreamTimeouts,
    /// The most attempts for one request.
    pub tries: u32,
    /// How it is chosen among the endpoints.
    pub balance: BalancePlan,
    /// How requests stay with one of them.
    pub sticky: Option<StickyPlan>,
    /// What keeps it from being asked for more than it can do.
    pub overload: OverloadPlan,
    /// How long what names stand for is believed.
    pub resolve: ResolvePlan,
    /// A file with more endpoints, and the state in which it was read: those are among [`endpoints`](Self::endpoints).
    pub endpoints_file: Option<(EndpointsFilePlan, Option<FileStamp>)>,
    /// Probes of its endpoints, if there are.
    pub health: Option<HealthPlan>,
    /// Which endpoints are ejected for what they answer.
    pub outliers: Option<OutliersPlan>,
    /// With fewer available of a hundred, all are used; 0 is never.
    pub panic: u32,
    /// Where it stands in the configuration.
    pub at: Location,
    /// How long a client that has written reads from primaries.
    pub read_your_writes: Option<Duration>,
    /// Its shards, where it has them; then `endpoints` is empty.
    pub shards: Option<Arc<ShardsPlan>>,
    /// How many of its endpoints a tenant has.
    pub shuffle: Option<ShufflePlan>,
    /// Where requests go that it has no room for.
    pub spill: Option<SpillPlan>,
}

/// One address of a named service.
#[derive(Clone, Debug)]
pub struct EndpointPlan {
    /// Where it is.
    pub address: EndpointAddress,
    /// The host name that it was found by, if its address was not written.
    pub host: Option<Box<str>>,
    /// Its share of the requests, up to 1,000.
    pub weight: u32,
    /// What it is called where requests stick to it.
    pub id: Box<str>,
    /// Its tier: those of the first one are chosen while they can be.
    pub tier: u8,
    /// The most requests in flight.
    pub max_connections: Option<u32>,
    /// Whether it gets no new requests but those that stick to it.
    pub drain: bool,
    /// Where it stands in the configuration.
    pub at: Location,
    /// Which requests it has.
    pub role: EndpointRole,
}

/// Which requests an endpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointRole {
    /// All.
    Primary,
    /// Those whose methods are safe.
    Replica,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// An address.
    Ip(SocketAddr),
    /// A name to resolve.
    Name {
        /// Host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// The name of a service, whose SRV records tell hosts and ports.
    Srv(Box<str>),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl EndpointAddress {
    /// The address when no name has to be resolved for it.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Name { .. } | Self::Srv(_) | Self::Unix(_) => None,
        }
    }
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by ALPN over TLS, else with prior knowledge.
    H2,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTlsPlan {
    /// The name verified and sent as SNI; `None` is each endpoint's own host name. Never empty.
    pub server_name: Option<Box<str>>,
    /// PEM file of trusted roots; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// Whether the certificate is verified.
    pub verify: bool,
}

/// Deadlines towards an upstream. All finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpstreamTimeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Between two reads.
    pub read: Duration,
    /// Between two writes.
    pub write: Duration,
    /// For a pooled connection that nobody uses.
    pub idle: Duration,
}

pub(super) fn upstreams<'a>(
    config: &'a Config,
    findings: &mut Findings<'_>,
) -> (Vec<UpstreamPlan>, HashMap<&'a str, UpstreamId>) {
    let mut plans = Vec::with_capacity(config.upstreams.len());
    let mut names = HashMap::with_capacity(config.upstreams.len());
    for ((name, upstream), id) in config.upstreams.iter().zip((0..).map(UpstreamId)) {
        plans.push(plan(name, upstream, findings));
        names.insert(&**name, id);
    }
    (plans, names)
}

fn plan(name: &Name, upstream: &At<Upstream>, findings: &mut Findings<'_>) -> UpstreamPlan {
    balance::check_zones(upstream, findings);
    let (endpoints, endpoints_file) = listed(upstream, findings);
    UpstreamPlan {
        name: (**name).into(),
        endpoints,
        protocol: upstream.protocol,
        tls: upstream.tls.as_ref().map(|tls| plan_tls(tls, upstream, findings)),
        send_proxy: upstream.send_proxy.as_ref().map(|send| proxy_protocol::sent(send, findings)),
        timeouts: plan_timeouts(&upstream.timeouts),
        tries: upstream.tries.value(),
        balance: balance::plan(upstream, findings),
        sticky: sticky::plan(upstream, findings),
        overload: overload::plan(upstream, findings),
        resolve: discovery::resolve(upstream, findings),
        endpoints_file,
        health: upstream.health.as_ref().map(|probes| health::health(probes, upstream, findings)),
        outliers: health::outliers(&upstream.outliers, findings),
        panic: upstream.panic.value().into(),
        at: upstream.at.clone(),
        read_your_writes: plan_read_your_writes(upstream, findings),
        shards: shards::plan(upstream, findings),
        shuffle: shard_keys::plan_shuffle(upstream, findings),
        // Told once all names are known.
        spill: None,
    }
}

type File = Option<(EndpointsFilePlan, Option<FileStamp>)>;

/// The endpoints of a service without shards: those that the configuration and perhaps a file list.
fn listed(upstream: &At<Upstream>, findings: &mut Findings<'_>) -> (Vec<EndpointPlan>, File) {
    let file = upstream.endpoints_file.as_ref().filter(|path| {
        let is_free = upstream.shards.is_empty();
        if !is_free {
            let message = "an upstream has either `endpoints_file` or `shards`";
            let found = Diagnostic::error(Code::ShardUnfit, path.at.clone(), message);
            findings.report(found.hint("each shard has `endpoints` of its own"));
        }
        is_free
    });
    let Some(path) = file else {
        if upstream.endpoints.is_empty() && upstream.shards.is_empty() {
            findings.error(Code::Empty, &upstream.at, "an upstream needs at least one endpoint");
        }
        return (plan_endpoints(&upstream.endpoints, &upstream.at, upstream, findings), None);
    };
    let file = EndpointsFilePlan::new(path, upstream);
    let read = file.read();
    read.diagnostics.into_iter().for_each(|found| findings.report(found));
    (read.endpoints.unwrap_or_default(), Some((file, read.stamp)))
}

/// The endpoints of a service that the configuration itself lists, or of all its shards.
pub(super) fn all_endpoints(upstream: &Upstream) -> impl Iterator<Item = &Endpoint> {
    let sharded = upstream.shards.iter().flat_map(|shard| &shard.endpoints);
    upstream.endpoints.iter().chain(sharded).map(|endpoint| &endpoint.0)
}

pub(super) fn is_replica(endpoint: &Endpoint) -> bool {
    endpoint.role.value == EndpointRole::Replica
}

fn plan_read_your_writes(upstream: &Upstream, findings: &mut Findings<'_>) -> Option<Duration> {
    let window = upstream.read_your_writes.as_ref()?;
    if !all_endpoints(upstream).any(is_replica) {
        let message = "`read_your_writes` has no effect: no endpoint has the role of a replica";
        findings.report(Diagnostic::warning(Code::NoEffect, window.at.clone(), message));
        return None;
    }
    Some(window.value.std())
}

/// The endpoints of a service, or of a shard of it that stands at `at`.
pub(super) fn plan_endpoints(
    endpoints: &[OrText<Endpoint>],
    at: &Location,
    upstream: &Upstream,
    findings: &mut Findings<'_>,
) -> Vec<EndpointPlan> {
    let mut seen: HashMap<&EndpointAddress, &Location> = HashMap::new();
    let mut plans = Vec::with_capacity(endpoints.len());
    if !endpoints.is_empty() && endpoints.iter().all(|endpoint| is_replica(endpoint)) {
        let message = "there are replicas only: nobody would have what is written";
        let found = Diagnostic::error(Code::ShardUnfit, at.clone(), message);
        findings.report(found.hint("at least one endpoint without `role` is the primary"));
    }
    for endpoint in endpoints {
        let At { value: address, at } = &endpoint.address;
        if let EndpointAddress::Unix(path) = address {
            findings.socket_path(path, at);
        }
        if seen.insert(address, at).is_some() {
            let diagnostic = Diagnostic::error(
                Code::Duplicate,
                at.clone(),
                format!("the endpoint `{address}` is given twice"),
            );
            findings.report(diagnostic.hint(format!(
                "for a larger share write {{ address = \"{address}\", weight = 2 }}"
            )));
        }
        let is_elsewhere = upstream.zone.is_some() && endpoint.zone != upstream.zone;
        plans.push(EndpointPlan {
            address: address.clone(),
            host: None,
            weight: endpoint.weight.value(),
            id: endpoint
                .id
                .as_ref()
                .map_or_else(|| address.to_string().into(), |id| (***id).into()),
            tier: 2 * u8::from(endpoint.backup) + u8::from(is_elsewhere),
            max_connections: endpoint.max_connections.as_ref().map(|most| most.value.value()),
            drain: endpoint.drain,
            at: at.clone(),
            role: endpoint.role.value,
        });
    }
    balance::check_endpoints(endpoints, at, findings);
    plans
}

fn plan_tls(
    tls: &At<UpstreamTls>,
    upstream: &Upstream,
    findings: &mut Findings<'_>,
) -> UpstreamTlsPlan {
    match &tls.server_name {
        Some(name) if !is_host_name(name) && name.parse::<IpAddr>().is_err() => {
            findings.error(
                Code::BadValue,
                &name.at,
                format!("`{}` is neither a host name nor an address", **name),
            );
        }
        None if tls.verify => check_names(tls, upstream, findings),
        _ => {}
    }
    if let Some(ca) = &tls.ca {
        findings.readable(ca, &ca.at, "CA file");
        if !tls.verify {
            let message = "`ca` has no effect: with `verify = false` every certificate is trusted";
            findings.report(Diagnostic::warning(Code::NoEffect, ca.at.clone(), message));
        }
    }
    UpstreamTlsPlan {
        server_name: tls.server_name.as_ref().map(|name| name.value.clone()),
        ca: tls.ca.as_ref().map(|ca| ca.value.clone()),
        verify: tls.verify,
    }
}

/// An empty name must never switch verification off.
fn check_names(tls: &At<UpstreamTls>, upstream: &Upstream, findings: &mut Findings<'_>) {
    let is_named = |address: &EndpointAddress| {
        matches!(address, EndpointAddress::Name { .. } | EndpointAddress::Srv(_))
    };
    let Some(nameless) = all_endpoints(upstream).find(|endpoint| !is_named(&endpoint.address))
    else {
        return;
    };
    let message = format!(
        "the endpoint `{}` has no name that its certificate must bear",
        nameless.address.value
    );
    let diagnostic = Diagnostic::error(Code::ServerNameMissing, tls.at.clone(), message);
    findings.report(
        diagnostic.hint("write server_name = \"…\", or verify = false to trust whoever answers"),
    );
}

fn plan_timeouts(timeouts: &model::UpstreamTimeouts) -> UpstreamTimeouts {
    let model::UpstreamTimeouts { connect, read, write, idle } = timeouts;
    UpstreamTimeouts {
        connect: connect.std(),
        read: read.std(),
        write: write.std(),
        idle: idle.std(),
    }
}
