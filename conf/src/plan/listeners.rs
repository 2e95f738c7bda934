//! Bound addresses.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::build::Findings;
use super::{
    ListenAddress, ListenerId, ListenerLimits, ListenerPlan, ListenerTimeouts, ListenerTlsPlan,
};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::is_host_name;
use crate::model::{BindAddress, Config, Limits, Listener, ListenerTls, MinRate, Mode, Timeouts};

/// As nginx: whoever reaches the socket's directory may connect.
const DEFAULT_MODE: Mode = Mode(0o666);

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
    let tls = listener.tls.as_ref().and_then(|tls| plan_tls(tls, findings));
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
        tls,
        h2: listener.tls.is_some() && listener.h2.as_ref().is_none_or(|h2| h2.value),
        h2c: listener.h2c.value,
        timeouts: plan_timeouts(&listener.timeouts),
        limits: plan_limits(&listener.limits),
        min_rate: plan_min_rate(&listener.min_rate),
        at: listener.at.clone(),
    }
}

fn plan_address(listener: &Listener, findings: &mut Findings<'_>) -> ListenAddress {
    let no_mode = |findings: &mut Findings<'_>| {
        if let Some(mode) = &listener.mode {
            findings.error(
                Code::NoEffect,
                &mode.at,
                "`mode` is for Unix sockets, and this is not one",
            );
        }
    };
    match &listener.address.value {
        BindAddress::Unix(path) => {
            findings.socket_path(path, &listener.address.at);
            let mode = listener.mode.as_ref().map_or(DEFAULT_MODE, |mode| mode.value);
            ListenAddress::Unix { path: path.clone(), mode: mode.0 }
        }
        BindAddress::Tcp(address) => {
            no_mode(findings);
            ListenAddress::Tcp { address: *address, dual_stack: false }
        }
        BindAddress::Any(port) => {
            no_mode(findings);
            ListenAddress::Tcp { address: (Ipv6Addr::UNSPECIFIED, *port).into(), dual_stack: true }
        }
    }
}

fn plan_tls(tls: &At<ListenerTls>, findings: &mut Findings<'_>) -> Option<ListenerTlsPlan> {
    match (&tls.certificate, &tls.key, &tls.self_signed) {
        (Some(certificate), Some(key), None) => {
            findings.readable(certificate, &certificate.at, "certificate");
            findings.readable(key, &key.at, "key");
            Some(ListenerTlsPlan::Files {
                certificate: certificate.value.clone(),
                key: key.value.clone(),
            })
        }
        (None, None, Some(names)) => plan_self_signed(tls, names, findings),
        (certificate, key, self_signed) => {
            let message = match (certificate, key, self_signed) {
                (Some(_), None, None) => "the `key` of this certificate is missing",
                (None, Some(_), None) => "the `certificate` of this key is missing",
                (None, None, None) => "this says nothing about a certificate",
                _ => "a certificate is either read from files or made on the spot",
            };
            let hint = "write `certificate` and `key`, or `self_signed` alone";
            findings.report(Diagnostic::error(Code::TlsForm, tls.at.clone(), message).hint(hint));
            None
        }
    }
}

fn plan_self_signed(
    tls: &At<ListenerTls>,
    names: &[At<Box<str>>],
    findings: &mut Findings<'_>,
) -> Option<ListenerTlsPlan> {
    if names.is_empty() {
        findings.error(
            Code::Empty,
            &tls.at,
            "a certificate needs at least one name, such as \"localhost\"",
        );
    }
    for name in names {
        let host = name.strip_prefix("*.").unwrap_or(name);
        if !is_host_name(host) && name.parse::<IpAddr>().is_err() {
            findings.error(
                Code::BadValue,
                &name.at,
                format!("`{}` is neither a host name nor an address", **name),
            );
        }
    }
    Some(ListenerTlsPlan::SelfSigned(names.iter().map(|name| name.to_string()).collect()))
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

fn plan_limits(limits: &Limits) -> ListenerLimits {
    let Limits { target, headers, fields, keepalive_requests } = limits;
    ListenerLimits {
        target: target.bytes(),
        headers: headers.bytes(),
        fields: fields.value(),
        keepalive_requests: keepalive_requests.value(),
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
            // The kernel gives everyone who asks for port 0 another.
            BindAddress::Tcp(socket) if socket.port() == 0 => None,
            BindAddress::Any(0) => None,
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
            findings.report(diagnostic.hint(format!("the other is at {other}")));
        }
    }
}
