//! The PROXY protocol, from proxies in front and towards upstreams.

use std::borrow::Cow;

use ipnet::IpNet;
use schemars::{Schema, json_schema};

use super::define::model;
use super::text::Short;
use crate::at::At;
use crate::native::{FromText, Problem};
use crate::plan::{OtherPeers, ProxyVersion};
use crate::units::Timeout;

model! {
    /// The PROXY protocol, version 1 or 2: connections begin with a header that says whose they are. The address in it takes the
    /// place of the proxy's everywhere: `$remote_addr`, `access`, limits, logs, `X-Forwarded-For`, `trusted_proxies`. The proxy stays
    /// `$realip_remote_addr`. `$scheme`, `$https`, `$server_addr` and `$server_port` are those of the connection to here;
    /// `X-Forwarded-Proto` and `X-Forwarded-Port` are the client's, as far as the header says. Connections whose header is missing,
    /// malformed, longer than 536 bytes or late are closed, and counted by reason in the metrics.
    pub struct ProxyProtocol {
        /// The proxies that are believed: networks, and `"unix"` for whoever comes over a Unix socket. All their connections
        /// must begin with a header. At least one.
        pub from: Vec<At<ProxySource>>,
        /// For the whole header, from the accept on.
        pub timeout: Timeout = Timeout::seconds(5),
        /// What becomes of connections from elsewhere: `"close"`, or `"plain"` for serving them as they are, without a header.
        pub others: At<OtherPeers> = OtherPeers::Close.into(),
    }
}

/// Where a PROXY header may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxySource {
    /// The addresses of a network.
    Network(IpNet),
    /// A Unix socket.
    Unix,
}

impl FromText for ProxySource {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\", or \"unix\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        if text == "unix" { Ok(Self::Unix) } else { IpNet::from_text(text).map(Self::Network) }
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Network(network) => network.to_string().into(),
            Self::Unix => Cow::Borrowed("unix"),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [{ "type": "string", "format": "network" }, { "const": "unix" }] })
    }
}

model! {
    /// The PROXY header that connections to an upstream begin with. Where only `version` is written, it alone will do.
    pub struct SendProxy {
        /// `"v1"`, a line of text, or `"v2"`, which is binary.
        pub version: At<ProxyVersion>,
        /// What version 2 says beside the addresses, in this order: `"authority"`, `"alpn"`, `"ssl"` (each as far as it is known of
        /// the client's connection, or as a proxy in front said it), `"unique_id"` (as a proxy in front said it, else the id of
        /// the request), `"crc32c"`, and values of your own such as `"0xE0=$host"`, a type of 0xE0 to 0xF7 and a template.
        /// What would make the header longer than 536 bytes is left out.
        pub tlvs: Vec<At<Box<str>>> = Vec::new(),
    }
}

impl Short for SendProxy {
    type Key = ProxyVersion;

    fn from_key(version: At<ProxyVersion>) -> Self {
        Self { version, tlvs: Vec::new() }
    }

    fn as_key(&self) -> Option<&ProxyVersion> {
        self.tlvs.is_empty().then_some(&self.version.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_networks_addresses_or_unix() {
        for text in ["10.0.0.0/8", "::1/128", "unix"] {
            assert_eq!(ProxySource::from_text(text).unwrap().to_text(), text);
        }
        for text in ["", "Unix", "10.0.0.1/8", "localhost"] {
            assert!(ProxySource::from_text(text).is_err(), "{text}");
        }
    }
}
