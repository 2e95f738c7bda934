//! How many connections are taken.

use std::time::Duration;

use super::build::Findings;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::Connections;

/// How many connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionsPlan {
    /// Open at once.
    pub total: Option<u32>,
    /// Open at once from one client.
    pub per_client: Option<u32>,
    /// Bits of an IPv4 address that make a client.
    pub ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
    /// The time from one accept to the next, on average.
    pub interval: Option<Duration>,
}

impl ConnectionsPlan {
    /// Whether every connection is taken, whenever it comes.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.total.is_none() && self.per_client.is_none() && self.interval.is_none()
    }
}

pub(super) fn connections(
    connections: &Connections,
    findings: &mut Findings<'_>,
) -> ConnectionsPlan {
    let Connections { total, per_client, ipv4_prefix, ipv6_prefix, rate } = connections;
    let prefixes = [
        ("ipv4_prefix", ipv4_prefix.as_ref().map(|bits| &bits.at)),
        ("ipv6_prefix", ipv6_prefix.as_ref().map(|bits| &bits.at)),
    ];
    for (key, at) in prefixes {
        let Some(at) = at.filter(|_| per_client.is_none()) else { continue };
        let message = format!("`{key}` says what a client is, and there is no `per_client` here");
        findings.report(Diagnostic::error(Code::NoEffect, at.clone(), message));
    }
    let bits =
        |bits: Option<u32>, all: u8| bits.and_then(|bits| bits.try_into().ok()).unwrap_or(all);
    ConnectionsPlan {
        total: total.as_ref().map(|total| total.value()),
        per_client: per_client.as_ref().map(|most| most.value()),
        ipv4_prefix: bits(ipv4_prefix.as_ref().map(|bits| bits.value()), 32),
        ipv6_prefix: bits(ipv6_prefix.as_ref().map(|bits| bits.value()), 64),
        interval: rate.as_ref().map(|rate| rate.interval()),
    }
}
