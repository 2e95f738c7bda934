//! The process, and what it tells about clients.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::ConnectionsPlan;
use super::build::Findings;
use super::connections::connections;
use crate::diagnostic::{Code, Diagnostic, Location};
use crate::model::{Config, OrOff, Workers};

/// Threads, files and time-outs of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessPlan {
    /// Worker threads; `None` is one per core.
    pub workers: Option<u16>,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// The control socket; `None` is off.
    pub control_socket: Option<PathBuf>,
    /// How many connections are taken on all listeners together.
    pub connections: ConnectionsPlan,
    /// The longest a graceful stop waits for what runs.
    pub shutdown_timeout: Duration,
    /// The time over which idle connections are closed in a graceful stop.
    pub drain_spread: Duration,
    /// How long the successor in an upgrade may take until it is ready.
    pub upgrade_timeout: Duration,
}

/// Who is believed and what is told about the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardingPlan {
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether upstreams are sent `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    pub x_forwarded: bool,
    /// Whether upstreams are sent `Forwarded` (RFC 7239).
    pub forwarded: bool,
    /// Whether upstreams are sent `X-Request-ID`.
    pub request_id: bool,
    /// Our pseudonym in `Via` (RFC 9110, 7.6.3); `None` leaves the header out.
    pub via: Option<Box<str>>,
}

pub(super) fn process(config: &Config, findings: &mut Findings<'_>) -> ProcessPlan {
    ProcessPlan {
        workers: match config.workers {
            Workers::Auto => None,
            Workers::Count(count) => u16::try_from(count.value()).ok(),
        },
        pid_file: config.pid_file.as_ref().map(|path| path.value.clone()),
        control_socket: control_socket(config, findings),
        connections: connections(&config.connections, findings),
        shutdown_timeout: config.shutdown_timeout.std(),
        drain_spread: drain_spread(config, findings),
        upgrade_timeout: config.upgrade.timeout.std(),
    }
}

/// The usual window for idle connections; a short stop takes less.
const DRAIN_SPREAD: Duration = Duration::from_secs(5);

fn drain_spread(config: &Config, findings: &mut Findings<'_>) -> Duration {
    let longest = config.shutdown_timeout.std();
    let Some(wanted) = &config.drain_spread else { return DRAIN_SPREAD.min(longest / 3) };
    if wanted.value.std() > longest {
        let message = "`drain_spread` is longer than `shutdown_timeout`: connections whose turn would come later are dropped";
        let found = Diagnostic::warning(Code::NoEffect, wanted.at.clone(), message);
        findings.report(found.hint("make `shutdown_timeout` the longer one"));
    }
    wanted.value.std()
}

fn control_socket(config: &Config, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let (path, at): (PathBuf, &Location) = match (&config.control.socket, &config.pid_file) {
        (Some(socket), _) => (socket.on()?.clone(), &socket.at),
        (None, pid_file) => {
            let pid_file = pid_file.as_ref()?;
            (pid_file.with_extension("sock"), &pid_file.at)
        }
    };
    findings.socket_path(&path, at);
    Some(path)
}

pub(super) fn forwarding(config: &Config, findings: &mut Findings<'_>) -> ForwardingPlan {
    let forwarding = &config.forwarding;
    if let OrOff::On(name) = &forwarding.via.value
        && !is_pseudonym(name)
    {
        let diagnostic = Diagnostic::error(
            Code::BadValue,
            forwarding.via.at.clone(),
            format!("`{name}` cannot stand in `Via`"),
        );
        findings.report(diagnostic.hint("a word such as \"switchback\", or \"off\""));
    }
    ForwardingPlan {
        trusted_proxies: config.trusted_proxies.clone(),
        x_forwarded: forwarding.x_forwarded,
        forwarded: forwarding.forwarded,
        request_id: forwarding.request_id,
        via: forwarding.via.on().cloned(),
    }
}

/// Host and port, or a token: RFC 9110, section 7.6.3.
fn is_pseudonym(text: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}
