//! Bound addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::build::Findings;
use super::connections::connections;
use super::sockets::socket;
use super::tolerate::tolerances;
use super::{
    Http2Limits, ListenAddress, ListenerId, ListenerLimits, ListenerPlan, ListenerTimeouts,
    Tolerances, proxy_protocol, tls,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{BindAddress, Config, Http2, Limits, Listener, MinRate, Timeouts};

pub(super) fn listeners<'a>(
    config: &'a Config,
    findings: &mut Findings<'_>,
) -> (Vec<ListenerPlan>, HashMap<&'a str, ListenerId>) {
    let mut plans = Vec::with_capacity(config.listeners.len());
    let mut names: HashMap<&str, (ListenerId, &Location)> = HashMap::new();
    let mut taken = Taken::default();
    for (listener, id) in config.listeners.iter().zip((0..).map(ListenerId)) {
        plans.push(plan(listener, findings));
        taken.take(&listener.address, findings);
        let Some(name) = &listener.name else { continue };
        match names.entry(name) {
            Entry::Vacant(free) => {
                free.insert((id, &name.at));
            }
            Entry::Occupied(first) => {
                let message = format!("two listeners are called `{}`", **name);
                let diagnostic = Diagnostic::error(Code::Duplicate, name.at.clone(), message);
                findings.report(diagnostic.hint(format!("the other is at {}", first.get().1)));
            }
        }
    }
    if plans.is_empty() {
        let diagnostic =
            Diagnostic::error(Code::NoListeners, Location::none(), "there are no listeners");
        findings.missing(
            diagnostic
                .hint("clients connect to what `[[listeners]]` says, such as address = \":8080\""),
        );
    }
    (plans, names.into_iter().map(|(name, (id, _))| (name, id)).collect())
}

fn plan(listener: &At<Listener>, findings: &mut Findings<'_>) -> ListenerPlan {
    let tls = listener.tls.as_ref().map(|tls| Box::new(tls::of_listener(tls, findings)));
    if let Some(h2) = listener.h2.as_ref().filter(|h2| h2.value && listener.tls.is_none()) {
        let diagnostic = Diagnostic::error(
            Code::NoEffect,
            h2.at.clone(),
            "`h2` is offered in the TLS handshake, and there is no `tls` here",
        );
        findings.report(diagnostic.hint("in plain text it is `h2c`"));
    }
    if listener.h2c.value && listener.tls.is_some() {
        let diagnostic = Diagnostic::error(
            Code::NoEffect,
            listener.h2c.at.clone(),
            "`h2c` is for plain text, and there is `tls` here",
        );
        findings.report(diagnostic.hint("over TLS it is `h2`, on unless turned off"));
    }
    ListenerPlan {
        name: listener
            .name
            .as_ref()
            .map_or_else(|| listener.address.to_string().into(), |name| (***name).into()),
        address: plan_address(listener, findings),
        socket: socket(listener, findings),
        connections: connections(&listener.connections, findings),
        tls,
        h2: listener.tls.is_some() && listener.h2.as_ref().is_none_or(|h2| h2.value),
        h2c: listener.h2c.value,
        proxy_protocol: listener
            .proxy_protocol
            .as_ref()
            .map(|settings| proxy_protocol::accepted(settings, listener, findings)),
        timeouts: plan_timeouts(&listener.timeouts),
        limits: plan_limits(&listener.limits, tolerances(&listener.tolerate, findings)),
        http2: plan_http2(listener, findings),
        min_rate: plan_min_rate(&listener.min_rate),
        filters: Vec::new(),
        at: listener.at.clone(),
    }
}

fn plan_address(listener: &Listener, findings: &mut Findings<'_>) -> ListenAddress {
    match &listener.address.value {
        BindAddress::Unix(path) => {
            findings.socket_path(path, &listener.address.at);
            ListenAddress::Unix { path: path.clone() }
        }
        BindAddress::Tcp(address) => ListenAddress::Tcp { address: *address, dual_stack: false },
        BindAddress::Any(port) => {
            ListenAddress::Tcp { address: (Ipv6Addr::UNSPECIFIED, *port).into(), dual_stack: true }
        }
    }
}

