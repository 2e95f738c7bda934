//! Bound addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Findings;
use super::connections::connections;
use super::sockets::socket;
use super::tolerate::tolerances;
use super::{
    ConnectionsPlan, FilterPlan, ListenerId, ListenerTlsPlan, ProxyProtocolPlan, SocketPlan,
    Tolerances, proxy_protocol, tls,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{self, BindAddress, Config, Http2, Limits, Listener, Timeouts};

/// A bound address.
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// Its name, or its address where it has none.
    pub name: Box<str>,
    /// What is bound.
    pub address: ListenAddress,
    /// How its sockets are set up.
    pub socket: SocketPlan,
    /// How many connections it takes.
    pub connections: ConnectionsPlan,
    /// TLS, or plain text.
    pub tls: Option<Box<ListenerTlsPlan>>,
    /// Whether ALPN offers `h2`.
    pub h2: bool,
    /// Whether plain-text HTTP/2 with prior knowledge is understood.
    pub h2c: bool,
    /// Who must begin with a PROXY header, if anybody.
    pub proxy_protocol: Option<ProxyProtocolPlan>,
    /// Deadlines towards clients.
    pub timeouts: ListenerTimeouts,
    /// Bounds on what a client may send.
    pub limits: ListenerLimits,
    /// What HTTP/2 connections may cost.
    pub http2: Http2Limits,
    /// How fast they have to be.
    pub min_rate: MinRate,
    /// What is asked about each of its requests, first.
    pub filters: Vec<FilterPlan>,
    /// Where it stands in the configuration.
    pub at: Location,
}

/// What a listener binds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// TCP. `[::]` written as `:port` also takes IPv4 (`dual_stack`).
    Tcp {
        /// Address and port; port 0 lets the kernel choose.
        address: SocketAddr,
        /// Whether an IPv6 socket also takes IPv4 clients.
        dual_stack: bool,
    },
    /// A Unix stream socket.
    Unix {
        /// The socket's file.
        path: PathBuf,
    },
}

/// Deadlines towards clients. All finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListenerTimeouts {
    /// For the whole TLS handshake.
    pub handshake: Duration,
    /// For a whole request head, from its first byte (or the connection's start).
    pub header: Duration,
    /// Between requests.
    pub keepalive: Duration,
    /// Between two reads of a request body.
    pub body: Duration,
    /// Between two writes of an answer.
    pub write: Duration,
}

/// Bounds on what a client may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListenerLimits {
    /// Bytes of a request target; beyond it 414.
    pub target: u64,
    /// Bytes of all header lines together; beyond it 431.
    pub headers: u64,
    /// Number of header lines; beyond it 431.
    pub fields: u32,
    /// Requests on one connection before it is closed.
    pub keepalive_requests: u32,
    /// Faults that are mended instead of refused.
    pub tolerate: Tolerances,
}

/// What one HTTP/2 connection may cost; as [`Http2`](crate::model::Http2) says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Requests at once.
    pub max_streams: u32,
    /// Requests at once until the first answer has gone out in full.
    pub first_streams: u32,
    /// CONTINUATION frames of one request.
    pub continuations: u32,
    /// RST_STREAM frames received in a second.
    pub resets_per_second: u32,
    /// Requests cancelled before their answer began, beyond those answered in full.
    pub early_resets: u32,
    /// RST_STREAM frames sent, beyond the requests answered in full.
    pub faulty_streams: u32,
    /// PING frames in a second.
    pub pings_per_second: u32,
    /// SETTINGS frames in a second.
    pub settings_per_second: u32,
    /// PRIORITY and unknown frames in a second.
    pub priorities_per_second: u32,
    /// Empty DATA frames in a second.
    pub empty_data_per_second: u32,
    /// WINDOW_UPDATE frames in a second.
    pub window_updates_per_second: u32,
    /// Frames of each of these kinds while the connection lasts.
    pub frames: u32,
    /// Answers not taken in time.
    pub stalled_streams: u32,
}

/// How fast a client has to be, over a time that is spent waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes a second of a request body; 0 is no bound.
    pub receive: u64,
    /// Bytes a second of an answer; 0 is no bound.
    pub send: u64,
    /// The time over which the rate is taken.
    pub after: Duration,
}

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

fn plan_min_rate(rate: &model::MinRate) -> MinRate {
    let model::MinRate { receive, send, after } = rate;
    MinRate { receive: receive.0, send: send.0, after: after.std() }
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
