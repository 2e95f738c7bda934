//! How listeners' sockets are set up.

use std::time::Duration;

use super::build::Findings;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{BindAddress, Keepalive, Listener, Mode, OrOff, Owner, SocketOptions};

/// How a listener's sockets are set up. Each option knows where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPlan {
    /// Connections that may wait to be accepted.
    pub backlog: At<u32>,
    /// The interface they must come in by.
    pub device: Option<At<Box<str>>>,
    /// Whether other processes may listen at the address too.
    pub share: At<bool>,
    /// Whether foreign addresses may be bound.
    pub transparent: At<bool>,
    /// Seconds that a connection may wait in the kernel until it has sent something.
    pub defer_accept: Option<At<u32>>,
    /// Connections that may be waiting to be completed while they bring data already.
    pub fast_open: Option<At<u32>>,
    /// When silent clients are asked whether they are still there.
    pub keepalive: At<Option<KeepalivePlan>>,
    /// Bytes that the kernel takes in for a connection.
    pub receive_buffer: Option<At<u32>>,
    /// Bytes that the kernel takes for a connection to send.
    pub send_buffer: Option<At<u32>>,
    /// Bytes that the kernel takes for a connection before they are sent; always there for TCP.
    pub notsent_lowat: Option<At<u32>>,
    /// The permission bits of a Unix socket.
    pub mode: At<u32>,
    /// Who owns the file of a Unix socket.
    pub owner: Option<At<Owner>>,
}

/// When the kernel asks silent clients whether they are still there, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepalivePlan {
    /// Before the first question.
    pub idle: u32,
    /// Between two.
    pub interval: u32,
    /// Questions without answer.
    pub count: u32,
}

/// As nginx: whoever reaches the socket's directory may connect.
const DEFAULT_MODE: Mode = Mode(0o666);
/// A pipe of a gigabit a second is refilled every half millisecond. A megabyte takes 16 rounds of a worker rather than the two or
/// three of a buffer that the kernel lets grow; a stalled client leaves an eighth of that in memory.
const DEFAULT_NOTSENT_LOWAT: u32 = 128 << 10;
/// The kernel takes no more for any of the times of keepalive.
const MOST_SECONDS: u32 = 32_767;

pub(super) fn socket(listener: &At<Listener>, findings: &mut Findings<'_>) -> SocketPlan {
    let options = &listener.socket;
    let is_unix = matches!(listener.address.value, BindAddress::Unix(_));
    if is_unix {
        only_tcp(options, findings);
    } else {
        only_unix(listener, findings);
    }
    let notsent_lowat = bytes(options.notsent_lowat.as_ref(), findings)
        .or_else(|| (!is_unix).then(|| At::new(DEFAULT_NOTSENT_LOWAT, listener.at.clone())));
    let mode = listener.mode.clone().unwrap_or_else(|| At::new(DEFAULT_MODE, listener.at.clone()));
    SocketPlan {
        backlog: at(&options.backlog, |backlog| backlog.value()),
        device: options.device.clone(),
        share: options.share.clone(),
        transparent: options.transparent.clone(),
        defer_accept: options
            .defer_accept
            .as_ref()
            .map(|time| at(time, |time| seconds(time.std()))),
        fast_open: options.fast_open.as_ref().map(|count| at(count, |count| count.value())),
        keepalive: keepalive(&options.keepalive, findings),
        receive_buffer: bytes(options.receive_buffer.as_ref(), findings),
        send_buffer: bytes(options.send_buffer.as_ref(), findings),
        notsent_lowat,
        mode: at(&mode, |mode| mode.0),
        owner: listener.owner.clone(),
    }
}

fn at<T, U>(value: &At<T>, to: impl FnOnce(&T) -> U) -> At<U> {
    At::new(to(&value.value), value.at.clone())
}

/// Rounded up.
fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn keepalive(
    keepalive: &At<OrOff<Keepalive>>,
    findings: &mut Findings<'_>,
) -> At<Option<KeepalivePlan>> {
    let plan = keepalive.on().map(|keepalive| KeepalivePlan {
        idle: seconds(keepalive.idle.std()),
        interval: seconds(keepalive.interval.std()),
        count: keepalive.count.value(),
    });
    if plan.is_some_and(|plan| plan.idle.max(plan.interval) > MOST_SECONDS) {
        let message = format!("the kernel's keepalive knows no times above {MOST_SECONDS}s");
        findings.error(Code::OutOfRange, &keepalive.at, message);
    }
    At::new(plan, keepalive.at.clone())
}

fn bytes(size: Option<&At<crate::units::Size>>, findings: &mut Findings<'_>) -> Option<At<u32>> {
    let size = size?;
    // The kernel doubles it, and counts in signed integers.
    let bytes = u32::try_from(size.bytes()).ok().filter(|bytes| *bytes < 1 << 30);
    if bytes.is_none() {
        findings.error(Code::OutOfRange, &size.at, "a buffer has less than 1GiB");
    }
    Some(At::new(bytes?, size.at.clone()))
}

fn only_unix(listener: &Listener, findings: &mut Findings<'_>) {
    let mut no_effect = |key: &str, at: &Location| {
        let message = format!("`{key}` is for Unix sockets, and this is not one");
        findings.error(Code::NoEffect, at, message);
    };
    if let Some(mode) = &listener.mode {
        no_effect("mode", &mode.at);
    }
    if let Some(owner) = &listener.owner {
        no_effect("owner", &owner.at);
    }
}

fn only_tcp(options: &SocketOptions, findings: &mut Findings<'_>) {
    let SocketOptions {
        backlog: _,
        device,
        share,
        transparent,
        defer_accept,
        fast_open,
        keepalive,
        receive_buffer,
        send_buffer,
        notsent_lowat,
    } = options;
    let said = [
        ("device", device.as_ref().map(|value| &value.at)),
        ("share", share.value.then_some(&share.at)),
        ("transparent", transparent.value.then_some(&transparent.at)),
        ("defer_accept", defer_accept.as_ref().map(|value| &value.at)),
        ("fast_open", fast_open.as_ref().map(|value| &value.at)),
        ("keepalive", keepalive.on().map(|_| &keepalive.at)),
        ("receive_buffer", receive_buffer.as_ref().map(|value| &value.at)),
        ("send_buffer", send_buffer.as_ref().map(|value| &value.at)),
        ("notsent_lowat", notsent_lowat.as_ref().map(|value| &value.at)),
    ];
    for (key, at) in said {
        let Some(at) = at else { continue };
        let message = format!("`{key}` is for TCP, and this is a Unix socket");
        findings.report(Diagnostic::error(Code::NoEffect, at.clone(), message));
    }
}