fn plan_timeouts(timeouts: &Timeouts) -> ListenerTimeouts {
    let Timeouts { handshake, header, keepalive, body, write } = timeouts;
    ListenerTimeouts {
        handshake: handshake.std(),
        header: header.std(),
        keepalive: keepalive.std(),
        body: body.std(),
        write: write.std(),
    }
}

fn plan_min_rate(rate: &MinRate) -> super::MinRate {
    let MinRate { receive, send, after } = rate;
    super::MinRate { receive: receive.0, send: send.0, after: after.std() }
}

fn plan_limits(limits: &Limits, tolerate: Tolerances) -> ListenerLimits {
    let Limits { target, headers, fields, keepalive_requests } = limits;
    ListenerLimits {
        target: target.bytes(),
        headers: headers.bytes(),
        fields: fields.value(),
        keepalive_requests: keepalive_requests.value(),
        tolerate,
    }
}

fn plan_http2(listener: &Listener, findings: &mut Findings<'_>) -> Http2Limits {
    let is_offered = listener.tls.is_some() && listener.h2.as_ref().is_none_or(|h2| h2.value);
    if let Some(http2) = listener.http2.as_ref().filter(|_| !is_offered && !listener.h2c.value) {
        findings.error(Code::NoEffect, &http2.at, "this listener does not speak HTTP/2");
    }
    let default = Http2::default();
    let Http2 {
        max_streams,
        first_streams,
        continuations,
        resets_per_second,
        early_resets,
        faulty_streams,
        pings_per_second,
        settings_per_second,
        priorities_per_second,
        empty_data_per_second,
        window_updates_per_second,
        frames,
        stalled_streams,
    } = listener.http2.as_ref().map_or(&default, |http2| &http2.value);
    Http2Limits {
        max_streams: max_streams.value(),
        first_streams: first_streams.value(),
        continuations: continuations.value(),
        resets_per_second: resets_per_second.value(),
        early_resets: early_resets.value(),
        faulty_streams: faulty_streams.value(),
        pings_per_second: pings_per_second.value(),
        settings_per_second: settings_per_second.value(),
        priorities_per_second: priorities_per_second.value(),
        empty_data_per_second: empty_data_per_second.value(),
        window_updates_per_second: window_updates_per_second.value(),
        frames: frames.value(),
        stalled_streams: stalled_streams.value(),
    }
}

/// The addresses that are bound already. One may lie within another, but none may be the same.
#[derive(Default)]
struct Taken<'a> {
    sockets: HashMap<SocketAddr, &'a Location>,
    files: HashMap<&'a Path, &'a Location>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, address: &'a At<BindAddress>, findings: &mut Findings<'_>) {
        let other = match &address.value {
            BindAddress::Unix(path) => self.files.insert(path, &address.at),
            BindAddress::Tcp(socket) => self.sockets.insert(*socket, &address.at),
            BindAddress::Any(port) => {
                let v4 = self.sockets.insert((Ipv4Addr::UNSPECIFIED, *port).into(), &address.at);
                let v6 = self.sockets.insert((Ipv6Addr::UNSPECIFIED, *port).into(), &address.at);
                v6.or(v4)
            }
        };
        if let Some(other) = other {
            let message = format!("another listener binds `{}` already", address.value);
            let diagnostic = Diagnostic::error(Code::AddressTaken, address.at.clone(), message);
            // A reload knows listeners by their address, as it is written.
            let hint = match address.value {
                BindAddress::Tcp(socket) if socket.port() == 0 => {
                    ": with port 0, each needs an IP address of its own"
                }
                BindAddress::Any(0) => ": port 0 can be asked for once",
                _ => "",
            };
            findings.report(diagnostic.hint(format!("the other is at {other}{hint}")));
        }
    }
}
