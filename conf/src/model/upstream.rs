//! The services that requests are passed on to.

use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::discovery::Resolve;
use super::health::{HealthOrPath, Outliers, OutliersOrOff, Percent};
use super::proxy_protocol::SendProxy;
use super::text::{Count, OrOff, OrText, Short};
use super::tls::UpstreamTls;
use crate::at::At;
use crate::native::{Decoder, Node, Problem, Setting};
use crate::plan::{EndpointAddress, UpstreamProtocol};
use crate::units::Timeout;

model! {
    /// A service with interchangeable endpoints.
    pub struct Upstream {
        /// Where it is: addresses such as `"10.0.0.1:8080"`, `"app.example:80"`, `"srv:_http._tcp.app.example"` or
        /// `"unix:/run/app.sock"`, or tables. At least one, here or in `endpoints_file`. Each address that a name stands for is an
        /// endpoint of its own.
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
        /// How often host names are looked up again at least. Without it, as their records and `resolve` say.
        pub resolve_every: Option<Timeout> = None,
        /// Probes of its endpoints: a path such as `"/healthz"`, or a table. Without it, only what they answer counts.
        pub health: Option<At<HealthOrPath>> = None,
        /// Which endpoints are not asked for a while because of what they answered. `"off"` is none.
        pub outliers: OutliersOrOff = OrOff::On(Outliers::default()),
        /// When fewer endpoints than that can be asked, all are, as if nothing was known of them. `"0%"` is never.
        pub panic: Percent = Percent::clamped(50),
        /// How long what a name of an endpoint stands for is believed. A failing or empty answer leaves the last good one in force.
        pub resolve: Resolve = Resolve::default(),
        /// A file with more endpoints, one in a line, perhaps with `weight=2` behind it; `#` begins a comment. It is read again when it
        /// changes; a file with mistakes, or whose last line has no end, leaves the last good one in force.
        pub endpoints_file: Option<At<PathBuf>> = None,
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
            resolve_every: None,
            health: None,
            outliers: OrOff::On(Outliers::default()),
            panic: Percent::clamped(50),
            resolve: Resolve::default(),
            endpoints_file: None,
        }
    }
}

model! {
    /// One address of a service. Where only `address` is written, it alone will do.
    pub struct Endpoint {
        /// Host and port, `"srv:"` and the name of a service, or `"unix:/path"`.
        pub address: At<EndpointAddress>,
        /// Its share of the requests, against the other endpoints.
        pub weight: Count<1, 1000> = Count::clamped(1),
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
        Self { address, weight: Count::clamped(1) }
    }

    fn as_key(&self) -> Option<&EndpointAddress> {
        (self.weight == Count::clamped(1)).then_some(&self.address.value)
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
