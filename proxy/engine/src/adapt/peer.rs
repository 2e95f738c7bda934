//! Upstreams and targets as Pingora's dial targets.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use pingora_core::connectors::l4::BindTo;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::{HttpPeer, Scheme};
use switchback_conf::plan::{
    EndpointAddress, EndpointPlan, RouteTimeouts, UpstreamPlan, UpstreamProtocol,
};
use switchback_upstream::Target;

use crate::h2;
use crate::http::fault::Fault;

/// Streams on one HTTP/2 connection to an endpoint.
const H2_STREAMS: usize = 100;

/// A peer for `endpoint`, complete but for the address.
///
/// Plan has seen to it that a verified TLS peer has a server name: for Pingora an empty one means no verification at all.
pub(crate) fn template(
    upstream: &UpstreamPlan,
    endpoint: &EndpointPlan,
    ca: Option<Arc<CaType>>,
) -> HttpPeer {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut peer = HttpPeer::new(unknown, upstream.tls.is_some(), server_name(upstream, endpoint));
    peer.group_key = group_key(upstream);
    let options = &mut peer.options;
    options.connection_timeout = Some(upstream.timeouts.connect);
    options.total_connection_timeout = Some(upstream.timeouts.connect);
    options.read_timeout = Some(upstream.timeouts.read);
    options.write_timeout = Some(upstream.timeouts.write);
    options.idle_timeout = Some(upstream.timeouts.idle);
    options.verify_cert = upstream.tls.as_ref().is_none_or(|tls| tls.verify);
    options.verify_hostname = options.verify_cert;
    options.ca = ca;
    if upstream.protocol == UpstreamProtocol::H2 {
        peer.options.max_h2_streams = H2_STREAMS;
        h2::speak(&mut peer, h2::Offer::Http2);
    }
    peer
}

/// The peer at `target`, with the deadlines that the route has of its own.
pub(crate) fn dial(
    template: &HttpPeer,
    target: &Target,
    timeouts: RouteTimeouts,
) -> Result<Box<HttpPeer>, Fault> {
    let mut peer = Box::new(template.clone());
    let options = &mut peer.options;
    if timeouts.connect.is_some() {
        options.connection_timeout = timeouts.connect;
        options.total_connection_timeout = timeouts.connect;
    }
    options.read_timeout = timeouts.read.or(options.read_timeout);
    options.write_timeout = timeouts.write.or(options.write_timeout);
    peer._address = match target {
        Target::Tcp(address) => PeerAddress::Inet(*address),
        Target::Unix(path) => {
            let address = std::os::unix::net::SocketAddr::from_pathname(path);
            PeerAddress::Unix(address.map_err(Fault::internal)?)
        }
    };
    Ok(peer)
}

/// Has the peer dialled from one of `sources`, those of its family: from the next one in turn.
pub(crate) fn from_source(peer: &mut HttpPeer, sources: &[IpAddr], turn: usize) {
    let PeerAddress::Inet(address) = &peer._address else { return };
    let is_v4 = address.is_ipv4();
    let reach = || sources.iter().filter(|source| source.is_ipv4() == is_v4);
    let Some(position) = turn.checked_rem(reach().count()) else { return };
    if let Some(source) = reach().nth(position) {
        let mut from = BindTo::default();
        from.addr = Some(SocketAddr::new(*source, 0));
        peer.options.bind_to = Some(from);
    }
}

/// Has connections to `peer` be in the clear.
pub(crate) fn without_tls(peer: &mut HttpPeer) {
    peer.scheme = Scheme::HTTP;
}

/// The name to verify and to send as SNI.
fn server_name(upstream: &UpstreamPlan, endpoint: &EndpointPlan) -> String {
    let Some(tls) = &upstream.tls else { return String::new() };
    match (&tls.server_name, &endpoint.address) {
        (Some(name), _) => name.to_string(),
        (None, _) if endpoint.host.is_some() => {
            endpoint.host.as_deref().unwrap_or_default().trim_end_matches('.').to_owned()
        }
        (None, EndpointAddress::Srv(name)) => name.to_string(),
        (None, EndpointAddress::Name { host, .. }) => host.to_string(),
        // Only reached with verification off. Not empty all the same: empty switches more off than was asked for.
        (None, EndpointAddress::Ip(address)) => address.ip().to_string(),
        (None, EndpointAddress::Unix(_)) => "localhost".to_owned(),
    }
}

/// Connections are shared within an upstream only, and only under one setting of TLS and protocol: Pingora's own key leaves
/// out authorities and protocol.
fn group_key(upstream: &UpstreamPlan) -> u64 {
    let mut hasher = DefaultHasher::new();
    upstream.name.hash(&mut hasher);
    upstream.protocol.hash(&mut hasher);
    if let Some(tls) = &upstream.tls {
        (&tls.server_name, &tls.ca, tls.verify).hash(&mut hasher);
    }
    hasher.finish()
}
