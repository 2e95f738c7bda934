//! Named services.

use std::collections::HashMap;
use std::net::IpAddr;

use super::build::Findings;
use super::{
    EndpointAddress, EndpointPlan, EndpointsFilePlan, FileStamp, UpstreamId, UpstreamPlan,
    UpstreamTimeouts, UpstreamTlsPlan,
};
use super::{discovery, health, proxy_protocol};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{self, Config, Name, Upstream, UpstreamTls, is_host_name};

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
    let (endpoints, endpoints_file) = listed(upstream, findings);
    UpstreamPlan {
        name: (**name).into(),
        endpoints,
        protocol: upstream.protocol,
        tls: upstream.tls.as_ref().map(|tls| plan_tls(tls, upstream, findings)),
        send_proxy: upstream.send_proxy.as_ref().map(|send| proxy_protocol::sent(send, findings)),
        timeouts: plan_timeouts(&upstream.timeouts),
        tries: upstream.tries.value(),
        resolve: discovery::resolve(upstream, findings),
        endpoints_file,
        health: upstream.health.as_ref().map(|probes| health::health(probes, upstream, findings)),
        outliers: health::outliers(&upstream.outliers, findings),
        panic: upstream.panic.value(),
        at: upstream.at.clone(),
    }
}

type File = Option<(EndpointsFilePlan, Option<FileStamp>)>;

/// The endpoints that the configuration and perhaps a file list.
fn listed(upstream: &At<Upstream>, findings: &mut Findings<'_>) -> (Vec<EndpointPlan>, File) {
    let Some(path) = &upstream.endpoints_file else {
        return (plan_endpoints(upstream, &upstream.at, findings), None);
    };
    let file = EndpointsFilePlan::new(path, upstream);
    let read = file.read();
    read.diagnostics.into_iter().for_each(|found| findings.report(found));
    (read.endpoints.unwrap_or_default(), Some((file, read.stamp)))
}

pub(super) fn plan_endpoints(
    upstream: &Upstream,
    at: &Location,
    findings: &mut Findings<'_>,
) -> Vec<EndpointPlan> {
    if upstream.endpoints.is_empty() {
        findings.error(Code::Empty, at, "an upstream needs at least one endpoint");
    }
    let mut seen: HashMap<&EndpointAddress, &Location> = HashMap::new();
    let mut plans = Vec::with_capacity(upstream.endpoints.len());
    for endpoint in &upstream.endpoints {
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
        plans.push(EndpointPlan {
            address: address.clone(),
            host: None,
            weight: endpoint.weight.value(),
            at: at.clone(),
        });
    }
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
    let Some(nameless) = upstream.endpoints.iter().find(|endpoint| !is_named(&endpoint.address))
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
